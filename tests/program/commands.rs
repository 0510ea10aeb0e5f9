//! The program as its users meet it: what it prints, where, and how it ends.
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use highwater::clock::Clock;
use highwater::data::{Change, Diff, consolidate};
use highwater::nexmark::rows::{Q3, Q4, Q5, Q7};
use highwater::nexmark::{Config, Event, Generator, oracle};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest that a command with a mistake in it may take.
const SOON: Duration = Duration::from_secs(5);

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    command.args(args).stdin(Stdio::null());
    command
}

fn highwater(args: &[&str]) -> Output {
    program(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command that must succeed, and gives what it prints.
fn prints(args: &[&str]) -> String {
    let output = highwater(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "{args:?}: nobody watches, so there is no progress line");
    text(&output.stdout)
}

/// Runs a command that must print one JSON object for each of so many queries.
fn json(args: &[&str], queries: usize) -> Vec<Value> {
    let printed = prints(args);
    let objects: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), queries, "{printed}");
    objects
}

/// Runs a command that must fail soon, with this exit code and these words.
fn refuses(args: &[&str], code: i32, words: &[&str]) {
    let clock = Clock::system();
    let output = highwater(args);
    assert!(clock.now() < SOON, "{args:?} took {:?}", clock.now());
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    assert_eq!(text(&output.stdout), "", "{args:?}");
    words.iter().for_each(|word| assert!(told.contains(word), "{args:?} does not say {word:?}: {told}"));
}

fn events(count: u64) -> impl Iterator<Item = Event> {
    let generator = Generator::new(Config::default());
    (0..count).map(move |number| generator.event(number))
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("highwater-program-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lines<T: DeserializeOwned>(path: &str) -> Vec<T> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort();
    rows
}

fn assert_same<T: PartialEq + Debug>(rows: &[T], expected: &[T]) {
    assert!(!expected.is_empty());
    assert!(rows == expected, "{} rows, expected {}", rows.len(), expected.len());
}

#[test]
fn a_query_ends_in_a_table() {
    for workers in ["1", "2"] {
        let table = prints(&["nexmark", "q5", "--events", "100k", "--workers", workers, "--generate-first"]);
        let mut lines = table.lines();
        let (head, row) = (lines.next().unwrap(), lines.next().unwrap());
        for column in ["query", "events/s", "events/CPU-s", "wall s", "CPU s", "memory MB", "rows"] {
            assert!(head.contains(column), "{head}");
        }
        assert!(row.starts_with("q5 "), "{row}");
        let rows = oracle::q5(events(100_000)).len().to_string();
        assert_eq!(row.split_whitespace().next_back(), Some(rows.as_str()), "{table}");
        assert!(table.contains("Generating the 100,000 events took"), "{table}");
    }
    let table = prints(&["nexmark", "q5", "--events", "100k"]);
    assert!(table.contains("generated while the query ran"), "{table}");
}

#[test]
fn all_queries_give_the_rows_of_the_recomputation() {
    let objects = json(
        &[
            "nexmark",
            "all",
            "--events",
            "60k",
            "--workers",
            "2",
            "--splits",
            "3",
            "--json",
            "--verify",
            "--generate-first",
        ],
        22,
    );
    for (object, number) in objects.iter().zip((0..=9).chain(11..=22)) {
        assert_eq!(object["query"], format!("q{number}"));
        assert_eq!((object["verified"].as_bool(), object["events"].as_u64()), (Some(true), Some(60_000)));
        assert_eq!(object["interrupted"].as_bool(), Some(false));
        assert!(object["events_per_second"].as_f64().unwrap() > 0.0);
        assert!(object["generation_seconds"].as_f64().unwrap() > 0.0);
        assert!(object["wall_s"].as_f64().unwrap() > 0.0 && object["cpu_s"].as_f64().unwrap() > 0.0);
    }
    // How many rows q12 has depends on when it ran.
    let objects = objects.iter().filter(|object| object["query"] != "q12");
    let rows: Vec<u64> = objects.map(|object| object["rows"].as_u64().unwrap()).collect();
    let all = || events(60_000);
    let expected = [
        oracle::q0(all()).len(),
        oracle::q1(all()).len(),
        oracle::q2(all()).len(),
        oracle::q3(all()).len(),
        oracle::q4(all()).len(),
        oracle::q5(all()).len(),
        oracle::q6(all()).len(),
        oracle::q7(all()).len(),
        oracle::q8(all()).len(),
        oracle::q9(all()).len(),
        oracle::q11(all()).len(),
        oracle::q13(all()).len(),
        oracle::q14(all()).len(),
        oracle::q15(all()).len(),
        oracle::q16(all()).len(),
        oracle::q17(all()).len(),
        oracle::q18(all()).len(),
        oracle::q19(all()).len(),
        oracle::q20(all()).len(),
        oracle::q21(all()).len(),
        oracle::q22(all()).len(),
    ];
    assert_eq!(rows, expected.map(|rows| rows as u64));
}

#[test]
fn rows_are_written_as_json_or_csv() {
    let folder = Folder::new("output");
    let (rows, table) = (folder.file("rows.json"), folder.file("rows.csv"));
    let common = ["--events", "60k", "--workers", "2", "--quiet", "--overwrite", "--output"];
    let run = |query, path: &str| prints(&[&["nexmark", query], &common[..], &[path]].concat());

    run("q3", &rows);
    assert_same(&sorted(lines::<Q3>(&rows)), &oracle::q3(events(60_000)));
    run("q7", &table);
    let read: Vec<Q7> = csv::Reader::from_path(&table).unwrap().deserialize().map(Result::unwrap).collect();
    assert_same(&sorted(read), &oracle::q7(events(60_000)));

    let expected: Vec<(Q4, Diff)> = oracle::q4(events(60_000)).into_iter().map(|row| (row, 1)).collect();
    refuses(
        &["nexmark", "q4", "--events", "60k", "--output", &rows],
        64,
        &[&rows, "is not empty", "--overwrite"],
    );
    run("q4", &rows);
    assert_same(&consolidate(lines::<Change<Q4>>(&rows)), &expected);
    run("q4", &table);
    let mut reader = csv::Reader::from_path(&table).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["id", "average", "diff"]);
    let changes = reader.deserialize().map(|row| {
        let (id, average, diff) = row.unwrap();
        Change { record: Q4 { id, average }, diff }
    });
    assert_same(&consolidate(changes), &expected);
}

#[test]
fn a_generated_file_holds_the_same_events() {
    let folder = Folder::new("generate");
    let (file, out) = (folder.file("events"), folder.file("rows.json"));
    let told = prints(&["nexmark", "generate", &file, "--events", "50k"]);
    assert!(told.contains("50,000 events"), "{told}");
    prints(&["nexmark", "q5", "--input", &file, "--output", &out, "--epoch", "5000records"]);
    assert_same(&sorted(lines::<Q5>(&out)), &oracle::q5(events(50_000)));
    // A part of it is also a stream.
    prints(&[
        "nexmark",
        "q5",
        "--input",
        &file,
        "--events",
        "30k",
        "--output",
        &out,
        "--overwrite",
        "--epoch",
        "done",
    ]);
    assert_same(&sorted(lines::<Q5>(&out)), &oracle::q5(events(30_000)));
    refuses(&["nexmark", "q5", "--input", &file, "--events", "51k"], 64, &["50000 events", "leave that out"]);
}

#[test]
fn an_open_loop_takes_its_time_and_tells_latencies() {
    let args = ["nexmark", "q7", "--events", "150k", "--rate", "300k", "--json", "--workers", "2"];
    let object = json(&args, 1).remove(0);
    let wall = object["wall_s"].as_f64().unwrap();
    assert!(wall > 0.49, "150 thousand events at 300 thousand per second came within {wall} s");
    let latency = &object["latency_ms"];
    assert_eq!(latency["epoch"]["count"].as_u64(), Some(150_000));
    // The first window ends within the stream and the second with it.
    assert!(latency["result"]["count"].as_u64().unwrap() >= 1);
    for kind in ["result", "epoch"] {
        let at = |quantile: &str| latency[kind][quantile].as_f64().unwrap();
        assert!(0.0 < at("p50") && at("p50") <= at("p99") && at("p99") <= at("max"), "{latency}");
    }
    let table = prints(&["nexmark", "q0", "--events", "10k", "--rate", "100k"]);
    assert!(table.contains("p99.99 ms") && table.contains("result") && table.contains("epoch"), "{table}");
}

#[test]
fn mistakes_are_told_soon_with_what_to_do() {
    refuses(&["nexmark", "q10"], 2, &["q10", "q0", "q22", "all"]);
    refuses(&["nexmark", "q0", "--frobnicate"], 2, &["--frobnicate", "--help"]);
    refuses(&["nexmark", "q0", "--epoch", "soon"], 2, &["soon", "10ms", "100000records", "done"]);
    refuses(&["nexmark", "q0", "--events", "many"], 2, &["many", "10M"]);
    refuses(&["nexmark", "q0", "--rate", "0"], 2, &["above 0"]);
    refuses(&["nexmark", "q0", "--rate", "1e-300"], 2, &["from 0.000001"]);
    refuses(&["nexmark", "q0", "--splits", "18446744073709551615"], 64, &["splits", "at most"]);
    refuses(&["nexmark", "q0", "--splits", "0"], 2, &["0"]);
    refuses(&["nexmark", "q0", "--epoch", "1e15h"], 2, &["10ms"]);
    refuses(&["nexmark", "q0", "--snapshots", "none", "--every", "1e15h"], 2, &["500ms"]);
    refuses(&["lab", "compare", "--keys", "4294967295"], 64, &["keys are too many"]);
    refuses(&["lab", "compare", "--splits", "4294967295"], 64, &["splits are too many"]);
    refuses(&["nexmark", "q0", "--workers", "0"], 64, &["0 workers", "choose 1 to"]);
    refuses(&["nexmark", "q0", "--workers", "1000"], 64, &["1000 workers", "choose 1 to"]);
    refuses(&["nexmark", "q0", "--max-epochs-in-flight", "0"], 64, &["at least 1 epoch"]);
    refuses(&["nexmark", "--events", "10"], 64, &["which query", "--help"]);
    refuses(&["nexmark", "all", "--output", "rows.json"], 64, &["--output", "name one"]);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = Folder::new("files");
    let (file, missing) = (folder.file("events"), folder.file("missing/events"));
    refuses(&["nexmark", "q0", "--input", &missing], 74, &[&missing, "generate", "because: "]);
    refuses(&["nexmark", "generate", &missing], 74, &[&missing, "because: "]);
    refuses(&["nexmark", "q0", "--output", &missing], 74, &[&missing, "because: "]);
    fs::write(&file, [7; 5_000]).unwrap();
    refuses(&["nexmark", "q0", "--input", &file], 65, &["is not a Nexmark file", "generate"]);
    refuses(&["nexmark", "generate", &file, "--events", "20k"], 64, &[&file, "--force"]);
    assert_eq!(fs::read(&file).unwrap(), [7; 5_000]);
    prints(&["nexmark", "generate", &file, "--events", "20k", "--force"]);
    refuses(&["nexmark", "q0", "--input", &file, "--output", &file], 64, &[&file, "the job reads"]);
    refuses(&["nexmark", "generate", "/dev/null", "--events", "20k"], 74, &["is no file"]);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    refuses(&["nexmark", "q0", "--input", &file], 65, &["is incomplete"]);
    let mut damaged = whole;
    damaged[50_000] ^= 1;
    fs::write(&file, &damaged).unwrap();
    refuses(&["nexmark", "q0", "--input", &file], 65, &["is damaged"]);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn help_is_a_manual() {
    for args in [&["--help"][..], &["nexmark", "--help"], &["nexmark", "generate", "--help"]] {
        let help = prints(args);
        assert!(help.contains("Usage: highwater"), "{help}");
    }
    let help = prints(&["nexmark", "--help"]);
    for word in ["Examples:", "generate events.nex", "sliding windows", "Latency", "Ctrl-C"] {
        assert!(help.contains(word), "the manual does not say {word:?}");
    }
}

/// Sends the signal that Ctrl-C sends.
fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn start(args: &[&str]) -> Child {
    let child = program(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(700));
    child
}

#[test]
fn an_interrupted_query_reports_what_it_has_read() {
    for workers in ["1", "2"] {
        let args = ["nexmark", "q5", "--events", "1G", "--rate", "50k", "--workers", workers, "--json"];
        let child = start(&args);
        interrupt(&child);
        let clock = Clock::system();
        let output = child.wait_with_output().unwrap();
        assert!(clock.now() < SOON);
        assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(object["interrupted"].as_bool(), Some(true));
        assert!((1..1_000_000).contains(&object["events"].as_u64().unwrap()), "{object}");
    }
    let child = start(&["nexmark", "all", "--events", "1G", "--workers", "2"]);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let table = text(&output.stdout);
    assert!(table.contains("q0 ") && table.contains("interrupted") && !table.contains("q1 "), "{table}");
}

#[test]
fn an_interrupted_file_leaves_nothing() {
    let folder = Folder::new("interrupt");
    let child = start(&["nexmark", "generate", &folder.file("events"), "--events", "1G"]);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("no file was written"));
    assert_eq!(fs::read_dir(Path::new(&folder.0)).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn an_input_that_is_cut_short_while_it_is_read_is_told() {
    let folder = Folder::new("short");
    let file = folder.file("events");
    for rate in ["100k", "20k"] {
        prints(&["nexmark", "generate", &file, "--events", "200k", "--force"]);
        let child = start(&["nexmark", "q4", "--input", &file, "--rate", rate, "--quiet"]);
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(9_999).unwrap();
        let output = child.wait_with_output().unwrap();
        let told = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(65 | 74)), "{:?}: {told}", output.status);
        assert!(told.contains(&file), "{told}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_of_file_sizes_is_told() {
    let folder = Folder::new("limit");
    for args in ["q1 --output", "generate"] {
        let file = folder.file("rows");
        let line = format!("ulimit -f 100; exec \"$0\" nexmark {args} \"$1\" --events 50k --quiet");
        let program = env!("CARGO_BIN_EXE_highwater");
        let output = Command::new("sh").args(["-c", &line, program, &file]).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(74), "{:?}: {told}", output.status);
        assert!(told.contains(&file) && told.contains("too large"), "{told}");
        let _ = fs::remove_file(&file);
    }
}
