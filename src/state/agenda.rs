//! What is to be done at a time: timers, and records that wait for theirs.
//!
//! Entries lie in buckets of 64 milliseconds, in order of arrival; a bucket is sorted when its time has come. So adding costs a look-up
//! in a small tree and a push, whatever the order of the times, and each entry is sorted once, among few; again, if others are added to its
//! bucket while that is being worked off.
//!
//! # As rows
//!
//! What is added becomes a row when the agenda is sealed, and is not touched again: rows lie in order of time, and all of before the time that
//! has been reached are over. So a seal writes what was added since the last one, however much there is to be done. An entry that is added for
//! a time that has been reached lies among the first that have not.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;

use timely::dataflow::operators::generic::OperatorInfo;

use serde::de::DeserializeOwned;

use super::{Arrangement, Encoded, Parted, Rows, Saves, Share};
use crate::error::Result;
use crate::snapshot::{Codec, RestoredOperator, Schema, Table};
use crate::time::EventTime;

/// Entries by time. `R` is what is kept of an entry in an arrangement.
pub(crate) struct Agenda<E, R: Clone + 'static = E> {
    buckets: BTreeMap<i64, Bucket<E>>,
    len: usize,
    sealed: Option<Sealed<R>>,
    moments: Moments<E>,
}

/// The entries as rows.
struct Sealed<R: Clone + 'static> {
    arrangement: Arrangement<Dated<R>>,
    rows: Dated<R>,
    /// The number of the next row.
    next: u64,
}

/// A row of an entry: the time that it lies at, the hash that it is owned by, and a number of its own.
pub(crate) type At = (EventTime, u64, u64);

/// The entries of a bucket by their milliseconds.
struct Moments<E>(Vec<Vec<(u8, E)>>);

/// From so many entries on, dealing them out by their milliseconds is faster than sorting.
const MANY: usize = 128;

impl<E> Moments<E> {
    /// Sorts entries of one bucket by time, and leaves those of one time in their order.
    fn sort(&mut self, entries: &mut Vec<(u8, E)>) {
        if entries.len() < MANY {
            return entries.sort_by_key(|(mark, _)| offset(*mark));
        }
        self.0.resize_with(1 << SPAN, Vec::new);
        for (mark, entry) in entries.drain(..) {
            self.0[usize::from(offset(mark))].push((mark, entry));
        }
        self.0.iter_mut().for_each(|moment| entries.append(moment));
    }
}

struct Bucket<E> {
    /// With their milliseconds in the bucket, [marked](SEALED) if there is a row of them.
    entries: Vec<(u8, E)>,
    /// True if some have no row.
    fresh: bool,
    /// True if the entries are in order.
    sorted: bool,
}

impl<E> Default for Bucket<E> {
    fn default() -> Bucket<E> {
        Bucket { entries: Vec::new(), fresh: true, sorted: false }
    }
}

/// Marks an entry that there is a row of.
const SEALED: u8 = 1 << 7;

/// The number of milliseconds in a bucket, as a power of two.
const SPAN: u32 = 6;

/// The last millisecond in a bucket.
const LAST: EventTime = (1 << SPAN) - 1;

/// The milliseconds of an entry in its bucket.
#[inline]
fn offset(mark: u8) -> u8 {
    mark & !SEALED
}

/// The time of an entry by its bucket and what it is marked with there.
fn at(bucket: i64, mark: u8) -> EventTime {
    bucket << SPAN | EventTime::from(offset(mark))
}

impl<E, R: Clone + 'static> Default for Agenda<E, R> {
    fn default() -> Agenda<E, R> {
        Agenda { buckets: BTreeMap::new(), len: 0, sealed: None, moments: Moments(Vec::new()) }
    }
}

impl<E, R: Clone + 'static> Agenda<E, R> {
    /// An agenda that can be sealed.
    pub(crate) fn sealable(operator: OperatorInfo) -> Agenda<E, R> {
        let rows = Dated::new();
        let sealed = Sealed { arrangement: Arrangement::new(rows.clone(), operator), rows, next: 0 };
        Agenda { sealed: Some(sealed), ..Agenda::default() }
    }

    /// Adds an entry.
    #[inline]
    pub(crate) fn add(&mut self, time: EventTime, entry: E) {
        let bucket = self.buckets.entry(time >> SPAN).or_default();
        bucket.entries.push(((time & LAST) as u8, entry));
        (bucket.fresh, bucket.sorted) = (true, false);
        self.len += 1;
    }

    /// True if there is nothing to be done.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of entries.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.len
    }

    /// No entry is earlier than this, and the first is less than a bucket later.
    pub(crate) fn next(&self) -> Option<EventTime> {
        self.buckets.first_key_value().map(|(bucket, _)| bucket << SPAN)
    }

    /// The time of the first entry. Costs a look at each entry of its bucket.
    pub(crate) fn first(&self) -> Option<EventTime> {
        let (bucket, first) = self.buckets.first_key_value()?;
        let first = first.entries.iter().map(|(mark, _)| offset(*mark)).min()?;
        Some(at(*bucket, first))
    }

    /// Takes the entries of before a time, in order of time, then of arrival.
    pub(crate) fn due(&mut self, before: EventTime) -> Vec<(EventTime, E)> {
        let mut due = Vec::new();
        while let Some(mut first) = self.buckets.first_entry().filter(|first| *first.key() << SPAN < before) {
            let (number, bucket) = (*first.key(), first.get_mut());
            if !std::mem::replace(&mut bucket.sorted, true) {
                self.moments.sort(&mut bucket.entries);
            }
            let now = bucket.entries.partition_point(|(mark, _)| at(number, *mark) < before);
            due.extend(bucket.entries.drain(..now).map(|(mark, entry)| (at(number, mark), entry)));
            if !first.get().entries.is_empty() {
                break;
            }
            first.remove();
        }
        self.len -= due.len();
        self.reach(before.saturating_sub(1));
        due
    }

    /// Takes all entries.
    pub(crate) fn take(&mut self) -> Vec<(EventTime, E)> {
        let mut all = self.due(EventTime::MAX);
        // What is left is at the very end of time.
        for (key, bucket) in std::mem::take(&mut self.buckets) {
            all.extend(bucket.entries.into_iter().map(|(mark, entry)| (at(key, mark), entry)));
        }
        self.len = 0;
        self.reach(EventTime::MAX);
        all
    }

    /// Takes note that all entries up to a time have been taken.
    fn reach(&mut self, time: EventTime) {
        if let Some(sealed) = &self.sealed {
            sealed.rows.reach(time);
        }
    }

    /// Writes what was added since the last seal into the arrangement, if there is one. `row` says what is kept of an entry, and the hash that
    /// it is owned by.
    pub(crate) fn seal(&mut self, epoch: u64, mut row: impl FnMut(&E) -> (u64, R)) {
        let Some(Sealed { arrangement, rows: dated, next }) = &mut self.sealed else { return };
        let first = dated.clock().saturating_add(1);
        let mut rows = Vec::new();
        for (key, bucket) in self.buckets.iter_mut().filter(|(_, bucket)| bucket.fresh) {
            bucket.fresh = false;
            for (mark, entry) in bucket.entries.iter_mut().filter(|(mark, _)| mark & SEALED == 0) {
                let (time, (hash, kept)) = (at(*key, *mark), row(entry));
                rows.push(((time.max(first), hash, *next), (time, kept)));
                *mark |= SEALED;
                *next += 1;
            }
        }
        rows.sort_unstable_by_key(|(at, _)| *at);
        arrangement.seal(epoch, rows);
    }
}

/// Rows of an agenda: what is to be done, and its own time. They are over when the time has been reached that they lie at.
pub(crate) struct Dated<R> {
    reached: Rc<Cell<EventTime>>,
    row: PhantomData<fn() -> R>,
}

impl<R> Dated<R> {
    fn new() -> Dated<R> {
        Dated { reached: Rc::new(Cell::new(EventTime::MIN)), row: PhantomData }
    }
}

impl<R> Clone for Dated<R> {
    fn clone(&self) -> Self {
        Dated { reached: Rc::clone(&self.reached), row: PhantomData }
    }
}

impl<R: Clone + 'static> Rows for Dated<R> {
    type Key = At;
    type Value = (EventTime, R);

    fn absorb(&self, older: &mut (EventTime, R), newer: &(EventTime, R)) {
        older.clone_from(newer);
    }

    fn is_vacant(&self, _: &(EventTime, R), _: bool) -> bool {
        false
    }

    fn is_expired((at, ..): &At, clock: i64) -> bool {
        *at <= clock
    }

    fn clock(&self) -> i64 {
        self.reached.get()
    }

    fn reach(&self, time: i64) {
        self.reached.set(self.reached.get().max(time));
    }
}

impl<R: Parted> Saves for Dated<R> {
    type Part = R::Part;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<R::With<P>>("dated")
    }

    fn owner((_, hash, _): &At) -> u64 {
        *hash
    }

    fn encode(rows: &[(At, (EventTime, R))], codec: Codec) -> Result<Vec<u8>> {
        codec.encode(rows)
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> R::Part,
    ) -> Result<Vec<(At, (EventTime, R))>> {
        let row = |(at, (time, kept)): (At, (EventTime, R::With<P>))| (at, (time, R::own(kept, &own)));
        Ok(page.rows()?.into_iter().map(row).collect())
    }
}

impl<E, R: Parted> Agenda<E, R> {
    /// What a snapshot needs of what was sealed.
    pub(crate) fn save(&self, name: &str) -> Option<Table> {
        self.sealed.as_ref().map(|sealed| sealed.arrangement.save(name))
    }

    /// Takes in what a snapshot has of a worker's share. `entry` makes an entry of what was kept of one.
    pub(crate) fn restore(
        &mut self,
        name: &str,
        from: &RestoredOperator,
        share: Share,
        mut entry: impl FnMut(&R) -> E,
    ) -> Result<()> {
        let Some(Sealed { arrangement, rows, next }) = &mut self.sealed else { return Ok(()) };
        arrangement.restore(name, from, share)?;
        let (buckets, len, clock) = (&mut self.buckets, &mut self.len, rows.clock());
        arrangement.each(|at, (time, kept)| {
            if !Dated::<R>::is_expired(at, clock) {
                let bucket = buckets.entry(*time >> SPAN).or_default();
                bucket.entries.push(((time & LAST) as u8 | SEALED, entry(kept)));
                *len += 1;
            }
            *next = (*next).max(at.2 + 1);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_agenda_agrees_with_a_sorted_list(
            steps in vec((proptest::option::of(-300..300i64), -300..300i64), 0..200),
        ) {
            let mut agenda = Agenda::<usize>::default();
            let mut list: Vec<(i64, usize)> = Vec::new();
            for (number, (add, until)) in steps.into_iter().enumerate() {
                match add {
                    Some(time) => {
                        agenda.add(time, number);
                        list.push((time, number));
                    }
                    None => {
                        list.sort();
                        let rest = list.split_off(list.partition_point(|(time, _)| *time < until));
                        prop_assert_eq!(agenda.due(until), std::mem::replace(&mut list, rest));
                    }
                }
                let first = list.iter().map(|(time, _)| *time).min();
                prop_assert_eq!((agenda.len(), agenda.is_empty(), agenda.first()), (list.len(), list.is_empty(), first));
                prop_assert!(agenda.next().is_none_or(|next| first.is_some_and(|first| next <= first && first < next + 64)));
            }
        }
    }

    #[test]
    fn many_entries_of_a_bucket_are_in_order_too() {
        let mut agenda = Agenda::<i64>::default();
        let times: Vec<i64> = (0..1000).map(|n| (n * 37) % 90 - 45).collect();
        times.iter().zip(0..).for_each(|(time, number)| agenda.add(*time, number));
        let mut expected: Vec<(i64, i64)> = times.into_iter().zip(0..).collect();
        expected.sort();
        assert_eq!(agenda.due(100), expected);
    }

    #[test]
    fn the_ends_of_time_are_times_too() {
        let mut agenda = Agenda::<()>::default();
        for time in [EventTime::MAX, EventTime::MIN, 0, EventTime::MAX - 1] {
            agenda.add(time, ());
        }
        assert_eq!(agenda.first(), Some(EventTime::MIN));
        assert_eq!(agenda.due(EventTime::MAX).len(), 3);
        assert_eq!(agenda.first(), Some(EventTime::MAX));
    }
}
