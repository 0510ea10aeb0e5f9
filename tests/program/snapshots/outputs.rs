//! Outputs of runs with snapshots: whose they are, what readers see of them, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use highwater::nexmark::oracle;
use highwater::nexmark::rows::{Q1, Q5};

use crate::snapshots::place::{Place, events, number, signal, text};

/// A query that takes a while, with snapshots often.
const QUERY: &str =
    "nexmark q1 --events 30k --snapshots state --every 20ms --epoch 5ms --retain 1000 --quiet";

/// All files in a folder, with what is in them.
fn files(place: &Place, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(place.path().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect()
}

fn assert_complete(place: &Place) {
    let mut rows: Vec<Q1> = place.rows();
    rows.sort();
    assert!(rows == oracle::q1(events(30_000)), "{} rows", rows.len());
}

#[test]
fn a_run_that_another_replaces_leaves_its_output_alone() {
    for stop in ["CONT", "STOP"] {
        let place = Place::new();
        let first = place.start(&format!("{QUERY} --rate 50k --output rows"));
        place.wait_for_log(6);
        signal(&first, stop);
        let second = place.start(&format!("{QUERY} --rate 50k --output rows --restore latest --workers 2"));
        place.wait_for_log(12);
        signal(&second, stop);
        place.prints(&format!("{QUERY} --output rows --restore latest"));
        for replaced in [first, second] {
            signal(&replaced, "CONT");
            let told = replaced.wait_with_output().unwrap();
            assert!(!told.status.success(), "a run that was replaced says so");
        }
        assert_complete(&place);
    }
}

#[test]
fn a_state_does_not_go_on_below_its_output() {
    let place = Place::new();
    place.prints(&format!("{QUERY} --rate 100k --output rows"));
    let listed = place.json("snapshot list state");
    let epoch = number(&listed[listed.len() / 2]["epoch"]);
    let before = files(&place, "rows");
    let older = format!("{QUERY} --restore {epoch} --output rows");
    place.refuses(&older, 64, &["rows", &format!("epoch {epoch}"), "another output", "--overwrite"]);
    assert_eq!(files(&place, "rows"), before);
    place.prints(&format!("{older} --overwrite"));
    assert_complete(&place);
}

#[test]
fn a_log_whose_end_was_deleted_is_noticed() {
    let place = Place::new();
    let query = QUERY.replace("q1", "q5");
    place.prints(&format!("{query} --rate 100k --output rows"));
    assert!(place.prints("snapshot verify state").contains("all as they should be"));
    let before = files(&place, "rows");
    let last = fs::read_dir(place.path().join("state/log")).unwrap().map(|entry| entry.unwrap().path()).max();
    fs::remove_file(last.unwrap()).unwrap();
    let verified = place.run("snapshot verify state");
    assert_eq!(verified.status.code(), Some(65));
    assert!(text(&verified.stdout).contains("the end of the log was deleted"), "{}", text(&verified.stdout));
    place.refuses(&format!("{query} --restore latest --output rows"), 65, &["log/", "name its epoch"]);
    // Even if what tells of it in the store is gone, too, the output does.
    fs::remove_dir_all(place.path().join("state/head")).unwrap();
    place.refuses(&format!("{query} --restore latest --output rows"), 64, &["rows", "--overwrite"]);
    assert_eq!(files(&place, "rows"), before);
    place.prints(&format!("{query} --restore latest --output rows --overwrite"));
    let mut rows: Vec<Q5> = place.rows();
    rows.sort();
    assert_eq!(rows, oracle::q5(events(30_000)));
}

#[test]
fn what_a_job_has_not_written_stays() {
    let place = Place::new();
    place.prints(&format!("{QUERY} --output rows"));
    let others = files(&place, "rows");
    let query = QUERY.replace("--snapshots state", "--snapshots other");
    for more in ["", "--fresh", "--overwrite", "--restore latest"] {
        place.refuses(
            &format!("{query} --output rows {more}"),
            64,
            &["rows", "other snapshots", "another output"],
        );
    }
    fs::create_dir(place.path().join("mine")).unwrap();
    fs::write(place.path().join("mine/part-0.json"), "mine\n").unwrap();
    for more in ["", "--overwrite"] {
        place.refuses(&format!("{query} --output mine {more}"), 64, &["part-0.json", "another output"]);
    }
    // Without snapshots the output is one file.
    fs::write(place.path().join("file"), "mine\n").unwrap();
    place.refuses("nexmark q1 --events 1k --output file", 64, &["file is not empty", "--overwrite"]);
    assert_eq!(files(&place, "rows"), others);
    assert_eq!(files(&place, "mine").len(), 1);
    assert_eq!(fs::read_to_string(place.path().join("file")).unwrap(), "mine\n");
    place.prints("nexmark q1 --events 1k --output file --overwrite");
    assert!(fs::read_to_string(place.path().join("file")).unwrap().starts_with('{'));
}

#[test]
fn an_output_is_no_input_and_not_among_snapshots() {
    let place = Place::new();
    place.prints("nexmark generate events.nex --events 1k --quiet");
    fs::hard_link(place.path().join("events.nex"), place.path().join("same")).unwrap();
    let before = fs::read(place.path().join("events.nex")).unwrap();
    for output in ["events.nex", "./events.nex", "same"] {
        let line = format!("nexmark q1 --input events.nex --output {output} --overwrite");
        place.refuses(&line, 64, &[output, "the job reads"]);
    }
    for output in ["state", "state/rows", "state/../state", "."] {
        place.refuses(&format!("{QUERY} --output {output}"), 64, &["snapshots"]);
    }
    assert_eq!(fs::read(place.path().join("events.nex")).unwrap(), before);
}

#[test]
fn parts_that_were_taken_away_keep_no_job_from_going_on() {
    let place = Place::new();
    let child = place.start(&format!("{QUERY} --rate 50k --output rows"));
    place.wait_for_log(8);
    signal(&child, "KILL");
    child.wait_with_output().unwrap();
    fs::create_dir(place.path().join("taken")).unwrap();
    let take = || {
        for name in files(&place, "rows").keys().filter(|name| name.starts_with("part-")) {
            fs::rename(place.path().join("rows").join(name), place.path().join("taken").join(name)).unwrap();
        }
    };
    take();
    place.prints(&format!("{QUERY} --output rows --restore latest"));
    take();
    place.prints(&format!("{QUERY} --output rows --restore latest"));
    fs::remove_dir_all(place.path().join("rows")).unwrap();
    fs::rename(place.path().join("taken"), place.path().join("rows")).unwrap();
    assert_complete(&place);
}

#[test]
fn a_new_output_begins_after_its_snapshot() {
    let place = Place::new();
    let query = QUERY.replace(" --quiet", "");
    let child = place.start(&format!("{query} --rate 50k --output rows"));
    place.wait_for_log(8);
    signal(&child, "KILL");
    child.wait_with_output().unwrap();
    let (_, told) = place.tells(&format!("{query} --output others --restore latest"));
    assert!(told.contains("others begins after epoch"), "{told}");
    for (name, bytes) in files(&place, "others").iter().filter(|(name, _)| name.starts_with("part-")) {
        fs::write(place.path().join("rows").join(format!("others-{name}")), bytes).unwrap();
    }
    assert_complete(&place);
}

#[test]
fn a_run_that_is_refused_ends_no_other() {
    let place = Place::new();
    fs::create_dir(place.path().join("strange")).unwrap();
    fs::write(place.path().join("strange/part-0.json"), "1\n").unwrap();
    fs::write(place.path().join("file"), "1\n").unwrap();
    let healthy = place.start(&format!("{QUERY} --rate 15k --output rows"));
    place.wait_for_log(4);
    for (mistake, code) in [
        ("--output rows --splits 7", 64),
        ("--output strange", 64),
        ("--output file", 64),
        ("--output file/rows", 74),
        ("--output rows --workers 0", 64),
        ("--output state", 64),
        ("--input missing.nex --output rows", 74),
    ] {
        place.refuses(&format!("{QUERY} --restore latest {mistake}"), code, &["error"]);
    }
    place.refuses(&QUERY.replace("q1", "q7").replace("--quiet", "--restore latest --quiet"), 64, &["q7"]);
    let told = healthy.wait_with_output().unwrap();
    assert!(told.status.success(), "{}", text(&told.stderr));
    assert_complete(&place);
}

#[test]
fn snapshots_that_fail_are_told_while_the_job_runs() {
    let place = Place::new();
    let child = place.start(&format!("{} --rate 20k --output rows", QUERY.replace("q1", "q5")));
    place.wait_for_log(4);
    // Pages cannot be written where there is no folder.
    let (pages, aside) = (place.path().join("state/pages"), place.path().join("state/aside"));
    fs::rename(&pages, &aside).unwrap();
    fs::write(&pages, "").unwrap();
    thread::sleep(Duration::from_millis(400));
    fs::remove_file(&pages).unwrap();
    fs::rename(&aside, &pages).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    for words in ["a snapshot could not be written", "stays hidden", "snapshots can be written again"] {
        assert_eq!(told.matches(words).count(), 1, "{words}: {told}");
    }
    assert!(told.contains("state/pages") || told.contains("pages/1"), "the cause is not told: {told}");
    let mut rows: Vec<Q5> = place.rows();
    rows.sort();
    assert_eq!(rows, oracle::q5(events(30_000)));
}
