//! Rolling aggregates: for each key, the aggregate of all values so far, spoken of as changes.
//!
//! When an epoch closes, each key that it touched has an old result and a new one; if they differ, the old one is
//! retracted and the new one inserted. So at each closed epoch the changes add up to exactly the aggregates of the input up to
//! that epoch, on any number of workers and however long epochs are.
//!
//! # State
//!
//! A table holds the accumulator of every key. It remembers which ones the open epoch touched, for the changes, and which ones have changed
//! since the last seal, for the arrangement, which receives their accumulators when the state as of an epoch is asked for.
//!
//! # Cost
//!
//! A record costs one look-up; the first touch of a key in an epoch also reads its old result. A seal costs a sort of the changed
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
    table: Table<K, Entry<A::Acc>>,
    /// The keys that the open epoch has touched, with their results at the end of the last.
    touched: Vec<(Slot, Option<A::Out>)>,
    arrangement: Arrangement<Latest<K, A::Acc>>,
    /// The keys that have changed since the last seal, and those that the last seal knew and that are no more.
    changed: Vec<Slot>,
    gone: Vec<K>,
    /// Keys by the watermark that forgets them.
    expiry: BTreeMap<EventTime, Vec<K>>,
    watermark: EventTime,
    /// Values dropped as late in the open epoch, and in all.
    late: (i64, Metric),
}

/// The watermark that forgets keys which do not expire.
const NEVER: EventTime = EventTime::MAX;

struct Entry<Acc> {
    acc: Acc,
    /// When the key is forgotten.
    expires: EventTime,
    /// When it is due to be looked at for that.
    due: EventTime,
    /// The greatest event time among the open epoch's values, if it has touched the entry.
    timestamp: EventTime,
    touched: bool,
    /// True if it is among those that have changed since the last seal.
    changed: bool,
    /// True if the arrangement knows the key.
    sealed: bool,
}

impl<K: Key, I: Data, A: Aggregate<I, Out: PartialEq>> Rolling<K, I, A> {
    pub(crate) fn new(aggregate: A, operator: OperatorInfo, late: Metric) -> Rolling<K, I, A> {
        Rolling {
            aggregate,
            table: Table::default(),
            touched: Vec::new(),
            arrangement: Arrangement::new(Latest::new(), operator),
            changed: Vec::new(),
            gone: Vec::new(),
            expiry: BTreeMap::new(),
            watermark: EventTime::MIN,
            late: (0, late),
        }
    }

    #[inline]
    fn add(&mut self, Keyed { key, input, stamp }: Keyed<K, I>) {
        let hash = hash64(&key);
        let Some(slot) = self.table.find(hash, &key) else {
            let acc = self.aggregate.start(input);
            let expires = self.aggregate.expires(&acc).unwrap_or(NEVER);
            let timestamp = stamp.timestamp;
            let entry =
                Entry { acc, expires, due: NEVER, timestamp, touched: true, changed: false, sealed: false };
            self.touched.push((self.table.insert(hash, key, entry), None));
            return;
        };
        let entry = &mut self.table.get_mut(slot).1;
        if stamp.timestamp < entry.expires && stamp.is_late_for(entry.expires) && entry.expires < NEVER {
            self.late.0 += 1;
            return;
        }
        if self.aggregate.ignores(&entry.acc, &input) {
            return;
        }
        if entry.touched {
            entry.timestamp = entry.timestamp.max(stamp.timestamp);
        } else {
            (entry.touched, entry.timestamp) = (true, stamp.timestamp);
            self.touched.push((slot, Some(self.aggregate.result(&entry.acc))));
        }
        self.aggregate.add(&mut entry.acc, input);
        entry.expires = self.aggregate.expires(&entry.acc).unwrap_or(NEVER);
    }

    /// Emits what changed for the key in `slot`.
    fn settle(
        &mut self,
        (slot, before): (Slot, Option<A::Out>),
        since: Time,
        out: &mut Outlets<Change<(K, A::Out)>>,
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
        let expired = entry.expires <= self.watermark;
        if empty || expired {
            return self.remove(slot);
        }
        if entry.expires != entry.due {
            entry.due = entry.expires;
            self.expiry.entry(entry.expires).or_default().push(key.clone());
        }
        if !entry.changed {
            entry.changed = true;
            self.changed.push(slot);
            self.trim();
        }
    }

    /// Drops slots of keys that are no more from the list of changed ones, when they may be most of it.
    fn trim(&mut self) {
        if self.changed.len() > 1024 + 2 * self.table.len() {
            let table = &self.table;
            self.changed.retain(|slot| table.try_get(*slot).is_some_and(|(_, entry)| entry.changed));
            self.changed.sort_unstable();
            self.changed.dedup();
        }
    }

    fn remove(&mut self, slot: Slot) {
        if let Some((key, entry)) = self.table.remove(slot)
            && entry.sealed
        {
            self.gone.push(key);
        }
    }

    /// Forgets the keys whose time has come.
    fn forget(&mut self) {
        while let Some(due) = self.expiry.first_entry().filter(|due| *due.key() <= self.watermark) {
            for key in due.remove() {
                let Some(slot) = self.table.find(hash64(&key), &key) else { continue };
                let entry = &self.table.get(slot).1;
                if entry.expires <= self.watermark {
                    self.remove(slot);
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

    fn advance(&mut self, watermark: EventTime, _: Time, _: &mut Outlets<Self::Out>) {
        self.watermark = watermark;
    }

    fn close(&mut self, _: u64, since: Option<Time>, out: &mut Outlets<Self::Out>) {
        if let Some(since) = since {
            let mut touched = std::mem::take(&mut self.touched);
            touched.drain(..).for_each(|touched| self.settle(touched, since, out));
            self.touched = touched;
        }
        self.forget();
        self.late.1.add(std::mem::take(&mut self.late.0));
    }

    fn seal(&mut self, epoch: u64) {
        let mut rows: Vec<_> = self.gone.drain(..).map(|key| (key, None)).collect();
        for slot in self.changed.drain(..) {
            // The slot of a key that is no more may be vacant or another's.
            if let Some((key, entry)) = self.table.try_get_mut(slot).filter(|(_, entry)| entry.changed) {
                (entry.changed, entry.sealed) = (false, true);
                rows.push((key.clone(), Some(entry.acc.clone())));
            }
        }
        self.arrangement.seal_unsorted(epoch, rows);
    }
}
