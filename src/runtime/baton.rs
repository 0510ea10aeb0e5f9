//! Workers that step one at a time, in a seeded order: what makes a run of several threads one that can be
//! repeated.
//!
//! Whoever has the baton may run; all others wait, each on a condition of its own. A worker takes its seat,
//! builds its dataflow, and from then on takes one step each time it is handed the baton. When it passes the
//! baton on, it is the one who draws whose turn is next, so that a worker that follows itself costs no switch
//! between threads. When there is nothing to draw, the baton goes back to the driver, which is the thread
//! that runs the job.
//!
//! # Why a run can be repeated
//!
//! Only one thread runs at a time, so what workers share (channels, counters, boards, what sinks write to) is
//! touched in the order of the turns. The order is drawn from the seed, the clock is moved by the drawer, and
//! dataflows are built in order of the workers. What remains are things outside of the job: threads that
//! calls are made on, sockets, what users' functions look at.
//!
//! # Who is asleep
//!
//! A step runs the operators that are activated and no others, so a step without any changes nothing: it
//! wakes nobody up who was forgotten. A worker whose step had nothing to do falls asleep and gets no turn
//! until one of the others did something, which may have sent it a message, or the clock has come to one of
//! its alarms. If all are asleep and no alarm is set, nothing will ever happen again. A job that has not
//! ended then waits for a wake-up that was lost, and ends with an error that says so.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::schedule::Schedule;
use crate::error::{Error, ErrorKind};
use crate::stream::{Shared, lock};

/// How long a turn of the outside world is, if a job waits for it.
const OUTSIDE: Duration = Duration::from_millis(1);

/// How many of these are waited for until the job is taken to be stuck: ten seconds.
const PATIENCE: u32 = 10_000;

/// What hands the turns out.
pub(crate) struct Baton {
    table: Mutex<Table>,
    /// Where each worker waits for its turn.
    turns: Vec<Condvar>,
    /// Where the driver waits for the baton.
    driver: Condvar,
    shared: Arc<Shared>,
    /// True if threads that take no turns can wake workers up.
    has_outside: bool,
}

/// Until when workers take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Nothing is left to do at this time. The clock stands still.
    Quiet,
    /// The job has ended. The clock moves.
    End,
}

struct Table {
    schedule: Schedule,
    places: Vec<Place>,
    /// The worker that has the baton; none if the driver has it.
    holder: Option<usize>,
    until: Until,
    /// Turns that may be taken before the driver gets the baton back.
    left: u64,
    /// Turns of the outside world since a worker did something.
    waited: u32,
}

/// What is known of a worker.
#[derive(Clone, Copy, Default)]
struct Place {
    state: State,
    /// The first of its alarms.
    alarm: Option<Duration>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// It has no dataflow yet.
    #[default]
    New,
    Awake,
    Asleep,
    Gone,
}

/// A worker's seat, which it leaves when this is dropped.
pub(crate) struct Seat {
    baton: Arc<Baton>,
    worker: usize,
}

impl Baton {
    pub(crate) fn new(shared: Arc<Shared>, schedule: Schedule, has_outside: bool) -> Baton {
        let workers = shared.workers;
        let places = vec![Place::default(); workers];
        let (holder, until, left, waited) = (None, Until::Quiet, 0, 0);
        let table = Mutex::new(Table { schedule, places, holder, until, left, waited });
        let turns = (0..workers).map(|_| Condvar::new()).collect();
        Baton { table, turns, driver: Condvar::new(), shared, has_outside }
    }

    /// Lets workers take turns, at most `turns` of them; answers how many they have not used. All workers get
    /// at least one turn if there are enough: the outside may have changed.
    pub(crate) fn drive(&self, until: Until, turns: u64) -> u64 {
        let mut table = lock(&self.table);
        (table.until, table.left) = (until, turns);
        table.wake(None);
        self.hand_on(&mut table);
        table = wait(&self.driver, table, |table| table.holder.is_some());
        table.left
    }

    /// The next moment at which something will happen although all is quiet.
    pub(crate) fn next_alarm(&self) -> Option<Duration> {
        lock(&self.table).next_alarm()
    }

    /// Reads the schedule.
    pub(crate) fn schedule<R>(&self, read: impl FnOnce(&Schedule) -> R) -> R {
        read(&lock(&self.table).schedule)
    }

    /// A worker's seat, once it is its turn to build.
    pub(super) fn seat(self: &Arc<Baton>, worker: usize) -> Seat {
        let seat = Seat { baton: Arc::clone(self), worker };
        drop(seat.wait(lock(&self.table)));
        seat
    }

    fn hand_on(&self, table: &mut Table) {
        table.holder = self.draw(table);
        match table.holder {
            Some(worker) => self.turns[worker].notify_one(),
            None => self.driver.notify_one(),
        }
    }

    /// Whose turn is next.
    fn draw(&self, table: &mut Table) -> Option<usize> {
        if self.shared.has_failed() {
            return table.first(|state| state != State::Gone);
        }
        if let Some(worker) = table.first(|state| state == State::New) {
            return Some(worker);
        }
        let clock = &self.shared.clock;
        while table.left > 0 && !table.is_left() {
            if table.until == Until::End {
                clock.advance(table.schedule.tick());
            }
            let now = clock.now();
            let awake = table.awake(now);
            if !awake.is_empty() {
                table.left -= 1;
                let worker = table.schedule.pick(&awake);
                let piece = table.schedule.piece();
                self.shared.set_piece(piece);
                table.schedule.note(now.as_nanos() as u64);
                return Some(worker);
            }
            if table.until == Until::Quiet {
                return None;
            }
            if self.has_outside && table.waited < PATIENCE {
                std::thread::sleep(OUTSIDE);
                clock.advance(OUTSIDE);
                table.waited += 1;
                table.wake(None);
                continue;
            }
            // What is to happen at the end of time never happens.
            let next = table.next_alarm().unwrap_or(Duration::MAX);
            clock.advance(next.saturating_sub(now));
            if clock.now() < next {
                self.shared.fail(self.stuck());
                return table.first(|state| state != State::Gone);
            }
        }
        None
    }

    fn stuck(&self) -> Error {
        let epoch = self.shared.open_epoch.load(Ordering::Relaxed);
        Error::new(
            ErrorKind::Stuck,
            format!(
                "the job is stuck in epoch {epoch}: no worker has anything to do, none waits for the clock, and it has not ended. \
                 An operator was not woken up, or owes output that it never gives"
            ),
        )
    }
}

impl Table {
    fn first(&self, is: impl Fn(State) -> bool) -> Option<usize> {
        self.places.iter().position(|place| is(place.state))
    }

    fn is_left(&self) -> bool {
        self.places.iter().all(|place| place.state == State::Gone)
    }

    fn awake(&self, now: Duration) -> Vec<usize> {
        let awake = self.places.iter().enumerate().filter(|(_, place)| match place.state {
            State::New | State::Gone => false,
            State::Awake => true,
            State::Asleep => place.alarm.is_some_and(|alarm| alarm <= now),
        });
        awake.map(|(worker, _)| worker).collect()
    }

    fn next_alarm(&self) -> Option<Duration> {
        let there = self.places.iter().filter(|place| place.state != State::Gone);
        there.filter_map(|place| place.alarm).min()
    }

    /// Wakes up all others: one may have sent them something.
    fn wake(&mut self, by: Option<usize>) {
        for (worker, place) in self.places.iter_mut().enumerate() {
            if Some(worker) != by && place.state == State::Asleep {
                place.state = State::Awake;
            }
        }
    }
}

impl Seat {
    /// Ends the turn, and waits for the next one. `alarm` is when the worker has to run, whatever the others
    /// do.
    pub(super) fn pass(&self, is_active: bool, alarm: Option<Duration>) {
        let mut table = lock(&self.baton.table);
        let epoch = self.baton.shared.open_epoch.load(Ordering::Relaxed);
        table.schedule.note(epoch << 1 | u64::from(is_active));
        let state = if is_active { State::Awake } else { State::Asleep };
        table.places[self.worker] = Place { state, alarm };
        if is_active {
            table.waited = 0;
            table.wake(Some(self.worker));
        }
        self.baton.hand_on(&mut table);
        drop(self.wait(table));
    }

    fn wait<'t>(&self, table: MutexGuard<'t, Table>) -> MutexGuard<'t, Table> {
        wait(&self.baton.turns[self.worker], table, |table| table.holder != Some(self.worker))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = lock(&self.baton.table);
        table.places[self.worker].state = State::Gone;
        table.wake(None);
        self.baton.hand_on(&mut table);
    }
}

fn wait<'t>(
    here: &Condvar,
    table: MutexGuard<'t, Table>,
    not_yet: impl Fn(&Table) -> bool,
) -> MutexGuard<'t, Table> {
    here.wait_while(table, |table| not_yet(table)).unwrap_or_else(PoisonError::into_inner)
}
