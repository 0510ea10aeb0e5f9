//! What is to be done at a time: timers, and records that wait for theirs.
//!
//! Entries lie in buckets of 64 milliseconds, in order of arrival; a bucket is sorted when its time has come. So adding costs a look-up
//! in a small tree and a push, whatever the order of the times, and each entry is sorted once, among few.

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
}

struct Bucket<E> {
    entries: Vec<(EventTime, E)>,
    /// True if it has changed since the last seal.
    changed: bool,
    /// True if the arrangement has it.
    sealed: bool,
}

impl<E> Default for Bucket<E> {
    fn default() -> Bucket<E> {
        Bucket { entries: Vec::new(), changed: true, sealed: false }
    }
}

/// The number of milliseconds in a bucket, as a power of two.
const SPAN: u32 = 6;

impl<E, R: Clone + 'static> Default for Agenda<E, R> {
    fn default() -> Agenda<E, R> {
        Agenda { buckets: BTreeMap::new(), len: 0, arrangement: None, gone: Vec::new() }
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
        bucket.entries.push((time, entry));
        bucket.changed = true;
        self.len += 1;
    }

    /// True if there is nothing to be done.
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
        let (_, first) = self.buckets.first_key_value()?;
        first.entries.iter().map(|(time, _)| *time).min()
    }

    /// Takes the entries of before a time, in order of time, then of arrival.
    pub(crate) fn due(&mut self, before: EventTime) -> Vec<(EventTime, E)> {
        let mut due = Vec::new();
        while let Some(mut first) = self.buckets.first_entry().filter(|first| *first.key() << SPAN < before) {
            let entries = &mut first.get_mut().entries;
            let mut now = match entries.iter().all(|(time, _)| *time < before) {
                true => std::mem::take(entries),
                false => entries.extract_if(.., |(time, _)| *time < before).collect(),
            };
            first.get_mut().changed |= !now.is_empty();
            now.sort_by_key(|(time, _)| *time);
            due.append(&mut now);
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
            all.extend(bucket.entries);
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
            rows.push((*key, Some(bucket.entries.iter().map(|(time, entry)| (*time, row(entry))).collect())));
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
