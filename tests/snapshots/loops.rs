//! Operators with state in a loop: their state is that of the end of an epoch, after all rounds, and comes
//! back so.

use std::sync::Arc;

use highwater::config::Options;
use highwater::harness::Simulation;
use highwater::object::{Memory, Store};
use highwater::snapshot::{Repository, Snapshots};
use highwater::stream::{Job, Rounds};
use highwater::time::Epochs;

use crate::kinds::{change, sum};
use crate::ledger::Ledger;
use crate::world::{read, under_seeds};

/// Labels that only sink, as edges only come: an aggregate and a join in a loop.
#[test]
fn least_labels() {
    under_seeds("least_labels", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        let build = |job: &Job, out: Ledger<((i64, i64), i64)>| {
            let edges =
                read(job, &splits, disorder).map(|event| (event.1 * 7 % 23, event.1 * 5 % 19)).share();
            let own = edges.clone().flat_map(|(a, b)| [(a, a), (b, b)]);
            let labels = own.iterate(Rounds::at_most(300), |labels, scope| {
                let edges = scope.enter(edges).flat_map(|(a, b)| [(a, b), (b, a)]);
                let least = labels.key_by(|label| label.0).map_values(|label| label.1).min(|label| label);
                let new = least.clone().filter_map(|change| (change.diff > 0).then_some(change.record));
                let new = new.key_by(|label| label.0).map_values(|label| label.1);
                let edges = edges.key_by(|edge| edge.0).map_values(|edge| edge.1);
                (new.join(edges, |_, label, neighbour| (*neighbour, *label)), least)
            });
            labels.map(change).sink(out);
        };
        world.check_by(build, sum);
    });
}

/// Who is above whom: a join in a loop with what came in earlier epochs.
#[test]
fn paths() {
    under_seeds("paths", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        world.check(|job, out: Ledger<(i64, i64)>| {
            let bosses = read(job, &splits, disorder).filter(|event| event.1 % 6 == 0);
            let bosses =
                bosses.map(|event| (event.1 % 17 + 1, event.1 % 17 * i64::from(event.0) / 6)).share();
            let above = bosses.clone().iterate(Rounds::default(), |pairs, scope| {
                let bosses = scope.enter(bosses).key_by(|pair| pair.0);
                let higher =
                    pairs.clone().key_by(|pair| pair.1).join(bosses, |_, pair, boss| (pair.0, boss.1));
                (higher, pairs)
            });
            above.sink(out);
        });
    });
}

/// An aggregate whose result in an epoch depends on all rounds of those before.
#[test]
fn counts_of_rounds() {
    under_seeds("counts_of_rounds", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        let build = |job: &Job, out: Ledger<((i64, u64), i64)>| {
            let numbers = read(job, &splits, disorder).map(|event| event.1 % 40);
            let counts = numbers.iterate(Rounds::at_most(100), |numbers, _| {
                let counts = numbers.clone().key_by(|n| *n).count();
                (numbers.filter(|n| *n > 0).map(|n| n / 2), counts)
            });
            counts.map(change::<(i64, u64)>).sink(out);
        };
        world.check_by(build, sum);
    });
}

/// A snapshot of each epoch that is cut, and of nothing else: a loop does not keep them from being taken.
#[test]
fn snapshots_are_taken_between_the_epochs_of_a_loop() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let job = Job::new();
    let splits = [(0..500).map(|n| (0, n, n)).collect::<Vec<_>>()];
    let counts =
        read(&job, &splits, 0).map(|event| event.1 % 40).iterate(Rounds::at_most(100), |numbers, _| {
            let counts = numbers.clone().key_by(|n| *n).count();
            (numbers.filter(|n| *n > 0).map(|n| n / 2), counts)
        });
    counts.uid("exit").discard();
    let snapshots = Snapshots::in_store(Arc::clone(&store)).every_epochs(2).retain(100);
    let options = Options::default().workers(2).epochs(Epochs::records(10)).snapshots(snapshots);
    Simulation::seeded(1).options(options).run(&job).unwrap();
    let epochs: Vec<u64> =
        Repository::open(store).list().unwrap().iter().map(|(_, manifest)| manifest.epoch).collect();
    assert!(epochs.len() > 5, "snapshots of {epochs:?}");
}
