//! Cases of windows.

use std::time::Duration;

use serde_json::{Value, json};

use super::text::Text;
use super::{Case, Event, Timeline};
use crate::error::Result;
use crate::harness::Driver;
use crate::process::{Side, States};
use crate::time::EventTime;
use crate::window::{
    Absorbed, Assigner, CountTrigger, DeltaTrigger, EveryEventTime, EveryProcessingTime, Evict, Fire, Global,
    LatePolicy, Never, OnEventTime, OnProcessingTime, Scope, Sessions, Sliding, Trigger, TriggerContext,
    Tumbling, WallClock,
};

/// What comes out: a result with its window, or a late record with its time.
#[derive(Clone)]
enum Output {
    Result(Text, Value, EventTime, EventTime),
    Late(Text, (Text, Option<EventTime>)),
}

/// A value, and the record's time if it has one.
type Row = (Text, Option<EventTime>);

pub(super) fn run(case: &Case) -> Result<Timeline> {
    let assigner = case.setting("assigner");
    let size = |name: &str| -> Result<Duration> {
        let millis = assigner.get(name).and_then(Value::as_u64);
        millis
            .map(Duration::from_millis)
            .ok_or_else(|| case.wrong(format!("the assigner {assigner} needs {name:?}")))
    };
    let offset = || size("offset").unwrap_or_default();
    let by_wall = assigner.get("time").and_then(Value::as_str) == Some("processing");
    match assigner.get("type").and_then(Value::as_str) {
        Some("tumble") => either(case, Tumbling::of(size("size")?).offset(offset()), by_wall),
        Some("hop") => either(case, Sliding::of(size("size")?, size("slide")?).offset(offset()), by_wall),
        Some("session") => either(case, Sessions::with_gap(size("gap")?), by_wall),
        Some("global") => drive(case, Global),
        _ => Err(case.wrong(format!("there is no assigner {assigner}"))),
    }
}

fn either<W: Assigner<Row>>(case: &Case, assigner: W, by_wall: bool) -> Result<Timeline> {
    if by_wall { drive(case, WallClock(assigner)) } else { drive(case, assigner) }
}

fn drive<W: Assigner<Row>>(case: &Case, assigner: W) -> Result<Timeline> {
    let mut driver = open(case, assigner)?;
    let mut timeline = Timeline::default();
    let mut reached = EventTime::MIN;
    for step in case.steps()? {
        if let Some([key, value, time]) = step.as_array().map(Vec::as_slice) {
            timeline.push(Event::Input(step.clone()));
            let time = time.as_i64();
            driver.push((Text::of(key), (Text::of(value), time)), time.unwrap_or(EventTime::MIN))?;
            take(&mut driver, &mut timeline);
        } else if let Some(time) = step.get("watermark").and_then(Value::as_i64) {
            reached = reached.max(time.saturating_add(1));
            driver.watermark(reached)?;
            take(&mut driver, &mut timeline);
            timeline.push(Event::Watermark(time));
        } else if let Some(time) = step.get("processing_time").and_then(Value::as_i64) {
            timeline.push(Event::ProcessingTime(time));
            driver.processing_time(time)?;
            take(&mut driver, &mut timeline);
        } else if step.get("checkpoint_restore").is_some() {
            timeline.push(Event::Remark("checkpoint and restore: noted, not performed"));
        } else {
            return Err(case.wrong(format!("{step} is no record, watermark, processing time or checkpoint")));
        }
    }
    // Records behind the watermark are taken in the order of their stamps, which is known once event time moves on. So what the last
    // ones cause comes with the end of the input; what that causes besides is no part of the case.
    driver.finish()?;
    let last = driver.take_output().into_iter().filter(|output| match output {
        Output::Result(_, _, _, end) => *end <= reached,
        Output::Late(..) => true,
    });
    last.for_each(|output| timeline.push(shown(output)));
    Ok(timeline)
}

fn take(driver: &mut Driver<(Text, Row), Output>, timeline: &mut Timeline) {
    driver.take_output().into_iter().for_each(|output| timeline.push(shown(output)));
}

fn shown(output: Output) -> Event {
    match output {
        Output::Result(key, value, start, end) => {
            let (start, end) = if end == EventTime::MAX { (None, None) } else { (Some(start), Some(end)) };
            Event::Out(json!([key.value(), value, start, end]))
        }
        Output::Late(key, (value, time)) => Event::Late(json!([key.value(), value.value(), time])),
    }
}

fn open<W: Assigner<Row>>(case: &Case, assigner: W) -> Result<Driver<(Text, Row), Output>> {
    let (trigger, function) = (trigger::<W>(case)?, Function::of(case)?);
    let lateness = case.setting("allowed_lateness").as_u64().unwrap_or(0);
    let evictor = case.setting("evictor");
    let evict = Eviction::of(case, evictor)?;
    let late = Side::new();
    Driver::new(move |rows| {
        let keyed = rows.key_by(|row: &(Text, Row)| row.0.clone()).map_values(|row| row.1);
        let windows = keyed.window_with(assigner).trigger(trigger).late(LatePolicy::Side(late));
        let windows = windows.allowed_lateness(Duration::from_millis(lateness));
        let windows = match evict {
            None => windows,
            Some(Eviction::Count(n, after)) => windows.evictor(after_if(Evict::count(n), after)),
            Some(Eviction::Time(size, after)) => windows.evictor(after_if(Evict::time(size), after)),
            Some(Eviction::Delta(threshold, after)) => {
                windows.evictor(after_if(Evict::delta(threshold, apart), after))
            }
        };
        let results = windows.apply(move |key: &Text, window, rows: Vec<Row>| {
            let values = rows.iter().map(|row| row.0.value()).collect();
            [Output::Result(key.clone(), function.of_values(values), window.start, window.end)]
        });
        let late = results.side(&late).map(|(key, row)| Output::Late(key, row));
        results.union(late)
    })
}

fn after_if<R>(evict: Evict<R>, after: bool) -> Evict<R> {
    if after { evict.after() } else { evict }
}

/// How far the numbers of two records are apart.
fn apart(a: &Row, b: &Row) -> f64 {
    let number = |row: &Row| row.0.value().as_f64().unwrap_or(f64::NAN);
    number(b) - number(a)
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
        let eviction = match (evictor.get("type").and_then(Value::as_str), evictor) {
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
        eviction.map(Some).ok_or_else(|| case.wrong(format!("there is no evictor {evictor}")))
    }
}

/// What is made of a window's values.
#[derive(Clone, Copy)]
enum Function {
    Sum,
    Count,
    Min,
    Max,
    List,
}

impl Function {
    fn of(case: &Case) -> Result<Function> {
        match case.setting("function").as_str() {
            Some("sum") => Ok(Function::Sum),
            Some("count") => Ok(Function::Count),
            Some("min") => Ok(Function::Min),
            Some("max") => Ok(Function::Max),
            Some("list" | "collect" | "apply") => Ok(Function::List),
            _ => Err(case.wrong(format!("there is no function {}", case.setting("function")))),
        }
    }

    fn of_values(self, values: Vec<Value>) -> Value {
        let least = |a: &Value, b: &Value| number(a).total_cmp(&number(b));
        match self {
            Function::Sum => sum(&values),
            Function::Count => json!(values.len()),
            Function::Min => values.into_iter().min_by(least).unwrap_or(Value::Null),
            Function::Max => values.into_iter().max_by(least).unwrap_or(Value::Null),
            Function::List => Value::Array(values),
        }
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The sum, exact as long as all are integers.
fn sum(values: &[Value]) -> Value {
    let integers: Option<Vec<i64>> = values.iter().map(Value::as_i64).collect();
    match integers {
        Some(integers) => json!(integers.iter().fold(0_i64, |sum, n| sum.wrapping_add(*n))),
        None => json!(values.iter().map(number).sum::<f64>()),
    }
}

/// Any of the triggers that a case can name.
#[derive(Clone)]
enum Any {
    EventTime(OnEventTime),
    ProcessingTime(OnProcessingTime),
    Count(CountTrigger),
    EveryEventTime(EveryEventTime),
    EveryProcessingTime(EveryProcessingTime),
    Delta(DeltaTrigger<Row, fn(&Row, &Row) -> f64>),
    Never(Never),
}

/// A trigger, and whether it purges.
#[derive(Clone)]
struct Named {
    trigger: Any,
    purging: bool,
}

fn trigger<W: Assigner<Row>>(case: &Case) -> Result<Named> {
    let setting = case.setting("trigger");
    let interval = || -> Result<Duration> {
        let millis = setting.get("interval").and_then(Value::as_u64);
        millis
            .map(Duration::from_millis)
            .ok_or_else(|| case.wrong(format!("the trigger {setting} needs \"interval\"")))
    };
    let default = match W::CLOCK == crate::process::TimerKind::ProcessingTime {
        true => "processing_time",
        false if W::ENDS => "event_time",
        false => "never",
    };
    let trigger = match setting.get("type").and_then(Value::as_str).unwrap_or(default) {
        "event_time" => Any::EventTime(OnEventTime::default()),
        "processing_time" => Any::ProcessingTime(OnProcessingTime::default()),
        "count" => {
            let n = setting.get("n").and_then(Value::as_u64);
            Any::Count(CountTrigger::of(n.ok_or_else(|| case.wrong("the count trigger needs \"n\""))?))
        }
        "continuous_event_time" => Any::EveryEventTime(EveryEventTime::of(interval()?)),
        "continuous_processing_time" => Any::EveryProcessingTime(EveryProcessingTime::of(interval()?)),
        "delta" => {
            let threshold = setting.get("threshold").and_then(Value::as_f64);
            let threshold = threshold.ok_or_else(|| case.wrong("the delta trigger needs \"threshold\""))?;
            Any::Delta(DeltaTrigger::of(threshold, apart as fn(&Row, &Row) -> f64))
        }
        "never" => Any::Never(Never),
        _ => return Err(case.wrong(format!("there is no trigger {setting}"))),
    };
    Ok(Named { trigger, purging: setting.get("purging").and_then(Value::as_bool).unwrap_or(false) })
}

/// Does the same with whichever trigger it is.
macro_rules! with {
    ($named:expr, $trigger:ident => $what:expr) => {
        match &mut $named.trigger {
            Any::EventTime($trigger) => $what,
            Any::ProcessingTime($trigger) => $what,
            Any::Count($trigger) => $what,
            Any::EveryEventTime($trigger) => $what,
            Any::EveryProcessingTime($trigger) => $what,
            Any::Delta($trigger) => $what,
            Any::Never($trigger) => $what,
        }
    };
}

impl Named {
    fn purge(&self, fire: Fire) -> Fire {
        match self.purging && fire.fires() {
            true => Fire::FireAndPurge,
            false => fire,
        }
    }
}

impl Trigger<Text, Row> for Named {
    fn open(&mut self, states: &mut States<'_, Scope<Text>>) {
        with!(self, trigger => Trigger::<Text, Row>::open(trigger, states));
    }

    fn on_element(&mut self, row: &Row, cx: &mut TriggerContext<'_, Text>) -> Fire {
        let fire = with!(self, trigger => Trigger::<Text, Row>::on_element(trigger, row, cx));
        self.purge(fire)
    }

    fn on_event_time(&mut self, time: EventTime, cx: &mut TriggerContext<'_, Text>) -> Fire {
        let fire = with!(self, trigger => Trigger::<Text, Row>::on_event_time(trigger, time, cx));
        self.purge(fire)
    }

    fn on_processing_time(&mut self, time: i64, cx: &mut TriggerContext<'_, Text>) -> Fire {
        let fire = with!(self, trigger => Trigger::<Text, Row>::on_processing_time(trigger, time, cx));
        self.purge(fire)
    }

    fn on_merge(&mut self, absorbed: Absorbed, cx: &mut TriggerContext<'_, Text>) {
        with!(self, trigger => Trigger::<Text, Row>::on_merge(trigger, absorbed, cx));
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, Text>) {
        with!(self, trigger => Trigger::<Text, Row>::clear(trigger, cx));
    }
}
