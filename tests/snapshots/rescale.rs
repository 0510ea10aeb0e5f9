//! Few workers, then very many, then one: all kinds of state at once.

use std::sync::Arc;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::{Change, Ownership};
use highwater::harness::Simulation;
use highwater::object::{Memory, Store};
use highwater::snapshot::{Repository, Restore, Selector, Snapshots};
use highwater::stream::{CallOptions, Job, Rounds};
use highwater::time::{Epochs, Watermarks};
use highwater::window::Tumbling;

use crate::draws::{Draws, Event};
use crate::kinds::{Everything, change, sum};
use crate::ledger::Ledger;
use crate::world::{millis, read};

/// What is told: by whom, and what.
type Told = (&'static str, String, i64);

/// A job with many kinds of state.
fn build(splits: &[Vec<Event>], out: Ledger<Told>) -> Job {
    let job = Job::new();
    let numbered = splits
        .iter()
        .zip(0..)
        .map(|(split, n)| split.iter().map(move |event| (n, *event)).collect::<Vec<_>>());
    let timed = job.source(Collection::splits(numbered), Watermarks::none());
    let watermarks = Watermarks::quantile(0.8, |event: &(usize, Event)| event.1.2);
    let timed = timed.with_watermarks(watermarks, splits.len(), |event| event.0);
    let windows = timed.key_by(|event| event.1.0).window(Tumbling::of(millis(10))).sum(|event| event.1.1);
    let windows = windows.map(|w| ("windows", format!("{} {} {}", w.key, w.window.end, w.value), 1));
    let events = read(&job, splits, 10).share();
    let counts = events
        .clone()
        .key_by(|event| event.1 % 300)
        .count()
        .map(change)
        .map(|(count, diff)| ("counts", format!("{count:?}"), diff));
    let all = events.clone().key_by(|event| event.0).process_in_order(Everything::default());
    let all = all.map(|(key, told)| ("process", format!("{key} {told}"), 1));
    let edges = events
        .clone()
        .map(|event| Change { record: (event.1 % 40, event.1 % 31), diff: 1 - event.1 % 2 * 2 });
    let reached = edges.differential(|computation, edges| {
        let edges = edges.distinct();
        let start = edges.clone().map(|(from, _)| (from, from)).distinct();
        computation.iterate(start.clone(), Rounds::at_most(100), |scope, labels| {
            let (edges, start) = (edges.enter(scope), start.enter(scope));
            labels
                .join_map(edges, |_, label, b| (*b, *label))
                .concat(start)
                .reduce(|_, labels, least| least.push((*labels[0].0, 1)))
        })
    });
    let reached = reached.map(change).map(|(label, diff)| ("through", format!("{label:?}"), diff));
    let called = events.call_async(|event| async move { Ok::<_, String>(event.1) }, CallOptions::unordered());
    let called = called.answers().map(|value| ("call", value.to_string(), 1));
    windows.union(counts).union(all).union(reached).union(called).sink(out);
    job
}

/// From three workers to 64 and back to one; and to such that own more keys than others, none, or many
/// ranges.
#[test]
fn keys_are_owned_by_others_each_time() {
    let mut draws = Draws::new(4);
    let splits: Vec<Vec<Event>> = (0..3).flat_map(|_| draws.splits(700, 6, 20)).collect();
    let expected = {
        let out = Ledger::new();
        build(&splits, out.clone())
            .run_with(Options::default().snapshots(Snapshots::in_store(Arc::new(Memory::default()))))
            .unwrap();
        out.visible()
    };
    let (store, out): (Arc<dyn Store>, _) = (Arc::new(Memory::default()), Ledger::new());
    let last = || {
        Repository::open(Arc::clone(&store)).find(&Selector::Latest).unwrap().map(|(_, manifest)| manifest)
    };
    let scattered = (0..40).map(|n: u64| (n << 58, (7 * n % 4) as u32)).collect();
    let maps = [
        Ownership::uniform(3),
        Ownership::uniform(64),
        Ownership::new(4, scattered).unwrap(),
        Ownership::weighted(&[3, 0, 1]).unwrap(),
        Ownership::uniform(1),
    ];
    for ownership in maps {
        let workers = ownership.workers();
        let snapshots =
            Snapshots::in_store(Arc::clone(&store)).every_epochs(1).slice(64).restore(Restore::Latest);
        let options = Options::default().ownership(ownership.clone());
        let options = options.epochs(Epochs::records(100)).snapshots(snapshots);
        let simulation = Simulation::seeded(workers as u64).piece(32).options(options);
        let mut running = simulation.start(&build(&splits, out.clone())).unwrap();
        if workers == 1 {
            running.finish().unwrap();
            break;
        }
        // Until it has taken a few snapshots, and then it crashes.
        let before = last().map_or(0, |manifest| manifest.epoch);
        while last().is_none_or(|manifest| manifest.epoch < before + 4) {
            running.steps(20).unwrap();
        }
        assert!(!running.is_finished() && last().unwrap().ownership == ownership);
        let report = Repository::open(Arc::clone(&store)).verify().unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
    }
    let of = |all: Vec<Told>| sum(all.into_iter().map(|(by, what, diff)| ((by, what), diff)).collect());
    assert_eq!(of(out.visible()), of(expected));
}
