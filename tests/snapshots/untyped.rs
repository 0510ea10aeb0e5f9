//! State that is read from snapshots by programs without its types is what programs with them read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::num::NonZeroU8;
use std::sync::Arc;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::{Exchange, Key};
use highwater::harness::Simulation;
use highwater::object::{Memory, Store};
use highwater::snapshot::{Manifest, Repository, Selector, Snapshots};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

use crate::draws::Event;
use crate::kinds::Everything;
use crate::world::millis;

/// Runs a job on events of 50 keys, with a snapshot now and then.
fn run(count: i64, workers: usize) -> Repository {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let job = Job::new();
    let events: Vec<Event> = (0..count).map(|n| ((n * 7 % 50) as u8, n, n)).collect();
    let watermarks = Watermarks::bounded(millis(5), |event: &Event| event.2);
    let events = job.source(Collection::splits([events]), watermarks);
    let keyed = events.key_by(|event| event.0);
    keyed.process_in_order(Everything::default()).uid("all").discard();
    let snapshots = Snapshots::in_store(Arc::clone(&store)).every_epochs(1).retain(100);
    let options = Options::default().workers(workers).epochs(Epochs::records(300)).snapshots(snapshots);
    Simulation::seeded(7).options(options).run(&job).unwrap();
    Repository::open(store)
}

/// The rows of a table as JSON, in order.
fn rows(repository: &Repository, manifest: &Manifest, table: &str) -> Vec<Vec<String>> {
    let rows = repository.rows(manifest, "all", table).unwrap();
    let columns = rows.columns().len();
    let mut rows: Vec<Vec<String>> =
        rows.map(|row| row.unwrap().iter().map(ToString::to_string).collect()).collect();
    assert!(rows.iter().all(|row| row.len() == columns));
    rows.sort();
    rows
}

/// The same with types; `show` says what is shown of a key and its sub-key.
fn typed<K: Key, S: Key, V: Exchange + Display>(
    repository: &Repository,
    manifest: &Manifest,
    state: &str,
    show: impl Fn(&K, &S) -> Vec<String>,
) -> Vec<Vec<String>> {
    let state = repository.state::<K, S, V>(&Selector::Epoch(manifest.epoch), "all", state).unwrap();
    let row = |((key, sub), value): (&(K, S), &V)| [show(key, sub), vec![value.to_string()]].concat();
    let mut rows: Vec<Vec<String>> = state.all().unwrap().iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
fn rows_without_types_are_the_state_with_types() {
    for workers in [1, 3] {
        let repository = run(3000, workers);
        let snapshots = repository.list().unwrap();
        assert!(snapshots.len() > 3);
        let mut seen = BTreeMap::<&str, usize>::new();
        for (_, manifest) in &snapshots {
            let key = |key: &u8, (): &()| vec![key.to_string()];
            let both = |key: &u8, sub: &i64| vec![key.to_string(), sub.to_string()];
            let expected = [
                ("count", typed::<u8, (), u64>(&repository, manifest, "count", key)),
                ("by rest", typed::<u8, i64, i64>(&repository, manifest, "by rest", both)),
                ("recent", typed::<u8, (), i64>(&repository, manifest, "recent", key)),
            ];
            for (state, expected) in expected {
                let mut found = rows(&repository, manifest, &format!("state {state}"));
                let expiries: BTreeSet<bool> =
                    found.iter_mut().map(|row| row.pop().unwrap() == "null").collect();
                assert!(expiries.iter().all(|is_never| *is_never == (state != "recent")), "{state}");
                assert_eq!(found, expected, "{state} at the end of epoch {}", manifest.epoch);
                *seen.entry(state).or_default() += found.len();
            }
            // Timers of the past have fired.
            let timers = rows(&repository, manifest, "event timers");
            let times: BTreeSet<&Vec<String>> = timers.iter().collect();
            assert_eq!(times.len(), timers.len(), "a timer is there twice");
            *seen.entry("timers").or_default() += timers.len();
        }
        assert!(seen.values().all(|rows| *rows > 0) && seen.len() == 4, "{seen:?}");
    }
}

#[test]
fn what_cannot_be_read_is_told_by_name() {
    let repository = run(100, 1);
    let (_, manifest) = repository.find(&Selector::Latest).unwrap().unwrap();
    let error = |uid, table| repository.rows(&manifest, uid, table).err().unwrap().to_string();
    assert!(error("none", "state count").contains("\"all\""));
    assert!(error("all", "count").contains("\"state count\""));

    let (job, store) = (Job::new(), Arc::new(Memory::default()));
    let numbers = job.collection((1..5u8).filter_map(NonZeroU8::new));
    numbers.key_by(|number| number.get() % 2).max_by(|number| *number).uid("most").discard();
    job.run_with(Options::default().snapshots(Snapshots::in_store(store.clone()))).unwrap();
    let repository = Repository::open(store);
    let (_, manifest) = repository.find(&Selector::Latest).unwrap().unwrap();
    let error = repository.rows(&manifest, "most", "aggregates").err().unwrap().to_string();
    assert!(error.contains("\"aggregates\"") && error.contains("NonZero"), "{error}");
}
