//! Streams without event time: aggregates by key, exchanges of every kind, unions, joins of what has come so
//! far.

use std::collections::BTreeMap;

use highwater::data::consolidate;
use highwater::stream::Job;

use super::world::{Ran, sorted, under_seeds};
use crate::draws::Event;

#[test]
fn aggregates() {
    under_seeds("streams::aggregates", |world| {
        let splits = world.splits(20);
        let job = Job::new();
        let events = world.read(&job, &splits).share();
        let read = events.clone().collect();
        let keyed = events.key_by(|event| event.0);
        let changes = keyed.clone().sum(|event| event.1).collect();
        let greatest = keyed.max(|event| event.1 % 10).materialize();
        let trace = world.run(&job);

        let (mut sums, mut most) = (BTreeMap::<u8, i64>::new(), BTreeMap::<u8, i64>::new());
        for (key, value, _) in splits.iter().flatten() {
            *sums.entry(*key).or_default() += value;
            let most = most.entry(*key).or_insert(i64::MIN);
            *most = (*most).max(value % 10);
        }
        // At the end of each epoch the results are those of all that was read up to then.
        let (read, results) = (read.records(), changes.records());
        for epoch in sorted(read.iter().map(|(epoch, _)| *epoch)) {
            let changes = results.iter().filter(|(e, _)| *e <= epoch).map(|(_, change)| change.value.clone());
            let mut then = BTreeMap::<u8, i64>::new();
            for (_, event) in read.iter().filter(|(e, _)| *e <= epoch) {
                *then.entry(event.value.0).or_default() += event.value.1;
            }
            let expected: Vec<_> = then.into_iter().map(|row| (row, 1)).collect();
            assert_eq!(consolidate(changes), expected, "at epoch {epoch}");
        }
        assert_eq!(consolidate(changes.values()), sorted(sums.into_iter().map(|row| (row, 1))));
        assert_eq!(greatest.sorted(), sorted(most));
        Ran::new(trace).and(&changes)
    });
}

#[test]
fn exchanges() {
    under_seeds("streams::exchanges", |world| {
        let (left, right) = (world.splits(0), world.splits(0));
        let job = Job::new();
        let (even, odd) = world.read(&job, &left).rebalance().branch(|event: &Event| event.1 % 2 == 0);
        let odd = odd.partition_with(|event, _| event.0 as usize);
        let union = even.union(odd).union(world.read(&job, &right)).share();
        let all = union.clone().collect();
        let copies = union.map(|event| event.1).broadcast().collect();
        let trace = world.run(&job);

        let expected = sorted(left.iter().chain(&right).flatten().copied());
        assert_eq!(all.sorted(), expected);
        let times = world.workers;
        assert_eq!(copies.sorted(), sorted(expected.iter().flat_map(|event| vec![event.1; times])));
        Ran::new(trace).and(&all).and(&copies)
    });
}

#[test]
fn joins_of_all_that_has_come() {
    under_seeds("streams::joins_of_all_that_has_come", |world| {
        let (left, right) = (world.splits(0), world.splits(0));
        let job = Job::new();
        let (lefts, rights) = (world.read(&job, &left), world.read(&job, &right));
        let pairs = lefts.key_by(|l| l.0).join(rights.key_by(|r| r.0), |_, l, r| (l.1, r.1)).collect();
        let trace = world.run(&job);

        let mut expected = Vec::new();
        for l in left.iter().flatten() {
            expected.extend(right.iter().flatten().filter(|r| r.0 == l.0).map(|r| (l.1, r.1)));
        }
        assert_eq!(pairs.sorted(), sorted(expected));
        Ran::new(trace).and(&pairs)
    });
}
