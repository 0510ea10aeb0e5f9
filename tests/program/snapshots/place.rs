//! A folder that programs run in, and what they leave there.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use highwater::clock::Clock;
use highwater::nexmark::{Config, Event, Generator};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything may be waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that programs run in, so that their arguments are short.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn start(&self, line: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.args(line.split_whitespace()).current_dir(self.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.start(line).wait_with_output().unwrap()
    }

    /// Runs a command that must succeed, and gives what it prints and what it tells beside that.
    pub(crate) fn tells(&self, line: &str) -> (String, String) {
        let output = self.run(line);
        let told = text(&output.stderr);
        assert!(output.status.success(), "{line}: {told}");
        (text(&output.stdout), told)
    }

    pub(crate) fn prints(&self, line: &str) -> String {
        self.tells(line).0
    }

    /// Runs a command that prints a JSON object on each line.
    pub(crate) fn json(&self, line: &str) -> Vec<Value> {
        self.prints(&format!("{line} --json"))
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Runs a command that must fail with this code and these words.
    pub(crate) fn refuses(&self, line: &str, code: i32, words: &[&str]) {
        let output = self.run(line);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}: {told}");
        assert_eq!(text(&output.stdout), "", "{line}");
        words.iter().for_each(|word| assert!(told.contains(word), "{line} does not say {word:?}: {told}"));
    }

    pub(crate) fn count(&self, folder: &str) -> usize {
        fs::read_dir(self.path().join(folder)).map_or(0, Iterator::count)
    }

    /// Waits until the log in `state` has so many entries.
    pub(crate) fn wait_for_log(&self, entries: usize) {
        let clock = Clock::system();
        while self.count("state/log") < entries {
            assert!(clock.now() < PATIENCE, "the log has {} entries", self.count("state/log"));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Rows that are visible in the folder `rows`.
    pub(crate) fn rows<T: DeserializeOwned>(&self) -> Vec<T> {
        let mut rows = Vec::new();
        for entry in fs::read_dir(self.path().join("rows")).unwrap() {
            let path = entry.unwrap().path();
            if !path.file_name().unwrap().to_string_lossy().starts_with('.') {
                rows.extend(
                    fs::read_to_string(path)
                        .unwrap()
                        .lines()
                        .map(|row| serde_json::from_str::<T>(row).unwrap()),
                );
            }
        }
        rows
    }

    /// A query of 100,000 events that has taken a snapshot now and then, and one at the end.
    pub(crate) fn with_snapshots() -> Place {
        let place = Place::new();
        place.prints("nexmark q5 --events 100k --rate 100k --workers 2 --snapshots state --every 100ms --retain 100 --quiet");
        place
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

pub(crate) fn events(count: u64) -> impl Iterator<Item = Event> {
    let generator = Generator::new(Config::default());
    (0..count).map(move |number| generator.event(number))
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}
