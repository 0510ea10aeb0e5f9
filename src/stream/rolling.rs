//! Rolling aggregates: for each key, the aggregate of all values so far, spoken of as changes.
//!
//! When an epoch closes, each key that it touched has an old result and a new one; if they differ, the old
//! one is retracted and the new one inserted. So at each closed epoch the changes add up to exactly the
//! aggregates of the input up to that epoch, on any number of workers and however long epochs are.
//!
//! # State
//!
//! A table holds the accumulator of every key. It remembers which ones the open epoch touched, for the
//! changes, and which ones have changed since the last seal or cut, for its [backing](crate::state), which
//! receives their accumulators when the state as of an epoch is asked for.
//!
//! # Cost
//!
//! A record costs one look-up; the first touch of a key in an epoch also reads its old result. A snapshot
//! costs clones of the changed accumulators, some in each activation; if memory is limited, also a sort of
//! the changed keys and merges. Keys that [expire](Aggregate::expires) leave both. If memory is limited, keys
//! that have not been touched for a while leave the table for the arrangement, whose pages then lie in files,
//! and are read back when they are touched.

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
    /// What changes are marked by.
    dirty_mark: DirtyMark,
    /// The keys that have changed since the last seal or cut, and those that the backing knows and that are
    /// no more.
    changed: SegmentedVec<Slot>,
    tombstones: Tombstones<K, ()>,
    /// What has left memory and is not in the arrangement yet.
    left: Vec<Row<K, (), A::Acc>>,
    /// What is copied for the last cut, if it is not done.
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

/// What is copied for a cut: the keys that had changed and have not been seen to, and the copies.
struct Cutting<K, Acc> {
    list: Chunks<Slot>,
    delta: SnapshotDelta<K, (), Acc>,
}

/// Keys from which on a look-up waits for memory, so that looking up a batch at a time pays.
const LARGE: usize = 1 << 16;

struct Entry<Acc> {
    acc: Acc,
    /// When the key is forgotten.
    expires: EventTime,
    /// When it is due to be looked at for that.
    due: EventTime,
    /// The greatest event time among the open epoch's values, if it has touched the entry.
    timestamp: EventTime,
    touched: bool,
    /// Which seal or cut its last change is for, if not for one that has been.
    changed: DirtyMark,
    /// True if the backing knows the key.
    sealed: bool,
    /// True if it was touched since the hand came by that lets keys leave memory.
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
            let timestamp = stamp.timestamp;
            let entry = Entry { timestamp, touched: true, ..Entry::new(acc, expires) };
            self.touched.push((self.table.insert(hash, key, entry), None));
            return;
        };
        let (_, entry) = self.table.get_mut(slot);
        if stamp.timestamp < entry.expires && stamp.is_late_for(entry.expires) && entry.expires < NEVER {
            self.late.0 += 1;
            return;
        }
        if self.aggregate.ignores(&entry.acc, &input) {
            return;
        }
        entry.recent = true;
        if entry.touched {
            entry.timestamp = entry.timestamp.max(stamp.timestamp);
        } else {
            (entry.touched, entry.timestamp) = (true, stamp.timestamp);
            self.touched.push((slot, Some(self.aggregate.result(&entry.acc))));
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

    /// Brings a key that has left back into memory.
    #[cold]
    fn enter(&mut self, hash: u64, key: &K) -> Option<Slot> {
        let mut latest = None;
        let visit = &mut |_, kept: ItemOrTombstone<A::Acc>| latest = kept;
        let hashed = Hashed { hash, key: key.clone() };
        let StateBackend::Arranged(arrangement) = &self.backend else { return None };
        arrangement.range(hash, &|(k, ())| k.cmp(&hashed), visit);
        let hashed = (hashed, ());
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
        if entry.expires != entry.due {
            entry.due = entry.expires;
            self.expiry.entry(entry.expires).or_default().push(key.clone());
        }
        if entry.changed != self.dirty_mark {
            let dirty_mark = self.dirty_mark;
            entry.changed = dirty_mark;
            self.changed.push(slot);
            self.table.trim(&mut self.changed, |entry| entry.changed == dirty_mark);
        }
    }

    /// What is no more, and what has left memory.
    fn take_left(&mut self) -> Vec<Row<K, (), A::Acc>> {
        rows_to_write(std::mem::take(&mut self.tombstones), &mut self.left)
    }

    fn remove(&mut self, slot: Slot) {
        if self.table.try_get(slot).is_some_and(|(_, entry)| entry.changed.is_before(self.dirty_mark)) {
            self.keep(slot);
        }
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
                let Some(slot) = self.table.find(hash64(&key), &key) else { continue };
                let entry = &self.table.get(slot).1;
                if is_over(entry.expires, self.watermark) {
                    self.remove(slot);
                }
            }
        }
    }
}

impl<K: Key, I: Data, A: Aggregate<I, Out: PartialEq>> OperatorLogic<Keyed<K, I>> for Rolling<K, I, A> {
    type Out = Change<(K, A::Out)>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Keyed<K, I>>, _: &mut Outputs<Self::Out>) {
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
            // A key that was not found may have come meanwhile.
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
        order.sort_unstable();
        let before = self.take_left();
        let Some(arrangement) = self.backend.arrangement() else { return };
        let mut built = arrangement.build(before);
        for some in order.chunk_by(|a, b| a.0 == b.0) {
            built.group(|group| {
                for (hash, slot) in some {
                    // The slot of a key that is no more may be another's.
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
                // The slot of a key that is no more may be another's.
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
