//! Differential computations that are made again from what they were given: nothing is told twice, and
//! nothing is left out.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::Change;
use highwater::differential::AsCollection;
use highwater::object::{Memory, Store};
use highwater::snapshot::{Migrations, Repository, Restore, Selector, Snapshots};
use highwater::stream::{CountChanges, Job, Rounds, Stream};
use highwater::time::{Epochs, Time, Watermarks};
use timely::dataflow::operators::vec::ToStream;

use crate::kinds::{change, sum};
use crate::ledger::Ledger;
use crate::world::{World, under_seeds};

type Edge = (u8, u8);

/// One to four splits of edges that come and go. None goes before it has come, in its split.
fn edges(world: &mut World) -> Vec<Vec<Change<Edge>>> {
    let mut splits = Vec::new();
    for _ in 0..1 + world.below(4) {
        let (mut there, mut changes) = (Vec::new(), Vec::new());
        for _ in 0..world.below(60) {
            if world.below(3) == 0 && !there.is_empty() {
                let which = world.below(there.len() as i64) as usize;
                changes.push(Change::retract(there.swap_remove(which)));
            } else {
                let edge = (world.below(16) as u8, world.below(16) as u8);
                there.push(edge);
                changes.push(Change::insert(edge));
            }
        }
        splits.push(changes);
    }
    splits
}

fn read(job: &Job, splits: &[Vec<Change<Edge>>]) -> Stream<Change<Edge>> {
    job.source(Collection::splits(splits.to_vec()), Watermarks::none()).share()
}

/// The least node that each node is connected with.
fn components(edges: Stream<Change<Edge>>) -> Stream<Change<Edge>> {
    edges.differential(|computation, edges| {
        let edges = edges.clone().concat(edges.map(|(a, b)| (b, a))).distinct();
        let own = edges.clone().map(|(a, _)| (a, a)).distinct();
        computation.iterate(own.clone(), Rounds::at_most(100), |scope, labels| {
            let (edges, own) = (edges.enter(scope), own.enter(scope));
            let next = labels.join_map(edges, |_, label, b| (*b, *label));
            next.concat(own).reduce(|_, labels, least| least.push((*labels[0].0, 1)))
        })
    })
}

/// The same by hand.
fn labels(splits: &[Vec<Change<Edge>>]) -> BTreeMap<(Edge, ()), i64> {
    let edges = sum(splits.iter().flatten().cloned().map(change).collect());
    let mut labels: BTreeMap<u8, u8> = edges.keys().flat_map(|(a, b)| [(*a, *a), (*b, *b)]).collect();
    for _ in 0..16 {
        for (a, b) in edges.keys() {
            let least = labels[a].min(labels[b]);
            labels.extend([(*a, least), (*b, least)]);
        }
    }
    labels.into_iter().map(|label| ((label, ()), 1)).collect()
}

#[test]
fn components_while_edges_come_and_go() {
    under_seeds("components_while_edges_come_and_go", |world| {
        let splits = edges(world);
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let told = world.crash_and_go_on(store, |job, out: Ledger<((Edge, ()), i64)>| {
            components(read(job, &splits)).map(|Change { record, diff }| ((record, ()), diff)).sink(out);
        });
        assert_eq!(sum(told), labels(&splits));
    });
}

/// Two collections, and an operator with state on what comes out.
#[test]
fn degrees_of_nodes_that_are_there() {
    under_seeds("degrees_of_nodes_that_are_there", |world| {
        let (edges, nodes) = (edges(world), edges(world));
        let build = |job: &Job, out: Ledger<((u8, i64), i64)>| {
            let nodes = read(job, &nodes).map(|change| change.map(|(node, _)| node));
            let known = read(job, &edges)
                .differential_with(nodes, |_, edges, nodes| edges.semijoin(nodes.distinct()));
            known.key_by(|change| change.record.0).aggregate(CountChanges).map(change).sink(out);
        };
        let told = world.crash_and_go_on(Arc::new(Memory::default()), build);
        let left = |splits: &[Vec<Change<Edge>>]| sum(splits.iter().flatten().cloned().map(change).collect());
        let nodes: BTreeSet<u8> = left(&nodes).into_keys().map(|(node, _)| node).collect();
        let mut degrees = BTreeMap::<u8, i64>::new();
        for ((from, _), count) in left(&edges).into_iter().filter(|((from, _), _)| nodes.contains(from)) {
            *degrees.entry(from).or_default() += count;
        }
        assert_eq!(sum(told), degrees.into_iter().map(|degree| (degree, 1)).collect());
    });
}

/// A collection of a computation's own is told once, when the computation comes, and so is what comes from
/// then on. Its first epoch may not be the job's.
#[test]
fn a_computation_that_comes_later_with_something_of_its_own() {
    under_seeds("a_computation_that_comes_later_with_something_of_its_own", |world| {
        let (count, later, run) = (1 + world.below(150), world.below(3), Cell::new(0));
        let build = |job: &Job, out: Ledger<(i64, i64)>| {
            let numbers = Collection::splits([(0..count).collect::<Vec<i64>>()]);
            let numbers = job.source(numbers, Watermarks::none()).share();
            numbers.clone().discard();
            if run.replace(run.get() + 1) >= later {
                let changes = numbers.map(Change::insert).differential(|computation, numbers| {
                    let scope = computation.scope();
                    let own = (scope.index() == 0).then_some((-1, Time::new(0, i64::MIN), 1));
                    numbers.concat(own.to_stream(scope).as_collection()).distinct()
                });
                changes.uid("new").map(change).sink(out).uid("out");
            }
        };
        let told = world.crash_and_go_on(Arc::new(Memory::default()), build);
        if run.get() <= later {
            return assert_eq!(told, []);
        }
        // What had come before it is not told.
        let first = count + 1 - told.len() as i64;
        assert_eq!(told, std::iter::once(-1).chain(first..count).map(|n| (n, 1)).collect::<Vec<_>>());
        assert!(later > 0 || first == 0);
    });
}

/// An arrangement with three readers, of which one comes later and is told all that there is.
#[test]
fn an_arrangement_and_its_readers() {
    under_seeds("an_arrangement_and_its_readers", |world| {
        let (splits, later, run) = (edges(world), world.below(3), Cell::new(0));
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let late = Ledger::new();
        let told = world.crash_and_go_on(Arc::clone(&store), |job, out: Ledger<((u8, u8, u8), i64)>| {
            let arranged = job.source(Collection::splits(splits.clone()), Watermarks::none()).arrange();
            let arranged = arranged.uid("edges");
            // The ways of two edges from node to node, by one arrangement and what a computation makes of it.
            let ways = arranged.differential(|computation, edges| {
                let turned = edges.clone().as_collection(|from, to| (*to, *from.key()));
                let turned = computation.arrange(turned);
                edges.join_core(turned, |node, to, from| Some((*from, *node.key(), *to)))
            });
            ways.uid("ways").map(change).sink(out).uid("out");
            arranged.reduce(|_, nodes| [nodes.len()]).uid("degrees").discard();
            if run.replace(run.get() + 1) >= later {
                let changes = arranged.changes().uid("changes");
                changes.map(change).sink(late.clone()).uid("late");
            }
        });
        let there = sum(splits.iter().flatten().cloned().map(change).collect());
        let mut ways = BTreeMap::new();
        for ((from, to), count) in &there {
            for ((_, last), more) in there.iter().filter(|((next, _), _)| next == to) {
                *ways.entry((*from, *to, *last)).or_insert(0) += count * more;
            }
        }
        assert_eq!(sum(told), ways);
        if run.get() > later {
            assert_eq!(sum(late.visible()), there);
        }
    });
}

/// What one computation has told is not what another would have.
#[test]
fn a_reader_is_not_gone_on_with_by_another() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let job = Job::new();
    let arranged = job.collection([(1u8, 2u8), (1, 3)]).map(Change::insert).arrange().uid("numbers");
    arranged.changes().uid("reader").discard();
    job.run_with(options(&store, 2)).unwrap();
    let job = Job::new();
    let arranged = job.collection([(1u8, 2u8), (1, 3)]).map(Change::insert).arrange().uid("numbers");
    arranged.reduce(|_, numbers| [numbers.len()]).uid("reader").discard();
    let error = job.run_with(options(&store, 2)).unwrap_err().to_string();
    assert!(error.contains("reader") && error.contains("changes of numbers"), "{error}");
    // The same one goes on, though its arrangement has another name.
    let job = Job::new();
    let arranged = job.collection([(1u8, 2u8), (1, 3)]).map(Change::insert).arrange().uid("pairs");
    let changes = arranged.changes().uid("reader").collect();
    job.migrations(Migrations::new().rename("numbers", "pairs"));
    job.run_with(options(&store, 3)).unwrap();
    assert_eq!(changes.values(), []);
}

fn options(store: &Arc<dyn Store>, workers: usize) -> Options {
    let snapshots = Snapshots::in_store(Arc::clone(store)).every_epochs(1).restore(Restore::Latest);
    Options::default().workers(workers).epochs(Epochs::records(50)).snapshots(snapshots)
}

#[test]
fn a_snapshot_has_what_there_is_and_not_what_has_gone() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    // All but ten edges go again.
    let changes = (0..1000u64).flat_map(|n| {
        let goes = (n % 100 != 7).then(|| Change::retract((n, n + 1)));
        [Some(Change::insert((n, n + 1))), goes].into_iter().flatten()
    });
    let job = Job::new();
    let edges = job.collection(changes.collect::<Vec<_>>());
    edges.differential(|_, edges| edges.map(|(from, _)| from)).uid("nodes").discard();
    job.run_with(options(&store, 3)).unwrap();
    let repository = Repository::open(store);
    let (_, manifest) = repository.find(&Selector::Latest).unwrap().unwrap();
    let rows = repository.rows(&manifest, "nodes", "collection").unwrap();
    let mut rows: Vec<String> =
        rows.map(|row| row.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")).collect();
    rows.sort();
    let mut expected: Vec<String> = (0..10).map(|n| format!("[{},{}] 1", 100 * n + 7, 100 * n + 8)).collect();
    expected.sort();
    assert_eq!(rows, expected);
}
