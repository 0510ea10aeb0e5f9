//! Snapshots as the users of the program meet them: a query is interrupted and goes on, and what is in the
//! directory is looked at, kept, deleted and damaged.
mod chaos;
mod outputs;
mod place;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use highwater::data::{Change, Diff, consolidate};
use highwater::nexmark::oracle;
use highwater::nexmark::rows::{Q4, Q5};
use place::{Place, events, number, signal, text};
use serde_json::Value;

#[test]
fn an_interrupted_query_goes_on_with_other_workers() {
    let place = Place::new();
    let query = "nexmark q5 --events 300k --snapshots state --every 50ms --output rows --json";
    let child = place.start(&format!("{query} --rate 100k --workers 1"));
    place.wait_for_log(4);
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("suspended at the end of epoch") && told.contains("--restore latest"), "{told}");
    let first: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(first["snapshots"]["suspended"], true);
    assert!(number(&first["snapshots"]["taken"]) >= 3 && number(&first["snapshots"]["bytes"]) > 0, "{first}");
    assert!(number(&first["events"]) < 300_000, "{first}");
    // Rows whose snapshot is safe are there, although the sink may have left before it heard of it.
    assert_eq!(place.rows::<Q5>().len() as u64, number(&first["rows"]));

    // Another rate deals the events by other turns, and the splits stay those of the snapshot.
    let (printed, told) = place.tells(&format!("{query} --workers 3 --restore latest"));
    assert!(told.contains("goes on from the snapshot of epoch"), "{told}");
    let second: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(second["snapshots"]["from_epoch"], first["snapshots"]["latest_epoch"]);
    let mut rows: Vec<Q5> = place.rows();
    rows.sort();
    assert_eq!(rows, oracle::q5(events(300_000)));
    assert_eq!(number(&first["rows"]) + number(&second["rows"]), rows.len() as u64);
    let listed = place.json("snapshot list state");
    assert_eq!(listed.last().unwrap()["workers"], 3);
    assert_eq!(place.json("snapshot verify state")[0]["findings"], serde_json::json!([]));
}

#[test]
fn a_killed_query_goes_on_from_the_snapshot_before() {
    let place = Place::new();
    let query = "nexmark q4 --events 150k --snapshots state --every 50ms --output rows --quiet";
    let child = place.start(&format!("{query} --rate 50k --workers 2"));
    place.wait_for_log(4);
    signal(&child, "KILL");
    child.wait_with_output().unwrap();
    let child = place.start(&format!("{query} --rate 50k --workers 1 --restore latest"));
    place.wait_for_log(8);
    signal(&child, "KILL");
    child.wait_with_output().unwrap();
    place.prints(&format!("{query} --workers 2 --restore latest"));
    let expected: Vec<(Q4, Diff)> = oracle::q4(events(150_000)).into_iter().map(|row| (row, 1)).collect();
    assert_eq!(consolidate(place.rows::<Change<Q4>>()), expected);
}

#[test]
fn a_query_begins_or_goes_on_as_it_is_told() {
    let place = Place::new();
    let query = "nexmark q5 --events 20k --snapshots state";
    // Nothing is made for a snapshot that cannot be there.
    place.refuses(&format!("{query} --restore 7"), 64, &["no directory state"]);
    assert_eq!(place.count("."), 0);
    let (_, told) = place.tells(&format!("{query} --restore latest"));
    assert!(told.contains("no snapshot yet") && told.contains("begins at the beginning"), "{told}");
    let rows = oracle::q5(events(20_000)).len() as u64;

    place.refuses(query, 64, &["--restore latest", "--fresh"]);
    place.refuses(&format!("{query} --restore 12345"), 64, &["12345", "highwater snapshot list state"]);
    place.refuses(&format!("{query} --restore good"), 64, &["\"good\"", "highwater snapshot list state"]);
    place.refuses(&format!("{query} --restore latest --splits 5"), 64, &["1 split", "leave --splits out"]);
    place.refuses("nexmark q7 --snapshots state --restore latest", 64, &["q5", "q7", "another directory"]);
    place.refuses("nexmark all --snapshots state", 64, &["--snapshots", "name one"]);
    place.refuses("nexmark q5 --restore latest", 2, &["--snapshots"]);
    place.refuses(&format!("{query} --restore latest --verify"), 2, &["--verify"]);
    place.refuses(&format!("{query} --every 0s"), 2, &["500ms"]);

    // The job has ended: there is nothing left, and that is said.
    let (printed, told) = place.tells(&format!("{query} --restore latest --json"));
    assert!(told.contains("nothing left to read"), "{told}");
    let object: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((number(&object["events"]), number(&object["rows"])), (0, 0));
    let anew = place.json(&format!("{query} --fresh --workers 2")).remove(0);
    assert_eq!((number(&anew["events"]), number(&anew["rows"])), (20_000, rows));
}

#[test]
fn rows_of_an_earlier_run_are_not_mixed_with_others() {
    let place = Place::new();
    let query = "nexmark q5 --events 20k --snapshots state --quiet";
    place.prints(&format!("{query} --output rows"));
    place.refuses(&format!("{query} --output rows --fresh"), 64, &["rows", "another output", "--overwrite"]);
    place.refuses(&format!("{query} --restore latest"), 64, &["--output"]);
    assert_eq!(place.rows::<Q5>().len(), oracle::q5(events(20_000)).len());
    place.prints(&format!("{query} --output rows --fresh --overwrite"));
    assert_eq!(place.rows::<Q5>().len(), oracle::q5(events(20_000)).len());
}

#[test]
fn snapshots_are_listed_shown_and_compared() {
    let place = Place::with_snapshots();
    let listed = place.json("snapshot list state");
    assert!(listed.len() >= 3, "{listed:?}");
    assert!(listed.windows(2).all(|two| number(&two[0]["epoch"]) < number(&two[1]["epoch"])));
    assert!(listed.windows(2).all(|two| number(&two[0]["number"]) < number(&two[1]["number"])));
    let (first, last) = (&listed[0], listed.last().unwrap());
    assert_eq!(
        (&first["bytes"], &first["cause"], &last["cause"]),
        (&first["new_bytes"], &"interval".into(), &"end".into())
    );
    assert!(listed.iter().any(|row| number(&row["new_bytes"]) < number(&row["bytes"])), "nothing is shared");
    let table = place.prints("snapshot list state");
    assert_eq!(table.lines().count(), listed.len() + 1);
    for word in ["number", "epoch", "when", "cause", "workers", "operators", "pages", "bytes", "new", "names"]
    {
        assert!(table.lines().next().unwrap().contains(word), "{table}");
    }

    let epoch = number(&listed[1]["epoch"]);
    let shown = place.json(&format!("snapshot show state {epoch}")).remove(0);
    assert_eq!((number(&shown["epoch"]), number(&shown["workers"])), (epoch, 2));
    let operators = shown["operators"].as_array().unwrap();
    let source = operators.iter().find(|operator| operator["kind"] == "source").unwrap();
    assert_eq!(source["splits"].as_array().unwrap().len(), 2);
    let tables = || operators.iter().flat_map(|operator| operator["tables"].as_array().unwrap());
    assert!(tables().any(|table| number(&table["rows"]) > 0), "{shown}");
    let text = place.prints("snapshot show state");
    for word in
        [&format!("epoch {}", last["epoch"]), "nexmark q5", "source-0", "panes", "note", "read to its end"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }

    let (a, b) = (number(&listed[0]["epoch"]), number(&listed[1]["epoch"]));
    let compared = place.json(&format!("snapshot diff state {a} {b}")).remove(0);
    assert_eq!((number(&compared["epoch_a"]), number(&compared["epoch_b"])), (a, b));
    let new: u64 =
        compared["tables"].as_array().unwrap().iter().map(|table| number(&table["only_b"]["bytes"])).sum();
    let notes = number(&listed[1]["bytes"]) - tables().map(|table| number(&table["bytes"])).sum::<u64>();
    assert_eq!(new + notes, number(&listed[1]["new_bytes"]), "diff and list tell different stories");
    let same = place.prints("snapshot diff state latest latest");
    let sum: Vec<&str> = same.lines().next_back().unwrap().split_whitespace().collect();
    assert_eq!(&sum[sum.len() - 4..], ["0", "0", "0", "0"], "{same}");
}

#[test]
fn what_has_a_name_stays() {
    let place = Place::with_snapshots();
    let epochs: Vec<u64> =
        place.json("snapshot list state").iter().map(|row| number(&row["epoch"])).collect();
    // The very first may be of an epoch in which nothing was read yet.
    let (first, second, last) = (epochs[1], epochs[2], epochs[epochs.len() - 1]);
    assert!(place.prints(&format!("snapshot keep state {first} good")).contains(&format!("epoch {first}")));
    place.refuses(&format!("snapshot keep state {second} good"), 64, &["good", "another name"]);
    place.refuses("snapshot keep state latest 17", 2, &["number"]);
    place.refuses("snapshot keep state 99999 other", 64, &["99999", "snapshot list state"]);
    place.refuses(&format!("snapshot delete state {first}"), 64, &["has a name"]);
    place.refuses("snapshot delete state latest", 64, &["latest"]);

    place.prints(&format!("snapshot delete state {second}"));
    place.refuses(&format!("snapshot show state {second}"), 64, &["snapshot list state"]);
    let before = place.count("state/pages/1");
    // What is young stays, whatever is said of how many.
    assert!(place.prints("snapshot gc state --retain 1").starts_with("0 snapshots deleted"));
    let told = place.prints("snapshot gc state --retain 1 --grace 0s");
    assert!(told.starts_with(&format!("{} snapshots deleted and 2 left", epochs.len() - 3)), "{told}");
    assert!(place.count("state/pages/1") < before);
    let left: Vec<u64> = place.json("snapshot list state").iter().map(|row| number(&row["epoch"])).collect();
    assert_eq!(left, [first, last]);
    assert_eq!(place.json("snapshot list state")[0]["names"], serde_json::json!(["good"]));
    place.prints("snapshot verify state");

    // A name is enough to go on from. What the run went on from stays without it.
    let (printed, told) =
        place.tells("nexmark q5 --events 100k --snapshots state --restore good --retain 1 --json");
    assert!(told.contains(&format!("epoch {first},")), "{told}");
    let object: Value = serde_json::from_str(&printed).unwrap();
    assert!((1..100_000).contains(&number(&object["events"])), "{object}");
    place.prints("snapshot delete state good");
    place.refuses("snapshot show state good", 64, &["\"good\""]);
    place.refuses(&format!("snapshot delete state {first}"), 64, &["went on from"]);
}

#[test]
fn a_flipped_byte_is_found_and_named() {
    let place = Place::with_snapshots();
    assert!(place.prints("snapshot verify state").contains("all as they should be"));
    let segments = fs::read_dir(place.path().join("state/pages/1")).unwrap();
    let segment = segments
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&segment).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 70).unwrap();
    file.write_all_at(&[byte[0] ^ 4], 70).unwrap();

    let name = format!("pages/1/{}", segment.file_name().unwrap().to_str().unwrap());
    let output = place.run("snapshot verify state");
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(65), "{told}");
    assert!(told.lines().next().unwrap().starts_with(&name), "{told}");
    let output = place.run("snapshot verify state --json");
    assert_eq!(output.status.code(), Some(65));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = object["findings"].as_array().unwrap();
    assert!(
        !findings.is_empty() && findings.iter().all(|finding| finding["object"] == name.as_str()),
        "{object}"
    );

    // A manifest that is damaged is an error of all that reads it.
    let last = fs::read_dir(place.path().join("state/log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max()
        .unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes[30] ^= 1;
    fs::write(&last, bytes).unwrap();
    let name = format!("log/{}", last.file_name().unwrap().to_str().unwrap());
    for line in
        ["snapshot list state", "snapshot show state", "nexmark q5 --snapshots state --restore latest"]
    {
        place.refuses(line, 65, &[&name]);
    }
}

#[test]
fn a_directory_that_is_not_there_is_not_made() {
    let place = Place::new();
    fs::create_dir(place.path().join("other")).unwrap();
    fs::write(place.path().join("file"), "text").unwrap();
    for verb in ["list X", "show X", "verify X", "diff X 1 2", "keep X latest a", "delete X 1", "gc X"] {
        for (directory, word) in
            [("missing", "no directory"), ("other", "no snapshots"), ("file", "no directory")]
        {
            let line = format!("snapshot {}", verb.replace('X', directory));
            place.refuses(&line, 64, &[word, directory, "--snapshots"]);
        }
    }
    assert_eq!((place.count("."), place.count("other")), (2, 0));
}

#[test]
fn help_is_a_manual() {
    let place = Place::new();
    let help = place.prints("snapshot --help");
    for word in ["list", "show", "verify", "diff", "keep", "delete", "gc", "Examples:", "Exit codes:"] {
        assert!(help.contains(word), "the manual does not say {word:?}");
    }
    let help = place.prints("nexmark --help");
    for word in [
        "--snapshots <DIR>",
        "--every <TIME>",
        "--restore <SNAPSHOT>",
        "--fresh",
        "--retain <COUNT>",
        "[default: 1s]",
    ] {
        assert!(help.contains(word), "the manual does not say {word:?}");
    }
}
