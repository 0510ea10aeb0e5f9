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
    table: Table<K, Entry<A::Acc>>,
    /// The keys that the open epoch has touched, with their results at the end of the last.
    touched: Vec<(Slot, Option<A::Out>)>,
    arrangement: Arrangement<Latest<K, A::Acc>>,
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
    /// True if the last sealed epoch knows the key.
    sealed: bool,
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
            let acc = self.aggregate.start(input);
            let expires = self.aggregate.expires(&acc).unwrap_or(NEVER);
            let timestamp = stamp.timestamp;
            let entry = Entry { acc, expires, due: NEVER, timestamp, touched: true, sealed: false };
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

    /// Emits what changed for the key in `slot`, and returns its row.
    fn settle(
        &mut self,
        (slot, before): (Slot, Option<A::Out>),
        since: Time,
        out: &mut Outlets<Change<(K, A::Out)>>,
    ) -> Option<(K, Option<A::Acc>)> {
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
            let (key, entry) = self.table.remove(slot)?;
            return entry.sealed.then_some((key, None));
        }
        if entry.expires != entry.due {
            entry.due = entry.expires;
            self.expiry.entry(entry.expires).or_default().push(key.clone());
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
                if entry.expires <= self.watermark {
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
            let mut touched = std::mem::take(&mut self.touched);
            rows.extend(touched.drain(..).filter_map(|touched| self.settle(touched, since, out)));
            self.touched = touched;
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
