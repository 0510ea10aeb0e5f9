//! Rolling aggregates: for each key, the aggregate of all values so far, spoken of as changes.
//!
//! When an epoch closes, each key that it touched has an old result and a new one; if they differ, the old one is
//! retracted and the new one inserted. So at each closed epoch the changes add up to exactly the aggregates of the input up to
//! that epoch, on any number of workers and however long epochs are.
//!
//! # State
//!
//! A table holds the accumulator of every key and remembers which ones the open epoch touched; the arrangement receives their
//! latest accumulators when the epoch closes. The table is a cache of what the arrangement says.
//!
//! # Cost
//!
//! A record costs one look-up; the first touch of a key in an epoch also reads its old result. Closing costs a sort of the touched
//! keys, their clones, and the merges they pay for. Keys that [expire](Aggregate::expires) leave both.

use std::collections::BTreeMap;

use timely::dataflow::operators::generic::OperatorInfo;

use super::Aggregate;
use super::combine::Keyed;
use super::ordered::Logic;
use super::tap::Outlets;
use crate::data::{Change, Data, Key, Record, Stamp, hash64};
use crate::metric::Metric;
use crate::state::{Arrangement, Latest, Slot, Table};
use crate::time::{EventTime, Time};

/// The logic of a rolling aggregate over inputs `I`.
pub(crate) struct Rolling<K, I, A>
where
    K: Key,
    A: Aggregate<I>,
{
    aggregate: A,
    table: Table<K, Entry<A::Acc, A::Out>>,
    touched: Vec<Slot>,
    arrangement: Arrangement<Latest<K, A::Acc>>,
    /// Keys by the watermark that forgets them.
    expiry: BTreeMap<EventTime, Vec<K>>,
    watermark: EventTime,
    /// Values dropped as late in the open epoch, and in all.
    late: (i64, Metric),
}

struct Entry<Acc, Out> {
    acc: Acc,
    /// Set while the open epoch has touched the entry.
    touch: Option<Touch<Out>>,
    /// True if the last sealed epoch knows the key.
    sealed: bool,
    expires: Option<EventTime>,
}

struct Touch<Out> {
    /// The result at the end of the last epoch.
    before: Option<Out>,
    /// The greatest event time among the epoch's values.
    timestamp: EventTime,
}

impl<K: Key, I: Data, A: Aggregate<I, Out: PartialEq>> Rolling<K, I, A> {
    pub(crate) fn new(aggregate: A, operator: OperatorInfo, late: Metric) -> Rolling<K, I, A> {
        Rolling {
            aggregate,
            table: Table::default(),
            touched: Vec::new(),
            arrangement: Arrangement::new(Latest::new(), operator),
            expiry: BTreeMap::new(),
            watermark: EventTime::MIN,
            late: (0, late),
        }
    }

    #[inline]
    fn add(&mut self, Keyed { key, input, stamp }: Keyed<K, I>) {
        let hash = hash64(&key);
        let Some(slot) = self.table.find(hash, &key) else {
            let touch = Some(Touch { before: None, timestamp: stamp.timestamp });
            let acc = self.aggregate.start(input);
            let expires = self.aggregate.expires(&acc);
            let entry = Entry { acc, touch, sealed: false, expires };
            self.touched.push(self.table.insert(hash, key, entry));
            return;
        };
        let entry = &mut self.table.get_mut(slot).1;
        if entry.expires.is_some_and(|end| stamp.timestamp < end && stamp.is_late_for(end)) {
            self.late.0 += 1;
            return;
        }
        match &mut entry.touch {
            Some(touch) => touch.timestamp = touch.timestamp.max(stamp.timestamp),
            None => {
                let before = Some(self.aggregate.result(&entry.acc));
                entry.touch = Some(Touch { before, timestamp: stamp.timestamp });
                self.touched.push(slot);
            }
        }
        self.aggregate.add(&mut entry.acc, input);
        entry.expires = self.aggregate.expires(&entry.acc);
    }

    /// Emits what changed for the key in `slot`, and returns its row.
    fn settle(
        &mut self,
        slot: Slot,
        since: Time,
        out: &mut Outlets<Change<(K, A::Out)>>,
    ) -> Option<(K, Option<A::Acc>)> {
        let (key, entry) = self.table.get_mut(slot);
        let Touch { before, timestamp } = entry.touch.take()?;
        let empty = self.aggregate.is_empty(&entry.acc);
        let after = (!empty).then(|| self.aggregate.result(&entry.acc));
        if before != after {
            let stamp = Stamp { timestamp: timestamp.max(since.event), watermark: since.event };
            if let Some(before) = before {
                out.give(since, Record::new(Change::retract((key.clone(), before)), stamp));
            }
            if let Some(after) = after {
                out.give(since, Record::new(Change::insert((key.clone(), after)), stamp));
            }
        }
        let expired = entry.expires.is_some_and(|end| end <= self.watermark);
        if empty || expired {
            let (key, entry) = self.table.remove(slot)?;
            return entry.sealed.then_some((key, None));
        }
        if let Some(end) = entry.expires {
            self.expiry.entry(end).or_default().push(key.clone());
        }
        entry.sealed = true;
        Some((key.clone(), Some(entry.acc.clone())))
    }

    /// Forgets the keys whose time has come, and adds rows that say so.
    fn forget(&mut self, rows: &mut Vec<(K, Option<A::Acc>)>) {
        while let Some(due) = self.expiry.first_entry().filter(|due| *due.key() <= self.watermark) {
            for key in due.remove() {
                let Some(slot) = self.table.find(hash64(&key), &key) else { continue };
                let entry = &self.table.get(slot).1;
                if entry.expires.is_some_and(|end| end <= self.watermark) {
                    if entry.sealed {
                        rows.push((key, None));
                    }
                    self.table.remove(slot);
                }
            }
        }
    }
}

impl<K: Key, I: Data, A: Aggregate<I, Out: PartialEq>> Logic<Keyed<K, I>> for Rolling<K, I, A> {
    type Out = Change<(K, A::Out)>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Keyed<K, I>>, _: &mut Outlets<Self::Out>) {
        batch.drain(..).for_each(|input| self.add(input));
    }

    fn advance(&mut self, now: Time, _: &mut Outlets<Self::Out>) {
        self.watermark = now.event;
    }

    fn close(&mut self, epoch: u64, since: Option<Time>, out: &mut Outlets<Self::Out>) {
        let mut rows = Vec::with_capacity(self.touched.len());
        if let Some(since) = since {
            for slot in std::mem::take(&mut self.touched) {
                rows.extend(self.settle(slot, since, out));
            }
        }
        self.forget(&mut rows);
        // A key that was both touched and forgotten has two rows, and the later one counts.
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1.take();
            }
            same
        });
        self.arrangement.seal(epoch, rows);
        self.late.1.add(std::mem::take(&mut self.late.0));
    }
}
