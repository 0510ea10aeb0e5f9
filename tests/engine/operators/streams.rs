//! Joins, unions and the ways records are sent about, against the plain definitions.

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::Change;
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use proptest::collection::vec;
use proptest::prelude::*;

type Row = (u8, i16);

fn options(workers: usize, epoch: u64) -> Options {
    Options::default().workers(workers).epochs(Epochs::records(epoch))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_join_gives_each_pair_once(
        left in vec(vec((0..12u8, 0..9i16), 0..80), 1..3),
        right in vec(vec((0..12u8, 0..9i16), 0..80), 1..3),
        workers in 1..4usize,
        epoch in 1..60u64,
    ) {
        let job = Job::new();
        let keyed = |rows: &Vec<Vec<Row>>| {
            let rows = job.source(Collection::splits(rows.clone()), Watermarks::none());
            rows.key_by(|row| row.0).map_values(|row| row.1)
        };
        let pairs = keyed(&left).join(keyed(&right), |k, l, r| (*k, *l, *r)).collect();
        job.run_with(options(workers, epoch)).unwrap();

        let mut expected = Vec::new();
        for (k, l) in left.iter().flatten() {
            expected.extend(right.iter().flatten().filter(|(j, _)| j == k).map(|(_, r)| (*k, *l, *r)));
        }
        expected.sort();
        prop_assert_eq!(pairs.sorted(), expected);
    }

    #[test]
    fn a_join_of_changes_is_the_change_of_the_join(
        left in vec((0..5u8, 0..4i16, -1..2i64), 0..100),
        right in vec((0..5u8, 0..4i16, -1..2i64), 0..100),
        workers in 1..4usize,
        epoch in 1..60u64,
    ) {
        let job = Job::new();
        let changes = |rows: &Vec<(u8, i16, i64)>| {
            let rows = job.source(Collection::new(rows.clone()), Watermarks::none());
            rows.key_by(|row| row.0).map_values(|row| Change { record: row.1, diff: row.2 })
        };
        let pairs = changes(&left).join_changes(changes(&right), |k, l, r| (*k, *l, *r)).collect();
        job.run_with(options(workers, epoch)).unwrap();

        let mut expected = Vec::new();
        for (k, l, m) in &left {
            let matching = right.iter().filter(|(j, ..)| j == k);
            expected.extend(matching.map(|(_, r, n)| Change { record: (*k, *l, *r), diff: m * n }));
        }
        let expected = highwater::data::consolidate(expected);
        prop_assert_eq!(highwater::data::consolidate(pairs.values()), expected);
    }

    #[test]
    fn nothing_is_lost_or_doubled_on_the_way(
        splits in vec(vec(0..1000i32, 0..200), 1..4),
        workers in 1..5usize,
    ) {
        let job = Job::new();
        let input = job.source(Collection::splits(splits.clone()), Watermarks::none());
        let direct = input.clone().collect();
        let balanced = input.clone().rebalance().partition_with(|n, _| *n as usize).union(input.clone()).collect();
        let copies = input.clone().broadcast().collect();
        let (small, large) = input.share().branch(|n| *n < 500);
        let (small, large) = (small.collect(), large.collect());
        job.run_with(options(workers, 50)).unwrap();

        let mut all: Vec<i32> = splits.into_iter().flatten().collect();
        all.sort();
        let times = |n: usize| { let mut v = all.repeat(n); v.sort(); v };
        prop_assert_eq!(direct.sorted(), times(1));
        prop_assert_eq!(balanced.sorted(), times(2));
        prop_assert_eq!(copies.sorted(), times(workers));
        prop_assert_eq!(small.sorted(), all.iter().copied().filter(|n| *n < 500).collect::<Vec<_>>());
        prop_assert_eq!(large.sorted(), all.iter().copied().filter(|n| *n >= 500).collect::<Vec<_>>());
    }
}

#[test]
fn streams_of_different_jobs_do_not_mix() {
    let (one, other) = (Job::new(), Job::new());
    let all = one.collection([1]).union(other.collection([2])).collect();
    let error = one.run().unwrap_err();
    assert!(error.to_string().contains("different jobs"), "{error}");
    assert!(all.values().is_empty());
}
