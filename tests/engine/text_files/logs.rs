//! Logs, and jobs that follow them and go on from each other.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::connector::{Collected, TextFile};
use highwater::runtime::Running;
use highwater::snapshot::{Restore, Snapshots};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use highwater::{Error, ErrorKind};

const LOOK: Duration = Duration::from_millis(2);

/// A directory with logs, and one with snapshots of the jobs that read them.
pub(crate) struct Place {
    pub(crate) logs: tempfile::TempDir,
    elsewhere: tempfile::TempDir,
    snapshots: tempfile::TempDir,
    /// All that jobs which have ended have given.
    pub(crate) given: Vec<String>,
}

impl Place {
    pub(crate) fn new() -> Place {
        let new = || tempfile::tempdir().unwrap();
        Place { logs: new(), elsewhere: new(), snapshots: new(), given: Vec::new() }
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.path().join(name)
    }

    pub(crate) fn away(&self, name: &str) -> PathBuf {
        self.elsewhere.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.log(name), text).unwrap();
    }

    pub(crate) fn append(&self, name: &str, text: &str) {
        append(&self.log(name), text);
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.log(from), self.log(to)).unwrap();
    }

    pub(crate) fn all(&self) -> TextFile {
        TextFile::new(self.logs.path()).follow(LOOK)
    }

    pub(crate) fn one(&self, name: &str) -> TextFile {
        TextFile::new(self.log(name)).follow(LOOK)
    }

    /// Starts a job that goes on from the last one.
    pub(crate) fn start(&self, source: TextFile, workers: usize) -> Reading {
        self.try_start(source, workers).unwrap()
    }

    /// The same for a job that may not start.
    pub(crate) fn try_start(&self, source: TextFile, workers: usize) -> Result<Reading, Error> {
        let job = Job::new();
        let lines = job.source(source, Watermarks::none()).uid("lines").collect();
        let snapshots = Snapshots::in_directory(self.snapshots.path()).unwrap().restore(Restore::Latest);
        let options = Options::default().workers(workers).epochs(Epochs::every(Duration::from_millis(1)));
        Ok(Reading { running: job.start(options.snapshots(snapshots))?, lines })
    }

    /// Ends a job so that another can go on.
    pub(crate) fn end(&mut self, reading: Reading) {
        let Reading { running, lines } = reading;
        running.suspend().unwrap();
        self.given.extend(lines.values());
    }

    pub(crate) fn given(&self) -> Vec<&str> {
        let mut given: Vec<&str> = self.given.iter().map(String::as_str).collect();
        given.sort_unstable();
        given
    }
}

pub(crate) fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

pub(crate) struct Reading {
    running: Running,
    pub(crate) lines: Collected<String>,
}

impl Reading {
    /// Waits until these lines have come, and no others.
    pub(crate) fn sees(&self, want: &[&str]) {
        self.sees_all(&want.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
    }

    pub(crate) fn sees_all(&self, want: &[String]) {
        let mut want = want.to_vec();
        want.sort();
        self.until(|lines| lines.len() >= want.len(), &want);
        assert_eq!(self.lines.sorted(), want);
    }

    pub(crate) fn until(&self, mut done: impl FnMut(&[String]) -> bool, want: &[String]) {
        let clock = Clock::system();
        while !done(&self.lines.values()) {
            let is_late = clock.now() > Duration::from_secs(20);
            assert!(!is_late, "{:?} and not {want:?}", self.lines.sorted());
            if self.running.is_finished() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Panics with the error of a job that has ended by itself.
    pub(crate) fn must_run(self) -> Reading {
        if self.running.is_finished() {
            let ended = self.running.join().map(drop);
            panic!("the job has ended with {:?}: {ended:?}", self.lines.sorted());
        }
        self
    }

    /// Waits for some looks.
    pub(crate) fn rests(&self) {
        std::thread::sleep(20 * LOOK);
    }

    /// The error that the job ends with.
    pub(crate) fn fails(self) -> String {
        let clock = Clock::system();
        while !self.running.is_finished() {
            assert!(clock.now() < Duration::from_secs(20), "no error, but {:?}", self.lines.values());
            std::thread::sleep(Duration::from_millis(1));
        }
        let error = self.running.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        error.to_string()
    }
}
