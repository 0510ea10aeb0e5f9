//! A comparison as a job: one source, a watermark operator and windows for each strategy, corrections for
//! each policy.
//!
//! The source promises nothing. Each strategy stamps the records anew on one worker, in the order of arrival,
//! and notes at which arrival its watermark moved: that, and what its windows and its late records say, is
//! all that the report is made from.

use std::sync::{Arc, Mutex};

use super::measure;
use super::recording::{Event, Recording};
use super::tally::{Head, Late, Mark, Oracle, Place, Tally};
use super::{Policy, Report, Strategy, Windows};
use crate::config::Options;
use crate::connector::{Collection, Materialized};
use crate::data::{Record, Stamp};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::stream::{Aggregate, Chain, Job, Stamper, Stream, WorkerContext};
use crate::time::{EventTime, SplitWatermarks, Ticks, Watermarks};
use crate::window::{Aligned, Windowed};

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The windows that records are counted and summed up in, by key.
    pub windows: Windows,
    /// The strategies, each with a watermark of its own over the same records.
    pub strategies: Vec<Strategy>,
    /// What becomes of late records; each under each strategy.
    pub policies: Vec<Policy>,
}

/// The most heads of a comparison: strategies, and policies of each.
const MOST_HEADS: usize = 100;

/// A comparison that is ready to run: once.
pub struct Prepared {
    job: Job,
    heads: Vec<Head>,
    windows: Windows,
    recording: Recording,
}

impl Comparison {
    /// Runs the comparison. The report does not depend on the options.
    ///
    /// # Errors
    ///
    /// If there is nothing to compare, the windows are not possible, or an option makes no sense.
    pub fn run(&self, recording: &Recording, options: Options) -> Result<Report> {
        let prepared = self.prepare(recording)?;
        prepared.job().run_with(options)?;
        Ok(prepared.report())
    }

    /// Makes the job, for those who want to start and watch it themselves.
    ///
    /// # Errors
    ///
    /// If there is nothing to compare, or the windows are not possible.
    pub fn prepare(&self, recording: &Recording) -> Result<Prepared> {
        self.windows.check()?;
        let heads = self.strategies.len() * self.policies.len();
        if heads == 0 || heads > MOST_HEADS {
            return Err(Error::config(format!(
                "{} strategies with {} policies each cannot be compared: choose 1 to {MOST_HEADS} in all",
                self.strategies.len(),
                self.policies.len()
            )));
        }
        let job = Job::new();
        let source = job.source(Collection::new(recording.events().iter().copied()), Watermarks::none());
        let heads = self.strategies.iter().enumerate();
        let heads =
            heads.map(|(number, strategy)| self.head(source.clone(), number, *strategy, recording)).collect();
        Ok(Prepared { job, heads, windows: self.windows, recording: recording.clone() })
    }

    fn head(
        &self,
        source: Stream<Event, impl Chain<Out = Event>>,
        number: usize,
        strategy: Strategy,
        recording: &Recording,
    ) -> Head {
        let windows = self.windows.aligned();
        let marks = Arc::default();
        let stamped = retimed(source, number, strategy, recording, &marks);
        let values = stamped.clone().key_by(|event| event.key).map_values(|event| event.value);
        let results = values.window(windows).aggregate(Tallying);
        let late = stamped.stamped().flat_map(move |record| late_for(&windows, &record));
        let policies = self.policies.iter().map(|policy| {
            let corrects = matches!(policy, Policy::Correct { .. });
            (*policy, corrects.then(|| corrected(results.clone(), late.clone(), *policy)))
        });
        let policies = policies.collect();
        Head { strategy, marks, results: results.collect(), late: late.collect(), policies }
    }
}

impl Prepared {
    /// The job. Its one source has a record for each of the recording.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// What came out of it. Reads of a job that has not run to its end, it is the report of a shorter
    /// recording against the whole.
    pub fn report(&self) -> Report {
        let oracle = Oracle::of(&self.recording, &self.windows.aligned());
        let rows = self.heads.iter().flat_map(|head| measure::rows(head, &oracle)).collect();
        Report::new(&self.recording, &self.windows, &oracle, rows)
    }
}

/// Stamps the records anew under a strategy. All of them go to one worker, in the order of arrival;
/// strategies take turns.
fn retimed(
    source: Stream<Event, impl Chain<Out = Event>>,
    number: usize,
    strategy: Strategy,
    recording: &Recording,
    marks: &Arc<Mutex<Vec<Mark>>>,
) -> Stream<Event> {
    let (watermarks, splits, marks) =
        (strategy.watermarks(recording), recording.splits().len(), Arc::clone(marks));
    let begin = recording.events().first().map_or(0, |event| event.arrival);
    let silence = strategy.idle_after.map(|silence| Ticks::try_from(silence).unwrap_or(Ticks::MAX));
    let make = move |worker: &WorkerContext, _| {
        (worker.index == number % worker.shared.workers).then(|| Following {
            splits: SplitWatermarks::new(&watermarks.strategy, splits, silence, begin).being_all(),
            marks: Arc::clone(&marks),
        })
    };
    source.restamp(strategy.to_string(), move |_, workers| number % workers, |_| (), make)
}

/// Follows the splits of a recording on its arrival clock.
struct Following {
    splits: SplitWatermarks<Event>,
    marks: Arc<Mutex<Vec<Mark>>>,
}

impl Stamper<Event> for Following {
    fn stamp(&mut self, event: &Event) -> Stamp {
        let (number, marks) = (event.number.cast_signed(), &self.marks);
        self.splits.pass(event.arrival, &mut |moment, watermark| {
            lock(marks).push(Mark { number: number - 1, moment, watermark });
        });
        let before = self.splits.watermark();
        let stamp = self.splits.stamp(event.split as usize, event, event.event, event.arrival);
        let watermark = self.splits.watermark();
        if watermark > before {
            lock(marks).push(Mark { number, moment: event.arrival, watermark });
        }
        stamp
    }

    fn watermark(&self) -> EventTime {
        self.splits.watermark()
    }
}

/// The windows that a record falls into and is late for.
fn late_for(windows: &Aligned, record: &Record<Event>) -> Vec<Late> {
    let Record { value: event, stamp } = record;
    if !stamp.is_late_for(windows.end_from(event.event.saturating_add(1))) {
        return Vec::new();
    }
    let missed = windows.of_timestamp(event.event).into_iter().filter(|window| stamp.is_late_for(window.end));
    let late = |end| {
        let Event { number, key, arrival, value, .. } = *event;
        Late { number, place: (end, key), arrival, value, stamp: *stamp }
    };
    missed.map(|window| late(window.end)).collect()
}

/// The results together with the late records that a policy accepts, restated as these come.
fn corrected(
    results: Stream<Windowed<u32, Tally>>,
    late: Stream<Late, impl Chain<Out = Late>>,
    policy: Policy,
) -> Materialized<(Place, Tally)> {
    let results = results.map(|result| ((result.window.end, result.key), result.value));
    let late = late.filter(move |late| policy.corrects(&late.stamp, late.place.0));
    let late = late.map(|late| (late.place, Tally::of(late.value)));
    let contributions = results.union(late).key_by(|(place, _)| *place).map_values(|(_, tally)| tally);
    contributions.reduce(|one, other| one.and(other)).materialize()
}

/// Counts and sums up.
#[derive(Clone, Copy)]
struct Tallying;

impl Aggregate<i64> for Tallying {
    type Acc = Tally;
    type Out = Tally;
    const SUBTRACTS: bool = true;

    fn start(&self, value: i64) -> Tally {
        Tally::of(value)
    }

    fn add(&self, acc: &mut Tally, value: i64) {
        *acc = acc.and(Tally::of(value));
    }

    fn merge(&self, acc: &mut Tally, other: Tally) {
        *acc = acc.and(other);
    }

    fn subtract(&self, acc: &mut Tally, other: &Tally) {
        acc.count -= other.count;
        acc.sum -= other.sum;
    }

    fn result(&self, acc: &Tally) -> Tally {
        *acc
    }
}
