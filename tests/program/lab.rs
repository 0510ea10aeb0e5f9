//! The event-time laboratory as its users meet it: what `highwater lab` prints, writes and refuses.
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

fn lab(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    command.arg("lab").args(args).stdin(Stdio::null());
    command
}

fn program(args: &[&str]) -> Command {
    lab(&[&["compare"], args].concat())
}

fn compare(args: &[&str]) -> Output {
    program(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command that must succeed, and gives what it prints.
fn prints(args: &[&str]) -> String {
    let output = compare(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "{args:?}: nobody watches, so there is no progress line");
    text(&output.stdout)
}

/// Runs a command that must print one JSON object.
fn json(args: &[&str]) -> Value {
    let printed = prints(&[args, &["--json"]].concat());
    assert_eq!(printed.lines().count(), 1);
    serde_json::from_str(&printed).unwrap()
}

/// Runs a command that must fail with this exit code and these words.
fn refuses(args: &[&str], code: i32, words: &[&str]) {
    let output = compare(args);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    assert_eq!(text(&output.stdout), "", "{args:?}");
    words.iter().for_each(|word| assert!(told.contains(word), "{args:?} does not say {word:?}: {told}"));
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("highwater-lab-{name}-{}", std::process::id()));
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

const SMALL: [&str; 4] = ["--events", "20k", "--window", "2s"];

#[test]
fn a_comparison_ends_in_a_table() {
    let table = prints(&SMALL);
    let mut lines = table.lines();
    let head = lines.next().unwrap();
    for column in [
        "strategy",
        "policy",
        "emitted",
        "p50 ms",
        "settled p99",
        "late",
        "dropped",
        "wrong windows",
        "complete %",
    ] {
        assert!(head.contains(column), "{head}");
    }
    let rows: Vec<Vec<&str>> =
        lines.by_ref().take(16).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        (rows[0][..2].to_vec(), rows[15][..2].to_vec()),
        (vec!["monotone", "drop"], vec!["perfect", "correct:1m"])
    );
    assert!(rows.iter().all(|row| row.len() == 14), "{table}");
    assert!(
        rows.iter().skip(1).step_by(2).all(|row| row[13] == "100.0000"),
        "corrections make all complete: {table}"
    );
    let about = lines.nth(1).unwrap();
    assert!(
        about.starts_with("lognormal:200ms:1, 1000 records/s, seed 1: 20,000 records in 4 splits; "),
        "{about}"
    );
    assert_eq!(prints(&[&SMALL[..], &["--quiet"]].concat()).lines().count(), 17);
}

#[test]
fn a_seed_and_not_the_workers_decides() {
    let run =
        |more: &[&str]| json(&[&SMALL[..], &["--disorder", "pareto:50ms:1.2,skew:300ms"], more].concat());
    let report = run(&["--seed", "5"]);
    for workers in ["2", "3", "4"] {
        assert_eq!(run(&["--seed", "5", "--workers", workers]), report);
    }
    assert_ne!(run(&["--seed", "6"])["rows"], report["rows"]);
}

#[test]
fn files_hold_what_is_printed() {
    let folder = Folder::new("files");
    let (csv, svg) = (folder.file("report.csv"), folder.file("plot.svg"));
    let outputs = [&SMALL[..], &["--csv", &csv, "--plot", &svg]].concat();
    for file in [&csv, &svg] {
        // What is there already stays, unless it is to be replaced: then nothing of it does.
        fs::write(file, "x".repeat(100_000)).unwrap();
        refuses(&outputs, 64, &[file, "there already", "--force"]);
        assert_eq!(fs::read_to_string(file).unwrap().len(), 100_000);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no other file is left");
        fs::remove_file(file).unwrap();
    }
    fs::write(&csv, "x".repeat(100_000)).unwrap();
    let report = json(&[&outputs[..], &["--force"]].concat());
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);
    let rows = report["rows"].as_array().unwrap();
    let mut read = csv::Reader::from_path(&csv).unwrap();
    let lines: Vec<csv::StringRecord> = read.records().map(Result::unwrap).collect();
    assert_eq!(lines.len(), rows.len());
    for (line, row) in lines.iter().zip(rows) {
        assert_eq!(
            (&line[0], &line[1]),
            (row["strategy"].as_str().unwrap(), row["policy"].as_str().unwrap())
        );
        assert_eq!(line[2], row["emitted"].to_string());
    }
    let svg = fs::read_to_string(&svg).unwrap();
    let plot = roxmltree::Document::parse(&svg).unwrap();
    assert_eq!(plot.descendants().filter(|node| node.has_tag_name("g")).count(), rows.len());
}

#[test]
fn a_recording_gives_the_same_report_again() {
    let folder = Folder::new("record");
    let made = [
        "--disorder",
        "lognormal:200ms:1,idle:5s:5s,bursty:3s:1s",
        "--strategy",
        "monotone,bounded:1s+idle:2s,perfect",
    ];
    for name in ["stream.csv", "stream.json"] {
        let file = folder.file(name);
        let recorded = json(&[&SMALL[..], &made, &["--record", &file]].concat());
        let replayed = json(&["--input", &file, "--window", "2s", made[2], made[3]]);
        assert_eq!(replayed["rows"], recorded["rows"], "{name}");
        assert_eq!(replayed["recording"].as_str(), Some(file.as_str()));
    }
    let lines = fs::read_to_string(folder.file("stream.csv")).unwrap();
    assert_eq!(
        (lines.lines().next(), lines.lines().count()),
        (Some("arrival,event,key,split,value"), 20_001)
    );
}

#[test]
fn without_disorder_nothing_is_wrong() {
    let report = json(&[
        "--events",
        "10k",
        "--disorder",
        "none",
        "--window",
        "3s/1s",
        "--policy",
        "drop,side,correct",
    ]);
    for row in report["rows"].as_array().unwrap() {
        assert_eq!((row["wrong_results"].as_u64(), row["late"].as_u64()), (Some(0), Some(0)), "{row}");
    }
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    refuses(&["--strategy", "guess"], 2, &["there is no strategy", "bounded:DISORDER"]);
    refuses(&["--policy", "keep"], 2, &["there is no late policy", "correct"]);
    refuses(&["--disorder", "noise"], 2, &["there is no disorder", "lognormal"]);
    refuses(&["--disorder", "pareto:50ms"], 2, &["pareto:LEAST:ALPHA"]);
    refuses(&["--window", "ten"], 2, &["is not a time", "200ms"]);
    refuses(&["--window", "1h/1ms"], 2, &["more than 1000 windows"]);
    refuses(&["--events", "0"], 2, &["--events"]);
    refuses(&["--input", "a.csv", "--seed", "3"], 2, &["--input", "--seed"]);
    refuses(&["--force"], 2, &["--record", "--csv", "--plot"]);
    refuses(&["--splits", "0"], 64, &["at least one"]);
    refuses(&["--events", "1G"], 64, &["too many"]);
    refuses(&["--workers", "0"], 64, &["0 workers"]);
    refuses(&["--splits", "1", "--disorder", "idle:1s:1s"], 64, &["at least 2 splits"]);
    let many: Vec<String> = (0..60).map(|n| format!("bounded:{n}s")).collect();
    refuses(&["--strategy", &many.join(",")], 64, &["choose 1 to 100"]);
}

#[test]
fn broken_files_are_told_by_their_exit_codes() {
    let folder = Folder::new("broken");
    let (missing, broken) = (folder.file("no/such.csv"), folder.file("broken.csv"));
    refuses(&["--input", &missing], 74, &[&missing, "because: "]);
    for flag in ["--csv", "--plot", "--record"] {
        refuses(&["--events", "1k", flag, &missing], 74, &[&missing, "because: "]);
    }
    fs::write(&broken, "arrival,event,key,split\n1,1,a,0\n2,soon,a,0\n").unwrap();
    refuses(&["--input", &broken], 65, &[&broken, "line 3", "because: "]);
    fs::write(&broken, "").unwrap();
    refuses(&["--input", &broken], 65, &["no records"]);
    // A refused comparison leaves no empty file.
    refuses(&["--workers", "0", "--plot", &folder.file("plot.svg")], 64, &[]);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn help_is_a_manual() {
    for words in ["Examples:", "Causes of disorder:", "Policies:", "--record", "What is reported:"] {
        assert!(prints(&["--help"]).contains(words), "the manual does not say {words:?}");
    }
}

#[test]
fn an_interrupted_comparison_says_nothing_wrong() {
    let folder = Folder::new("interrupt");
    let plot = folder.file("plot.svg");
    let mut command = program(&["--events", "10M", "--rate", "1M", "--plot", &plot]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Once the file is there, under its temporary name, the job begins.
    let files = || fs::read_dir(&folder.0).unwrap().count();
    while files() == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("interrupted"));
    assert_eq!((text(&output.stdout).as_str(), files()), ("", 0));
}

const CASES: &str = r#"[
{"id": "a late record", "operator": "window", "note": "Four comes after the end.",
 "config": {"assigner": {"type": "tumble", "size": 10}, "function": "sum"},
 "input": [["k", 1, 3], ["k", 2, 9], {"watermark": 9}, ["k", 5, 4], {"watermark": 30}],
 "expected": [{"out": ["k", 3, 0, 10]}, {"watermark": 9}, {"late": ["k", 5, 4]}, {"watermark": 30}]},
{"id": "shown", "operator": "watermark_merge", "config": {"channels": 1}, "input": [[0, {"watermark": 5}]]}
]"#;

/// Runs cases, and gives the exit code, the output and the errors.
fn run_cases(args: &[&str]) -> (Option<i32>, String, String) {
    let output = lab(args).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn cases_are_shown_step_by_step() {
    let folder = Folder::new("cases");
    let (file, wrong) = (folder.file("cases.json"), folder.file("wrong.json"));
    fs::write(&file, CASES).unwrap();
    let timeline = "\
a late record (window)
  Four comes after the end.
  record [\"k\",1,3]
  record [\"k\",2,9]
                                  ->  {\"out\":[\"k\",3,0,10]}
  watermark 9
  record [\"k\",5,4]
                                  ->  {\"late\":[\"k\",5,4]}
  watermark 30
  as expected

";
    let (code, shown, errors) = run_cases(&[&file]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(shown.starts_with(timeline), "{shown}");
    assert!(shown.ends_with("1 case came out as expected, 1 without anything expected\n"), "{shown}");
    assert_eq!(
        run_cases(&[&file, "--quiet", "--only", "late"]),
        (Some(0), "1 case came out as expected\n".to_owned(), String::new())
    );

    fs::write(&wrong, CASES.replace("{\"out\": [\"k\", 3,", "{\"out\": [\"k\", 4,")).unwrap();
    let (code, shown, _) = run_cases(&[&wrong, "--quiet"]);
    assert_eq!(code, Some(1));
    for line in [
        "  missing    {\"out\":[\"k\",4,0,10]}",
        "  unexpected {\"out\":[\"k\",3,0,10]}",
        "1 did not: a late record",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    // What the engine refuses is told when the case runs.
    fs::write(&wrong, CASES.replace("\"size\": 10}", "\"size\": 1000000000000000000}")).unwrap();
    let (code, shown, _) = run_cases(&[&wrong, "--quiet"]);
    assert!(code == Some(1) && shown.contains("cannot be run: case \"a late record\": "), "{shown}");
}

#[test]
fn cases_that_are_not_in_the_notation_are_refused_by_name() {
    let folder = Folder::new("notation");
    let (right, wrong) = (folder.file("right.json"), folder.file("wrong.json"));
    fs::write(&right, CASES).unwrap();
    let refused = |from: &str, to: &str, words: &[&str]| {
        fs::write(&wrong, CASES.replacen(from, to, 1)).unwrap();
        let (code, shown, told) = run_cases(&[&right, &wrong]);
        assert_eq!((code, shown.as_str()), (Some(65), ""), "no case runs: {told}");
        words
            .iter()
            .chain([&wrong.as_str()])
            .for_each(|word| assert!(told.contains(word), "{word:?}: {told}"));
    };
    refused(
        "\"function\"",
        "\"funktion\"",
        &["case \"a late record\"", "`funktion`", "did you mean `function`?"],
    );
    refused("\"window\"", "\"windows\"", &["case \"a late record\"", "`windows`", "did you mean `window`?"]);
    refused("\"channels\": 1", "\"channels\": 1, \"channels\": 1", &["\"channels\" is there twice"]);
    refused("[[0,", "[[3,", &["case \"shown\"", "there is no channel 3"]);
    let (code, _, told) = run_cases(&[&right, "--only", "nothing"]);
    assert!(code == Some(64) && told.contains("none of the 2 cases"), "{told}");
    let (code, _, told) = run_cases(&[&folder.file("missing.json")]);
    assert!(code == Some(74) && told.contains("cannot read"), "{told}");
    assert!(run_cases(&["--help"]).1.contains("bounded_out_of_orderness  bound"));
}
