//! Connected components of a graph whose edges come and go: who can be reached from whom, kept up to date.
//!
//! Each node has the least node as its label that it is connected with, which a loop finds: every node takes
//! the least label of its neighbours until nothing changes. The computation is written once, for a
//! collection; what comes out are the differences that a change of the edges makes. An edge that closes a
//! circle makes none, and neither does one that leaves it.
//!
//! First a job runs it over all changes at once, on two workers. Then the same computation is driven by hand,
//! one change at a time.
//!
//! ```text
//! $ cargo run --example 07_components
//! in the end: a b | c d
//! a-b comes: a in a, b in a
//! c-d comes: c in c, d in c
//! b-c comes: c from c to a, d from c to a
//! a-d comes: nothing changes
//! b-c goes: nothing changes
//! e-d comes: e in a
//! e-d goes: e is gone
//! a-d goes: c from a to c, d from a to c
//! ```

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;

use highwater::harness::Driver;
use highwater::prelude::*;
use highwater::stream::Rounds;

type Edge = (char, char);

/// Edges, and whether they come.
const CHANGES: [(Edge, bool); 8] = [
    (('a', 'b'), true),
    (('c', 'd'), true),
    (('b', 'c'), true),
    (('a', 'd'), true),
    (('b', 'c'), false), // the way around is left
    (('e', 'd'), true),
    (('e', 'd'), false),
    (('a', 'd'), false), // now there is none
];

/// Each node that has an edge, with the least node that it is connected with.
fn components(edges: Stream<Change<Edge>, impl Chain<Out = Change<Edge>>>) -> Stream<Change<(char, char)>> {
    edges.differential(|computation, edges| {
        let edges = edges.clone().concat(edges.map(|(a, b)| (b, a))).distinct();
        let own = edges.clone().map(|(node, _)| (node, node)).distinct();
        computation.iterate(own.clone(), Rounds::at_most(1_000), |scope, labels| {
            let (edges, own) = (edges.enter(scope), own.enter(scope));
            let heard = labels.join_map(edges, |_, label, neighbour| (*neighbour, *label));
            heard.concat(own).reduce(|_, labels, least| least.push((*labels[0].0, 1)))
        })
    })
}

fn change((edge, comes): (Edge, bool)) -> Change<Edge> {
    if comes { Change::insert(edge) } else { Change::retract(edge) }
}

/// What has changed, in words.
fn told(changes: Vec<Change<(char, char)>>) -> String {
    let mut nodes: BTreeMap<char, [Option<char>; 2]> = BTreeMap::new();
    for Change { record: (node, label), diff } in changes {
        nodes.entry(node).or_default()[usize::from(diff > 0)] = Some(label);
    }
    let lines = nodes.into_iter().map(|(node, labels)| match labels {
        [Some(before), Some(now)] => format!("{node} from {before} to {now}"),
        [None, Some(now)] => format!("{node} in {now}"),
        _ => format!("{node} is gone"),
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { "nothing changes".to_owned() } else { lines.join(", ") }
}

fn main() -> Result<()> {
    let job = Job::new();
    let labels = components(job.collection(CHANGES).map(change)).materialize();
    job.run_with(Options::default().workers(2))?;
    let mut groups: BTreeMap<char, Vec<String>> = BTreeMap::new();
    for (node, label) in labels.sorted() {
        groups.entry(label).or_default().push(node.to_string());
    }
    let groups: Vec<String> = groups.into_values().map(|nodes| nodes.join(" ")).collect();
    println!("in the end: {}", groups.join(" | "));

    // Each push is an epoch of its own.
    let mut driver = Driver::new(components)?;
    for (edge, comes) in CHANGES {
        driver.push(change((edge, comes)), 0)?;
        let what = if comes { "comes" } else { "goes" };
        println!("{}-{} {what}: {}", edge.0, edge.1, told(driver.take_output()));
    }
    Ok(())
}
