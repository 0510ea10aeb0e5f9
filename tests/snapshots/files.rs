//! Files as sinks of jobs that crash: what readers see.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use highwater::connector::{FileSink, JsonLines};
use highwater::harness::Simulation;
use highwater::object::{Memory, Store};
use highwater::stream::Job;
use highwater::window::Tumbling;

use crate::changed::{NUMBERS, crash, keyed, options, store};
use crate::ledger::{Ledger, Stage};
use crate::world::{World, millis, read, under_seeds};

/// The lines that readers see, sorted.
fn lines(directory: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("part-") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.ends_with('\n'), "{path:?} ends in the middle of a line");
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_directory_shows_each_line_once() {
    under_seeds("a_directory_shows_each_line_once", |world: &mut World| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        let size = millis(1 + world.below(20));
        let directory = tempfile::tempdir().unwrap();
        let build = |job: &Job, out: Ledger<String>| {
            let keyed = read(job, &splits, disorder).key_by(|event| event.0);
            let counts = keyed.window(Tumbling::of(size)).count();
            let told = counts.map(|w| (w.key, w.window.end, w.value));
            told.clone().sink(FileSink::new(directory.path().join("counts"), JsonLines));
            told.map(|row| serde_json::to_string(&row).unwrap()).sink(out);
        };
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let expected = world.crash_and_go_on(store, build);
        assert_eq!(lines(&directory.path().join("counts")), expected);
    });
}

#[test]
fn a_sink_without_transactions_shows_each_record_at_least_once() {
    under_seeds("a_sink_without_transactions_shows_each_record_at_least_once", |world: &mut World| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        let stage = Stage::new();
        // No other sink keeps a snapshot from being taken before this one has shown what came before it.
        let build = |job: &Job, _: Ledger<i64>| {
            read(job, &splits, disorder).map(|event| event.1).rebalance().sink(stage.clone());
        };
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        world.crash_and_go_on(store, build);
        let mut expected: Vec<i64> = splits.iter().flatten().map(|event| event.1).collect();
        expected.sort();
        assert_eq!(stage.shown(), expected);
    });
}

/// Every text sink is known by the uid that its handle gives it: the job goes on with its sinks in another
/// order and with operators before them, and each directory has each line once.
#[test]
fn a_uid_of_a_text_sink_names_what_it_has_prepared() {
    let (store, place) = (store(), tempfile::tempdir().unwrap());
    let path = |name: &str| place.path().join(name);
    crash(&store, 2, |job| {
        let numbers = keyed(job, |key| key).values();
        numbers.clone().write_text(path("text")).uid("text");
        numbers.clone().write_json(path("json")).uid("json");
        numbers.map(|number| (number, 1)).write_csv(path("csv")).uid("csv");
    });
    let job = Job::new();
    let numbers = keyed(&job, |key| key).values();
    numbers.clone().key_by(|number| *number).count().discard();
    numbers.clone().map(|number| (number, 1)).write_csv(path("csv")).uid("csv");
    numbers.clone().write_json(path("json")).uid("json");
    numbers.write_text(path("text")).uid("text");
    Simulation::seeded(1).options(options(&store, 3)).run(&job).unwrap();
    let mut expected: Vec<String> = (0..NUMBERS).map(|number| number.to_string()).collect();
    expected.sort();
    assert_eq!(lines(&path("text")), expected);
    assert_eq!(lines(&path("json")), expected);
    let mut expected: Vec<String> = (0..NUMBERS).map(|number| format!("{number},1")).collect();
    expected.sort();
    assert_eq!(lines(&path("csv")), expected);
}
