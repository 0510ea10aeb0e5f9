//! What users do wrong, and what comes of it: an error that says what to do, or an outcome that is
//! documented; never a hang.

mod odd;
mod outputs;
mod panics;
mod refused;

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use highwater::config::Options;
use highwater::stream::Job;
use highwater::time::Epochs;
use highwater::{Error, ErrorKind};

/// The longest that any of these jobs may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs what `build` builds, which must come to an end.
fn outcome(what: &str, workers: usize, build: fn(&Job)) -> Result<(), Error> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let job = Job::new();
        build(&job);
        let options = Options::default().workers(workers).epochs(Epochs::records(3));
        let _ = sender.send(job.run_with(options).map(drop));
    });
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what}: {workers} workers hang"))
}

/// Expects an error of a kind with these words in it, on one worker and on three.
fn ends_in(kind: ErrorKind, what: &str, words: &str, build: fn(&Job)) {
    for workers in [1, 3] {
        let error = outcome(what, workers, build).expect_err(what);
        assert_eq!(error.kind(), kind, "{what}, {workers} workers: {error}");
        assert!(error.to_string().contains(words), "{what}, {workers} workers: {error}");
    }
}
