//! `highwater nexmark`: runs queries, and writes events to files.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::nexmark::{self, Config, File, Generator, Nexmark, Pace};
use highwater::program::monitor::monitor;
use highwater::stream::Job;
use highwater::{Error, ErrorKind, Result};
use tempfile::TempPath;

use super::amount::several;
use super::answer::{Due, Settings};
use super::atomic_file::AtomicFile;
use super::progress::{self, Progress};
use super::query::{Events, QUERIES, Query};
use super::report::{Latency, Outcome, Report};
use super::saving::{Saved, Saving, suspended};
use super::signal::{INTERRUPTED_CODE, is_interrupted, tell_of_short_file};
use super::usage::{GenerateArgs, RunArgs};
use super::{measure, print, warn};

/// Events if none are asked for and there is no file.
const EVENTS: u64 = 10_000_000;

/// Events beyond which a comparison takes a lot of memory and patience.
const MANY_TO_VERIFY: u64 = 5_000_000;

/// The exit code if the rows differ from the recomputation.
const DIFFERENT_CODE: u8 = 1;

/// Runs one query or all; returns the exit code.
pub(crate) fn run(args: &RunArgs) -> Result<u8> {
    let asked = args.query.as_deref().ok_or_else(|| {
        Error::config(
            "which query? Name one, as in `highwater nexmark q5`; `highwater nexmark --help` lists them",
        )
    })?;
    if asked == "all" && args.output.is_some() {
        return Err(Error::config("--output takes the rows of one query: name one instead of `all`"));
    }
    if asked == "all" && args.saving.snapshots.is_some() {
        return Err(Error::config("--snapshots takes those of one query: name one instead of `all`"));
    }
    let input = Input::open(args)?;
    if args.verify && input.events > MANY_TO_VERIFY && !args.quiet {
        warn("note: --verify keeps all events and rows in memory; --events 2M would do\n");
    }
    let mut report = Report::new(args.json, args.quiet);
    let mut code = 0;
    for query in QUERIES.iter().filter(|query| asked == "all" || asked == query.name) {
        let outcome = run_query(query, args, &input)?;
        if let Some(Err(difference)) = &outcome.verified {
            warn(&format!("error: {} gives other rows than the recomputation: {difference}\n", query.name));
            code = DIFFERENT_CODE;
        }
        print(&report.row(&outcome))?;
        if outcome.is_interrupted {
            code = INTERRUPTED_CODE;
            break;
        }
    }
    let generation = input.generated.as_ref().map(|(_, took)| (input.events, *took));
    print(&report.end(input.file.is_none(), generation))?;
    Ok(code)
}

/// Where the events come from.
struct Input {
    file: Option<File>,
    config: Config,
    /// The number of the first event.
    first: u64,
    events: u64,
    /// The file that events were generated into, and how long that took. It goes when all is done.
    generated: Option<(TempPath, Duration)>,
}

impl Input {
    fn open(args: &RunArgs) -> Result<Input> {
        let Some(path) = &args.input else {
            let events = args.events.unwrap_or(EVENTS);
            if args.generate_first {
                return Input::generate(events, args.quiet);
            }
            return Ok(Input { file: None, config: Config::default(), first: 0, events, generated: None });
        };
        let words = format!(
            "error: {} became shorter while it was read, or cannot be read any more: leave it as it is until the program has ended\n",
            path.display()
        );
        tell_of_short_file(&words, Error::new(ErrorKind::Io, "").exit_code())?;
        let file = File::open(path).map_err(|error| cannot_read(path, error))?;
        // This also reads the file into the page cache, or the first query would be charged for it.
        file.verify().map_err(|error| cannot_read(path, error))?;
        let events = args.events.unwrap_or(file.len());
        if events > file.len() {
            return Err(Error::config(format!(
                "{} has {} events, which is less than --events: leave that out, or write a larger file",
                path.display(),
                file.len()
            )));
        }
        let (config, first) = (file.config().clone(), file.first());
        Ok(Input { config, first, events, file: Some(file), generated: None })
    }

    /// Generates events into a temporary file.
    fn generate(events: u64, quiet: bool) -> Result<Input> {
        let cannot = |error| {
            Error::io(
                "cannot generate events into a temporary file: set TMPDIR, or leave --generate-first out",
                error,
            )
        };
        let clock = Clock::system();
        let path = tempfile::Builder::new().prefix("highwater-").suffix(".nex").tempfile().map_err(cannot)?;
        let path = path.into_temp_path();
        match write_events(&path, events, &clock, quiet) {
            Err(_) if is_interrupted() => {
                // The query is interrupted at once, and says so.
                return Ok(Input {
                    file: None,
                    config: Config::default(),
                    first: 0,
                    events,
                    generated: None,
                });
            }
            written => written.map_err(cannot)?,
        }
        let took = clock.now();
        let file = File::open(&path).map_err(cannot)?;
        Ok(Input {
            config: file.config().clone(),
            first: 0,
            events,
            file: Some(file),
            generated: Some((path, took)),
        })
    }

    fn source(&self) -> Nexmark {
        match &self.file {
            Some(file) => Nexmark::file(file.clone(), self.events),
            None => Nexmark::generate(self.config.clone(), self.events),
        }
    }

    fn events(&self) -> Events {
        match &self.file {
            Some(file) => {
                let mut cursor = file.cursor();
                Box::new(std::iter::from_fn(move || cursor.next()).take(self.events as usize))
            }
            None => {
                let generator = Generator::new(self.config.clone());
                Box::new((0..self.events).map(move |number| generator.event(number)))
            }
        }
    }
}

fn cannot_read(path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::InvalidData => ErrorKind::Data,
        _ => ErrorKind::Io,
    };
    let path = path.display();
    let message =
        format!("cannot read events from {path}. `highwater nexmark generate {path}` writes such a file");
    Error::new(kind, message).because(error)
}

fn run_query(query: &Query, args: &RunArgs, input: &Input) -> Result<Outcome> {
    let clock = Clock::system();
    let pace = args.rate.map(|rate| Arc::new(Pace::new(rate, clock.clone())));
    let due = pace.clone().map(|pace| Due {
        pace,
        config: input.config.clone(),
        first: input.first,
        events: input.events,
        is_windowed: query.is_windowed,
    });
    let saving = Saving::open(&args.saving, &format!("nexmark {}", query.name))?;
    let splits = splits(args, saving.as_ref())?;
    let source = match &pace {
        Some(pace) => input.source().splits(splits).paced(Arc::clone(pace)),
        None => input.source().splits(splits),
    };
    let job = Job::new();
    let settings = Settings {
        clock: clock.clone(),
        due,
        keep: args.verify,
        output: args.output.clone(),
        overwrite: args.overwrite,
    };
    let answered = (query.add)(&job, source, settings);
    let options = args.job.options().max_epochs_in_flight(args.max_epochs_in_flight).clock(clock.clone());
    let options = match &saving {
        Some(saving) => options.snapshots(saving.snapshots.clone()),
        None => options,
    };

    if let Some(saving) = saving.as_ref().filter(|_| !args.quiet) {
        warn(&saving.note(&args.saving));
    }
    let is_peak_of_query = measure::reset_peak();
    let (cpu, start) = (measure::cpu(), clock.now());
    let suspends = saving.is_some();
    watch(&job, options, &Watch { query: query.name, clock: &clock, input, quiet: args.quiet, suspends })?;
    let cpu = measure::cpu().saturating_sub(cpu);
    let peak = measure::peak();

    let is_interrupted = is_interrupted();
    let saved = saving.map(|saving| saving.tell(job.metrics(), is_interrupted));
    if let Some(epoch) = saved.as_ref().and_then(Saved::suspended_at) {
        answered.settle(epoch)?;
        warn(&suspended(epoch));
    }
    let tally = answered.tally();
    let verified = (args.verify && !is_interrupted).then(|| answered.verify(input.events()));
    let latency =
        pace.map(|pace| Latency { rate: pace.rate(), result: tally.latency, epoch: pace.completion() });
    Ok(Outcome {
        query: query.name,
        workers: args.job.workers,
        events: events_read(&job),
        wall: tally.end.saturating_sub(start),
        generation: input.generated.as_ref().map(|(_, took)| *took),
        cpu,
        peak,
        is_peak_of_query,
        rows: tally.rows,
        changes: tally.changes,
        latency,
        is_interrupted,
        verified,
        saved,
    })
}

/// The number of splits of the events: that of the restored snapshot, if there is one.
fn splits(args: &RunArgs, saving: Option<&Saving>) -> Result<usize> {
    let asked = args.splits.map(|splits| splits.get());
    match (asked, saving.map_or(Ok(None), Saving::splits)?) {
        (Some(asked), Some(found)) if asked != found => Err(Error::config(format!(
            "the snapshot has read the events in {}, which cannot be {asked} now: leave --splits out",
            several(found as u64, "split")
        ))),
        (_, Some(found)) => Ok(found),
        (asked, None) => Ok(asked.unwrap_or(args.job.workers)),
    }
}

/// The events that the job's one source has read.
fn events_read(job: &Job) -> u64 {
    job.metrics().sum("records_out").unsigned_abs()
}

/// What the progress line shows while a job runs.
struct Watch<'a> {
    query: &'a str,
    clock: &'a Clock,
    input: &'a Input,
    quiet: bool,
    /// True if Ctrl-C suspends the job.
    suspends: bool,
}

/// Runs a job, draws the progress line, and stops or suspends the job on Ctrl-C.
fn watch(job: &Job, options: Options, watch: &Watch<'_>) -> Result<()> {
    let mut progress = Progress::new(watch.quiet);
    monitor(job.start(options)?, watch.suspends, watch.quiet, &mut |running| {
        let Some(running) = running else { return progress.clear() };
        let (now, count) = (watch.clock.now(), events_read(job));
        progress.draw(now, count, |rate| {
            let events = progress::counted(watch.query, count, watch.input.events, rate);
            let watermark = progress::watermark(job.metrics().sum("watermark"));
            let (epoch, elapsed) = (running.open_epoch(), now.as_secs_f64());
            let failing = if job.metrics().metric("snapshots", "failing").get() > 0 {
                "  no snapshot can be written"
            } else {
                ""
            };
            format!("{events}  watermark {watermark}  epoch {epoch}  {elapsed:.1} s{failing}")
        });
    })
}

/// Generates events into a file, draws the progress line, and stops on Ctrl-C.
fn write_events(path: &Path, events: u64, clock: &Clock, quiet: bool) -> io::Result<()> {
    let mut progress = Progress::new(quiet);
    let written = nexmark::write(path, Config::default(), 0..events, &mut |count| {
        progress.draw(clock.now(), count, |rate| progress::counted("generate", count, events, rate));
        if is_interrupted() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    });
    progress.clear();
    written
}

/// Writes a file of events; returns the exit code.
pub(crate) fn generate(args: &GenerateArgs) -> Result<u8> {
    let clock = Clock::system();
    let whole = AtomicFile::new(&args.file, args.force)?;
    match write_events(whole.at(), args.events, &clock, args.quiet) {
        Ok(()) => {
            whole.finish()?;
            let (events, path) = (super::amount::whole(args.events.cast_signed()), args.file.display());
            let seconds = clock.now().as_secs_f64();
            if !args.quiet {
                print(&format!("{path}: {events} events in {seconds:.1} s\n"))?;
            }
            Ok(0)
        }
        Err(_) if is_interrupted() => {
            warn("interrupted: no file was written\n");
            Ok(INTERRUPTED_CODE)
        }
        Err(error) => Err(Error::io(format!("cannot write events to {}", args.file.display()), error)),
    }
}
