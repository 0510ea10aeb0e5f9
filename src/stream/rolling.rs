//! Rolling aggregates: for each key, the aggregate of all values so far, emitted as changes.
//!
//! When an epoch closes, each key that it touched has an old result and a new one; if they differ, the old
//! one is retracted and the new one inserted. So at each closed epoch the changes add up to exactly the
//! aggregates of the input up to that epoch, on any number of workers and however long epochs are.
//!
//! # State
//!
//! A table holds the accumulator of every key. It records which keys the open epoch touched, to emit their
//! changes, and which have changed since the last seal or cut, for its [backend](crate::state), which
//! receives their accumulators when the state as of an epoch is requested.
//!
//! # Cost
//!
//! A record costs one look-up; the first touch of a key in an epoch also reads its old result. A snapshot
//! costs clones of the changed accumulators, some in each activation; if memory is limited, also a sort of
//! the changed keys and merges. Keys that [expire](Aggregate::expires) are removed from table and backend. If
//! memory is limited, keys that have not been touched for a while are evicted from the table to the
//! arrangement, whose pages then lie in files, and are read back when they are touched.

use super::Aggregate;
use super::context::WorkerContext;
use crate::data::{Change, Data, Exchange, Key, Record, Stamp, hash64};
use crate::error::Result;
use crate::metric::Metric;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{Entry, Footprint, Found, KeyedState, NEVER, OperatorState, Share, Slot, is_over};
use crate::stream::consumers::Outputs;
use crate::stream::epoch_driver::OperatorLogic;
use crate::stream::preaggregate::Keyed;
use crate::time::{EventTime, Time};

/// The logic of a rolling aggregate over inputs `I`.
pub(crate) struct Rolling<K, I, A>
where
    K: Key,
    A: Aggregate<I>,
{
    aggregate: A,
    state: KeyedState<K, Aggregated<A::Acc>>,
    /// The keys that the open epoch has touched, with their results at the end of the last.
    touched: Vec<(Slot, Option<A::Out>)>,
    watermark: EventTime,
    /// Values dropped as late in the open epoch, and in all.
    late: (i64, Metric),
    /// The slots of a batch's keys.
    found: Vec<Found>,
}

/// The number of keys from which on a look-up misses the caches, so that looking up a batch at a time pays.
const LARGE: usize = 1 << 16;

/// The aggregate of a key. It is open if the epoch has touched it.
struct Aggregated<Acc> {
    acc: Acc,
    /// When the key is forgotten.
    expires: EventTime,
    /// The greatest event time among the open epoch's values, if it has touched the entry.
    timestamp: EventTime,
}

impl<Acc: Exchange> Entry for Aggregated<Acc> {
    type Row = Acc;
    type Context = ();
    const TABLE: &'static str = "aggregates";
    // An evicted key whose time has come is nothing to anyone.
    const IS_RECALLED: bool = false;

    fn row(&self) -> Acc {
        self.acc.clone()
    }

    fn into_row(self) -> Acc {
        self.acc
    }

    fn from_row(acc: Acc, expires: EventTime) -> Option<Aggregated<Acc>> {
        Some(Aggregated { acc, expires, timestamp: EventTime::MIN })
    }

    fn deadline(&self, (): &()) -> Option<EventTime> {
        (self.expires != NEVER).then_some(self.expires)
    }

    fn expires(&self) -> EventTime {
        self.expires
    }

    fn sample(&self, footprint: &mut Footprint) {
        footprint.see(&self.acc);
    }
}

impl<K: Key, I: Data, A: Aggregate<I, Out: PartialEq>> Rolling<K, I, A> {
    pub(crate) fn new(aggregate: A, uid: &str, worker: &WorkerContext) -> Rolling<K, I, A> {
        Rolling {
            aggregate,
            state: KeyedState::new((), &worker.state_readers(), worker.limit(uid)),
            touched: Vec::new(),
            watermark: EventTime::MIN,
            late: (0, worker.shared.metrics.metric(uid, "late_dropped")),
            found: Vec::new(),
        }
    }

    #[inline]
    fn add(&mut self, hash: u64, slot: Option<Slot>, keyed: Keyed<K, I>) {
        let Some(slot) = slot else { return self.begin(hash, keyed) };
        let Keyed { input, stamp, .. } = keyed;
        let Rolling { aggregate, state, touched, late, .. } = self;
        let (entry, is_open) = state.opened(slot);
        // Lateness is decided by the stamp, not by when this worker forgets the key: an expired key that is
        // still here takes no late value.
        if is_late(&stamp, entry.expires) {
            late.0 += 1;
            return;
        }
        // Before the entry is touched: an ignored value makes nothing to emit, to seal or to copy.
        if aggregate.ignores(&entry.acc, &input) {
            return;
        }
        let entry = if is_open {
            entry.timestamp = entry.timestamp.max(stamp.timestamp);
            entry
        } else {
            // The old result must be read before the first change of the epoch.
            touched.push((slot, Some(aggregate.result(&entry.acc))));
            let entry = state.open(slot);
            entry.timestamp = stamp.timestamp;
            entry
        };
        aggregate.add(&mut entry.acc, input);
        entry.expires = aggregate.expires(&entry.acc).unwrap_or(NEVER);
    }

    /// Adds the first value of a key.
    fn begin(&mut self, hash: u64, Keyed { key, input, stamp }: Keyed<K, I>) {
        let acc = self.aggregate.start(input);
        let expires = self.aggregate.expires(&acc).unwrap_or(NEVER);
        // The key may have been forgotten, and its last result stands: a value that is late by its own
        // account would begin it anew, and add a second result.
        if is_late(&stamp, expires) {
            self.late.0 += 1;
            return;
        }
        let slot = self.state.insert(hash, key, Aggregated { acc, expires, timestamp: stamp.timestamp });
        self.state.open(slot);
        self.touched.push((slot, None));
    }

    /// Emits what changed for the key in `slot`.
    fn settle(
        &mut self,
        (slot, before): (Slot, Option<A::Out>),
        since: Time,
        out: &mut Outputs<Change<(K, A::Out)>>,
    ) {
        let (key, entry) = self.state.close(slot);
        let empty = self.aggregate.is_empty(&entry.acc);
        let after = (!empty).then(|| self.aggregate.result(&entry.acc));
        if before != after {
            let stamp = Stamp { timestamp: entry.timestamp.max(since.event), watermark: since.event };
            if let Some(before) = before {
                out.give(since, Record::new(Change::retract((key.clone(), before)), stamp));
            }
            if let Some(after) = after {
                out.give(since, Record::new(Change::insert((key.clone(), after)), stamp));
            }
        }
        if empty || is_over(entry.expires, self.watermark) {
            self.state.remove(slot);
        } else {
            self.state.settle(slot);
        }
    }
}

/// True if a value comes from before the time that its key expires at, and after its split had promised that
/// no such value would come.
#[inline]
fn is_late(stamp: &Stamp, expires: EventTime) -> bool {
    stamp.timestamp < expires && stamp.is_late_for(expires) && expires < NEVER
}

impl<K: Key, I: Data, A: Aggregate<I, Out: PartialEq>> OperatorLogic<Keyed<K, I>> for Rolling<K, I, A> {
    type Out = Change<(K, A::Out)>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Keyed<K, I>>, _: &mut Outputs<Self::Out>) {
        // A small table is in the caches; collecting the hashes first would only cost.
        if self.state.len() < LARGE {
            for keyed in batch.drain(..) {
                let hash = hash64(&keyed.key);
                let slot = self.state.find(hash, &keyed.key);
                self.add(hash, slot, keyed);
            }
            return;
        }
        let mut found = std::mem::take(&mut self.found);
        self.state.find_all(batch.iter().map(|keyed| &keyed.key), &mut found);
        for (keyed, Found { hash, slot }) in batch.drain(..).zip(found.drain(..)) {
            // An earlier record of the same batch may have inserted the key since.
            let slot = if slot == Slot::NONE { self.state.find(hash, &keyed.key) } else { Some(slot) };
            self.add(hash, slot, keyed);
        }
        self.found = found;
    }

    fn advance(&mut self, watermark: EventTime, _: Time, _: &mut Outputs<Self::Out>) {
        self.watermark = watermark;
        self.state.reach(watermark);
    }

    fn close(&mut self, _: u64, since: Option<Time>, out: &mut Outputs<Self::Out>) {
        if let Some(since) = since {
            let mut touched = std::mem::take(&mut self.touched);
            touched.drain(..).for_each(|touched| self.settle(touched, since, out));
            self.touched = touched;
        }
        for (_, slot) in self.state.due(self.watermark) {
            self.state.remove(slot);
        }
        self.state.trim();
        self.late.1.add(std::mem::take(&mut self.late.0));
    }

    fn states(&mut self, visit: &mut dyn FnMut(&mut dyn OperatorState)) {
        visit(&mut self.state);
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.note("watermark", &self.watermark)
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.restore_states(from, share)?;
        self.watermark = from.latest("watermark")?.unwrap_or(EventTime::MIN);
        self.state.reach(self.watermark);
        Ok(())
    }
}
