//! Rolling aggregates equal a recomputation from scratch, at every closed epoch and at the end.

use std::collections::BTreeMap;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::stream::{Aggregate, Job};
use highwater::time::{Epochs, Watermarks};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::windows::oracle::{Event, millis, options, split, stamped};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_sums_and_extremes_are_those_of_the_whole_input(
        splits in vec(vec((0..20u64, -50..50i64), 0..200), 1..5),
        workers in 1..4usize,
        epoch in 1..100u64,
    ) {
        let job = Job::new();
        let input = job.source(Collection::splits(splits.clone()), Watermarks::none());
        let keyed = input.key_by(|(key, _)| *key).map_values(|(_, value)| value);
        let counts = keyed.clone().count().materialize();
        let sums = keyed.clone().sum(|v| v).materialize();
        let least = keyed.clone().min(|v| v).materialize();
        let means = keyed.average(|v| v).materialize();
        job.run_with(Options::default().workers(workers).epochs(Epochs::records(epoch))).unwrap();

        let mut groups = BTreeMap::<u64, Vec<i64>>::new();
        for (key, value) in splits.into_iter().flatten() {
            groups.entry(key).or_default().push(value);
        }
        let of = |f: &dyn Fn(&Vec<i64>) -> i64| groups.iter().map(|(k, v)| (*k, f(v))).collect::<Vec<_>>();
        prop_assert_eq!(counts.sorted().into_iter().map(|(k, n)| (k, n as i64)).collect::<Vec<_>>(), of(&|v| v.len() as i64));
        prop_assert_eq!(sums.sorted(), of(&|v| v.iter().sum()));
        prop_assert_eq!(least.sorted(), of(&|v| *v.iter().min().unwrap()));
        prop_assert_eq!(means.sorted(), of(&|v| v.iter().sum::<i64>() / v.len() as i64));
    }
}

/// The sum of the values of ten milliseconds. No value changes it after they are over.
#[derive(Clone)]
struct SumOfTen;

fn end_of_ten(time: i64) -> i64 {
    (time.div_euclid(10) + 1) * 10
}

impl Aggregate<(i64, i64)> for SumOfTen {
    type Acc = (i64, i64);
    type Out = i64;
    // What is late is dropped value by value.
    const COMBINES: bool = false;

    fn start(&self, (value, time): (i64, i64)) -> (i64, i64) {
        (value, end_of_ten(time))
    }

    fn add(&self, sum: &mut (i64, i64), (value, _): (i64, i64)) {
        sum.0 += value;
    }

    fn merge(&self, sum: &mut (i64, i64), other: (i64, i64)) {
        sum.0 += other.0;
    }

    fn result(&self, sum: &(i64, i64)) -> i64 {
        sum.0
    }

    fn expires(&self, sum: &(i64, i64)) -> Option<i64> {
        Some(sum.1)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_late_value_changes_nothing_whether_or_not_its_key_is_forgotten(
        splits in vec(split(), 1..4),
        disorder in 0..20i64,
        options in options(),
    ) {
        let job = Job::new();
        let watermarks = Watermarks::bounded(millis(disorder), |event: &Event| event.2);
        let input = job.source(Collection::splits(splits.clone()), watermarks);
        let keyed = input.key_by(|event| end_of_ten(event.2)).map_values(|event| (event.1, event.2));
        let sums = keyed.aggregate(SumOfTen).materialize();
        let summary = job.run_with(options).unwrap();

        let (mut expected, mut late) = (BTreeMap::<i64, i64>::new(), 0);
        for (watermark, (_, value, time)) in stamped(&splits, disorder) {
            match watermark >= end_of_ten(time) {
                true => late += 1,
                false => *expected.entry(end_of_ten(time)).or_default() += value,
            }
        }
        prop_assert_eq!(sums.sorted(), expected.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(summary.metrics.sum("late_dropped"), late);
    }
}
