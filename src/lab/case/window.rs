//! Cases of windows.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::assigner::{CaseAssigner, Windows};
use super::data::{Row, Text};
use super::function::Function;
use super::json::{self, Object};
use super::timeline::{Event, Output, Timeline};
use super::trigger::{self, CaseTrigger};
use crate::error::{Error, Result};
use crate::harness::Driver;
use crate::process::{SideOutput, TimeDomain};
use crate::time::EventTime;
use crate::window::{Evict, Window};

/// The configuration of windows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    assigner: Object<Windows>,
    time: Option<Time>,
    trigger: Option<Object<trigger::Setting>>,
    #[serde(default)]
    purging: bool,
    evictor: Option<Object<Evictor>>,
    allowed_lateness: Option<u64>,
    late: Option<Late>,
    function: Function,
}

/// The clock that windows follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Time {
    Event,
    Processing,
}

/// An evictor; with `after` it evicts after the function instead of before.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Evictor {
    Count {
        n: u64,
        #[serde(default)]
        after: bool,
    },
    Time {
        size: u64,
        #[serde(default)]
        after: bool,
    },
    Delta {
        threshold: f64,
        #[serde(default)]
        after: bool,
    },
}

/// What becomes of late records.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Late {
    Side,
    Drop,
}

/// A key, a value and a time.
type Record = (Value, Value, Option<EventTime>);

/// A step that is no record.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    Watermark(EventTime),
    ProcessingTime(i64),
    CheckpointRestore,
}

pub(super) type Step = json::Step<Record, Mark>;

impl Config {
    /// True if windows end, and do so by event time: only then is a record ever late for one.
    fn ends_by_event_time(&self) -> bool {
        !matches!(self.assigner.0, Windows::Global {} | Windows::Count { .. })
            && self.time != Some(Time::Processing)
    }

    fn trigger(&self) -> Option<trigger::Setting> {
        self.trigger.as_ref().map(|trigger| trigger.0)
    }

    fn takes_numbers(&self) -> bool {
        let by_delta = matches!(self.trigger, Some(Object(trigger::Setting::Delta { .. })))
            || matches!(self.evictor, Some(Object(Evictor::Delta { .. })));
        by_delta || self.function.is_of_numbers()
    }
}

/// Refuses what makes no sense, and settings that would change nothing.
pub(super) fn check(config: &Config, steps: &[Step]) -> Result<(), String> {
    config.assigner.0.check()?;
    let is_count = matches!(config.assigner.0, Windows::Count { .. });
    if is_count && (config.trigger.is_some() || config.evictor.is_some() || config.purging) {
        return Err("windows of the type `count` have their own trigger and evictor: leave out `trigger`, \
                    `purging` and `evictor`, or use the type `global`"
            .to_owned());
    }
    if config.time.is_some() && matches!(config.assigner.0, Windows::Global {} | Windows::Count { .. }) {
        return Err("windows of the types `global` and `count` follow no clock: leave out `time`".to_owned());
    }
    if (config.allowed_lateness.is_some() || config.late.is_some()) && !config.ends_by_event_time() {
        return Err("no record is late for windows that do not end by event time: leave out \
                    `allowed_lateness` and `late`"
            .to_owned());
    }
    steps.iter().try_for_each(|step| match step {
        Step::Record(record) => check_record(config, record),
        Step::Mark(_) => Ok(()),
    })
}

fn check_record(config: &Config, record: &Record) -> Result<(), String> {
    let (_, value, time) = record;
    let row = Row { value: Text::of(value), time: *time };
    let wrong = |told: &str| Err(format!("the record {}: {told}", json!(record)));
    if time.is_none() && config.ends_by_event_time() {
        return wrong("its time is a number of milliseconds, for the windows are in event time");
    }
    if config.takes_numbers() && !value.is_number() {
        return wrong("its value is a number, for the function, the trigger or the evictor computes with it");
    }
    if matches!(config.assigner.0, Windows::DynamicSession {}) && row.gap().is_none() {
        return wrong("its value is the gap of its session, a positive number of milliseconds");
    }
    Ok(())
}

pub(super) fn run(config: &Config, steps: &[Step]) -> Result<Timeline> {
    let Windows::Count { size, slide } = config.assigner.0 else {
        return drive(config, steps, config.trigger(), config.purging);
    };
    // Flink's count windows: a purging count trigger, or one that slides under an evictor.
    let trigger = trigger::Setting::Count { n: slide.unwrap_or(size) };
    let evictor = slide.map(|_| Object(Evictor::Count { n: size.get(), after: false }));
    drive(&Config { evictor, ..config.clone() }, steps, Some(trigger), slide.is_none())
}

/// What comes out: a result with its window, or a late record with its time.
#[derive(Clone)]
enum Given {
    Result(Text, Result<Value, String>, EventTime, EventTime),
    Late(Text, Row),
}

/// How far a run has come.
struct Run {
    driver: Driver<(Text, Row), Given>,
    timeline: Timeline,
    reached: EventTime,
    /// The time of the wall clock.
    clock: i64,
    trigger: CaseTrigger,
}

fn drive(
    config: &Config,
    steps: &[Step],
    trigger: Option<trigger::Setting>,
    purging: bool,
) -> Result<Timeline> {
    let clock = match config.time {
        Some(Time::Processing) => TimeDomain::ProcessingTime,
        _ => TimeDomain::EventTime,
    };
    let gap = |row: &Row| Duration::from_millis(row.gap().unwrap_or(1));
    let assigner = CaseAssigner::new(config.assigner.0, clock, gap);
    let trigger = CaseTrigger::new(&assigner, trigger, purging);
    let mut run = Run {
        driver: open(config, assigner, trigger.clone())?,
        timeline: Timeline::default(),
        reached: EventTime::MIN,
        clock: i64::MIN,
        trigger,
    };
    for step in steps {
        match step {
            Step::Record(record) => run.record(record)?,
            Step::Mark(mark) => run.mark(*mark)?,
        }
    }
    run.end()
}

impl Run {
    fn record(&mut self, record: &Record) -> Result<()> {
        let (key, value, time) = record;
        self.timeline.push(Event::Input(json!(record)));
        let row = Row { value: Text::of(value), time: *time };
        self.driver.push((Text::of(key), row), time.unwrap_or(EventTime::MIN))?;
        self.take(|_| true)
    }

    fn mark(&mut self, mark: Mark) -> Result<()> {
        match mark {
            Mark::Watermark(time) => {
                self.reached = self.reached.max(time.saturating_add(1));
                self.driver.watermark(self.reached)?;
                self.take(|_| true)?;
                if time == EventTime::MAX {
                    // There is no time after it, so it is the end of the input.
                    self.driver.finish()?;
                    self.take(|_| true)?;
                }
                self.timeline.push(Event::Watermark(time));
            }
            Mark::ProcessingTime(time) => {
                if time > self.clock {
                    self.pass_millisecond()?;
                    self.clock = time;
                }
                self.timeline.push(Event::ProcessingTime(time));
                self.driver.processing_time(time)?;
                self.take(|_| true)?;
            }
            Mark::CheckpointRestore => {
                self.driver.restart()?;
                self.timeline.push(Event::Restored);
            }
        }
        Ok(())
    }

    /// Lets the wall clock's millisecond end: a case says that a window fires in its last one, and here it
    /// fires when that is over.
    fn pass_millisecond(&mut self) -> Result<()> {
        if self.clock > i64::MIN && self.trigger.is_by_wall_clock() {
            self.driver.processing_time(self.clock.saturating_add(1))?;
            self.take(|_| true)?;
        }
        Ok(())
    }

    /// Records behind the watermark are taken in the order of their stamps, which is known once event time
    /// moves on. So what the last ones cause comes when it does; what that causes besides is no part of the
    /// case.
    fn end(mut self) -> Result<Timeline> {
        self.pass_millisecond()?;
        if self.reached > EventTime::MIN && self.reached < EventTime::MAX {
            let (next, fires) = (self.reached + 1, self.trigger.is_by_event_time());
            self.driver.watermark(next)?;
            self.take(|end| !fires || end != next)?;
        }
        Ok(self.timeline)
    }

    /// Takes note of what has come out, of results if their window's end is wanted.
    fn take(&mut self, wanted: impl Fn(EventTime) -> bool) -> Result<()> {
        for given in self.driver.take_output() {
            let output = match given {
                Given::Result(_, _, _, end) if !wanted(end) => continue,
                Given::Result(key, value, start, end) => {
                    // A window of all time has no bounds.
                    let bounds = (end != EventTime::MAX).then_some((start, end)).unzip();
                    let value = value.map_err(Error::data)?;
                    Output::Out(json!([key.value(), value, bounds.0, bounds.1]))
                }
                Given::Late(key, row) => Output::Late(json!([key.value(), row.value.value(), row.time])),
            };
            self.timeline.push(Event::Output(output));
        }
        Ok(())
    }
}

fn open(
    config: &Config,
    assigner: CaseAssigner<Row>,
    trigger: CaseTrigger,
) -> Result<Driver<(Text, Row), Given>> {
    let (function, evictor) = (config.function, config.evictor.as_ref().map(|evictor| evictor.0));
    let lateness = Duration::from_millis(config.allowed_lateness.unwrap_or(0));
    let late = SideOutput::new();
    let tells_late = matches!(config.late.unwrap_or(Late::Side), Late::Side);
    Driver::new(move |rows| {
        let keyed = rows.key_by(|row: &(Text, Row)| row.0.clone()).map_values(|row| row.1);
        let windows = keyed.window_with(assigner).trigger(trigger);
        let windows = if tells_late { windows.late_output(late) } else { windows };
        let windows = windows.allowed_lateness(lateness);
        let result = result_of(function);
        let results = match evictor {
            None => windows.apply(result),
            Some(Evictor::Count { n, after }) => {
                windows.evictor(after_if(Evict::count(n), after)).apply(result)
            }
            Some(Evictor::Time { size, after }) => {
                windows.evictor(after_if(Evict::time(Duration::from_millis(size)), after)).apply(result)
            }
            Some(Evictor::Delta { threshold, after }) => {
                windows.evictor(after_if(Evict::delta(threshold, Row::apart), after)).apply(result)
            }
        };
        if !tells_late {
            return results;
        }
        let late = results.side(&late).map(|(key, row)| Given::Late(key, row));
        results.union(late)
    })
}

/// What a window gives.
fn result_of(function: Function) -> impl FnMut(&Text, Window, Vec<Row>) -> [Given; 1] + Clone + Send + Sync {
    move |key: &Text, window: Window, rows: Vec<Row>| {
        let values = rows.iter().map(|row| row.value.value()).collect();
        [Given::Result(key.clone(), function.of_values(values), window.start, window.end)]
    }
}

fn after_if<R>(evict: Evict<R>, after: bool) -> Evict<R> {
    if after { evict.after() } else { evict }
}
