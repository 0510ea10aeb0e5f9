//! Cases of windows.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::function::Function;
use super::number::Number;
use super::text::Text;
use super::trigger::Named;
use super::words::Told;
use super::{Case, Event, Timeline, kind_of};
use crate::error::Result;
use crate::harness::Driver;
use crate::process::Side;
use crate::time::EventTime;
use crate::window::{
    Assigner, Evict, Global, LatePolicy, OnEventTime, Sessions, Sliding, Tumbling, WallClock, Window,
};

/// What comes out: a result with its window, or a late record with its time.
#[derive(Clone)]
enum Output {
    Result(Text, Told<Value>, EventTime, EventTime),
    Late(Text, Row),
}

/// A record without its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    value: Text,
    /// When it happened, if that is known.
    time: Option<EventTime>,
    /// How long it makes its session last, if records say so.
    gap: u64,
}

impl Row {
    /// How far the numbers of two records are apart.
    pub(super) fn apart(a: &Row, b: &Row) -> f64 {
        let number = |row: &Row| Number::of(&row.value.value());
        number(b).zip(number(a)).map_or(f64::NAN, |(b, a)| b.minus(a).floating())
    }
}

pub(super) fn run(case: &Case) -> Result<Timeline> {
    let assigner = case.setting("assigner");
    let size = |name: &str| -> Result<Duration> {
        let millis = assigner.get(name).and_then(Value::as_u64);
        millis
            .map(Duration::from_millis)
            .ok_or_else(|| case.wrong(format!("the assigner {assigner} needs {name:?}")))
    };
    let clock = assigner.get("time").and_then(Value::as_str);
    let by_wall = matches!(clock, Some("processing" | "processing_time" | "wall_clock" | "wall clock"));
    match kind_of(assigner) {
        Some("tumble") => {
            let (length, offset) = (size("size")?, offset(assigner, size("size")?));
            either(case, Tumbling::of(length).offset(offset), by_wall)
        }
        Some("hop") => {
            let (length, slide) = (size("size")?, size("slide")?);
            either(case, Sliding::of(length, slide).offset(offset(assigner, slide)), by_wall)
        }
        Some("cumulate") => {
            let (length, step) = (size("size")?, size("step")?);
            let offset = offset(assigner, length).as_millis() as i64;
            either(
                case,
                Cumulating { size: length.as_millis() as i64, step: step.as_millis() as i64, offset },
                by_wall,
            )
        }
        Some("session") if gaps(case).is_number() => either(
            case,
            Sessions::with_gap(Duration::from_millis(gaps(case).as_u64().unwrap_or(0))).touching(),
            by_wall,
        ),
        Some("session") => {
            let gaps = Sessions::with_gaps(|row: &Row| Duration::from_millis(row.gap));
            either(case, gaps.touching(), by_wall)
        }
        Some("global" | "count") => drive(case, Global),
        _ => {
            let there = "tumble, hop, cumulate, session, count and global";
            Err(case.wrong(format!("there is no assigner {assigner}: there are {there}")))
        }
    }
}

/// By how much windows are moved. To move them back is to move them on to where the next one would be.
pub(super) fn offset(assigner: &Value, slide: Duration) -> Duration {
    let slide = i64::try_from(slide.as_millis()).unwrap_or(i64::MAX).max(1);
    let offset = assigner.get("offset").and_then(Value::as_i64).unwrap_or(0);
    Duration::from_millis(offset.rem_euclid(slide).unsigned_abs())
}

/// The gap of sessions: a number, or something that says it for each record.
fn gaps(case: &Case) -> &Value {
    case.setting("assigner").get("gap").unwrap_or(&Value::Null)
}

/// The gap of a record: `"value"` is its own number; a map is asked for the key and then, if there is another
/// map, for the value, with `default` for what it does not name. A record without a gap would open an empty
/// window.
fn gap_of(case: &Case, key: &Value, value: &Value) -> Result<u64> {
    let mut gap = gaps(case);
    for of in [key, value, &Value::Null] {
        match gap {
            Value::String(word) if word == "value" => {
                let gap = value.as_u64().filter(|gap| *gap > 0);
                return gap.ok_or_else(|| {
                    case.wrong(format!("the gap of a session is a positive number of milliseconds, and the value of {key} is {value}"))
                });
            }
            Value::Object(map) => {
                let name = of.as_str().map_or_else(|| of.to_string(), str::to_owned);
                let other = || ["default", "otherwise", "*"].iter().find_map(|name| map.get(*name));
                gap = map.get(&name).or_else(other).unwrap_or(&Value::Null);
            }
            _ => break,
        }
    }
    gap.as_u64().ok_or_else(|| case.wrong(format!("the assigner says no gap for {value} of {key}")))
}

/// Windows that grow by a step until they have their size, and then begin anew.
#[derive(Clone, Copy)]
pub(super) struct Cumulating {
    pub(super) size: i64,
    pub(super) step: i64,
    pub(super) offset: i64,
}

impl<T> Assigner<T> for Cumulating {
    type Trigger = OnEventTime;

    fn assign(&self, _: &T, time: EventTime, windows: &mut Vec<Window>) {
        let start = time.saturating_sub(time.saturating_sub(self.offset).rem_euclid(self.size));
        let first = (time.saturating_sub(start) / self.step + 1) * self.step;
        let ends = (first..self.size).step_by(self.step as usize).chain([self.size]);
        windows.extend(ends.map(|length| Window { start, end: start.saturating_add(length) }));
    }

    fn check(&self) -> Result<()> {
        match self.step > 0 && self.step <= self.size && self.size % self.step == 0 {
            true => Ok(()),
            false => {
                Err(crate::Error::config("cumulating windows need a size that is a multiple of their step"))
            }
        }
    }
}

fn either<W: Assigner<Row>>(case: &Case, assigner: W, by_wall: bool) -> Result<Timeline> {
    if by_wall { drive(case, WallClock(assigner)) } else { drive(case, assigner) }
}

/// How far a run has come.
struct Run<'a> {
    case: &'a Case,
    driver: Driver<(Text, Row), Output>,
    timeline: Timeline,
    reached: EventTime,
    /// What the wall clock says.
    clock: i64,
    trigger: Named,
}

fn drive<W: Assigner<Row>>(case: &Case, assigner: W) -> Result<Timeline> {
    assigner.check()?;
    let trigger = match (kind_of(case.setting("assigner")), counts(case)) {
        (Some("count"), (Some(size), None)) => Named::count(size, true),
        (Some("count"), (Some(_), Some(slide))) => Named::count(slide, false),
        (Some("count"), _) => return Err(case.wrong("windows of a number of records need \"size\"")),
        _ => Named::of::<W>(case)?,
    };
    let driver = open(case, assigner, trigger.clone())?;
    let timeline = Timeline::default();
    let mut run = Run { case, driver, timeline, reached: EventTime::MIN, clock: i64::MIN, trigger };
    for step in case.steps()? {
        run.step(step)?;
    }
    run.end()
}

impl Run<'_> {
    fn step(&mut self, step: &Value) -> Result<()> {
        if let Some([key, value, time @ ..]) = step.as_array().map(Vec::as_slice) {
            self.timeline.push(Event::Input(step.clone()));
            let time = time.first().and_then(Value::as_i64);
            let gap = if gaps(self.case).is_number() || gaps(self.case).is_null() {
                0
            } else {
                gap_of(self.case, key, value)?
            };
            let row = Row { value: Text::of(value), time, gap };
            self.driver.push((Text::of(key), row), time.unwrap_or(EventTime::MIN))?;
            self.take(|_| true)?;
        } else if let Some(time) = step.get("watermark").and_then(Value::as_i64) {
            self.reached = self.reached.max(time.saturating_add(1));
            self.driver.watermark(self.reached)?;
            self.take(|_| true)?;
            if time == EventTime::MAX {
                // There is no time after it, so it is the end of the input.
                self.driver.finish()?;
                self.take(|_| true)?;
            }
            self.timeline.push(Event::Watermark(time));
        } else if let Some(time) = step.get("processing_time").and_then(Value::as_i64) {
            if time > self.clock {
                self.pass_millisecond()?;
                self.clock = time;
            }
            self.timeline.push(Event::ProcessingTime(time));
            self.driver.processing_time(time)?;
            self.take(|_| true)?;
        } else if step.get("checkpoint_restore").is_some() {
            self.driver.restart()?;
            self.timeline.push(Event::went_on());
        } else {
            return Err(self
                .case
                .wrong(format!("{step} is no record, watermark, processing time or checkpoint")));
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
        for output in self.driver.take_output() {
            match output {
                Output::Result(_, _, _, end) if !wanted(end) => {}
                output => self.timeline.push(shown(output).map_err(|told| self.case.wrong(told))?),
            }
        }
        Ok(())
    }
}

fn shown(output: Output) -> Told<Event> {
    Ok(match output {
        Output::Result(key, value, start, end) => {
            let (start, end) = if end == EventTime::MAX { (None, None) } else { (Some(start), Some(end)) };
            Event::Out(json!([key.value(), value?, start, end]))
        }
        Output::Late(key, row) => Event::Late(json!([key.value(), row.value.value(), row.time])),
    })
}

/// The size and the slide of windows of a number of records.
fn counts(case: &Case) -> (Option<u64>, Option<u64>) {
    let number = |name: &str| case.setting("assigner").get(name).and_then(Value::as_u64);
    (number("size"), number("slide"))
}

fn open<W: Assigner<Row>>(case: &Case, assigner: W, trigger: Named) -> Result<Driver<(Text, Row), Output>> {
    let function = Function::of(case)?;
    let lateness = case.length("allowed_lateness")?.unwrap_or(0);
    let evict = match (kind_of(case.setting("assigner")), counts(case)) {
        (Some("count"), (Some(size), Some(_))) => Some(Eviction::Count(size, false)),
        _ => Eviction::of(case, case.setting("evictor"))?,
    };
    let late = Side::new();
    let policy = match case.setting("late").as_str() {
        None | Some("side" | "side_output") => LatePolicy::Side(late),
        Some("drop" | "dropped") => LatePolicy::Drop,
        Some(other) => {
            return Err(case.wrong(format!("late records go to a side or drop, and not {other:?}")));
        }
    };
    Driver::new(move |rows| {
        let keyed = rows.key_by(|row: &(Text, Row)| row.0.clone()).map_values(|row| row.1);
        let windows = keyed.window_with(assigner).trigger(trigger).late(policy);
        let windows = windows.allowed_lateness(Duration::from_millis(lateness));
        let windows = match evict {
            None => windows,
            Some(Eviction::Count(n, after)) => windows.evictor(after_if(Evict::count(n), after)),
            Some(Eviction::Time(size, after)) => windows.evictor(after_if(Evict::time(size), after)),
            Some(Eviction::Delta(threshold, after)) => {
                windows.evictor(after_if(Evict::delta(threshold, Row::apart), after))
            }
        };
        let results = windows.apply(move |key: &Text, window, rows: Vec<Row>| {
            let values = rows.iter().map(|row| row.value.value()).collect();
            [Output::Result(key.clone(), function.of_values(values), window.start, window.end)]
        });
        let late = results.side(&late).map(|(key, row)| Output::Late(key, row));
        results.union(late)
    })
}

fn after_if<R>(evict: Evict<R>, after: bool) -> Evict<R> {
    if after { evict.after() } else { evict }
}

enum Eviction {
    Count(u64, bool),
    Time(Duration, bool),
    Delta(f64, bool),
}

impl Eviction {
    fn of(case: &Case, evictor: &Value) -> Result<Option<Eviction>> {
        let after = evictor.get("after").and_then(Value::as_bool).unwrap_or(false);
        let number = |name: &str| evictor.get(name).and_then(Value::as_u64);
        let eviction = match (kind_of(evictor), evictor) {
            (_, Value::Null) => return Ok(None),
            (Some("count"), _) => number("n").map(|n| Eviction::Count(n, after)),
            (Some("time"), _) => {
                number("size").map(|size| Eviction::Time(Duration::from_millis(size), after))
            }
            (Some("delta"), _) => {
                evictor.get("threshold").and_then(Value::as_f64).map(|least| Eviction::Delta(least, after))
            }
            _ => None,
        };
        eviction.map(Some).ok_or_else(|| case.wrong(format!("there is no evictor {evictor}: there are count with n, time with size, and delta with threshold")))
    }
}
