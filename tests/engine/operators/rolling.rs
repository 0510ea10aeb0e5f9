//! Rolling aggregates equal a recomputation from scratch, at every closed epoch and at the end.

use std::collections::BTreeMap;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use proptest::collection::vec;
use proptest::prelude::*;

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
