//! Random rotations and restarts of followed logs, against all lines that were ever written.

use std::fs;
use std::time::Duration;

use proptest::prelude::*;

use crate::text_files::logs::{Place, Reading, append};

/// What happens to the logs.
#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    /// All names move up by one, and there is a new file.
    Rotate(usize),
    MoveAway(usize),
    Delete(usize),
    Replace(usize),
    Rest,
    Restart(usize),
    /// A restart, and rotation while nobody reads.
    RotateAtRestart(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let log = 0..3usize;
    prop_oneof![
        4 => log.clone().prop_map(Step::Append),
        3 => log.clone().prop_map(Step::Rotate),
        1 => log.clone().prop_map(Step::MoveAway),
        1 => log.clone().prop_map(Step::Delete),
        1 => log.clone().prop_map(Step::Replace),
        1 => Just(Step::Rest),
        1 => (1..4usize).prop_map(Step::Restart),
        1 => (log, 1..4usize).prop_map(|(log, workers)| Step::RotateAtRestart(log, workers)),
    ]
}

/// Logs that are written, and all lines that ever were.
struct Model {
    place: Place,
    reading: Option<Reading>,
    lines: Vec<String>,
    /// Those of jobs that have ended.
    before: usize,
    /// How often each log has been rotated.
    turns: [usize; 3],
}

impl Model {
    fn line(&mut self, log: usize) -> String {
        let line = format!("log {log} line {}", self.lines.len());
        self.lines.push(line.clone());
        line + "\n"
    }

    fn append(&mut self, log: usize) {
        let line = self.line(log);
        self.place.append(&format!("{log}.log"), &line);
    }

    fn create(&mut self, name: &str, log: usize) {
        let line = self.line(log);
        self.place.write(name, &line);
    }

    /// What is not open in the job could be missed when it goes: a line of a log that came shows that the log
    /// is open.
    fn open(&mut self, log: usize) {
        self.append(log);
        self.catch_up();
    }

    /// Waits for all lines.
    fn catch_up(&mut self) {
        let Some(reading) = self.reading.take() else { return };
        let want = self.lines.len() - self.before;
        reading.until(|lines| lines.len() >= want, &self.lines[self.before..]);
        self.reading = Some(reading.must_run());
    }

    fn rotate(&mut self, log: usize) {
        for turn in (1..=self.turns[log]).rev() {
            self.place.rename(&format!("{log}.log.{turn}"), &format!("{log}.log.{}", turn + 1));
        }
        self.place.rename(&format!("{log}.log"), &format!("{log}.log.1"));
        self.turns[log] += 1;
        let line = self.line(log);
        self.place.append(&format!("{log}.log.1"), &line);
        self.create(&format!("{log}.log"), log);
    }

    fn start(&mut self, workers: usize) {
        let source = self.place.all().linger(Duration::from_secs(60));
        self.reading = Some(self.place.start(source, workers));
    }

    /// Ends the job wherever it is.
    fn end(&mut self) {
        let reading = self.reading.take().unwrap();
        self.place.end(reading);
        self.before = self.place.given.len();
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Append(log) => self.append(log),
            Step::Rotate(log) => self.rotate(log),
            Step::MoveAway(log) => {
                self.open(log);
                let (from, line) = (format!("{log}.log"), self.line(log));
                let to = self.place.away(&self.lines.len().to_string());
                fs::rename(self.place.log(&from), &to).unwrap();
                append(&to, &line);
                self.create(&from, log);
            }
            Step::Delete(log) => {
                self.open(log);
                self.append(log);
                let name = format!("{log}.log");
                fs::remove_file(self.place.log(&name)).unwrap();
                self.create(&name, log);
            }
            Step::Replace(log) => {
                self.open(log);
                self.append(log);
                self.create(".next", log);
                self.place.rename(".next", &format!("{log}.log"));
            }
            Step::Rest => self.catch_up(),
            Step::Restart(workers) => {
                // What has left the directory is not found again.
                self.catch_up();
                self.end();
                self.append(0);
                self.start(workers);
            }
            Step::RotateAtRestart(log, workers) => {
                self.catch_up();
                self.end();
                self.append(log);
                self.rotate(log);
                self.start(workers);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 30, ..ProptestConfig::default() })]

    #[test]
    fn every_line_comes_once_whatever_becomes_of_the_files(
        steps in prop::collection::vec(step(), 1..24),
        workers in 1..4usize,
    ) {
        let mut model =
            Model { place: Place::new(), reading: None, lines: Vec::new(), before: 0, turns: [0; 3] };
        (0..3).for_each(|log| model.create(&format!("{log}.log"), log));
        model.start(workers);
        steps.iter().for_each(|step| model.take(step));
        model.catch_up();
        model.end();
        let mut want: Vec<&str> = model.lines.iter().map(String::as_str).collect();
        want.sort_unstable();
        prop_assert_eq!(model.place.given(), want);
    }
}
