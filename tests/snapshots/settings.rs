//! Jobs of which another version goes on, with other settings of windows, patterns, sessions and pages.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use highwater::ErrorKind;
use highwater::cep::Pattern;
use highwater::config::Options;
use highwater::connector::Collection;
use highwater::harness::Simulation;
use highwater::snapshot::{Codec, Compression, Migrations, Restore, Snapshots};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use highwater::window::{Aligned, CountWindows, Sessions, Sliding, Tumbling};

use crate::changed::{
    Word, assert_counted, counts, crash, go_on, keyed, latest, pages, refused, store, word,
};
use crate::ledger::Stage;
use crate::world::millis;

/// Counts numbers in windows.
fn windows(job: &Job, windows: Aligned, late: Option<Duration>) -> Stage<(i64, i64, u64)> {
    let (stage, keyed) = (Stage::new(), keyed(job, |key| key % 4));
    let windows = keyed.window(windows);
    let counts = match late {
        None => windows.count().uid("windows"),
        Some(late) => windows.allowed_lateness(late).count().uid("windows"),
    };
    counts.map(|w| (w.key, w.window.end, w.value)).sink(stage.clone());
    stage
}

#[test]
fn windows_of_other_settings_are_an_error() {
    for late in [None, Some(millis(20))] {
        let store = store();
        let same = |job: &Job| windows(job, Sliding::of(millis(60), millis(20)), late);
        // Windows are open when it crashes.
        let first = crash(&store, 2, same);
        let was = "the windows of operator \"windows\": sliding 60 ms each 20 ms in the snapshot, ";
        let others = [
            (Sliding::of(millis(60), millis(30)), "sliding 60 ms each 30 ms in the program"),
            (Tumbling::of(millis(20)), "tumbling 20 ms in the program"),
            (
                Sliding::of(millis(60), millis(20)).offset(millis(5)),
                "sliding 60 ms each 20 ms, 5 ms off in the program",
            ),
        ];
        for (other, now) in others {
            refused(&store, ErrorKind::Data, &[was, now], |job| windows(job, other, late));
        }
        let last = go_on(&store, 3, same).unwrap();
        let job = Job::new();
        let expected = same(&job);
        job.run().unwrap();
        let all: BTreeSet<_> = first.shown().into_iter().chain(last.shown()).collect();
        assert!(all == expected.shown().into_iter().collect());
    }
}

#[test]
fn windows_of_another_kind_are_an_error() {
    let store = store();
    let count = |job: &Job, size: u64| {
        keyed(job, |key| key % 4).window(CountWindows::of(size)).count().uid("windows").discard();
    };
    crash(&store, 2, |job| count(job, 50));
    let words = ["of 50 records in the snapshot, of 20 records in the program"];
    refused(&store, ErrorKind::Data, &words, |job| count(job, 20));
    let words = ["of 50 records in the snapshot, tumbling 9 ms in the program"];
    refused(&store, ErrorKind::Data, &words, |job| windows(job, Tumbling::of(millis(9)), Some(millis(1))));
    go_on(&store, 2, |job| count(job, 50)).unwrap();
}

#[test]
fn patterns_that_are_others_are_an_error() {
    let store = store();
    let detect = |job: &Job, within: i64| {
        let rising = Pattern::begin("low", |number: &i64| number % 3 == 0);
        let rising = rising.followed_by("high", |number| number % 7 == 1).within(millis(within));
        keyed(job, |key| key % 4).detect(rising).matches().uid("rising").discard();
    };
    crash(&store, 2, |job| detect(job, 50));
    refused(&store, ErrorKind::Data, &["the pattern of operator \"rising\"", "within"], |job| {
        detect(job, 60)
    });
    go_on(&store, 3, |job| detect(job, 50)).unwrap();
}

/// A session that is open stays as long as its records said.
#[test]
fn sessions_may_have_another_gap() {
    let sessions = |job: &Job, gap: i64| -> Stage<(i64, i64, u64)> {
        let stage = Stage::new();
        // Two at a time, some apart, and all that time so far behind that no session ends before the last has
        // come.
        let times: Vec<i64> = (0..400).flat_map(|n| [100 * n, 100 * n + 15]).collect();
        let watermarks = Watermarks::bounded(millis(100_000), |time: &i64| *time);
        let times = job.source(Collection::splits([times]), watermarks).uid("times");
        let counts = times.key_by(|_| 0u8).window(Sessions::with_gap(millis(gap))).count().uid("sessions");
        counts.map(|w| (w.window.start, w.window.end, w.value)).sink(stage.clone());
        stage
    };
    let store = store();
    let options = || {
        let snapshots = Snapshots::in_store(Arc::clone(&store)).every_epochs(1).restore(Restore::Latest);
        Options::default().workers(2).epochs(Epochs::records(100)).snapshots(snapshots)
    };
    let job = Job::new();
    sessions(&job, 10);
    let mut running = Simulation::seeded(1).piece(10).options(options()).start(&job).unwrap();
    while latest(&store).is_none_or(|epoch| epoch < 3) {
        running.steps(1).unwrap();
    }
    drop(running);
    let job = Job::new();
    let told = sessions(&job, 30);
    job.run_with(options()).unwrap();
    let shown = told.shown();
    let (short, long) = shown.split_at(shown.partition_point(|(start, end, _)| end - start == 10));
    assert!(short.len() > 100 && long.len() > 100, "{} {}", short.len(), long.len());
    assert!(short.iter().all(|(start, end, count)| end - start == 10 && *count == 1));
    assert!(long.iter().all(|(start, end, count)| start % 100 == 0 && end - start == 45 && *count == 2));
}

/// `ways` goes through all of them; these convert as well.
#[test]
fn codecs_and_compressions_may_be_others() {
    let ways = [(Codec::Rows, Compression::None), (Codec::Columnar, Compression::Lz4)];
    for (codec, other) in [(ways[0], ways[1]), (ways[1], ways[0])] {
        let store = store();
        let options = |(codec, compression), workers| {
            let snapshots = Snapshots::in_store(Arc::clone(&store)).every_epochs(2).restore(Restore::Latest);
            let snapshots = snapshots.codec(codec).compression(compression);
            Options::default().workers(workers).epochs(Epochs::records(100)).snapshots(snapshots)
        };
        let job = Job::new();
        let first = counts::<u32>(&job, ("counts", "count"));
        let mut running = Simulation::seeded(1).options(options(codec, 2)).start(&job).unwrap();
        while latest(&store).is_none_or(|epoch| epoch < 14) {
            running.steps(10).unwrap();
        }
        drop(running);
        assert!(pages(&store).iter().all(|(head, _)| head.codec == codec.0));
        let job = Job::new();
        let last = counts::<Word>(&job, ("counts", "count"));
        job.migrations(Migrations::new().convert("counts", "count", word));
        job.run_with(options(other, 3)).unwrap();
        assert!(pages(&store).iter().all(|(head, _)| head.codec == other.0));
        assert_counted(&[&first, &last]);
    }
}
