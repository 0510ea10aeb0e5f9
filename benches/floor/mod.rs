//! Nexmark by hand on plain timely dataflow: the yardstick for the engine.
//!
//! Each query is written the way someone would who needs just that query, fast: the source decodes, filters
//! and combines what it can before anything is sent, state lies in hash maps, and only what must meet is
//! exchanged. There is no snapshot, no late data, no choice of source or sink. So the figures are a floor:
//! how much of them the engine reaches says what its generality costs.
//!
//! Shared here: a worker's share of the file as a source, an operator that holds state and is told of
//! the watermark, and a sink that folds every row into a checksum, lest the compiler leave out the work.

#![allow(unreachable_pub, reason = "several programs may include this module")]

pub mod q0;
pub mod q1;
pub mod q2;
pub mod q3;
pub mod q4;
pub mod q5;
pub mod q7;
pub mod q8;
pub mod q20;
mod rows;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use highwater::data::Visit;
use highwater::nexmark::{BLOCK, Cursor, Event, File};
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Probe;
use timely::dataflow::operators::generic::operator::{Operator, source};
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::{Scope, StreamVec};
use timely::{Config, ExchangeData};

pub use rows::{Digest, mix};

/// Hash tables with the hash that was fastest for keys of one word.
pub type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// How far a source may run ahead of the sink.
const EPOCHS_AHEAD: u64 = 4;

/// A source sends after so many events. A push into a vector is little enough code to be inlined into the
/// decoder, which giving records to timely one by one is not.
const BATCH: u64 = 256;

/// What a run gave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// The number of rows.
    pub rows: u64,
    /// The wrapping sum of the rows' digests, which does not depend on their order.
    pub checksum: u64,
    /// From the start of the workers to their end.
    pub seconds: f64,
}

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Read so many events.
    pub events: u64,
    /// With so many threads.
    pub workers: usize,
    /// Each ends an epoch after so many of its own events.
    pub epoch_events: u64,
}

/// What one worker has at hand while it builds its dataflow.
#[derive(Clone)]
pub struct Job {
    file: &'static File,
    size: Size,
    worker: usize,
    done: Handle<u64>,
    total: Rc<RefCell<Outcome>>,
}

/// Runs a dataflow on all workers and adds up what their sinks saw.
pub fn execute(
    file: &'static File,
    size: Size,
    build: impl for<'scope> Fn(Scope<'scope, u64>, &Job) + Send + Sync + 'static,
) -> Outcome {
    let config = if size.workers > 1 { Config::process(size.workers) } else { Config::thread() };
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    let start = Instant::now();
    let workers = timely::execute(config, move |worker| {
        let total = Rc::<RefCell<Outcome>>::default();
        let job = Job { file, size, worker: worker.index(), done: Handle::new(), total: Rc::clone(&total) };
        worker.dataflow(|scope| build(scope, &job));
        while worker.step_or_park(None) {}
        total.take()
    });
    let mut sum = Outcome::default();
    for outcome in workers.into_iter().flat_map(|guards| guards.join()).flatten() {
        sum.rows += outcome.rows;
        sum.checksum = sum.checksum.wrapping_add(outcome.checksum);
    }
    Outcome { seconds: start.elapsed().as_secs_f64(), ..sum }
}

/// Ends an event whose texts are not wanted. They refer to the file and own nothing, but the compiler
/// does not see that when it has not inlined the code that drops them: then it puts the event into memory.
#[inline(always)]
pub fn forget(event: Event) {
    std::mem::forget(event);
}

/// What a source does with its events before anything is sent.
pub trait Reduce: 'static {
    /// What is sent.
    type Out: 'static;
    /// Takes one event. To be inlined always: the decoder has a call for each kind of event.
    fn event(&mut self, event: Event, out: impl FnMut(Self::Out));
    /// Sends what has been held back: the epoch ends.
    fn flush(&mut self, _out: impl FnMut(Self::Out)) {}
}

/// A reduction at work: what the reader shows its events to.
struct Reducing<'a, R: Reduce> {
    reduce: &'a mut R,
    batch: &'a mut Vec<R::Out>,
}

impl<R: Reduce> Visit<Event> for Reducing<'_, R> {
    #[inline(always)]
    fn visit(&mut self, event: Event) {
        self.reduce.event(event, |record| self.batch.push(record));
    }
}

/// State of an operator.
pub trait State: 'static {
    /// What it receives.
    type In: ExchangeData;
    /// What it sends.
    type Out: 'static;
    /// Takes one record.
    fn push(&mut self, record: Self::In, out: impl FnMut(Self::Out));
    /// Learns that all records with times before the watermark have been received.
    fn advance(&mut self, _watermark: i64, _out: impl FnMut(Self::Out)) {}
}

impl Job {
    /// This worker's share of the events, after some reduction.
    pub fn source<'scope, R: Reduce>(
        &self,
        scope: Scope<'scope, u64>,
        mut reduce: R,
    ) -> StreamVec<'scope, u64, R::Out> {
        let (mut share, done, most) = (Share::new(self), self.done.clone(), self.size.epoch_events);
        source(scope, "Source", move |capability, info| {
            let activator = scope.activator_for(info.address);
            let mut capability = Some(capability);
            let mut batch = Vec::new();
            move |output| {
                let Some(held) = &mut capability else { return };
                let epoch = *held.time();
                if done.less_than(&epoch.saturating_sub(EPOCHS_AHEAD)) {
                    return activator.activate();
                }
                let mut session = output.session(held);
                for read in (0..most).step_by(BATCH as usize) {
                    share.read(
                        BATCH.min(most - read),
                        &mut Reducing { reduce: &mut reduce, batch: &mut batch },
                    );
                    session.give_container(&mut batch);
                }
                reduce.flush(|record| batch.push(record));
                session.give_container(&mut batch);
                drop(session);
                if share.is_done() {
                    capability = None;
                } else {
                    held.downgrade(&(epoch + 1));
                    activator.activate();
                }
            }
        })
    }

    /// An operator with state, to which records go by key.
    pub fn keyed<'scope, S: State>(
        &self,
        stream: StreamVec<'scope, u64, S::In>,
        key: impl Fn(&S::In) -> u64 + 'static,
        mut state: S,
    ) -> StreamVec<'scope, u64, S::Out> {
        let mut clock = Clock { cursor: self.file.cursor(), size: self.size };
        let pact = Exchange::new(move |record: &S::In| mix(key(record)));
        stream.unary_frontier(pact, "Keyed", move |capability, _| {
            let mut capability = Some(capability);
            move |(input, frontier), output| {
                let Some(held) = &mut capability else { return };
                let mut session = output.session(held);
                input.for_each(|_, records| {
                    for record in records.drain(..) {
                        state.push(record, |row| session.give(row));
                    }
                });
                let next = frontier.frontier().first().copied();
                if next == Some(*held.time()) {
                    return;
                }
                let watermark = next.map_or(i64::MAX, |epoch| clock.watermark(epoch));
                state.advance(watermark, |row| session.give(row));
                drop(session);
                match next {
                    Some(epoch) => held.downgrade(&epoch),
                    None => capability = None,
                }
            }
        })
    }

    /// Counts the rows and folds them into the checksum.
    pub fn sink<D: Digest + 'static>(&self, stream: StreamVec<'_, u64, D>) {
        let total = Rc::clone(&self.total);
        let nothing = stream.unary::<NoopBuilder<Vec<()>>, _, _, _>(Pipeline, "Sink", move |_, _| {
            move |input, _output| {
                input.for_each(|_, rows| {
                    let mut total = total.borrow_mut();
                    total.rows += rows.len() as u64;
                    for row in rows.drain(..) {
                        total.checksum = total.checksum.wrapping_add(row.digest());
                    }
                });
            }
        });
        nothing.probe_with(&self.done);
    }
}

/// Every so-manieth block of the file, beginning with the worker's own.
struct Share {
    cursor: Cursor,
    size: Size,
    /// The next block.
    block: u64,
    /// Events left in the current one.
    left: u64,
}

impl Share {
    fn new(job: &Job) -> Share {
        let size = Size { events: job.size.events.min(job.file.len()), ..job.size };
        Share { cursor: job.file.cursor(), size, block: job.worker as u64, left: 0 }
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.block * BLOCK >= self.size.events
    }

    #[inline(always)]
    fn read<R: Reduce>(&mut self, most: u64, each: &mut Reducing<'_, R>) {
        let mut wanted = most;
        while wanted > 0 && !self.is_done() {
            if self.left == 0 {
                let start = self.block * BLOCK;
                self.cursor.seek(start);
                self.left = BLOCK.min(self.size.events - start);
                self.block += self.size.workers as u64;
            }
            let read = self.cursor.read(self.left.min(wanted), each);
            assert!(read > 0, "{:?}", self.cursor.error());
            self.left -= read;
            wanted -= read;
        }
    }
}

/// Knows how far event time is when epochs are over, because the file is in order of time and every
/// worker's share of it is known.
struct Clock {
    cursor: Cursor,
    size: Size,
}

impl Clock {
    /// The least time of an event that belongs to this epoch or a later one.
    fn watermark(&mut self, epoch: u64) -> i64 {
        let (block, offset) =
            (epoch * self.size.epoch_events / BLOCK, epoch * self.size.epoch_events % BLOCK);
        let workers = self.size.workers as u64;
        let unread = (0..workers).map(|worker| (block * workers + worker) * BLOCK + offset);
        let first = unread.min().filter(|&first| first < self.size.events);
        first.map_or(i64::MAX, |first| {
            self.cursor.seek(first);
            self.cursor.next().map_or(i64::MAX, |event| event.timestamp())
        })
    }
}
