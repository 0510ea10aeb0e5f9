//! Agendas against lists, and such of which entries leave memory and come back.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::metric::Metrics;
use crate::state::spill::budget::SpillBudget;
use crate::state::spill::files::SharedBudget;
use crate::state::timer::queue::TimerQueue;
use crate::state::timer::spilled::END;

/// A key with the number of an entry, and something else.
type Entry = ((u8, u32), bool);

fn hash((key, _): &Entry) -> u64 {
    // Two keys have the same hash.
    u64::from(key.0 / 2) << 40
}

/// A timer queue with room for so many bytes, and what should be in it.
struct Both {
    queue: TimerQueue<Entry>,
    splits: bool,
    list: Vec<(i64, Entry)>,
    epoch: u64,
    added: u32,
    metrics: Metrics,
}

impl Both {
    fn new(bytes: usize, portion: usize, splits: bool) -> Both {
        let memory = SharedBudget::new(bytes, std::env::temp_dir(), Arc::new(|error| panic!("{error}")));
        let metrics = Metrics::default();
        let quota = SpillBudget::new(&memory, "agenda", "entries_spilled", &metrics);
        let mut queue = TimerQueue::sealable(Some(quota));
        queue.tighten(portion, splits);
        Both { queue, splits, list: Vec::new(), epoch: 0, added: 0, metrics }
    }

    fn add(&mut self, time: i64, key: u8) {
        let entry = ((key, self.added), key.is_multiple_of(3));
        self.added += 1;
        self.queue.add(time, entry);
        self.list.push((time, entry));
    }

    fn evict(&mut self) {
        let before = self.queue.len();
        let left = self.queue.evict(self.epoch, hash, |entry| *entry);
        assert_eq!(self.queue.len() + left.len(), before);
    }

    fn seal(&mut self) {
        self.queue.seal(self.epoch, |entry| (hash(entry), *entry));
        self.epoch += 1;
    }

    /// Takes what is due, in as many pieces as it comes in, and does something between them.
    fn take(&mut self, before: Option<i64>, mut between: impl FnMut(&mut Both)) {
        let end = before.map_or(END, |before| (before, 0));
        let mut last = (i64::MIN, 0);
        while last < end {
            self.queue.fetch(before, |row| *row);
            let (mut due, bound) = self.queue.some(before, hash);
            assert!(bound > last && bound <= end, "{bound:?} after {last:?}");
            assert!(self.splits || bound == END || bound.1 == 0, "{bound:?} is in the middle of a moment");
            let is_due = |(time, entry): &(i64, Entry)| (*time, hash(entry)) < bound;
            let (mut expected, later): (Vec<_>, _) = self.list.iter().partition(|entry| is_due(entry));
            self.list = later;
            assert!(due.is_sorted_by_key(|(time, _)| *time));
            // Entries of one time and key are in order of arrival, and so are their numbers.
            due.sort_by_key(|(time, ((key, _), _))| (*time, *key));
            expected.sort_by_key(|(time, ((key, number), _))| (*time, *key, *number));
            assert_eq!(due, expected, "before {bound:?}");
            last = bound;
            self.check();
            if last < end {
                between(self);
            }
        }
    }

    fn check(&self) {
        let first = self.list.iter().map(|(time, _)| *time).min();
        let (next, known) = (self.queue.next(), self.queue.first());
        assert!(next.is_some() == first.is_some() && known.is_some() == first.is_some());
        assert!(next <= known && known <= first, "{next:?} {known:?} {first:?}");
        assert!(first.is_none_or(|first| next.is_some_and(|next| next > first - 64)), "{next:?} {first:?}");
        assert!(self.queue.len() <= self.list.len());
    }
}

#[derive(Clone, Debug)]
enum Action {
    Add(Vec<(i64, u8)>),
    Take { by: i64, between: Vec<Between> },
    Shed,
    Seal,
}

/// What happens while entries are taken.
#[derive(Clone, Debug)]
enum Between {
    Add(i64, u8),
    Shed,
    Nothing,
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![-60..400i64, 0..6i64, Just(70), Just(128)]
}

fn action() -> impl Strategy<Value = Action> {
    let between = prop_oneof![
        (time(), 0..6u8).prop_map(|(time, key)| Between::Add(time, key)),
        Just(Between::Shed),
        Just(Between::Nothing)
    ];
    prop_oneof![
        4 => vec((time(), 0..6u8), 0..60).prop_map(Action::Add),
        2 => (0..90i64, vec(between, 0..12))
            .prop_map(|(by, between)| Action::Take { by, between }),
        3 => Just(Action::Shed),
        1 => Just(Action::Seal),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_leaves_memory_is_due_when_it_was(
        bytes in 0..6000usize,
        portion in 1..30usize,
        splits in proptest::bool::ANY,
        actions in vec(action(), 0..60),
    ) {
        let (mut both, mut now) = (Both::new(bytes, portion, splits), -60);
        for action in actions {
            match action {
                // Times go on, and some have been.
                Action::Add(entries) => entries.into_iter().for_each(|(time, key)| both.add(now + time, key)),
                Action::Take { by, between } => {
                    now += by;
                    let mut between = between.into_iter();
                    both.take(Some(now), |both| match between.next() {
                        Some(Between::Add(time, key)) => both.add(now + time - 50, key),
                        Some(Between::Shed) => both.evict(),
                        Some(Between::Nothing) | None => {}
                    });
                }
                Action::Shed => both.evict(),
                Action::Seal => both.seal(),
            }
            both.check();
        }
        both.take(None, |_| ());
        prop_assert!(both.list.is_empty() && both.queue.len() == 0);
    }
}

#[test]
fn many_entries_of_one_moment_come_back_a_portion_at_a_time() {
    let mut both = Both::new(40_000, 500, true);
    for number in 0..60_000i64 {
        both.add(if number % 2 == 0 { 7 } else { 10 * number }, (number % 251) as u8);
        if number % 1000 == 999 {
            both.evict();
        }
    }
    assert!(both.queue.len() < 2000 && both.metrics.sum("entries_spilled") > 58_000);
    let (mut most, mut pieces) = (0, 0);
    both.take(Some(300_000), |both| {
        most = most.max(both.queue.len());
        pieces += 1;
    });
    // Entries of one hash come together.
    assert!(most < 3000 && pieces > 40, "{most} entries in memory, {pieces} pieces");
    both.take(None, |_| ());
    assert!(both.list.is_empty());
}

#[test]
fn the_ends_of_time_come_back() {
    let mut both = Both::new(0, 1, true);
    for time in [i64::MAX, i64::MIN, 0, i64::MAX - 1, i64::MIN + 1, i64::MAX] {
        both.add(time, time as u8);
    }
    both.evict();
    assert!(both.queue.len() <= 1, "what lies at the beginning of time may stay");
    both.take(Some(i64::MAX), |_| ());
    assert_eq!(both.list.len(), 2);
    both.take(None, |both| both.evict());
    assert!(both.list.is_empty());
}

proptest! {
    #[test]
    fn an_agenda_agrees_with_a_sorted_list(
        steps in vec((proptest::option::of(-300..300i64), -300..300i64), 0..200),
    ) {
        let mut queue = TimerQueue::<usize, ()>::default();
        let mut list: Vec<(i64, usize)> = Vec::new();
        for (number, (add, until)) in steps.into_iter().enumerate() {
            match add {
                Some(time) => {
                    queue.add(time, number);
                    list.push((time, number));
                }
                None => {
                    list.sort();
                    let rest = list.split_off(list.partition_point(|(time, _)| *time < until));
                    prop_assert_eq!(queue.due(until), std::mem::replace(&mut list, rest));
                }
            }
            let first = list.iter().map(|(time, _)| *time).min();
            prop_assert_eq!((queue.len(), queue.first()), (list.len(), first));
            prop_assert!(queue.next().is_none_or(|next| first.is_some_and(|first| next <= first && first < next + 64)));
        }
    }
}

#[test]
fn many_entries_of_a_bucket_are_in_order_too() {
    let mut queue = TimerQueue::<i64, ()>::default();
    let times: Vec<i64> = (0..1000).map(|n| (n * 37) % 90 - 45).collect();
    times.iter().zip(0..).for_each(|(time, number)| queue.add(*time, number));
    let mut expected: Vec<(i64, i64)> = times.into_iter().zip(0..).collect();
    expected.sort();
    assert_eq!(queue.due(100), expected);
}

#[test]
fn the_ends_of_time_are_times_too() {
    let mut queue = TimerQueue::<()>::default();
    for time in [i64::MAX, i64::MIN, 0, i64::MAX - 1] {
        queue.add(time, ());
    }
    assert_eq!(queue.first(), Some(i64::MIN));
    assert_eq!(queue.due(i64::MAX).len(), 3);
    assert_eq!(queue.first(), Some(i64::MAX));
}
