//! Differential computations: at every closed epoch what came out is what a program computes from the input
//! up to there, when edges come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::{Change, consolidate};
use highwater::differential::operators::Iterate;
use highwater::stream::{Chain, Job, Rounds, Stream};
use highwater::time::{Epochs, Watermarks};
use highwater::{ErrorKind, differential};
use proptest::collection::vec;
use proptest::prelude::*;

use super::errors::fails;
use super::scripted::{Log, Scripted};

type Edge = (u8, u8);

/// Edges that come and go. None goes before it has come, in its split and so in any interleaving.
fn splits() -> impl Strategy<Value = Vec<Vec<Change<Edge>>>> {
    let split = vec((0..16u8, 0..16u8, any::<bool>(), any::<prop::sample::Index>()), 0..60);
    let split = split.prop_map(|choices| {
        let mut there: Vec<Edge> = Vec::new();
        let mut changes = Vec::new();
        for (a, b, goes, which) in choices {
            if goes && !there.is_empty() {
                changes.push(Change::retract(there.swap_remove(which.index(there.len()))));
            } else {
                there.push((a, b));
                changes.push(Change::insert((a, b)));
            }
        }
        changes
    });
    vec(split, 0..4)
}

fn epochs() -> impl Strategy<Value = Epochs> {
    prop_oneof![
        (1..60u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        Just(Epochs::every(Duration::from_millis(1))),
    ]
}

/// The edges that are there at the end of an epoch, each once.
fn edges(source: &Scripted<Change<Edge>>, splits: &[Vec<Change<Edge>>], epoch: u64) -> Vec<Edge> {
    let splits = splits.iter().enumerate();
    let changes = splits.flat_map(|(number, split)| split[..source.given(number, epoch)].iter().cloned());
    consolidate(changes).into_iter().map(|(edge, _)| edge).collect()
}

/// The distance of each node from the roots, by hand.
fn distances(edges: &[Edge], roots: &BTreeSet<u8>) -> Vec<(u8, u32)> {
    let mut found: BTreeMap<u8, u32> = roots.iter().map(|root| (*root, 0)).collect();
    for _ in 0..=u8::MAX {
        for (from, to) in edges {
            let Some(distance) = found.get(from).map(|distance| distance + weight(*from, *to)) else {
                continue;
            };
            let best = found.entry(*to).or_insert(distance);
            *best = distance.min(*best);
        }
    }
    found.into_iter().collect()
}

fn weight(from: u8, to: u8) -> u32 {
    u32::from(from ^ to) % 5 + 1
}

/// The distance of each node from the roots, kept up to date.
fn shortest<C, D>(edges: Stream<Change<Edge>, C>, roots: Stream<Change<u8>, D>) -> Stream<Change<(u8, u32)>>
where
    C: Chain<Out = Change<Edge>>,
    D: Chain<Out = Change<u8>>,
{
    edges.differential_with(roots, |computation, edges, roots| {
        let edges = edges.distinct();
        let start = roots.distinct().map(|root| (root, 0));
        computation.iterate(start.clone(), Rounds::at_most(1000), |scope, found| {
            let (edges, start) = (edges.enter(scope), start.enter(scope));
            let next = found.join_map(edges, |from, distance, to| (*to, distance + weight(*from, *to)));
            next.concat(start).reduce(|_, distances, least| least.push((*distances[0].0, 1)))
        })
    })
}

/// The least node that each node is connected with, by hand.
fn components(edges: &[Edge]) -> Vec<(u8, u8)> {
    let mut labels: BTreeMap<u8, u8> = edges.iter().flat_map(|(a, b)| [(*a, *a), (*b, *b)]).collect();
    for _ in 0..=u8::MAX {
        for (a, b) in edges {
            let least = labels[a].min(labels[b]);
            labels.extend([(*a, least), (*b, least)]);
        }
    }
    labels.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn components_are_exact_at_each_epoch_though_edges_go(
        splits in splits(),
        pause in 1..80usize,
        workers in 1..5usize,
        epochs in epochs(),
        is_bounded in any::<bool>(),
    ) {
        let job = Job::new();
        let source = Scripted::with_pauses(splits.clone(), pause);
        let changes = job.source(source.clone(), Watermarks::none());
        let labels = changes.differential(move |computation, edges| {
            let edges = edges.clone().concat(edges.map(|(a, b)| (b, a))).distinct();
            let own = edges.clone().map(|(a, _)| (a, a)).distinct();
            macro_rules! body {
                () => {
                    |scope, labels| {
                        let (edges, own) = (edges.enter(scope), own.clone().enter(scope));
                        let next = labels.join_map(edges, |_, label, b| (*b, *label));
                        next.concat(own).reduce(|_, labels, least| least.push((*labels[0].0, 1)))
                    }
                };
            }
            match is_bounded {
                true => computation.iterate(own.clone(), Rounds::default(), body!()),
                false => own.clone().iterate(body!()),
            }
        });
        let labels = Log::of(labels);
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();

        let all: BTreeSet<u64> = [source.epochs(), labels.epochs()].concat().into_iter().collect();
        for epoch in all {
            let expected = components(&edges(&source, &splits, epoch)).into_iter();
            let expected: Vec<_> = expected.map(|label| (label, 1)).collect();
            prop_assert_eq!(consolidate(labels.up_to(epoch)), expected, "at epoch {}", epoch);
        }
    }

    #[test]
    fn distances_are_exact_at_each_epoch_though_edges_and_roots_go(
        splits in splits(),
        roots in splits(),
        pauses in (1..80usize, 1..80usize),
        workers in 1..5usize,
        epochs in epochs(),
    ) {
        let job = Job::new();
        let source = Scripted::with_pauses(splits.clone(), pauses.0);
        let changes = job.source(source.clone(), Watermarks::none());
        let of_roots = Scripted::with_pauses(roots.clone(), pauses.1);
        let changes_of_roots = job.source(of_roots.clone(), Watermarks::none());
        let changes_of_roots = changes_of_roots.map(|change| change.map(|(root, _)| root));
        let found = Log::of(shortest(changes, changes_of_roots));
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();

        let all = [source.epochs(), of_roots.epochs(), found.epochs()].concat();
        for epoch in all.into_iter().collect::<BTreeSet<u64>>() {
            let roots = edges(&of_roots, &roots, epoch).into_iter().map(|(root, _)| root).collect();
            let expected = distances(&edges(&source, &splits, epoch), &roots).into_iter();
            let expected: Vec<_> = expected.map(|found| (found, 1)).collect();
            prop_assert_eq!(consolidate(found.up_to(epoch)), expected, "at epoch {}", epoch);
        }
    }

    #[test]
    fn an_epoch_says_each_thing_once(splits in splits(), epoch in 1..60u64) {
        let job = Job::new();
        let changes = job.source(Collection::splits(splits), Watermarks::none());
        let degrees = changes.differential(|_, edges| edges.map(|(from, _)| from).count()).collect();
        job.run_with(Options::default().epochs(Epochs::records(epoch))).unwrap();
        let mut said = BTreeSet::new();
        for (epoch, change) in degrees.records() {
            prop_assert!(change.value.diff != 0);
            prop_assert!(said.insert((epoch, change.value.record)), "said twice: {:?}", change.value);
        }
    }
}

#[test]
fn a_computation_that_does_not_converge_ends_the_job() {
    fails("a loop has not ended after 100 rounds", ErrorKind::Data, |job| {
        let numbers = job.collection((0..10u64).map(Change::insert));
        let numbers = numbers.differential(|computation, numbers| {
            computation
                .iterate(numbers, Rounds::at_most(100), |_, numbers| numbers.map(|n| n + 1).consolidate())
        });
        numbers.discard();
    });
}

#[test]
fn a_computation_may_take_as_many_rounds_as_is_said() {
    let run = |rounds| {
        let job = Job::new();
        let numbers = job.collection([Change::insert(20u64)]);
        let numbers = numbers.differential(move |computation, numbers| {
            computation.iterate(numbers, Rounds::at_most(rounds), |_, numbers| {
                numbers.map(|n| n.saturating_sub(1)).consolidate()
            })
        });
        let numbers = numbers.materialize();
        job.run().map(|_| numbers.sorted())
    };
    assert_eq!(run(20).unwrap(), [0]);
    assert_eq!(run(19).unwrap_err().kind(), ErrorKind::Data);
}

#[test]
fn a_panic_in_a_computation_ends_the_job() {
    fails("not in the mood", ErrorKind::Panic, |job| {
        let numbers = job.collection((0..10u64).map(Change::insert));
        numbers
            .differential(|_, numbers| {
                numbers.filter(|n| if *n == 7 { panic!("not in the mood") } else { true })
            })
            .discard();
    });
    fails("not in the mood", ErrorKind::Panic, |job| {
        let numbers = job.collection((0..10u64).map(Change::insert));
        numbers.differential::<u64, _>(|_, _| panic!("not in the mood")).discard();
    });
}

#[test]
fn collections_of_different_jobs_do_not_mix() {
    let (one, other) = (Job::new(), Job::new());
    let ours = one.collection([Change::insert(1)]);
    ours.differential_with(other.collection([Change::insert(1)]), |_, ours, theirs| ours.concat(theirs))
        .discard();
    let error = one.run().unwrap_err();
    assert!(error.to_string().contains("different jobs"), "{error}");
}

#[test]
fn the_algorithms_that_come_with_differential_can_be_used() {
    let job = Job::new();
    let edges = [(1, 2), (2, 3), (1, 4), (4, 3), (3, 5)].map(Change::insert);
    let found =
        job.collection(edges).differential_with(job.collection([Change::insert(1)]), |_, edges, roots| {
            differential::algorithms::graphs::bfs::bfs(edges, roots)
        });
    let found = found.materialize();
    job.run_with(Options::default().workers(3)).unwrap();
    assert_eq!(found.sorted(), [(1, 0), (2, 1), (3, 2), (4, 1), (5, 3)]);
}
