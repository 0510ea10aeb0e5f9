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

use std::collections::BTreeMap;
use std::hint::black_box;
use std::mem::size_of;

use timely::dataflow::operators::generic::OperatorInfo;

use super::Aggregate;
use super::context::WorkerContext;
use crate::data::{Change, Data, Key, Record, Stamp, hash64};
use crate::error::Result;
use crate::metric::Metric;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{
    Chunks, DirtyMark, Evictable, Footprint, Found, Hashed, INDEXED, ItemOrTombstone, ItemRows, KeyTable,
    MemoryBudget, NEVER, Row, Rows, SegmentedVec, Share, Slot, SnapshotDelta, StateBackend, Tombstones, WARM,
    copy, is_over, rows_to_write,
};
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
    table: KeyTable<K, Entry<A::Acc>>,
    /// The keys that the open epoch has touched, with their results at the end of the last.
    touched: Vec<(Slot, Option<A::Out>)>,
    backend: StateBackend<K, (), A::Acc>,
    rows: ItemRows<K, (), A::Acc>,
    /// The mark of entries that have changed since the last cut.
    dirty_mark: DirtyMark,
    /// The keys that have changed since the last seal or cut, and the removed keys that the backend still
    /// has.
    changed: SegmentedVec<Slot>,
    tombstones: Tombstones<K, ()>,
    /// Evicted entries that are not in the arrangement yet.
    left: Vec<Row<K, (), A::Acc>>,
    /// The copying for the last cut, if it is not done.
    copying: Option<Cutting<K, A::Acc>>,
    limit: Option<MemoryBudget>,
    footprint: Footprint,
    /// Keys by the watermark that forgets them.
    expiry: BTreeMap<EventTime, Vec<K>>,
    watermark: EventTime,
    /// Values dropped as late in the open epoch, and in all.
    late: (i64, Metric),
    /// The slots of a batch's keys.
    found: Vec<Found>,
}

/// The copying for a cut: the changed keys that are not copied yet, and the copies.
struct Cutting<K, Acc> {
    list: Chunks<Slot>,
    delta: SnapshotDelta<K, (), Acc>,
}

/// The number of keys from which on a look-up misses the caches, so that looking up a batch at a time pays.
const LARGE: usize = 1 << 16;

struct Entry<Acc> {
    acc: Acc,
    /// When the key is forgotten.
    expires: EventTime,
    /// The time in `expiry` under which the key is listed.
    due: EventTime,
    /// The greatest event time among the open epoch's values, if it has touched the entry.
    timestamp: EventTime,
    touched: bool,
    /// The seal or cut that its last change belongs to, if that is still to come.
    changed: DirtyMark,
    /// True if the backend has the key.
    sealed: bool,
    /// True if it was touched since the eviction hand last passed.
    recent: bool,
}

impl<K: Key, I: Data, A: Aggregate<I, Out: PartialEq>> Rolling<K, I, A> {
    pub(crate) fn new(
        aggregate: A,
        uid: &str,
        worker: &WorkerContext,
        operator: OperatorInfo,
    ) -> Rolling<K, I, A> {
        let rows = ItemRows::new(hash64);
        Rolling {
            aggregate,
            table: KeyTable::default(),
            touched: Vec::new(),
            backend: StateBackend::new(&rows, &worker.state_readers(), operator),
            rows,
            dirty_mark: DirtyMark::default().next(),
            changed: SegmentedVec::default(),
            tombstones: Tombstones::new(),
            left: Vec::new(),
            copying: None,
            limit: worker.limit(uid),
            footprint: Footprint::new(worker.memory.is_some()),
            expiry: BTreeMap::new(),
            watermark: EventTime::MIN,
            late: (0, worker.shared.metrics.metric(uid, "late_dropped")),
            found: Vec::new(),
        }
    }

    #[inline]
    fn add(&mut self, hash: u64, slot: Option<Slot>, Keyed { key, input, stamp }: Keyed<K, I>) {
        let Some(slot) = slot else {
            let acc = self.aggregate.start(input);
            let expires = self.aggregate.expires(&acc).unwrap_or(NEVER);
            // The key may have been forgotten, and its last result stands: a value that is late by its own
            // account would begin it anew, and add a second result.
            if is_late(&stamp, expires) {
                self.late.0 += 1;
                return;
            }
            let timestamp = stamp.timestamp;
            let entry = Entry { timestamp, touched: true, ..Entry::new(acc, expires) };
            self.touched.push((self.table.insert(hash, key, entry), None));
            return;
        };
        let (_, entry) = self.table.get_mut(slot);
        // Lateness is decided by the stamp, not by when this worker forgets the key: an expired key that is
        // still here takes no late value.
        if is_late(&stamp, entry.expires) {
            self.late.0 += 1;
            return;
        }
        // Before the entry is marked: an ignored value makes nothing to emit, to seal or to copy.
        if self.aggregate.ignores(&entry.acc, &input) {
            return;
        }
        entry.recent = true;
        if entry.touched {
            entry.timestamp = entry.timestamp.max(stamp.timestamp);
        } else {
            (entry.touched, entry.timestamp) = (true, stamp.timestamp);
            // The old result must be read before the first change of the epoch.
            self.touched.push((slot, Some(self.aggregate.result(&entry.acc))));
            // The entry belongs to a cut that is still being copied, and is about to change.
            if entry.changed.is_before(self.dirty_mark) {
                self.keep(slot);
            }
        }
        let (_, entry) = self.table.get_mut(slot);
        self.aggregate.add(&mut entry.acc, input);
        entry.expires = self.aggregate.expires(&entry.acc).unwrap_or(NEVER);
    }

    /// Copies an entry for the last cut, before it changes.
    fn keep(&mut self, slot: Slot) {
        let Some(copying) = &mut self.copying else { return };
        let (key, entry) = self.table.get_mut(slot);
        (entry.changed, entry.sealed) = (DirtyMark::Still, true);
        copying.delta.add(((Hashed::new(key.clone()), ()), copy(&entry.acc, entry.expires)));
    }

    /// The slot of a key, if there is such a key.
    #[inline]
    fn find(&mut self, hash: u64, key: &K) -> Option<Slot> {
        let slot = self.table.find(hash, key);
        if slot.is_none() && self.limit.as_ref().is_some_and(|limit| limit.has_evicted) {
            return self.enter(hash, key);
        }
        slot
    }

    /// Brings an evicted key back into memory.
    #[cold]
    fn enter(&mut self, hash: u64, key: &K) -> Option<Slot> {
        let mut latest = None;
        let visit = &mut |_, kept: ItemOrTombstone<A::Acc>| latest = kept;
        let hashed = Hashed { hash, key: key.clone() };
        let StateBackend::Arranged(arrangement) = &self.backend else { return None };
        arrangement.range(hash, &|(k, ())| k.cmp(&hashed), visit);
        let hashed = (hashed, ());
        // The arrangement has the key until the tombstone is sealed.
        let (acc, expires) = latest.filter(|_| !self.tombstones.contains(&hashed))?;
        if is_over(expires, self.watermark) {
            self.tombstones.insert(hashed);
            return None;
        }
        self.limit.iter_mut().for_each(MemoryBudget::entered);
        let entry = Entry { sealed: true, ..Entry::new(acc, expires) };
        Some(self.table.insert(hash, key.clone(), entry))
    }

    /// Emits what changed for the key in `slot`.
    fn settle(
        &mut self,
        (slot, before): (Slot, Option<A::Out>),
        since: Time,
        out: &mut Outputs<Change<(K, A::Out)>>,
    ) {
        let (key, entry) = self.table.get_mut(slot);
        entry.touched = false;
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
            return self.remove(slot);
        }
        self.footprint.see(&entry.acc);
        // Listed once for each expiry, not for each record. An entry under an earlier time is skipped when it
        // comes up.
        if entry.expires != entry.due {
            entry.due = entry.expires;
            self.expiry.entry(entry.expires).or_default().push(key.clone());
        }
        if entry.changed != self.dirty_mark {
            let dirty_mark = self.dirty_mark;
            entry.changed = dirty_mark;
            self.changed.push(slot);
            // Where keys come and go, the list would otherwise grow without bound until the next seal or cut.
            self.table.trim(&mut self.changed, |entry| entry.changed == dirty_mark);
        }
    }

    /// Tombstones and evicted rows, to be written.
    fn take_left(&mut self) -> Vec<Row<K, (), A::Acc>> {
        rows_to_write(std::mem::take(&mut self.tombstones), &mut self.left)
    }

    fn remove(&mut self, slot: Slot) {
        // A cut that is being copied must still contain the key.
        if self.table.try_get(slot).is_some_and(|(_, entry)| entry.changed.is_before(self.dirty_mark)) {
            self.keep(slot);
        }
        // A key that the backend never had needs no tombstone.
        if let Some((key, entry)) = self.table.remove(slot)
            && entry.sealed
        {
            self.tombstones.insert((Hashed::new(key), ()));
        }
    }

    /// Forgets the keys whose time has come.
    fn forget(&mut self) {
        while let Some(due) = self.expiry.first_entry().filter(|due| *due.key() <= self.watermark) {
            for key in due.remove() {
                // The key may have been removed or evicted, or its expiry may have moved on.
                let Some(slot) = self.table.find(hash64(&key), &key) else { continue };
                let entry = &self.table.get(slot).1;
                if is_over(entry.expires, self.watermark) {
                    self.remove(slot);
                }
            }
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
        if self.table.len() < LARGE {
            for keyed in batch.drain(..) {
                let hash = hash64(&keyed.key);
                let slot = self.find(hash, &keyed.key);
                self.add(hash, slot, keyed);
            }
            return;
        }
        let mut found = std::mem::take(&mut self.found);
        self.table.find_all(batch.iter().map(|keyed| &keyed.key), &mut found);
        for (keyed, Found { hash, slot }) in batch.drain(..).zip(found.drain(..)) {
            // An earlier record of the same batch may have inserted the key since.
            let slot = if slot == Slot::NONE { self.find(hash, &keyed.key) } else { Some(slot) };
            self.add(hash, slot, keyed);
        }
        self.found = found;
    }

    fn advance(&mut self, watermark: EventTime, _: Time, _: &mut Outputs<Self::Out>) {
        self.watermark = watermark;
        self.rows.reach(watermark);
    }

    fn close(&mut self, _: u64, since: Option<Time>, out: &mut Outputs<Self::Out>) {
        if let Some(since) = since {
            let mut touched = std::mem::take(&mut self.touched);
            touched.drain(..).for_each(|touched| self.settle(touched, since, out));
            self.touched = touched;
        }
        self.forget();
        self.late.1.add(std::mem::take(&mut self.late.0));
    }

    fn seal(&mut self, epoch: u64) {
        if matches!(self.backend, StateBackend::SnapshotOnly { .. }) {
            return;
        }
        let table = &self.table;
        let hash = |slot: Slot| Some((hash64(&table.try_get(slot)?.0), slot));
        let mut order: Vec<(u64, Slot)> =
            std::mem::take(&mut self.changed).into_list().into_iter().filter_map(hash).collect();
        // The arrangement is built in order of hash, one group for each.
        order.sort_unstable();
        let before = self.take_left();
        let Some(arrangement) = self.backend.arrangement() else { return };
        let mut built = arrangement.build(before);
        for some in order.chunk_by(|a, b| a.0 == b.0) {
            built.group(|group| {
                for (hash, slot) in some {
                    // The slot of a removed key may have been given to another.
                    if let Some((key, entry)) =
                        self.table.try_get_mut(*slot).filter(|(_, entry)| entry.changed != DirtyMark::Still)
                    {
                        (entry.changed, entry.sealed) = (DirtyMark::Still, true);
                        let key = Hashed { hash: *hash, key: key.clone() };
                        group.push(((key, ()), copy(&entry.acc, entry.expires)));
                    }
                }
            });
        }
        arrangement.seal_built(epoch, built);
    }

    fn cut(&mut self, epoch: u64) {
        let Rolling { backend, rows, tombstones, changed, .. } = self;
        let Some(delta) = backend.delta(epoch, rows, tombstones, changed.len()) else { return };
        let list = Chunks::new(std::mem::take(changed));
        self.dirty_mark = self.dirty_mark.next();
        self.copying = Some(Cutting { list, delta });
    }

    fn copy(&mut self, left: &mut usize) -> bool {
        let Some(Cutting { list, delta }) = &mut self.copying else { return true };
        while *left > 0 && !list.is_over() {
            let some = list.some(WARM.min(*left));
            // The loads of a loop with nothing else in it do not wait for each other.
            black_box(some.iter().filter(|slot| self.table.try_get(**slot).is_some()).count());
            for slot in some {
                // The slot of a removed key may have been given to another.
                if let Some((key, entry)) = self.table.try_get_mut(*slot)
                    && entry.changed.is_before(self.dirty_mark)
                {
                    (entry.changed, entry.sealed) = (DirtyMark::Still, true);
                    delta.add(((Hashed::new(key.clone()), ()), copy(&entry.acc, entry.expires)));
                }
            }
            *left -= some.len();
        }
        if !list.is_over() {
            return false;
        }
        if let Some(copying) = self.copying.take() {
            self.backend.push_delta(copying.delta);
        }
        true
    }

    fn save(&mut self) -> Result<SavedTables> {
        let mut saved = SavedTables::default();
        saved.tables.push(self.backend.save("aggregates", &self.rows));
        saved.note("watermark", &self.watermark)?;
        Ok(saved)
    }

    fn restore(&mut self, from: &RestoredOperator, share: Share) -> Result<()> {
        let (table, rows) = (&mut self.table, &self.rows);
        let mut found = Vec::new();
        self.backend.restore(rows, ("aggregates", from), share, &mut |read, keys| {
            if table.is_empty() {
                table.reserve(keys);
            }
            // Together: where they are to be looked up is in the caches then.
            found.clear();
            table.find_all(read.iter().map(|((hashed, ()), _)| &hashed.key), &mut found);
            for ((Hashed { hash, key }, ()), kept) in read {
                let entry = kept.map(|(acc, due)| Entry { due, sealed: true, ..Entry::new(acc, due) });
                table.replace(hash, &key, entry);
            }
        })?;
        for (key, entry) in table.iter().filter(|(_, entry)| entry.due < NEVER) {
            self.expiry.entry(entry.due).or_default().push(key.clone());
        }
        self.watermark = from.latest("watermark")?.unwrap_or(EventTime::MIN);
        self.rows.reach(self.watermark);
        Ok(())
    }

    fn evict(&mut self, epoch: u64) {
        self.evict_keys(epoch);
    }
}

impl<K: Key, I: Data, A: Aggregate<I, Out: PartialEq>> Evictable for Rolling<K, I, A> {
    fn bytes(&self) -> usize {
        let entry = size_of::<Option<(K, Entry<A::Acc>)>>() + INDEXED + self.footprint.heap();
        self.table.len() * entry
    }

    fn slots(&self) -> usize {
        self.table.slots()
    }

    fn limit(&mut self) -> &mut Option<MemoryBudget> {
        &mut self.limit
    }

    fn evict_key(&mut self, slot: Slot) -> bool {
        let Some((_, entry)) = self.table.try_get_mut(slot) else { return false };
        if std::mem::take(&mut entry.recent) {
            return false;
        }
        let Some((key, entry)) = self.table.remove(slot) else { return false };
        if entry.changed != DirtyMark::Still || !entry.sealed {
            self.left.push(((Hashed::new(key), ()), Some((entry.acc, entry.expires))));
        }
        true
    }

    fn write(&mut self, epoch: u64) {
        let rows = self.take_left();
        if let Some(arrangement) = self.backend.arrangement() {
            arrangement.seal_unsorted(epoch, rows);
        }
    }
}

impl<Acc> Entry<Acc> {
    fn new(acc: Acc, expires: EventTime) -> Entry<Acc> {
        Entry {
            acc,
            expires,
            due: NEVER,
            timestamp: EventTime::MIN,
            touched: false,
            changed: DirtyMark::Still,
            sealed: false,
            recent: true,
        }
    }
}
