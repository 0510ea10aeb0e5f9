//! The sink of the program: counts the rows of a result, writes and keeps them if asked to, and measures
//! their latency.
//!
//! # With snapshots
//!
//! Rows count, and become visible, once their snapshot is committed. A suspended job may end before its sink
//! has learned of the last commit, so prepared output is settled afterwards, when the last snapshot is known.
//! The rows of runs that were suspended add up to those of one that was not.
//!
//! # Latency of a result
//!
//! In an open loop each event is due at a time. The latency of a row is the time from when the event that
//! completes it was due until the row arrives here. That event follows from the row's event time `t`: for a
//! row of a window it is the first event after the last moment of the window, at `t + 1`; for any other it is
//! the first event at `t`. Event times are rounded to milliseconds, so the first event at `t` is the first
//! one from half a millisecond before. (Beyond some ten million events the generator computes times in steps
//! of a millisecond or more; the event found may then be off by as much.) Windows that end after the last
//! event are completed by the end of the stream, and do not count; neither do those that an interrupted job
//! closes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use highwater::clock::Clock;
use highwater::connector::{FileWriter, Recovery, Sink, Writer, Written};
use highwater::data::{Change, Data, Diff, Record, consolidate};
use highwater::nexmark::{Config, Pace, latencies};
use highwater::time::EventTime;
use highwater::{Error, Result};
use serde::{Deserialize, Serialize};

use super::output::{Output, RowLines, output};
use super::query::Events;

/// How the items of a stream represent rows.
pub(crate) trait Form<I>: Send + Sync + 'static {
    /// A row of the result.
    type Row: Ord + std::fmt::Debug + 'static;
    /// True if rows can be retracted.
    const CHANGES: bool;
    /// By how much an item changes the number of rows.
    fn diff(item: &I) -> Diff;
    /// The change of a row that it represents.
    fn change(item: I) -> Change<Self::Row>;
    /// Writes it as CSV.
    fn write_csv(item: &I, out: &mut csv::Writer<Vec<u8>>) -> csv::Result<()>;
}

/// Items are rows.
pub(crate) struct Plain;

impl<T: Serialize + Ord + std::fmt::Debug + 'static> Form<T> for Plain {
    type Row = T;
    const CHANGES: bool = false;

    #[inline]
    fn diff(_: &T) -> Diff {
        1
    }

    fn change(item: T) -> Change<T> {
        Change::insert(item)
    }

    fn write_csv(item: &T, out: &mut csv::Writer<Vec<u8>>) -> csv::Result<()> {
        out.serialize(item)
    }
}

/// Items are changes of rows.
pub(crate) struct Changing;

/// The last column of a change in CSV.
#[derive(Serialize)]
struct DiffColumn {
    diff: Diff,
}

impl<T: Serialize + Ord + std::fmt::Debug + 'static> Form<Change<T>> for Changing {
    type Row = T;
    const CHANGES: bool = true;

    #[inline]
    fn diff(item: &Change<T>) -> Diff {
        item.diff
    }

    fn change(item: Change<T>) -> Change<T> {
        item
    }

    fn write_csv(item: &Change<T>, out: &mut csv::Writer<Vec<u8>>) -> csv::Result<()> {
        out.serialize((&item.record, DiffColumn { diff: item.diff }))
    }
}

/// When the events that complete rows were due.
#[derive(Clone)]
pub(crate) struct Due {
    pub(crate) pace: Arc<Pace>,
    pub(crate) config: Config,
    /// The number of the first event, and how many there are.
    pub(crate) first: u64,
    pub(crate) events: u64,
    pub(crate) is_windowed: bool,
}

impl Due {
    /// When the event was due that completes a row of this time.
    fn of(&self, timestamp: EventTime) -> Option<Duration> {
        let time = timestamp.checked_add(i64::from(self.is_windowed))?;
        let millis = time.checked_sub(self.config.base_time)? as f64;
        let number = ((millis - 0.5) * self.config.rate as f64 / 1000.0).ceil().max(0.0) as u64;
        let number = number.saturating_sub(self.first);
        if number < self.events { self.pace.due(number) } else { None }
    }
}

/// What to do with a result besides counting its rows.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) due: Option<Due>,
    /// True if rows are kept, to be compared.
    pub(crate) keep: bool,
    /// Where rows are written.
    pub(crate) output: Option<PathBuf>,
    /// True if an existing output may be overwritten.
    pub(crate) overwrite: bool,
}

/// A result after the job has run.
pub(crate) struct Tally {
    /// The number of rows.
    pub(crate) rows: Diff,
    /// The number of changes, if rows can be retracted.
    pub(crate) changes: Option<u64>,
    /// When the last worker knew that the result was complete.
    pub(crate) end: Duration,
    /// The latency of each row, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

/// The result of a query, after its job has run.
pub(crate) trait Answered {
    /// Counts and commits the output prepared for snapshots up to that of an epoch, which is committed.
    fn settle(&self, epoch: u64) -> Result<()>;
    /// The counts.
    fn tally(&self) -> Tally;
    /// Compares the rows with a recomputation; returns how they differ.
    fn verify(&self, events: Events) -> Result<(), String>;
}

/// The sink.
pub(crate) struct Answers<I, F> {
    settings: Settings,
    /// Takes the rows, if they are written.
    output: Option<Output<F>>,
    total: Total<I>,
}

type Total<I> = Arc<Mutex<Part<I>>>;

/// What one worker, or all of them, have counted.
struct Part<I> {
    items: u64,
    rows: Diff,
    end: Duration,
    latency: Histogram<u64>,
    kept: Vec<I>,
    /// What was prepared, by the epochs of its snapshots.
    prepared: Vec<(u64, Prepared)>,
}

impl<I> Part<I> {
    fn new() -> Part<I> {
        let (kept, prepared) = (Vec::new(), Vec::new());
        Part { items: 0, rows: 0, end: Duration::ZERO, latency: latencies(), kept, prepared }
    }

    fn count(&mut self, prepared: &Prepared) {
        self.items += prepared.items;
        self.rows += prepared.rows;
    }
}

impl<I, F> Answers<I, F> {
    pub(crate) fn new(settings: Settings) -> Answers<I, F> {
        let output = settings.output.as_ref().map(|path| output(path, settings.overwrite));
        Answers { settings, output, total: Arc::new(Mutex::new(Part::new())) }
    }
}

/// How the output begins. Of rows that were asked for, none go unless that is asked for, too: not even if the
/// query begins anew.
fn careful(recovery: Recovery<Prepared>) -> Recovery<Written> {
    Recovery { anew: false, ..recovery.map(|prepared| prepared.written()) }
}

fn lock<I>(total: &Total<I>) -> MutexGuard<'_, Part<I>> {
    total.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes of rows, each with how often it is there, what of them is compared.
pub(crate) type View<R> = fn(Vec<(R, Diff)>) -> Vec<(R, Diff)>;

/// An answer, with the recomputation that it can be compared with.
pub(crate) struct Checked<I, F: Form<I>> {
    pub(crate) answers: Arc<Answers<I, F>>,
    pub(crate) oracle: fn(Events) -> Vec<F::Row>,
    /// What of both is compared.
    pub(crate) view: View<F::Row>,
}

impl<I: Data, F: Form<I>> Answered for Checked<I, F> {
    fn settle(&self, epoch: u64) -> Result<()> {
        let total = &mut *lock(&self.answers.total);
        for (_, prepared) in total.prepared.extract_if(.., |(cut, _)| *cut <= epoch).collect::<Vec<_>>() {
            if let (Some(output), Some(written)) = (&self.answers.output, prepared.written()) {
                output.show(&written)?;
            }
            total.count(&prepared);
        }
        Ok(())
    }

    fn tally(&self) -> Tally {
        let total = lock(&self.answers.total);
        let changes = F::CHANGES.then_some(total.items);
        Tally { rows: total.rows, changes, end: total.end, latency: total.latency.clone() }
    }

    fn verify(&self, events: Events) -> Result<(), String> {
        let kept = std::mem::take(&mut lock(&self.answers.total).kept);
        let ours = (self.view)(consolidate(kept.into_iter().map(F::change)));
        let expected = (self.view)(consolidate((self.oracle)(events).into_iter().map(Change::insert)));
        let differs = ours.iter().zip(&expected).position(|(one, other)| one != other);
        let shorter = ours.len().min(expected.len());
        let Some(at) = differs.or((ours.len() != expected.len()).then_some(shorter)) else { return Ok(()) };
        Err(format!(
            "{} different rows and {} of the recomputation; where they part it is {:?} and {:?}",
            ours.len(),
            expected.len(),
            ours.get(at),
            expected.get(at)
        ))
    }
}

impl<I: Data + Serialize, F: Form<I>> Sink<I> for Answers<I, F> {
    type Writer = Answering<I, F>;

    fn name(&self) -> String {
        "answer".to_owned()
    }

    fn prepare(&self) -> Result<()> {
        self.output.as_ref().map_or(Ok(()), Sink::<I>::prepare)
    }

    fn check(&self, recovery: &Recovery<Prepared>) -> Result<()> {
        let recovery = careful(recovery.clone());
        match &self.output {
            Some(output) => Sink::<I>::check(output, &recovery),
            None if recovery.from.is_none_or(|from| from.prepared.is_empty()) => Ok(()),
            None => Err(Error::config(
                "the earlier run wrote its rows, and some may still be hidden: give the --output that it had, or another",
            )),
        }
    }

    fn recover(&self, recovery: Recovery<Prepared>) -> Result<()> {
        let recovery = careful(recovery);
        self.output.as_ref().map_or(Ok(()), |output| Sink::<I>::recover(output, recovery))
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.settings.output.iter().cloned().collect()
    }

    fn open(&self, worker: usize, workers: usize) -> Result<Answering<I, F>> {
        let (settings, total) = (self.settings.clone(), Arc::clone(&self.total));
        let output = self.output.as_ref().map(|output| Sink::<I>::open(output, worker, workers));
        Ok(Answering {
            settings,
            output: output.transpose()?,
            open: Prepared::default(),
            part: Part::new(),
            total,
        })
    }
}

/// What was written and waits to be visible.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Prepared {
    items: u64,
    rows: Diff,
    /// The file that they are in.
    part: Option<String>,
    /// Those that are in no file yet, if all rows go into one.
    #[serde(skip)]
    lines: Option<Written>,
}

impl Prepared {
    /// What of it is settled when the job is over.
    fn settled(&self) -> Prepared {
        Prepared { items: self.items, rows: self.rows, part: self.part.clone(), lines: None }
    }

    /// The rows, as their sink has prepared them.
    fn written(&self) -> Option<Written> {
        self.part.as_deref().map(Written::at)
    }
}

/// Takes the rows of one worker.
pub(crate) struct Answering<I, F> {
    settings: Settings,
    output: Option<FileWriter<RowLines<F>>>,
    /// What was written and is not prepared.
    open: Prepared,
    part: Part<I>,
    total: Total<I>,
}

impl<I: Data + Serialize, F: Form<I>> Writer<I> for Answering<I, F> {
    type Prepared = Prepared;
    const IN_ORDER: bool = false;
    const TRANSACTIONAL: bool = true;

    fn write(&mut self, epoch: u64, batch: &mut Vec<Record<I>>) -> Result<()> {
        self.open.items += batch.len() as u64;
        self.open.rows += batch.iter().map(|record| F::diff(&record.value)).sum::<Diff>();
        if let Some(due) = &self.settings.due {
            let now = self.settings.clock.now();
            let at = batch.iter().filter_map(|record| due.of(record.stamp.timestamp));
            // What is due only later did not let the row appear: the end of the stream did.
            for at in at.filter(|at| *at <= now) {
                self.part.latency.saturating_record(now.saturating_sub(at).as_nanos() as u64);
            }
        }
        match (&mut self.output, self.settings.keep) {
            (None, false) => {}
            (Some(output), false) => output.write(epoch, batch)?,
            (output, true) => {
                if let Some(output) = output {
                    output.write(epoch, &mut batch.clone())?;
                }
                self.part.kept.extend(batch.drain(..).map(|record| record.value));
            }
        }
        Ok(())
    }

    fn prepare(&mut self, epoch: u64) -> Result<Prepared> {
        let mut prepared = std::mem::take(&mut self.open);
        if let Some(output) = &mut self.output {
            let written: Written = Writer::<I>::prepare(output, epoch)?;
            match written.path() {
                Some(path) => prepared.part = Some(path),
                None => prepared.lines = Some(written),
            }
        }
        self.part.prepared.push((epoch, prepared.settled()));
        Ok(prepared)
    }

    fn commit(&mut self, epoch: u64, prepared: Prepared) -> Result<()> {
        self.part.prepared.retain(|(other, _)| *other != epoch);
        self.part.count(&prepared);
        match (&mut self.output, prepared.written().or(prepared.lines)) {
            (Some(output), Some(written)) => Writer::<I>::commit(output, epoch, written),
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.part.end = self.settings.clock.now();
        Ok(())
    }
}

/// A writer tells what it has counted when it goes, which is when its job ends or is left where it is.
impl<I, F> Drop for Answering<I, F> {
    fn drop(&mut self) {
        let mut total = lock(&self.total);
        total.items += self.part.items;
        total.rows += self.part.rows;
        let end = if self.part.end.is_zero() { self.settings.clock.now() } else { self.part.end };
        total.end = total.end.max(end);
        total.kept.append(&mut self.part.kept);
        total.prepared.append(&mut self.part.prepared);
        // Both histograms have the same bounds, so one fits into the other.
        let _ = total.latency.add(&self.part.latency);
    }
}
