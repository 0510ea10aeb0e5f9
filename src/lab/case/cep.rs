//! Cases of patterns.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::data::Text;
use super::json::{self, Object};
use super::timeline::{Event, Output, Timeline};
use crate::cep::{Match, Pattern};
use crate::error::{Error, Result};
use crate::harness::Driver;
use crate::time::EventTime;

/// The configuration of a pattern.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    pattern: Vec<Object<Stage>>,
    within: Option<u64>,
    after_match: Option<Object<AfterMatch>>,
}

/// A stage of a pattern: the events that it takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    name: String,
    /// The types of the events.
    #[serde(rename = "match")]
    types: Vec<String>,
    contiguity: Option<Contiguity>,
    /// How many events at least, and at most; `null` is no bound.
    times: Option<(u32, Option<u32>)>,
    inner: Option<Inner>,
    #[serde(default)]
    greedy: bool,
    #[serde(default)]
    optional: bool,
    /// The types of events that end a loop.
    until: Option<Vec<String>>,
}

/// How a stage follows the one before: by the names of the engine's and of Flink's methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Contiguity {
    Next,
    FollowedBy,
    FollowedByAny,
    NotNext,
    NotFollowedBy,
}

/// How the events of a loop follow each other, if they need not just follow.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Inner {
    Consecutive,
    AllowCombinations,
}

/// The strategy after a match.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum AfterMatch {
    NoSkip {},
    SkipToNext {},
    SkipPastLast {},
    SkipToFirst { stage: String },
    SkipToLast { stage: String },
}

/// The id of an event, its type and its time.
type Record = (Value, String, EventTime);

/// A step that is no event.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    Watermark(EventTime),
    CheckpointRestore,
}

pub(super) type Step = json::Step<Record, Mark>;

const EMPTY: &str = "the `pattern` is empty: a pattern has at least one stage";

/// Refuses what makes no sense, and settings that would change nothing.
pub(super) fn check(config: &Config, _: &[Step]) -> Result<(), String> {
    if config.pattern.is_empty() {
        return Err(EMPTY.to_owned());
    }
    for (place, Object(stage)) in config.pattern.iter().enumerate() {
        let wrong = |told: &str| Err(format!("the stage {:?}: {told}", stage.name));
        if stage.types.is_empty() {
            return wrong("`match` is empty: name the types of the events that it takes");
        }
        if stage.until.as_ref().is_some_and(Vec::is_empty) {
            return wrong(
                "`until` is empty: name the types of the events that end the loop, or leave it out",
            );
        }
        if place == 0 && stage.contiguity.is_some() {
            return wrong("it is the first, and follows none: leave out `contiguity`");
        }
        if stage.times.is_none() && stage.inner.is_some() {
            return wrong("it takes one event: leave out `inner`, or say how many in `times`");
        }
    }
    match &config.after_match {
        Some(Object(AfterMatch::SkipToFirst { stage } | AfterMatch::SkipToLast { stage }))
            if config.pattern.iter().all(|Object(other)| other.name != *stage) =>
        {
            Err(format!("`after_match` skips to {stage:?}, and there is no stage of that name"))
        }
        _ => Ok(()),
    }
}

/// An event: its time, its place in the input, its id, and its type.
type Happened = (EventTime, u64, Text, String);

/// The ids of a match's events in their order, when it was decided, and whether it is one that has timed
/// out.
type Found = (Vec<Text>, EventTime, bool);

fn found(found: Match<(), Happened>, timed_out: bool) -> Found {
    let mut events: Vec<Happened> = found.events.iter().cloned().collect();
    events.sort();
    (events.into_iter().map(|event| event.2).collect(), found.timestamp, timed_out)
}

pub(super) fn run(config: &Config, steps: &[Step]) -> Result<Timeline> {
    let pattern = pattern(config)?;
    let mut driver = Driver::new(move |events| {
        let matches = events.key_by(|_: &Happened| ()).detect(pattern);
        let timed_out = matches.timed_out().map(|partial| found(partial, true));
        matches.select(|complete| found(complete, false)).union(timed_out)
    })?;
    let mut timeline = Timeline::default();
    // The times of events and watermarks so far.
    let mut times: Vec<EventTime> = Vec::new();
    for (place, step) in (0..).zip(steps) {
        match step {
            json::Step::Record(record) => {
                let (id, kind, time) = record;
                timeline.push(Event::Input(json!(record)));
                driver.push((*time, place, Text::of(id), kind.clone()), *time)?;
                times.push(*time);
            }
            json::Step::Mark(Mark::Watermark(time)) => {
                driver.watermark(time.saturating_add(1))?;
                timeline.push(Event::Watermark(*time));
                times.push(*time);
            }
            json::Step::Mark(Mark::CheckpointRestore) => {
                driver.restart()?;
                timeline.push(Event::Restored);
            }
        }
        take(driver.take_output(), &times, &mut timeline);
    }
    driver.finish()?;
    take(driver.take_output(), &times, &mut timeline);
    Ok(timeline)
}

/// Takes note of what was found. What times out only when the input ends is no part of the case.
fn take(found: Vec<Found>, times: &[EventTime], timeline: &mut Timeline) {
    for (ids, at, timed_out) in found {
        let ids = json!(ids.iter().map(Text::value).collect::<Vec<_>>());
        let noticed = times.iter().copied().filter(|time| *time >= at).min();
        let output = match (timed_out, noticed) {
            (false, _) => Output::Out(ids),
            (true, Some(noticed)) => Output::TimedOut(ids, at, noticed),
            (true, None) => continue,
        };
        timeline.push(Event::Output(output));
    }
}

fn pattern(config: &Config) -> Result<Pattern<Happened>> {
    let Some((Object(first), others)) = config.pattern.split_first() else {
        return Err(Error::config(EMPTY));
    };
    let mut pattern = repeated(Pattern::begin(&first.name, takes(&first.types)), first);
    for Object(stage) in others {
        let (name, meets) = (&stage.name, takes(&stage.types));
        let longer = match stage.contiguity.unwrap_or(Contiguity::FollowedBy) {
            Contiguity::Next => pattern.next(name, meets),
            Contiguity::FollowedBy => pattern.followed_by(name, meets),
            Contiguity::FollowedByAny => pattern.followed_by_any(name, meets),
            Contiguity::NotNext => pattern.not_next(name, meets),
            Contiguity::NotFollowedBy => pattern.not_followed_by(name, meets),
        };
        pattern = repeated(longer, stage);
    }
    if let Some(within) = config.within {
        pattern = pattern.within(Duration::from_millis(within));
    }
    Ok(match &config.after_match {
        None | Some(Object(AfterMatch::NoSkip {})) => pattern.no_skip(),
        Some(Object(AfterMatch::SkipToNext {})) => pattern.skip_to_next(),
        Some(Object(AfterMatch::SkipPastLast {})) => pattern.skip_past_last(),
        Some(Object(AfterMatch::SkipToFirst { stage })) => pattern.skip_to_first(stage),
        Some(Object(AfterMatch::SkipToLast { stage })) => pattern.skip_to_last(stage),
    })
}

/// True of events of these types.
fn takes(types: &[String]) -> impl Fn(&Happened) -> bool + Send + Sync + 'static + use<> {
    let types = types.to_vec();
    move |event| types.contains(&event.3)
}

/// Says how often the last stage of a pattern takes events, and which of them.
fn repeated(mut pattern: Pattern<Happened>, stage: &Stage) -> Pattern<Happened> {
    pattern = match stage.times {
        None => pattern,
        // To take nothing is what an optional stage does.
        Some((0, None)) => pattern.one_or_more().optional(),
        Some((0, Some(most))) => pattern.times_range(1, most).optional(),
        Some((least, None)) => pattern.times_or_more(least),
        Some((least, Some(most))) if least == most => pattern.times(least),
        Some((least, Some(most))) => pattern.times_range(least, most),
    };
    if stage.optional {
        pattern = pattern.optional();
    }
    pattern = match stage.inner {
        None => pattern,
        Some(Inner::Consecutive) => pattern.consecutive(),
        Some(Inner::AllowCombinations) => pattern.allow_combinations(),
    };
    if stage.greedy {
        pattern = pattern.greedy();
    }
    match &stage.until {
        None => pattern,
        Some(types) => {
            let ends = takes(types);
            pattern.until(move |event: &Happened, _| ends(event))
        }
    }
}
