//! Cases of patterns.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::text::Text;
use super::{Case, Event, Timeline};
use crate::cep::Pattern;
use crate::error::Result;
use crate::harness::Driver;

/// An event: its time, its place in the input, its name, and its type.
type Happened = (i64, u64, Text, String);

pub(super) fn run(case: &Case) -> Result<Timeline> {
    let pattern = pattern(case)?;
    let mut driver = Driver::new(move |events| {
        let found = events.key_by(|_: &Happened| ()).detect(pattern);
        found.select(|found| {
            let mut events: Vec<Happened> = found.events.iter().cloned().collect();
            events.sort();
            events.into_iter().map(|event| event.2).collect::<Vec<Text>>()
        })
    })?;
    let mut timeline = Timeline::default();
    for (place, step) in (0..).zip(case.steps()?) {
        match step.as_array().map(Vec::as_slice) {
            Some([name, kind, time]) => {
                let (Some(kind), Some(time)) = (kind.as_str(), time.as_i64()) else {
                    return Err(case.wrong(format!("{step} is no event")));
                };
                timeline.push(Event::Input(step.clone()));
                driver.push((time, place, Text::of(name), kind.to_owned()), time)?;
            }
            _ => {
                let Some(time) = step.get("watermark").and_then(Value::as_i64) else {
                    return Err(case.wrong(format!("{step} is no event and no watermark")));
                };
                driver.watermark(time.saturating_add(1))?;
                timeline.push(Event::Watermark(time));
            }
        }
        take(&mut driver, &mut timeline);
    }
    driver.finish()?;
    take(&mut driver, &mut timeline);
    Ok(timeline)
}

fn take(driver: &mut Driver<Happened, Vec<Text>>, timeline: &mut Timeline) {
    for names in driver.take_output() {
        timeline.push(Event::Out(json!(names.iter().map(Text::value).collect::<Vec<_>>())));
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
        let types = part.get("match").and_then(Value::as_array).into_iter().flatten();
        let types: BTreeSet<String> = types.filter_map(Value::as_str).map(str::to_owned).collect();
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
            _ => {}
        }
        if flag("greedy") {
            longer = longer.greedy();
        }
        pattern = Some(longer);
    }
    let mut pattern = pattern.ok_or_else(|| case.wrong("its pattern is empty"))?;
    if let Some(within) = case.setting("within").as_u64() {
        pattern = pattern.within(Duration::from_millis(within));
    }
    let to = case.setting("skip_to").as_str().unwrap_or_default();
    match case.setting("after_match").as_str() {
        None | Some("no_skip") => Ok(pattern.no_skip()),
        Some("skip_to_next") => Ok(pattern.skip_to_next()),
        Some("skip_past_last") => Ok(pattern.skip_past_last()),
        Some("skip_to_first") => Ok(pattern.skip_to_first(to)),
        Some("skip_to_last") => Ok(pattern.skip_to_last(to)),
        Some(other) => Err(case.wrong(format!("there is no strategy {other:?}"))),
    }
}

/// How often a part takes.
fn times(case: &Case, pattern: Pattern<Happened>, part: &Value) -> Result<Pattern<Happened>> {
    let Some(times) = part.get("times") else { return Ok(pattern) };
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
