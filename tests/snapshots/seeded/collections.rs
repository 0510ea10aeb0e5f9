//! Differential computations: what is left in the end, and that an epoch says each thing once.

use std::collections::{BTreeMap, BTreeSet};

use highwater::data::{Change, consolidate};
use highwater::stream::{Job, Rounds};

use super::world::{Ran, under_seeds};
use crate::draws::Event;

/// An edge that comes, or goes, perhaps before it has come.
fn edge(event: Event) -> Change<(i64, i64)> {
    let diff = if event.1 % 3 == 0 { -1 } else { 1 };
    Change { record: (event.1 % 4 + 1, event.1 / 2 % 6), diff }
}

/// The least node that each node is connected with.
fn components(edges: &[(i64, i64)]) -> Vec<((i64, i64), i64)> {
    let mut labels: BTreeMap<i64, i64> = edges.iter().flat_map(|(a, b)| [(*a, *a), (*b, *b)]).collect();
    for _ in 0..edges.len() {
        for (a, b) in edges {
            let least = labels[a].min(labels[b]);
            labels.extend([(*a, least), (*b, least)]);
        }
    }
    labels.into_iter().map(|label| (label, 1)).collect()
}

#[test]
fn components_of_edges() {
    under_seeds("collections::components_of_edges", |world| {
        let splits = world.splits(20);
        let job = Job::new();
        let labels = world.read(&job, &splits).map(edge).differential(|computation, edges| {
            let edges = edges.distinct();
            let edges = edges.clone().concat(edges.map(|(a, b)| (b, a)));
            let own = edges.clone().map(|(a, _)| (a, a)).distinct();
            computation.iterate(own.clone(), Rounds::at_most(100), |scope, labels| {
                let (edges, own) = (edges.enter(scope), own.enter(scope));
                let next = labels.join_map(edges, |_, label, b| (*b, *label));
                next.concat(own).reduce(|_, labels, least| least.push((*labels[0].0, 1)))
            })
        });
        let labels = labels.collect();
        let trace = world.run(&job);
        let left = consolidate(splits.iter().flatten().map(|event| edge(*event)));
        // What has gone too often is there, too: differential asks for a count that is not zero.
        let left: Vec<_> = left.into_iter().map(|(edge, _)| edge).collect();
        assert_eq!(consolidate(labels.values()), components(&left));
        let mut said = BTreeSet::new();
        for (epoch, change) in labels.records() {
            assert!(change.value.diff != 0 && said.insert((epoch, change.value.record)));
        }
        Ran::new(trace).and(&labels)
    });
}

#[test]
fn edges_between_nodes_that_are_there() {
    under_seeds("collections::edges_between_nodes_that_are_there", |world| {
        let (edges, nodes) = (world.splits(20), world.splits(20));
        let job = Job::new();
        let there = world.read(&job, &nodes).map(|event| edge(event).map(|(node, _)| node));
        let known = world.read(&job, &edges).map(edge);
        let known =
            known.differential_with(there, |_, edges, nodes| edges.semijoin(nodes.distinct())).collect();
        let trace = world.run(&job);
        let nodes = nodes.iter().flatten().map(|event| edge(*event).map(|(node, _)| node));
        let nodes: BTreeSet<i64> = consolidate(nodes).into_iter().map(|(node, _)| node).collect();
        let mut expected = consolidate(edges.iter().flatten().map(|event| edge(*event)));
        expected.retain(|((from, _), _)| nodes.contains(from));
        assert_eq!(consolidate(known.values()), expected);
        Ran::new(trace).and(&known)
    });
}
