//! What is to be done at a time: timers, and records that wait for theirs.
//!
//! Entries lie in buckets of 64 milliseconds, in order of arrival; a bucket is sorted when its time has come. So adding costs a look-up
//! in a small tree and a push, whatever the order of the times, and each entry is sorted once, among few; again, if others are added to its
//! bucket while that is being worked off.

use std::collections::BTreeMap;

use timely::dataflow::operators::generic::OperatorInfo;

use super::{Arrangement, Latest};
use crate::time::EventTime;

/// Entries by time. `R` is what is kept of an entry in an arrangement.
pub(crate) struct Agenda<E, R: Clone + 'static = E> {
    buckets: BTreeMap<i64, Bucket<E>>,
    len: usize,
    arrangement: Option<Arrangement<Latest<i64, Vec<(EventTime, R)>>>>,
    /// Buckets that the arrangement has and that are no more.
    gone: Vec<i64>,
    moments: Moments<E>,
}

/// The entries of a bucket by their milliseconds.
struct Moments<E>(Vec<Vec<(u8, E)>>);

/// From so many entries on, dealing them out by their milliseconds is faster than sorting.
const MANY: usize = 128;

impl<E> Moments<E> {
    /// Sorts entries of one bucket by time, and leaves those of one time in their order.
    fn sort(&mut self, entries: &mut Vec<(u8, E)>) {
        if entries.len() < MANY {
            return entries.sort_by_key(|(offset, _)| *offset);
        }
        self.0.resize_with(1 << SPAN, Vec::new);
        for (offset, entry) in entries.drain(..) {
            self.0[usize::from(offset)].push((offset, entry));
        }
        self.0.iter_mut().for_each(|moment| entries.append(moment));
    }
}

struct Bucket<E> {
    /// With their milliseconds in the bucket.
    entries: Vec<(u8, E)>,
    /// True if it has changed since the last seal.
    changed: bool,
    /// True if the arrangement has it.
    sealed: bool,
    /// True if the entries are in order.
    sorted: bool,
}

impl<E> Default for Bucket<E> {
    fn default() -> Bucket<E> {
        Bucket { entries: Vec::new(), changed: true, sealed: false, sorted: false }
    }
}

/// The number of milliseconds in a bucket, as a power of two.
const SPAN: u32 = 6;

/// The last millisecond in a bucket.
const LAST: EventTime = (1 << SPAN) - 1;

/// A time by its bucket and the milliseconds there.
fn at(bucket: i64, offset: u8) -> EventTime {
    bucket << SPAN | EventTime::from(offset)
}

impl<E, R: Clone + 'static> Default for Agenda<E, R> {
    fn default() -> Agenda<E, R> {
        Agenda {
            buckets: BTreeMap::new(),
            len: 0,
            arrangement: None,
            gone: Vec::new(),
            moments: Moments(Vec::new()),
        }
    }
}

impl<E, R: Clone + 'static> Agenda<E, R> {
    /// An agenda that can be sealed.
    pub(crate) fn sealable(operator: OperatorInfo) -> Agenda<E, R> {
        Agenda { arrangement: Some(Arrangement::new(Latest::new(), operator)), ..Agenda::default() }
    }

    /// Adds an entry.
    #[inline]
    pub(crate) fn add(&mut self, time: EventTime, entry: E) {
        let bucket = self.buckets.entry(time >> SPAN).or_default();
        bucket.entries.push(((time & LAST) as u8, entry));
        (bucket.changed, bucket.sorted) = (true, false);
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
        let first = first.entries.iter().map(|(offset, _)| *offset).min()?;
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
            let now = bucket.entries.partition_point(|(offset, _)| at(number, *offset) < before);
            bucket.changed |= now > 0;
            due.extend(bucket.entries.drain(..now).map(|(offset, entry)| (at(number, offset), entry)));
            if !first.get().entries.is_empty() {
                break;
            }
            let (bucket, Bucket { sealed, .. }) = first.remove_entry();
            if sealed {
                self.gone.push(bucket);
            }
        }
        self.len -= due.len();
        due
    }

    /// Takes all entries.
    pub(crate) fn take(&mut self) -> Vec<(EventTime, E)> {
        let mut all = self.due(EventTime::MAX);
        // What is left is at the very end of time.
        for (key, bucket) in std::mem::take(&mut self.buckets) {
            all.extend(bucket.entries.into_iter().map(|(offset, entry)| (at(key, offset), entry)));
            if bucket.sealed {
                self.gone.push(key);
            }
        }
        self.len = 0;
        all
    }

    /// Writes what has changed since the last seal into the arrangement, if there is one. `row` says what is kept of an entry.
    pub(crate) fn seal(&mut self, epoch: u64, mut row: impl FnMut(&E) -> R) {
        let Some(arrangement) = &mut self.arrangement else { return };
        let mut rows: Vec<_> = self.gone.drain(..).map(|bucket| (bucket, None)).collect();
        for (key, bucket) in self.buckets.iter_mut().filter(|(_, bucket)| bucket.changed) {
            (bucket.changed, bucket.sealed) = (false, true);
            let entries = bucket.entries.iter().map(|(offset, entry)| (at(*key, *offset), row(entry)));
            rows.push((*key, Some(entries.collect())));
        }
        arrangement.seal_unsorted(epoch, rows);
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
