//! At every closed epoch, what was emitted up to there is what a batch program computes from the input up to
//! there.
//!
//! The source tells which prefix of each split belongs to each epoch, the sink which changes were committed
//! in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use highwater::config::{Options, Seals};
use highwater::data::{Change, consolidate};
use highwater::stream::{CountChanges, Job};
use highwater::time::{Epochs, Watermarks};
use proptest::collection::vec;
use proptest::prelude::*;

use super::scripted::{Log, Scripted};

type Row = (u8, i64);

fn epochs() -> impl Strategy<Value = Epochs> {
    prop_oneof![
        (1..80u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        Just(Epochs::every(Duration::from_millis(1))),
    ]
}

fn splits() -> impl Strategy<Value = Vec<Vec<Row>>> {
    vec(vec((0..10u8, -9..9i64), 0..120), 0..5)
}

/// The rows that the splits of a source had given at the end of an epoch.
fn prefix<T: highwater::data::Exchange>(source: &Scripted<T>, splits: &[Vec<T>], epoch: u64) -> Vec<T> {
    let rows = splits.iter().enumerate();
    rows.flat_map(|(number, split)| split[..source.given(number, epoch)].iter().cloned()).collect()
}

/// The collection that changes up to an epoch describe.
fn collection<T: highwater::data::Data + Ord>(log: &Log<Change<T>>, epoch: u64) -> Vec<(T, i64)> {
    consolidate(log.up_to(epoch))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rolling_aggregates_are_exact_at_each_epoch(
        splits in splits(),
        pause in 1..200usize,
        workers in 1..5usize,
        epochs in epochs(),
        sealing in proptest::bool::ANY,
    ) {
        let seals = if sealing { Seals::EachEpoch } else { Seals::OnDemand };
        let job = Job::new();
        let source = Scripted::with_pauses(splits.clone(), pause);
        let keyed = job.source(source.clone(), Watermarks::none()).key_by(|row: &Row| row.0);
        let sums = keyed.clone().sum(|row| row.1);
        let counts = keyed.count();
        // How many keys have each count: an aggregate of changes.
        let histogram = counts.clone().key_by(|change| change.record.1).aggregate(CountChanges);
        let (sums, counts, histogram) = (Log::of(sums), Log::of(counts), Log::of(histogram));
        job.run_with(Options::default().workers(workers).epochs(epochs).seals(seals)).unwrap();

        let mut all: BTreeSet<u64> = source.epochs().into_iter().collect();
        all.extend(sums.epochs());
        all.extend(counts.epochs());
        all.extend(histogram.epochs());
        for epoch in all {
            let mut groups = BTreeMap::<u8, (i64, u64)>::new();
            for (key, value) in prefix(&source, &splits, epoch) {
                let group = groups.entry(key).or_default();
                *group = (group.0 + value, group.1 + 1);
            }
            let mut keys = BTreeMap::<u64, i64>::new();
            groups.values().for_each(|(_, count)| *keys.entry(*count).or_default() += 1);
            let expected: Vec<_> = groups.iter().map(|(key, group)| ((*key, group.0), 1)).collect();
            prop_assert_eq!(collection(&sums, epoch), expected, "sums at epoch {}", epoch);
            let expected: Vec<_> = groups.iter().map(|(key, group)| ((*key, group.1), 1)).collect();
            prop_assert_eq!(collection(&counts, epoch), expected, "counts at epoch {}", epoch);
            let expected: Vec<_> = keys.into_iter().map(|row| (row, 1)).collect();
            prop_assert_eq!(collection(&histogram, epoch), expected, "histogram at epoch {}", epoch);
        }
        prop_assert_eq!(prefix(&source, &splits, u64::MAX).len(), splits.iter().map(Vec::len).sum::<usize>());
    }

    #[test]
    fn joins_are_exact_at_each_epoch(
        (left, right) in (splits(), splits()),
        pauses in (1..200usize, 1..200usize),
        workers in 1..5usize,
        epochs in epochs(),
    ) {
        let job = Job::new();
        let lefts = Scripted::with_pauses(left.clone(), pauses.0);
        let rights = Scripted::with_pauses(right.clone(), pauses.1);
        let keyed = |source: &Scripted<Row>| {
            job.source(source.clone(), Watermarks::none()).key_by(|row: &Row| row.0).map_values(|row| row.1)
        };
        let pairs = Log::of(keyed(&lefts).join(keyed(&rights), |k, l, r| (*k, *l, *r)));
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();

        let all: BTreeSet<u64> = [lefts.epochs(), rights.epochs(), pairs.epochs()].concat().into_iter().collect();
        for epoch in all {
            let of_right = prefix(&rights, &right, epoch);
            let mut expected = Vec::new();
            for (k, l) in prefix(&lefts, &left, epoch) {
                expected.extend(of_right.iter().filter(|(j, _)| *j == k).map(|(_, r)| (k, l, *r)));
            }
            expected.sort();
            let mut got = pairs.up_to(epoch);
            got.sort();
            prop_assert_eq!(got, expected, "pairs at epoch {}", epoch);
        }
    }

    /// What is taken back may come before what it takes back, and more often than that.
    #[test]
    fn joins_of_changes_are_exact_at_each_epoch(
        (left, right) in (changes(), changes()),
        pauses in (1..200usize, 1..200usize),
        workers in 1..5usize,
        epochs in epochs(),
    ) {
        let job = Job::new();
        let lefts = Scripted::with_pauses(left.clone(), pauses.0);
        let rights = Scripted::with_pauses(right.clone(), pauses.1);
        let keyed = |source: &Scripted<(u8, i64, i64)>| {
            let rows = job.source(source.clone(), Watermarks::none()).key_by(|row: &(u8, i64, i64)| row.0);
            rows.map_values(|(_, record, diff)| Change { record, diff })
        };
        let pairs = Log::of(keyed(&lefts).join_changes(keyed(&rights), |k, l, r| (*k, *l, *r)));
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();

        let all: BTreeSet<u64> = [lefts.epochs(), rights.epochs(), pairs.epochs()].concat().into_iter().collect();
        for epoch in all {
            let of_right = prefix(&rights, &right, epoch);
            let mut expected = Vec::new();
            for (k, l, m) in prefix(&lefts, &left, epoch) {
                let partners = of_right.iter().filter(|(j, _, _)| *j == k);
                expected.extend(partners.map(|(_, r, n)| Change { record: (k, l, *r), diff: m * n }));
            }
            prop_assert_eq!(collection(&pairs, epoch), consolidate(expected), "pairs at epoch {}", epoch);
        }
    }
}

/// Changes of few records, some of which are there less than never for a while.
fn changes() -> impl Strategy<Value = Vec<Vec<(u8, i64, i64)>>> {
    vec(vec((0..6u8, 0..4i64, -2..3i64), 0..80), 0..4)
}

#[test]
fn a_source_is_told_of_epochs_whether_or_not_it_is_checked() {
    let splits = vec![(0..50i64).map(|n| (1u8, n)).collect::<Vec<Row>>(); 2];
    let job = Job::new();
    let source = Scripted::with_pauses(splits, 10);
    let (rows, malformed) = job.source_checked(source.clone(), Watermarks::none());
    let (rows, malformed) = (rows.collect(), malformed.collect());
    job.run_with(Options::default().workers(2).epochs(Epochs::records(7))).unwrap();
    assert_eq!((rows.sorted().len(), malformed.records().len()), (100, 0));
    assert!(source.epochs().len() > 3, "{:?}", source.epochs());
    assert!([0, 1].iter().all(|split| source.given(*split, u64::MAX) == 50));
}

#[test]
fn a_writer_that_wants_epochs_in_order_has_one_at_a_time() {
    let job = Job::new();
    let counts = job.collection(0..10_000u64).key_by(|n| n % 7).count();
    let log = Log::of(counts);
    job.run_with(Options::default().workers(2).epochs(Epochs::records(1))).unwrap();
    assert!(!log.is_mixed());
}
