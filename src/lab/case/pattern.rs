//! Cases of patterns.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::text::Text;
use super::{Case, Event, Timeline};
use crate::cep::{Match, Pattern};
use crate::error::Result;
use crate::harness::Driver;
use crate::time::EventTime;

/// An event: its time, its place in the input, its name, and its type.
type Happened = (i64, u64, Text, String);

/// The names of a match's events in their order, when it was decided, and whether it is one that has timed
/// out.
type Found = (Vec<Text>, EventTime, bool);

fn told(found: Match<(), Happened>, timed_out: bool) -> Found {
    let mut events: Vec<Happened> = found.events.iter().cloned().collect();
    events.sort();
    (events.into_iter().map(|event| event.2).collect(), found.timestamp, timed_out)
}

pub(super) fn run(case: &Case) -> Result<Timeline> {
    let pattern = pattern(case)?;
    let mut driver = Driver::new(move |events| {
        let found = events.key_by(|_: &Happened| ()).detect(pattern);
        let timed_out = found.timed_out().map(|partial| told(partial, true));
        found.select(|found| told(found, false)).union(timed_out)
    })?;
    let mut timeline = Timeline::default();
    // How far event time has come by the events themselves and by watermarks.
    let (mut times, mut found): (Vec<EventTime>, Vec<Found>) = (Vec::new(), Vec::new());
    for (place, step) in (0..).zip(case.steps()?) {
        match step.as_array().map(Vec::as_slice) {
            Some([name, kind, time]) => {
                let (Some(kind), Some(time)) = (kind.as_str(), time.as_i64()) else {
                    return Err(case.wrong(format!("{step} is no event")));
                };
                timeline.push(Event::Input(step.clone()));
                driver.push((time, place, Text::of(name), kind.to_owned()), time)?;
                times.push(time);
            }
            _ if step.get("checkpoint_restore").is_some() => {
                driver.restart()?;
                timeline.push(Event::went_on());
            }
            _ => {
                let Some(time) = step.get("watermark").and_then(Value::as_i64) else {
                    return Err(case.wrong(format!("{step} is no event, no watermark and no checkpoint")));
                };
                driver.watermark(time.saturating_add(1))?;
                timeline.push(Event::Watermark(time));
                times.push(time);
            }
        }
        found.extend(driver.take_output());
        take(&mut found, &times, &mut timeline);
    }
    driver.finish()?;
    found.extend(driver.take_output());
    take(&mut found, &times, &mut timeline);
    Ok(timeline)
}

/// Takes note of what was found. What times out only when the input ends is no part of the case.
fn take(found: &mut Vec<Found>, times: &[EventTime], timeline: &mut Timeline) {
    for (names, at, timed_out) in found.drain(..) {
        let names = json!(names.iter().map(Text::value).collect::<Vec<_>>());
        match timed_out {
            false => timeline.push(Event::Out(names)),
            true => {
                let noticed = times.iter().copied().filter(|time| *time >= at).min();
                noticed
                    .into_iter()
                    .for_each(|noticed| timeline.push(Event::TimedOut(names.clone(), at, noticed)));
            }
        }
    }
}

fn pattern(case: &Case) -> Result<Pattern<Happened>> {
    let parts = case.setting("pattern").as_array();
    let parts = parts.ok_or_else(|| case.wrong("its pattern is not a list"))?;
    let mut pattern: Option<Pattern<Happened>> = None;
    for part in parts {
        let text = |name: &str| part.get(name).and_then(Value::as_str);
        let flag = |name: &str| part.get(name).and_then(Value::as_bool).unwrap_or(false);
        let name = text("name").ok_or_else(|| case.wrong(format!("{part} has no name")))?;
        let types = types_of(part, "match").ok_or_else(|| case.wrong(format!("{part} has no \"match\"")))?;
        let meets = move |event: &Happened| types.contains(&event.3);
        let contiguity = text("contig").unwrap_or("relaxed");
        let mut longer = match (pattern, contiguity, flag("neg")) {
            (None, _, false) => Pattern::begin(name, meets),
            (Some(pattern), "strict", false) => pattern.next(name, meets),
            (Some(pattern), "relaxed", false) => pattern.followed_by(name, meets),
            (Some(pattern), "any", false) => pattern.followed_by_any(name, meets),
            (Some(pattern), "strict", true) => pattern.not_next(name, meets),
            (Some(pattern), "relaxed", true) => pattern.not_followed_by(name, meets),
            _ => return Err(case.wrong(format!("{part} is no part of a pattern"))),
        };
        longer = times(case, longer, part)?;
        if flag("optional") {
            longer = longer.optional();
        }
        match text("inner") {
            Some("strict") => longer = longer.consecutive(),
            Some("any") => longer = longer.allow_combinations(),
            None | Some("relaxed") => {}
            Some(other) => {
                let there = "strict, relaxed and any";
                return Err(case.wrong(format!("there is no contiguity {other:?}: there are {there}")));
            }
        }
        if flag("greedy") {
            longer = longer.greedy();
        }
        if let Some(ends) = types_of(part, "until") {
            longer = longer.until(move |event: &Happened, _| ends.contains(&event.3));
        }
        pattern = Some(longer);
    }
    let mut pattern = pattern.ok_or_else(|| case.wrong("its pattern is empty"))?;
    if let Some(within) = case.length("within")? {
        pattern = pattern.within(Duration::from_millis(within));
    }
    let to = case.setting("skip_to").as_str().unwrap_or_default();
    match case.setting("after_match").as_str() {
        None | Some("no_skip") => Ok(pattern.no_skip()),
        Some("skip_to_next") => Ok(pattern.skip_to_next()),
        Some("skip_past_last") => Ok(pattern.skip_past_last()),
        Some("skip_to_first") => Ok(pattern.skip_to_first(to)),
        Some("skip_to_last") => Ok(pattern.skip_to_last(to)),
        Some(other) => {
            let there = "no_skip, skip_to_next, skip_past_last, skip_to_first and skip_to_last";
            Err(case.wrong(format!("there is no strategy {other:?}: there are {there}")))
        }
    }
}

/// The types of events that a part names: a list, or one.
fn types_of(part: &Value, name: &str) -> Option<BTreeSet<String>> {
    match part.get(name)? {
        Value::String(one) => Some(BTreeSet::from([one.clone()])),
        Value::Array(types) => Some(types.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        _ => None,
    }
}

/// How often a part takes.
fn times(case: &Case, pattern: Pattern<Happened>, part: &Value) -> Result<Pattern<Happened>> {
    let times = match part.get("times") {
        None | Some(Value::Null) => return Ok(pattern),
        Some(Value::Number(number)) => json!([number, number]),
        Some(times) => times.clone(),
    };
    let bound = |place: usize| times.get(place).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    Ok(match (bound(0), bound(1)) {
        // Taking nothing is what being left out means.
        (Some(0), None) => pattern.one_or_more().optional(),
        (Some(0), Some(most)) => pattern.times_range(1, most).optional(),
        (Some(least), None) => pattern.times_or_more(least),
        (Some(least), Some(most)) if least == most => pattern.times(least),
        (Some(least), Some(most)) => pattern.times_range(least, most),
        (None, _) => return Err(case.wrong(format!("{times} does not say how often"))),
    })
}
