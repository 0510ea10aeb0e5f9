//! The program of a job as its users meet it: it is interrupted and killed, goes on, is refused, and shows
//! its graph.
//!
//! This is that program, too. The tests start it again with a variable in its environment; then it is the
//! job, and its arguments are the job's. So it has no harness, and runs its tests one after the other: all,
//! or those whose names contain the argument.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::Duration;

use clap::Args;
use highwater::clock::Clock;
use highwater::connector::Generator;
use highwater::data::{Change, consolidate};
use highwater::object::Local;
use highwater::snapshot::Repository;
use highwater::time::Watermarks;
use highwater::{Error, program};
use tempfile::TempDir;

/// The variable that makes this the program of the job.
const JOB: &str = "HIGHWATER_TEST_JOB";

/// The longest that anything may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const KEYS: u64 = 7;

const TESTS: [(&str, fn()); 8] = [
    ("an_interrupted_job_goes_on_with_other_workers", an_interrupted_job_goes_on_with_other_workers),
    ("a_killed_job_goes_on_from_the_snapshot_before", a_killed_job_goes_on_from_the_snapshot_before),
    ("a_job_begins_or_goes_on_as_it_is_told", a_job_begins_or_goes_on_as_it_is_told),
    ("a_job_without_snapshots_stops", a_job_without_snapshots_stops),
    ("a_fork_goes_on_beside_the_first_job", a_fork_goes_on_beside_the_first_job),
    ("a_fork_is_refused_before_anything_is_made", a_fork_is_refused_before_anything_is_made),
    ("outputs_of_two_jobs_are_compared", outputs_of_two_jobs_are_compared),
    ("a_graph_is_shown_and_nothing_runs", a_graph_is_shown_and_nothing_runs),
];

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(JOB) {
        return job(if name == "others" { "others" } else { "counts" });
    }
    let asked = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, test) in TESTS.into_iter().filter(|(name, _)| name.contains(&asked)) {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

/// Counts numbers by what is left of them.
#[derive(Args)]
struct Numbers {
    /// How many numbers are counted.
    count: u64,
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value = "rows")]
    output: PathBuf,
}

/// How often each remainder has come so far.
fn job(name: &'static str) -> ExitCode {
    program::main_with(name, |job, numbers: Numbers| {
        if numbers.count == 13 {
            return Err(Error::config("13 is an unlucky number: choose another"));
        }
        let generator = Generator::new(2, Some).limit(numbers.count);
        let generator = match numbers.rate {
            Some(rate) => generator.rate(rate),
            None => generator,
        };
        let numbers_read = job.source(generator, Watermarks::none()).uid("numbers");
        numbers_read.key_by(|number| number % KEYS).count().uid("counts").write_json(numbers.output);
        Ok(())
    })
}

/// A folder that the program runs in.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn start_as(&self, name: &str, line: &str) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(line.split_whitespace()).env(JOB, name).current_dir(self.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn start(&self, line: &str) -> Child {
        self.start_as("counts", line)
    }

    fn run(&self, line: &str) -> Output {
        self.start(line).wait_with_output().unwrap()
    }

    /// Runs the job, which must end well, and gives what it prints and what it tells beside that.
    fn tells(&self, line: &str) -> (String, String) {
        let output = self.run(line);
        let told = text(&output.stderr);
        assert!(output.status.success(), "{line}: {told}");
        (text(&output.stdout), told)
    }

    /// Runs the job, which must fail with this code and these words.
    fn refuses(&self, name: &str, line: &str, code: i32, words: &[&str]) {
        let output = self.start_as(name, line).wait_with_output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}: {told}");
        assert_eq!(text(&output.stdout), "", "{line}");
        words.iter().for_each(|word| assert!(told.contains(word), "{line} does not say {word:?}: {told}"));
    }

    fn count(&self, folder: &str) -> usize {
        fs::read_dir(self.path().join(folder)).map_or(0, Iterator::count)
    }

    /// Waits until a folder has so many files.
    fn wait_for(&self, folder: &str, files: usize) {
        let clock = Clock::system();
        while self.count(folder) < files {
            assert!(clock.now() < PATIENCE, "{folder} has {} files", self.count(folder));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs `highwater` with the job's program as `JOB` in the line.
    fn highwater(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        let own = std::env::current_exe().unwrap();
        command.args(line.split_whitespace().map(|word| match word {
            "JOB" => own.as_os_str(),
            word => word.as_ref(),
        }));
        command.env(JOB, "counts").current_dir(self.path()).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn assert_clean(&self, state: &str) {
        let repository = Repository::open(std::sync::Arc::new(Local::open(self.path().join(state)).unwrap()));
        assert_eq!(repository.verify().unwrap().findings, []);
    }

    /// What is left of all changes that are visible.
    fn rows(&self) -> Vec<((u64, i64), i64)> {
        self.rows_in("rows")
    }

    fn rows_in(&self, folder: &str) -> Vec<((u64, i64), i64)> {
        let mut rows: Vec<Change<(u64, i64)>> = Vec::new();
        for entry in fs::read_dir(self.path().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if !path.file_name().unwrap().to_string_lossy().starts_with('.') {
                let lines = fs::read_to_string(path).unwrap();
                rows.extend(
                    lines.lines().map(|line| serde_json::from_str::<Change<(u64, i64)>>(line).unwrap()),
                );
            }
        }
        consolidate(rows)
    }
}

/// The counts of the numbers below `count`, each there once.
fn expected(count: u64) -> Vec<((u64, i64), i64)> {
    let times = |key: u64| (0..count).filter(|number| number % KEYS == key).count() as i64;
    (0..KEYS).map(|key| ((key, times(key)), 1)).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Sends a signal by its name.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn an_interrupted_job_goes_on_with_other_workers() {
    let place = Place::new();
    let child = place.start("20000 --rate 10000 --snapshots state --every 20ms --fresh");
    place.wait_for("state/log", 4);
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(
        told.contains("takes a last snapshot") && told.contains("suspended at the end of epoch"),
        "{told}"
    );
    let line = told.lines().last().unwrap().trim();
    assert!(line.ends_with("20000 --rate 10000 --snapshots state --every 20ms --restore latest"), "{told}");

    let (_, told) = place.tells("20000 --snapshots state --restore latest --workers 3 --epoch 5ms");
    assert!(told.contains("goes on from the snapshot of epoch"), "{told}");
    assert_eq!(place.rows(), expected(20_000));
    let repository = Repository::open(std::sync::Arc::new(Local::open(place.path().join("state")).unwrap()));
    assert_eq!(repository.list().unwrap().last().unwrap().1.workers, 3);
    assert_eq!(repository.verify().unwrap().findings, []);
}

fn a_killed_job_goes_on_from_the_snapshot_before() {
    let place = Place::new();
    let line = "30000 --snapshots state --every 20ms --quiet";
    for (restore, entries, workers) in [("", 4, 2), ("--restore latest", 9, 1)] {
        let child = place.start(&format!("{line} --rate 10000 --workers {workers} {restore}"));
        place.wait_for("state/log", entries);
        signal(&child, "KILL");
        child.wait_with_output().unwrap();
    }
    let (_, told) = place.tells(&format!("{line} --restore latest --workers 2 --state-memory 2M"));
    assert_eq!(told, "");
    assert_eq!(place.rows(), expected(30_000));
}

fn a_job_begins_or_goes_on_as_it_is_told() {
    let place = Place::new();
    place.refuses("counts", "100 --snapshots state --restore 7", 64, &["no directory state", "--snapshots"]);
    place.refuses("counts", "13", 64, &["error: 13 is an unlucky number: choose another\n"]);
    place.refuses("counts", "100 --workers 0", 64, &["choose 1 to"]);
    place.refuses("counts", "100 --restore latest", 2, &["--snapshots"]);
    assert_eq!(place.count("."), 0);
    let (_, told) = place.tells("100 --snapshots state --restore latest");
    assert_eq!(told, "state has no snapshot yet: begins at the beginning\n");
    assert_eq!(place.rows(), expected(100));
    place.refuses("counts", "100 --snapshots state", 64, &["--restore latest", "--fresh"]);
    place.refuses("counts", "100 --snapshots state --restore good", 64, &["\"good\"", "snapshot list state"]);
    place.refuses("others", "100 --snapshots state --restore latest", 64, &["\"counts\"", "\"others\""]);
    let (_, told) = place.tells("100 --snapshots state --restore latest");
    assert!(told.contains("nothing left to read"), "{told}");
    place.tells("200 --snapshots state --fresh");
    assert_eq!(place.rows(), expected(200));
    let help = place.tells("--help").0;
    for word in [
        "Counts numbers by",
        "<COUNT>",
        "--workers <COUNT>",
        "--snapshots <DIR>",
        "--restore <SNAPSHOT>",
        "Exit codes:",
    ] {
        assert!(help.contains(word), "the manual does not say {word:?}: {help}");
    }
}

fn a_fork_goes_on_beside_the_first_job() {
    let place = Place::new();
    let line = "30000 --snapshots state --every 20ms --quiet";
    let child = place.start(&format!("{line} --rate 10000 --workers 2"));
    place.wait_for("state/log", 5);
    // While the first one runs.
    for (fork, output, workers) in [("other", "others", 3), ("third", "thirds", 1)] {
        let line = format!("fork state --into {fork} -- JOB 30000 --workers {workers} --output {output}");
        let forked = place.highwater(&line);
        let told = text(&forked.stderr);
        assert!(forked.status.success(), "{told}");
        assert!(told.contains(&format!("{fork} begins with the snapshot of epoch")), "{told}");
        assert!(told.contains("goes on from the snapshot of epoch"), "{told}");
        let rows = place.rows_in(output);
        let (ends, begins): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, diff)| *diff > 0);
        assert_eq!(ends, expected(30_000));
        // What the snapshot knew is gone on from, so each of its counts is taken back once.
        assert_eq!(begins.len() as u64, KEYS);
        assert!(begins.iter().all(|((_, count), diff)| (1..30_000 / 7).contains(count) && *diff == -1));
        place.assert_clean(fork);
    }
    signal(&child, "KILL");
    child.wait_with_output().unwrap();
    // Neither collection harms another directory.
    for fork in ["other", "state"] {
        assert!(place.highwater(&format!("snapshot gc {fork} --retain 1 --grace 0s")).status.success());
        ["state", "other", "third"].iter().for_each(|state| place.assert_clean(state));
    }
    place.tells(&format!("{line} --restore latest"));
    assert_eq!(place.rows(), expected(30_000));
}

fn a_fork_is_refused_before_anything_is_made() {
    let place = Place::new();
    let refused = |line: &str, code: i32, words: &[&str]| {
        let output = place.highwater(line);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}: {told}");
        words.iter().for_each(|word| assert!(told.contains(word), "{line} does not say {word:?}: {told}"));
    };
    refused("fork state --into other", 64, &["no directory state", "--snapshots"]);
    place.tells("100 --snapshots state");
    refused("fork state --snapshot 77777 --into other", 64, &["77777", "snapshot list state"]);
    refused("fork state --into other -- JOB 100 --restore latest", 64, &["--restore", "leave it out"]);
    refused("fork state --into state", 64, &["state is not empty", "--into"]);
    refused("fork state", 2, &["--into"]);
    assert_eq!(place.count("."), 2);
    let output = place.highwater("fork state --into other");
    let told = text(&output.stdout);
    assert!(output.status.success() && told.contains("\"counts\""), "{told}");
    assert!(told.contains("--snapshots other --restore latest"), "{told}");
    refused("fork state --into third -- no-such-program", 74, &["no-such-program", "--snapshots third"]);
    let help = text(&place.highwater("fork --help").stdout);
    for word in ["--into <DIR>", "--snapshot <SNAPSHOT>", "Examples:", "Exit codes:"] {
        assert!(help.contains(word), "the manual does not say {word:?}: {help}");
    }
}

fn outputs_of_two_jobs_are_compared() {
    let place = Place::new();
    let diff = |line: &str| {
        let output = place.highwater(&format!("diff {line}"));
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    // One in parts that are shown, the other in a file; with other epochs they correct what they said another
    // number of times.
    place.tells("5000 --snapshots state --every 5ms --rate 20000 --workers 2");
    place.tells("5000 --epoch 100records --output two");
    let (code, told, _) = diff("rows two --changes");
    assert!(code == 0 && told.ends_with(": the same\n"), "{told}");
    assert_eq!(diff("rows rows").0, 0);
    fs::write(place.path().join("rows/.writing-1-0"), "hidden\n").unwrap();
    fs::write(place.path().join("rows/part-99999999.jsonl"), "{\"record\":[9,9],\"diff\":3}\n").unwrap();
    let (code, told, _) = diff("rows two --changes");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((code, lines[0]), (1, "- [9,9]  (3 times)"), "{told}");
    assert!(lines.len() == 2 && lines[1].ends_with(": 3 only in A, 0 only in B"), "{told}");
    let (code, told, _) = diff("two rows --changes --limit 0");
    assert!(code == 1 && told.starts_with("+ and 1 other line only in B\n"), "{told}");
    let (code, _, told) = diff("rows none");
    assert!(code == 74 && told.contains("cannot read none"), "{told}");
    let (code, _, told) = diff("state rows");
    assert!(code == 64 && told.contains("directory of parts"), "{told}");
    assert_eq!(diff("rows").0, 2);
    let help = diff("--help").1;
    for word in ["--limit <COUNT>", "--changes", "Memory:", "Exit codes:"] {
        assert!(help.contains(word), "the manual does not say {word:?}: {help}");
    }
}

fn a_job_without_snapshots_stops() {
    let place = Place::new();
    let child = place.start("1000000000 --rate 1000");
    thread::sleep(Duration::from_millis(500));
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(130), String::new()));
    let counted: i64 = fs::read_to_string(place.path().join("rows"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Change<(u64, i64)>>(line).unwrap())
        .map(|change| change.diff * change.record.1)
        .sum();
    assert!((1..100_000).contains(&counted), "{counted}");
}

fn a_graph_is_shown_and_nothing_runs() {
    let place = Place::new();
    assert!(place.tells("1000 --explain").0.contains("keeps state"));
    assert!(place.tells("1000 --explain=dot --snapshots state").0.starts_with("digraph job {"));
    assert_eq!(place.count("."), 0);
}
