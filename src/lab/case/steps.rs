//! What the input of a case may say, step by step. As with [settings](super::known), what is not understood
//! is refused.
//!
//! What a step means, and whether a record is one, is the operators' business.

use serde_json::{Map, Value};

use super::known::{has_only, needs_numbers};
use super::words::Told;
use super::{Case, kind_of};

/// Says what is wrong with an input, if anything is.
pub(super) fn check(case: &Case) -> Told<()> {
    if case.operator == "temporal_join" {
        return versioned(&case.input);
    }
    let numbers = case.operator == "window" && needs_numbers(case);
    let timed = case.operator == "window" && is_timed(case.setting("assigner"));
    for step in case.input.as_array().into_iter().flatten() {
        let wrong = |told: String| format!("{step}: {told}");
        match (step, case.operator.as_str()) {
            (Value::Object(step), operator) => object(operator, step).map_err(wrong)?,
            (Value::Array(record), "window") => of_window(record, timed, numbers).map_err(wrong)?,
            (Value::String(word), "bounded_out_of_orderness" | "ascending_timestamps")
                if !EMITS.contains(&word.as_str()) =>
            {
                return Err(wrong(format!("this is neither a time nor one of {}", EMITS.join(", "))));
            }
            _ => {}
        }
    }
    Ok(())
}

/// How a case says that a watermark is emitted.
const EMITS: [&str; 3] = ["emit", "periodic_emit", "on_periodic_emit"];

/// True if windows are in event time, and have an end.
fn is_timed(assigner: &Value) -> bool {
    let wall = assigner.get("time").and_then(Value::as_str).is_some_and(|time| !time.starts_with("event"));
    matches!(kind_of(assigner), Some("tumble" | "hop" | "cumulate" | "session")) && !wall
}

/// A record of a window: its key, its value and its time.
fn of_window(record: &[Value], timed: bool, numbers: bool) -> Told<()> {
    let [_, value, time @ ..] = record else { return Ok(()) };
    let time = match time {
        [] => &Value::Null,
        [time] => time,
        _ => return Err("a record is [key, value, time], and nothing more".to_owned()),
    };
    if time.as_i64().is_none() && (timed || !time.is_null()) {
        return Err(format!("the time of a record is a number of milliseconds, and not {time}"));
    }
    if numbers && !value.is_number() {
        return Err(format!("{value} is no number, and the case reckons with it"));
    }
    Ok(())
}

fn object(operator: &str, step: &Map<String, Value>) -> Told<()> {
    let name = |names: &[&'static str]| -> Told<&'static str> {
        let there: Vec<_> = names.iter().copied().filter(|name| step.contains_key(*name)).collect();
        match there[..] {
            [one] => Ok(one),
            [] => Err(format!("a step says one of {}", names.join(", "))),
            [one, other, ..] => Err(format!("a step does not say {one:?} and {other:?} at once")),
        }
    };
    let (does, beside): (&str, &[&str]) = match operator {
        "window" => (name(&["watermark", "processing_time", "checkpoint_restore"])?, &[]),
        "cep" | "sql" => (name(&["watermark", "checkpoint_restore"])?, &[]),
        "interval_join" | "window_join" | "co_group" => match name(&["watermark", "checkpoint_restore"])? {
            "watermark" => ("watermark", &["side"]),
            other => (other, &[]),
        },
        "bounded_out_of_orderness" | "ascending_timestamps" => {
            (name(&["record", "timestamp", "ts", "time", "emit", "periodic_emit", "on_periodic_emit"])?, &[])
        }
        "watermark_merge" => (name(&["watermark", "idle", "active", "status"])?, &["channel"]),
        _ => return Ok(()),
    };
    has_only("the step", step, &[&[does], beside].concat())?;
    let value = &step[does];
    let is_time = |value: &Value| value.is_i64();
    let is_right = match does {
        "watermark" | "processing_time" => is_time(value),
        "idle" | "active" => value.is_boolean(),
        "status" => true,
        "record" | "timestamp" | "ts" | "time" => {
            is_time(value) || value.as_array().and_then(|record| record.last()).is_some_and(is_time)
        }
        // A checkpoint, or the emission of a watermark, has nothing to say but that it is there.
        _ => *value == true,
    };
    if !is_right {
        return Err(format!("{does:?} cannot be {value}"));
    }
    match step.get("side") {
        Some(side) if !matches!(side.as_str(), Some("L" | "R")) => {
            Err(format!("the side is \"L\" or \"R\", and not {side}"))
        }
        _ => Ok(()),
    }
}

/// The two lists of a temporal join, each by one of its names.
fn versioned(input: &Value) -> Told<()> {
    let Some(lists) = input.as_object() else { return Ok(()) };
    let (versions, rows) = (["rates", "versions", "right"], ["orders", "rows", "left"]);
    has_only("the input", lists, &[versions, rows].concat())?;
    for names in [versions, rows] {
        if names.iter().filter(|name| lists.contains_key(**name)).count() > 1 {
            return Err(format!("{} are one list, which has one of these names", names.join(", ")));
        }
    }
    let versions = versions.iter().find_map(|name| lists.get(*name)?.as_array());
    for version in versions.into_iter().flatten() {
        let is_sign = |sign: &str| matches!(sign, "+" | "-" | "+I" | "-U" | "+U" | "-D");
        let is_right = match version.as_array().map(Vec::as_slice) {
            // A version that has no value is none.
            Some([sign, _, value, _]) => {
                sign.as_str().is_some_and(|sign| is_sign(sign) && !(sign.starts_with('+') && value.is_null()))
            }
            // What is taken back need not say what it was.
            Some([sign, _, _]) => matches!(sign.as_str(), Some("-" | "-U" | "-D")),
            _ => false,
        };
        if !is_right {
            return Err(format!(
                "{version} is no version: it is [\"+\" or \"-\", key, value, time], or with the signs +I, -U, +U and -D"
            ));
        }
    }
    Ok(())
}
