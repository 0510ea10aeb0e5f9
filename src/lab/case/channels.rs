//! Watermarks by themselves: how one is made of a split's records, and how those of several channels become
//! one.

use serde_json::{Value, json};

use super::{Case, Event, Timeline};
use crate::error::Result;

/// A watermark behind the greatest event time by a bound.
pub(super) fn generate(case: &Case) -> Result<Timeline> {
    let bound = if case.operator == "bounded_out_of_orderness" { case.number("bound")? } else { 0 };
    if bound < 0 {
        return Err(case.wrong("the bound is negative"));
    }
    let (mut greatest, mut timeline) = (None, Timeline::default());
    for step in case.steps()? {
        let last = |step: &Value| step.as_i64().or_else(|| step.as_array()?.last()?.as_i64());
        let named = || ["record", "timestamp", "ts", "time"].iter().find_map(|name| last(step.get(name)?));
        let time = last(step).or_else(named);
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

/// What a channel says.
enum Word {
    Watermark(i64),
    Idle(bool),
}

fn word(step: &Value) -> Option<Word> {
    if let Some(watermark) = step.get("watermark").and_then(Value::as_i64) {
        return Some(Word::Watermark(watermark));
    }
    if let Some(status) = step.get("status").and_then(Value::as_str) {
        return match status.to_ascii_lowercase().as_str() {
            "idle" => Some(Word::Idle(true)),
            "active" => Some(Word::Idle(false)),
            _ => None,
        };
    }
    let idle = step.get("idle").and_then(Value::as_bool);
    idle.or_else(|| step.get("active")?.as_bool().map(|active| !active)).map(Word::Idle)
}

/// The least watermark of the channels that are not idle. When all are idle nobody holds anything back: the
/// greatest counts.
///
/// A channel that is idle and speaks is active again. But if the case says when channels come back, as those
/// between operators do, then they do not come back by themselves, and what they say meanwhile is not heard.
pub(super) fn merge(case: &Case) -> Result<Timeline> {
    let channels = usize::try_from(case.number("channels")?)
        .map_err(|_| case.wrong("the number of channels is negative"))?;
    let mut channels: Vec<Channel> =
        (0..channels).map(|_| Channel { watermark: i64::MIN, idle: false, aligned: true }).collect();
    let (mut told, mut idle, mut timeline) = (i64::MIN, false, Timeline::default());
    let says_when_back = case.steps()?.iter().any(|step| matches!(word(step), Some(Word::Idle(false))));
    for step in case.steps()? {
        let number =
            step.get("channel").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
        let Some(channel) = number.and_then(|number| channels.get_mut(number)) else {
            return Err(case.wrong(format!("{step} names no channel that there is")));
        };
        timeline.push(Event::Input(step.clone()));
        match word(step) {
            Some(Word::Watermark(_)) if channel.idle && says_when_back => continue,
            Some(Word::Watermark(watermark)) => {
                channel.watermark = channel.watermark.max(watermark);
                channel.idle = false;
                channel.aligned |= channel.watermark >= told;
            }
            Some(Word::Idle(is_idle)) if is_idle == channel.idle => continue,
            Some(Word::Idle(is_idle)) => channel.turn(is_idle, told),
            None => return Err(case.wrong(format!("{step} says nothing of a watermark or of being idle"))),
        }
        let all_idle = channels.iter().all(|channel| channel.idle);
        if idle && !all_idle {
            timeline.push(Event::Told(json!({ "active": true })));
        }
        let active = channels.iter().filter(|channel| !channel.idle && channel.aligned);
        let reached = match all_idle {
            true => channels.iter().map(|channel| channel.watermark).max(),
            false => active.map(|channel| channel.watermark).min(),
        };
        if let Some(reached) = reached.filter(|reached| *reached > told) {
            told = reached;
            timeline.push(Event::Told(json!({ "watermark": told })));
        }
        if all_idle && !idle {
            timeline.push(Event::Told(json!({ "idle": true })));
        }
        idle = all_idle;
    }
    Ok(timeline)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::{SplitWatermarks, Watermarks};

    /// Channels that speak once each, and then fall silent, in an order.
    fn told(watermarks: &[i64], order: &[usize]) -> Vec<i64> {
        let speak =
            order.iter().map(|channel| json!({"channel": channel, "watermark": watermarks[*channel]}));
        let rest = order.iter().map(|channel| json!({"channel": channel, "idle": true}));
        let input: Vec<Value> = speak.chain(rest).collect();
        let case = json!({"id": "x", "operator": "watermark_merge", "config": {"channels": order.len()}, "input": input});
        let case: Case = serde_json::from_value(case).unwrap();
        let timeline = merge(&case).unwrap();
        let told = timeline.events().iter().filter_map(|event| match event {
            Event::Told(told) => told.get("watermark")?.as_i64(),
            _ => None,
        });
        told.collect()
    }

    proptest! {
        /// What the engine makes of splits that do the same.
        #[test]
        fn channels_are_merged_as_the_engine_merges_splits(
            watermarks in proptest::collection::vec(0..50i64, 1..6),
            order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let order: Vec<usize> = order.into_iter().filter(|channel| *channel < watermarks.len()).collect();
            let monotone = Watermarks::monotone(|time: &i64| *time);
            let mut splits = SplitWatermarks::new(&monotone.strategy, order.len(), Some(100), 0).being_all();
            for (now, channel) in (0..).zip(&order) {
                let time = watermarks[*channel];
                splits.stamp(*channel, &time, time, now);
            }
            let mut moves = vec![splits.watermark()];
            splits.pass(1_000, &mut |_, watermark| moves.push(watermark));
            prop_assert_eq!(told(&watermarks, &order), moves);
        }
    }
}
