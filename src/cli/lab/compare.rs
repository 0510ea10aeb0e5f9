//! `highwater lab compare`: makes or reads a stream, compares, and tells.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::lab::{Comparison, Recording, Traffic};
use highwater::stream::Job;
use highwater::{Error, Result};

use super::table::table;
use super::usage::CompareArgs;
use crate::cli::atomic_file::AtomicFile;
use crate::cli::progress::{self, Progress};
use crate::cli::signal::{INTERRUPTED_CODE, is_interrupted};
use crate::cli::{print, warn};

/// How often the main thread looks after the job: soon at first, since a job may be short.
const LOOK: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));

/// Compares, and gives the exit code.
pub(super) fn run(args: &CompareArgs) -> Result<u8> {
    let options = Options::default().workers(args.workers);
    let comparison =
        Comparison { windows: args.window, strategies: args.strategy.clone(), policies: args.policy.clone() };
    let whole = args.record.as_ref().map(|path| AtomicFile::new(path, args.force)).transpose()?;
    let recording = recording(args)?;
    if let (Some(whole), Some(path)) = (whole, &args.record) {
        recording.write_as(whole.at(), path)?;
        whole.finish()?;
    }
    let prepared = comparison.prepare(&recording)?;
    let output =
        |path: &Option<PathBuf>| path.as_ref().map(|path| Output::open(path, args.force)).transpose();
    let (csv, plot) = (output(&args.csv)?, output(&args.plot)?);
    watch(prepared.job(), options, recording.events().len() as u64, args.quiet)?;
    if is_interrupted() {
        warn("interrupted: a comparison of a part of the stream would say nothing, so there is none\n");
        return Ok(INTERRUPTED_CODE);
    }
    let report = prepared.report();
    if args.json {
        print(&format!("{}\n", report.json()?))?;
    } else {
        print(&table(&report, args.quiet))?;
    }
    if let Some(csv) = csv {
        csv.write(&report.csv()?)?;
    }
    if let Some(plot) = plot {
        plot.write(&report.svg())?;
    }
    Ok(0)
}

fn recording(args: &CompareArgs) -> Result<Recording> {
    match &args.input {
        Some(path) => Recording::read(path),
        None => {
            let CompareArgs { seed, events, rate, splits, keys, .. } = *args;
            Traffic { seed, events, rate, splits, keys, disorder: args.disorder.clone() }.record()
        }
    }
}

/// A file that is to be written in the end. It is opened under a temporary name at the beginning, so that a
/// mistake in a path is told before the work is done, and is gone if nothing comes of it.
struct Output {
    path: PathBuf,
    whole: AtomicFile,
}

impl Output {
    fn open(path: &Path, force: bool) -> Result<Output> {
        let whole = AtomicFile::new(path, force)?;
        File::create(whole.at()).map_err(|error| cannot_write(path, error))?;
        Ok(Output { path: path.to_owned(), whole })
    }

    fn write(self, text: &str) -> Result<()> {
        fs::write(self.whole.at(), text).map_err(|error| cannot_write(&self.path, error))?;
        self.whole.finish()
    }
}

fn cannot_write(path: &Path, error: std::io::Error) -> Error {
    Error::io(format!("cannot write {}", path.display()), error)
}

/// Runs a job, draws the progress line, and stops the job if the user asks for it.
fn watch(job: &Job, options: Options, records: u64, quiet: bool) -> Result<()> {
    let (clock, mut progress) = (Clock::system(), Progress::new(quiet));
    let running = job.start(options)?;
    let mut look = LOOK.0;
    while !running.is_finished() {
        thread::sleep(look);
        look = (look * 2).min(LOOK.1);
        if is_interrupted() {
            running.stop();
        }
        let count = job.metrics().sum("records_out").unsigned_abs();
        progress.draw(clock.now(), count, |rate| progress::counted("compare", count, records, rate));
    }
    progress.clear();
    running.join().map(drop)
}
