//! Watermarks by themselves: how one is made of a split's records, and how those of several channels become one.

use serde_json::{Value, json};

use super::{Case, Event, Timeline};
use crate::error::Result;

/// A watermark behind the greatest event time by a bound.
pub(super) fn generate(case: &Case) -> Result<Timeline> {
    let bound = if case.operator == "monotonous_timestamps" { 0 } else { case.number("bound")? };
    if bound < 0 {
        return Err(case.wrong("the bound is negative"));
    }
    let (mut greatest, mut timeline) = (None, Timeline::default());
    for step in case.steps()? {
        let time = step.as_i64().or_else(|| step.as_array()?.last()?.as_i64()).or_else(|| {
            ["record", "timestamp", "ts", "time"].iter().find_map(|name| step.get(name)?.as_i64())
        });
        match (step, time) {
            (_, Some(time)) => {
                timeline.push(Event::Input(step.clone()));
                greatest = Some(greatest.map_or(time, |greatest: i64| greatest.max(time)));
            }
            (Value::String(_) | Value::Object(_), None) if step.to_string().contains("emit") => {
                // Nothing at or before it comes: one less than what may still come.
                let promised = greatest.map(|greatest| greatest.saturating_sub(bound).saturating_sub(1));
                timeline.push(Event::Told(json!({ "watermark": promised.unwrap_or(i64::MIN) })));
            }
            _ => return Err(case.wrong(format!("{step} is neither a time nor \"emit\""))),
        }
    }
    Ok(timeline)
}

struct Channel {
    watermark: i64,
    idle: bool,
    /// False if it came back behind what was told without it: then it has no say until it has caught up.
    aligned: bool,
}

impl Channel {
    fn turn(&mut self, idle: bool, told: i64) {
        self.aligned = if idle { false } else { self.watermark >= told };
        self.idle = idle;
    }
}

/// The least watermark of the channels that are not idle. When all are idle nobody holds anything back: the greatest counts.
pub(super) fn merge(case: &Case) -> Result<Timeline> {
    let channels = usize::try_from(case.number("channels")?)
        .map_err(|_| case.wrong("the number of channels is negative"))?;
    let mut channels: Vec<Channel> =
        (0..channels).map(|_| Channel { watermark: i64::MIN, idle: false, aligned: true }).collect();
    let (mut told, mut idle, mut timeline) = (i64::MIN, false, Timeline::default());
    for step in case.steps()? {
        let number =
            step.get("channel").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
        let Some(channel) = number.and_then(|number| channels.get_mut(number)) else {
            return Err(case.wrong(format!("{step} names no channel that there is")));
        };
        timeline.push(Event::Input(step.clone()));
        match (step.get("watermark").and_then(Value::as_i64), step.get("idle"), step.get("active")) {
            // A channel that speaks is active again.
            (Some(watermark), ..) => {
                channel.watermark = channel.watermark.max(watermark);
                channel.idle = false;
                channel.aligned |= channel.watermark >= told;
            }
            (None, Some(Value::Bool(is_idle)), _) => channel.turn(*is_idle, told),
            (None, _, Some(Value::Bool(is_active))) => channel.turn(!is_active, told),
            _ => return Err(case.wrong(format!("{step} says nothing of a watermark or of being idle"))),
        }
        let all_idle = channels.iter().all(|channel| channel.idle);
        let watermarks = channels.iter().map(|channel| channel.watermark);
        let least = channels
            .iter()
            .filter(|channel| !channel.idle && channel.aligned)
            .map(|channel| channel.watermark)
            .min();
        let reached = if all_idle { watermarks.max() } else { least };
        if let Some(reached) = reached.filter(|reached| *reached > told) {
            told = reached;
            timeline.push(Event::Told(json!({ "watermark": told })));
        }
        if all_idle != idle {
            idle = all_idle;
            timeline.push(Event::Told(if idle {
                json!({ "idle": true })
            } else {
                json!({ "active": true })
            }));
        }
    }
    Ok(timeline)
}
