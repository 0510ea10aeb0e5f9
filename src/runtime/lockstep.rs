//! Lockstep: lets the workers of a job step one at a time, in a seeded order, so that a run of several
//! threads can be repeated.
//!
//! The thread whose turn it is runs; all others wait, each on a condition variable of its own. A worker
//! takes its seat, builds its dataflow, and from then on takes one step each time it is its turn. The
//! worker whose turn ends draws the next turn itself, so a worker that follows itself costs no
//! thread switch. When no turn can be drawn, the turn goes back to the driver, which is the thread that runs
//! the job.
//!
//! # Why a run can be repeated
//!
//! Only one thread runs at a time, so everything that workers share (channels, counters, the outputs of
//! sinks) is touched in the order of the turns. That order is drawn from the seed, the clock is moved by
//! whoever draws, and dataflows are built in the order of the workers. What is left is outside the job:
//! threads of asynchronous calls, sockets, and what user functions read.
//!
//! # Sleeping workers
//!
//! A step runs activated operators and no others, so a step without any changes nothing and hides no lost
//! wake-up. A worker whose step had nothing to do falls asleep and gets no turn until another worker did
//! something, which may have sent it a message, or until the clock reaches one of its alarms. If all workers
//! sleep and no alarm is set, nothing can ever happen again. A job that has not ended by then waits for a
//! lost wake-up, and ends with an error that says so.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::seeded_schedule::Schedule;
use crate::error::{Error, ErrorKind};
use crate::lock::lock;
use crate::stream::Shared;

/// How long the outside world gets in one go, if a job waits for it.
const OUTSIDE: Duration = Duration::from_millis(1);

/// After this many of those, ten seconds in all, the job is taken to be stuck.
const PATIENCE: u32 = 10_000;

/// Hands out the turns.
pub(crate) struct Lockstep {
    table: Mutex<TurnTable>,
    /// Where each worker waits for its turn.
    turns: Vec<Condvar>,
    /// Where the driver waits for its turn.
    driver: Condvar,
    shared: Arc<Shared>,
    /// True if threads without turns can wake workers up.
    has_outside: bool,
}

/// How long workers take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until nothing is left to do at this time. The clock stands still.
    Quiet,
    /// Until the job has ended. The clock moves.
    End,
}

struct TurnTable {
    schedule: Schedule,
    places: Vec<WorkerSeat>,
    /// The worker whose turn it is; none if it is the driver's.
    holder: Option<usize>,
    until: Until,
    /// Turns left before it is the driver's again.
    left: u64,
    /// Waits for the outside world since a worker last did something.
    waited: u32,
}

/// What is known of a worker.
#[derive(Clone, Copy, Default)]
struct WorkerSeat {
    state: State,
    /// Its earliest alarm.
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

/// A worker's seat. Dropping it gives the seat up.
pub(crate) struct Seat {
    lockstep: Arc<Lockstep>,
    worker: usize,
}

impl Lockstep {
    pub(crate) fn new(shared: Arc<Shared>, schedule: Schedule, has_outside: bool) -> Lockstep {
        let workers = shared.workers;
        let places = vec![WorkerSeat::default(); workers];
        let (holder, until, left, waited) = (None, Until::Quiet, 0, 0);
        let table = Mutex::new(TurnTable { schedule, places, holder, until, left, waited });
        let turns = (0..workers).map(|_| Condvar::new()).collect();
        Lockstep { table, turns, driver: Condvar::new(), shared, has_outside }
    }

    /// Lets workers take at most `turns` turns; returns how many are left. All workers get at least one turn
    /// if there are enough: something outside may have changed.
    pub(crate) fn drive(&self, until: Until, turns: u64) -> u64 {
        let mut table = lock(&self.table);
        (table.until, table.left) = (until, turns);
        table.wake(None);
        self.hand_on(&mut table);
        table = wait(&self.driver, table, |table| table.holder.is_some());
        table.left
    }

    /// The next moment at which something will happen though all workers sleep.
    pub(crate) fn next_alarm(&self) -> Option<Duration> {
        lock(&self.table).next_alarm()
    }

    /// Reads the schedule.
    pub(crate) fn schedule<R>(&self, read: impl FnOnce(&Schedule) -> R) -> R {
        read(&lock(&self.table).schedule)
    }

    /// A worker's seat, as soon as it is its turn to build.
    pub(super) fn seat(self: &Arc<Lockstep>, worker: usize) -> Seat {
        let seat = Seat { lockstep: Arc::clone(self), worker };
        drop(seat.wait(lock(&self.table)));
        seat
    }

    fn hand_on(&self, table: &mut TurnTable) {
        table.holder = self.draw(table);
        match table.holder {
            Some(worker) => self.turns[worker].notify_one(),
            None => self.driver.notify_one(),
        }
    }

    /// The worker whose turn is next; `None` gives the turn back to the driver.
    fn draw(&self, table: &mut TurnTable) -> Option<usize> {
        // A failed job ends: each worker gets the turn in which it notices and gives up its seat.
        if self.shared.has_failed() {
            return table.first(|state| state != State::Gone);
        }
        // Dataflows are built in the order of the workers, whatever the seed.
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
            // All sleep. By hand that is the end; otherwise something must wake one of them up.
            if table.until == Until::Quiet {
                return None;
            }
            // A call may be under way on a thread of its own, which nothing here can see: give it real time.
            if self.has_outside && table.waited < PATIENCE {
                std::thread::sleep(OUTSIDE);
                clock.advance(OUTSIDE);
                table.waited += 1;
                table.wake(None);
                continue;
            }
            // Skip to the next alarm. One at the end of time, which the clock cannot reach, never rings.
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

impl TurnTable {
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

    /// Wakes up all other workers: `by` may have sent them something.
    fn wake(&mut self, by: Option<usize>) {
        for (worker, place) in self.places.iter_mut().enumerate() {
            if Some(worker) != by && place.state == State::Asleep {
                place.state = State::Awake;
            }
        }
    }
}

impl Seat {
    /// Ends the turn and waits for the next one. `alarm` is when the worker must run, whatever the others do.
    pub(super) fn pass(&self, is_active: bool, alarm: Option<Duration>) {
        let mut table = lock(&self.lockstep.table);
        let epoch = self.lockstep.shared.open_epoch.load(Ordering::Relaxed);
        // Part of the fingerprint, so that a run that differs in progress or activity differs there.
        table.schedule.note(epoch << 1 | u64::from(is_active));
        let state = if is_active { State::Awake } else { State::Asleep };
        table.places[self.worker] = WorkerSeat { state, alarm };
        if is_active {
            table.waited = 0;
            table.wake(Some(self.worker));
        }
        self.lockstep.hand_on(&mut table);
        drop(self.wait(table));
    }

    fn wait<'t>(&self, table: MutexGuard<'t, TurnTable>) -> MutexGuard<'t, TurnTable> {
        wait(&self.lockstep.turns[self.worker], table, |table| table.holder != Some(self.worker))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = lock(&self.lockstep.table);
        // Also when the worker panics: the turn must not stay with a thread that is gone.
        table.places[self.worker].state = State::Gone;
        table.wake(None);
        self.lockstep.hand_on(&mut table);
    }
}

fn wait<'t>(
    here: &Condvar,
    table: MutexGuard<'t, TurnTable>,
    not_yet: impl Fn(&TurnTable) -> bool,
) -> MutexGuard<'t, TurnTable> {
    here.wait_while(table, |table| not_yet(table)).unwrap_or_else(PoisonError::into_inner)
}
