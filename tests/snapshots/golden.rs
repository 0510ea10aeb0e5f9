//! Snapshots that were written when a version of the format was new, which every later program must read.
//!
//! `golden/1` holds the store of the first version, and `golden/1.txt` what the job says when it goes on from
//! it; and so on. Each was written once, by the test that is ignored.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::harness::Simulation;
use highwater::object::{Local, Store};
use highwater::snapshot::{Repository, Restore, Selector, Snapshots};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use highwater::window::{Sessions, Sliding};

use crate::draws::Event;
use crate::kinds::Everything;
use crate::ledger::Stage;
use crate::world::millis;

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/golden").join(name)
}

fn splits() -> Vec<Vec<Event>> {
    let event = |split: i64, n: i64| ((n * 7 % 5 + split) as u8, 100 * split + n, 3 * n - n * 11 % 7);
    (0..3).map(|split| (0..80).map(|n| event(split, n)).collect()).collect()
}

/// State of many kinds.
fn build(job: &Job, out: Stage<String>) {
    let watermarks = Watermarks::bounded(millis(8), |event: &Event| event.2);
    let events = job.source(Collection::splits(splits()), watermarks);
    let keyed = || events.clone().key_by(|event| event.0);
    let told = keyed().process_in_order(Everything::default()).map(|told| format!("{told:?}"));
    let sessions = keyed().window(Sessions::with_gap(millis(20))).count();
    let windows = keyed().window(Sliding::of(millis(40), millis(10))).count();
    let sessions = sessions.map(|w| format!("session {} {:?} {}", w.key, w.window, w.value));
    let windows = windows.map(|w| format!("window {} {:?} {}", w.key, w.window, w.value));
    told.union(sessions).union(windows).sink(out);
}

/// What the job says when it goes on from the store on so many workers.
fn say(store: Arc<dyn Store>, workers: usize) -> Vec<String> {
    let (job, stage) = (Job::new(), Stage::new());
    build(&job, stage.clone());
    let snapshots = Snapshots::in_store(store).restore(Restore::Latest);
    let options = Options::default().workers(workers).epochs(Epochs::records(20)).snapshots(snapshots);
    Simulation::seeded(2).options(options).run(&job).unwrap();
    stage.shown()
}

/// A copy, since who goes on from a store writes to it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// Goes on from the snapshot of a version.
fn is_read(version: u32) {
    let expected = fs::read_to_string(place(&format!("{version}.txt"))).unwrap();
    for workers in [1, 2, 3, 8] {
        let directory = tempfile::tempdir().unwrap();
        copy(&place(&version.to_string()), directory.path());
        let store: Arc<dyn Store> = Arc::new(Local::open_unsynced(directory.path()).unwrap());
        let report = Repository::open(Arc::clone(&store)).verify().unwrap();
        assert!(report.manifests > 0 && report.findings.is_empty(), "{report:?}");
        assert_eq!(say(store, workers), expected.lines().collect::<Vec<_>>(), "on {workers} workers");
    }
}

#[test]
fn a_snapshot_of_the_first_format_is_read() {
    is_read(1);
}

/// Manifests say who owned which keys, and pages are blocks.
#[test]
fn a_snapshot_of_the_second_format_is_read() {
    is_read(2);
}

/// The version that this program writes.
const VERSION: &str = "2";

#[test]
#[ignore = "writes the golden snapshot; to be run once for each version of the format"]
fn write_the_golden_snapshot() {
    let _ = fs::remove_dir_all(place(VERSION));
    let store: Arc<dyn Store> = Arc::new(Local::open_unsynced(place(VERSION)).unwrap());
    let job = Job::new();
    build(&job, Stage::new());
    let snapshots = Snapshots::in_store(Arc::clone(&store)).every_epochs(1);
    let options = Options::default().workers(2).epochs(Epochs::records(40)).snapshots(snapshots);
    let mut running = Simulation::seeded(1).piece(8).options(options).start(&job).unwrap();
    let repository = Repository::open(Arc::clone(&store));
    while repository.find(&Selector::Latest).unwrap().is_none_or(|(_, manifest)| manifest.epoch < 3) {
        running.steps(1).unwrap();
    }
    drop(running);
    let directory = tempfile::tempdir().unwrap();
    copy(&place(VERSION), directory.path());
    let said = say(Arc::new(Local::open_unsynced(directory.path()).unwrap()), 1);
    fs::write(place(&format!("{VERSION}.txt")), said.join("\n") + "\n").unwrap();
}
