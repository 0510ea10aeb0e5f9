//! What a configuration may say. A setting that is not understood, a value that is none, or a setting that
//! changes nothing is refused: a case that is understood by half would be judged by half.
//!
//! Names are the laboratory's own here: other words for them have been [translated](super::dialect). What a
//! setting means is the operators' business, and so are values that they cannot do without.

use serde_json::{Map, Value};

use super::function::Function;
use super::readers;
use super::words::Told;
use super::{Case, kind_of};

/// What any case may say beside its settings, for readers.
const FOR_READERS: [&str; 3] = ["note", "description", "comment"];

/// Says what is wrong with a configuration, if anything is.
pub(super) fn check(case: &Case) -> Told<()> {
    let known: &[&str] = match case.operator.as_str() {
        "window" => &["assigner", "trigger", "evictor", "allowed_lateness", "function", "late"],
        "interval_join" => {
            &["lower", "upper", "lower_inclusive", "upper_inclusive", "join", "extra_condition", "sql"]
        }
        "window_join" => &["assigner", "allowed_lateness", "join", "extra_condition"],
        "co_group" => &["assigner", "allowed_lateness"],
        "temporal_join" => &["join", "sql", "versioned"],
        "cep" => &["pattern", "within", "after_match", "skip_to"],
        "bounded_out_of_orderness" => &["bound"],
        "watermark_merge" => &["channels"],
        "sql" => &["sql", "columns", "watermark", "left", "right", "join"],
        "ascending_timestamps" => &[],
        // There is none of that name, which is told later.
        _ => return Ok(()),
    };
    let all = [known, if case.operator == "sql" { &[] } else { &FOR_READERS }].concat();
    has_only("the configuration", &case.config, &all)?;
    is_text(case, "join")?;
    match case.operator.as_str() {
        "window" => window(case),
        "interval_join" => {
            is_flag(&case.config, "lower_inclusive")?;
            is_flag(&case.config, "upper_inclusive")?;
            readers::interval(case.setting("sql"), case.setting("join"), case.setting("extra_condition"))
        }
        "window_join" | "co_group" => joined(case.setting("assigner")),
        "temporal_join" => {
            if !matches!(case.setting("join").as_str(), None | Some("inner" | "left")) {
                return Err(format!("a temporal join is inner or left, and not {}", case.setting("join")));
            }
            readers::temporal(case.setting("sql"), case.setting("join"))?;
            readers::versions(case.setting("versioned"))
        }
        "cep" => pattern(case),
        _ => Ok(()),
    }
}

/// Says which name of some settings is not understood, if one is not.
pub(super) fn has_only(what: &str, settings: &Map<String, Value>, known: &[&str]) -> Told<()> {
    let unknown = settings.keys().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| {
        let there = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
        Err(format!("{name:?} is not understood in {what}, which may have {there}"))
    })
}

fn is_flag(settings: &Map<String, Value>, name: &str) -> Told<()> {
    match settings.get(name) {
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        Some(other) => Err(format!("{name:?} is true or false, and not {other}")),
    }
}

fn is_text(case: &Case, name: &str) -> Told<()> {
    match case.setting(name) {
        Value::Null | Value::String(_) => Ok(()),
        other => Err(format!("{name:?} is a text, and not {other}")),
    }
}

fn window(case: &Case) -> Told<()> {
    let assigner = case.setting("assigner");
    let wall = windows(assigner)?;
    trigger(case.setting("trigger"))?;
    evictor(case.setting("evictor"))?;
    is_text(case, "late")?;
    let kind = kind_of(assigner).unwrap_or_default();
    let triggers = [case.setting("trigger"), &case.setting("trigger")["trigger"]];
    if kind != "global" && triggers.into_iter().any(|trigger| kind_of(trigger) == Some("end_of_stream")) {
        return Err(
            "only the windows \"global\" end with the stream: the trigger \"end_of_stream\" is theirs"
                .to_owned(),
        );
    }
    if kind == "count" {
        let own = ["trigger", "evictor"].into_iter().find(|name| !case.setting(name).is_null());
        if let Some(name) = own {
            return Err(format!(
                "windows of a number of records have their own {name}: another one would change nothing"
            ));
        }
    }
    if wall || matches!(kind, "count" | "global") {
        if case.setting("allowed_lateness").as_u64().is_some_and(|lateness| lateness > 0) {
            return Err(format!(
                "no record is late for the windows {assigner}: \"allowed_lateness\" would change nothing"
            ));
        }
        if !case.setting("late").is_null() {
            return Err(format!(
                "no record is late for the windows {assigner}: \"late\" would change nothing"
            ));
        }
    }
    Ok(())
}

/// Windows in which two sides meet.
fn joined(assigner: &Value) -> Told<()> {
    if windows(assigner)? {
        return Err(format!("a join cannot have the windows {assigner}: they follow the wall clock"));
    }
    if assigner.get("gap").is_some_and(|gap| !gap.is_number()) {
        return Err(format!("sessions of a join have one gap, and not {}", assigner["gap"]));
    }
    Ok(())
}

/// Checks windows, and tells if they follow the wall clock.
fn windows(assigner: &Value) -> Told<bool> {
    let Some(settings) = assigner.as_object() else { return Ok(false) };
    let known: &[&str] = match kind_of(assigner) {
        Some("tumble") => &["type", "size", "offset", "time"],
        Some("hop") => &["type", "size", "slide", "offset", "time"],
        Some("cumulate") => &["type", "size", "step", "offset", "time"],
        Some("session") => &["type", "gap", "time"],
        Some("global") => &["type"],
        Some("count") => &["type", "size", "slide"],
        // There is none of that kind, which is told later.
        _ => return Ok(false),
    };
    has_only(&format!("the assigner {assigner}"), settings, known)?;
    for name in ["size", "slide", "step"] {
        if settings.get(name).is_some_and(|length| length.as_u64().is_none()) {
            return Err(format!(
                "{name:?} of the assigner is a positive number, or a length such as \"5 s\", and not {}",
                settings[name]
            ));
        }
    }
    if settings.get("offset").is_some_and(|offset| offset.as_i64().is_none()) {
        return Err(format!(
            "the offset of the assigner is a number of milliseconds, and not {}",
            settings["offset"]
        ));
    }
    if known.contains(&"gap") {
        gap(settings.get("gap").unwrap_or(&Value::Null), 2)?;
    }
    match settings.get("time").map(|time| time.as_str().unwrap_or_default()) {
        None | Some("event" | "event_time") => Ok(false),
        Some("processing" | "processing_time" | "wall_clock" | "wall clock") => Ok(true),
        Some(_) => Err(format!(
            "the time of the assigner is \"event\" or \"processing\", and not {}",
            settings["time"]
        )),
    }
}

/// Checks the gap of sessions, which may be told by so many maps, one in the other.
fn gap(setting: &Value, maps: usize) -> Told<()> {
    match setting {
        Value::String(word) if word == "value" => Ok(()),
        Value::Object(map) if maps > 0 => map.values().try_for_each(|inner| gap(inner, maps - 1)),
        number if number.as_u64().is_some_and(|gap| gap > 0) => Ok(()),
        Value::Null => Err("sessions need a \"gap\"".to_owned()),
        other => Err(format!(
            "the gap of sessions is a positive number of milliseconds, \"value\", or a map of these by keys and then by values, and not {other}"
        )),
    }
}

fn trigger(setting: &Value) -> Told<()> {
    let settings = match setting {
        Value::Null => return Ok(()),
        Value::Object(settings) => settings,
        other => return Err(format!("{other} is no trigger")),
    };
    let known: &[&str] = match kind_of(setting) {
        Some("count") => &["type", "n", "purging"],
        Some("continuous_event_time" | "continuous_processing_time") => &["type", "interval", "purging"],
        Some("delta") => &["type", "threshold", "purging"],
        Some("purging") => &["type", "trigger"],
        None if settings.contains_key("type") => {
            return Err(format!("the type of the trigger {setting} is no text"));
        }
        _ => &["type", "purging"],
    };
    has_only(&format!("the trigger {setting}"), settings, known)?;
    is_flag(settings, "purging")?;
    if settings.get("n").is_some_and(|n| n == 0) {
        return Err(format!("the trigger {setting} needs a number of at least 1"));
    }
    settings.get("trigger").map_or(Ok(()), trigger)
}

fn evictor(setting: &Value) -> Told<()> {
    let Some(settings) = setting.as_object() else { return Ok(()) };
    let known: &[&str] = match kind_of(setting) {
        Some("count") => &["type", "n", "after"],
        Some("time") => &["type", "size", "after"],
        Some("delta") => &["type", "threshold", "after"],
        _ => return Ok(()),
    };
    has_only(&format!("the evictor {setting}"), settings, known)?;
    is_flag(settings, "after")
}

fn pattern(case: &Case) -> Told<()> {
    is_text(case, "after_match")?;
    is_text(case, "skip_to")?;
    let (strategy, to) = (case.setting("after_match").as_str(), case.setting("skip_to"));
    match (strategy, to.is_null()) {
        (Some("skip_to_first" | "skip_to_last"), true) => {
            return Err("\"skip_to\" does not say which part to skip to".to_owned());
        }
        (Some("skip_to_first" | "skip_to_last"), false) | (_, true) => {}
        (_, false) => {
            return Err(format!("the strategy skips to no part: \"skip_to\" {to} would change nothing"));
        }
    }
    case.setting("pattern").as_array().map_or(Ok(()), |parts| parts.iter().try_for_each(part))
}

fn part(part: &Value) -> Told<()> {
    let Some(settings) = part.as_object() else { return Err(format!("{part} is no part of a pattern")) };
    let known = ["name", "match", "contig", "neg", "times", "inner", "optional", "greedy", "until"];
    has_only(&format!("the part {part}"), settings, &known)?;
    for flag in ["neg", "optional", "greedy"] {
        is_flag(settings, flag)?;
    }
    let is_contiguity = |value: &Value| matches!(value.as_str(), Some("strict" | "relaxed" | "any"));
    if settings.get("contig").is_some_and(|contig| !is_contiguity(contig)) {
        return Err(format!("{part} is no part of a pattern: its contiguity is strict, relaxed or any"));
    }
    if settings.get("inner").is_some_and(|inner| !is_contiguity(inner)) {
        return Err(format!(
            "there is no contiguity {}: there are strict, relaxed and any",
            settings["inner"]
        ));
    }
    let times = settings.get("times").unwrap_or(&Value::Null);
    if times.is_null() && settings.contains_key("inner") {
        return Err(format!("{part} takes one event: \"inner\" would change nothing"));
    }
    let is_number = |value: &Value| value.as_u64().is_some_and(|times| u32::try_from(times).is_ok());
    let is_often = match times {
        Value::Null => true,
        Value::Array(bounds) => {
            matches!(&bounds[..], [least, most] if is_number(least) && (most.is_null() || is_number(most)))
        }
        times => is_number(times),
    };
    if !is_often {
        return Err(format!(
            "\"times\" is a number, or [least, most] where null is no bound, and not {times}"
        ));
    }
    for name in ["match", "until"] {
        let is_type = match settings.get(name) {
            None | Some(Value::String(_)) => true,
            Some(Value::Array(types)) => !types.is_empty() && types.iter().all(Value::is_string),
            Some(_) => false,
        };
        if !is_type {
            return Err(format!(
                "{name:?} is a type of events or a list of these, and not {}",
                settings[name]
            ));
        }
    }
    Ok(())
}

/// True if the values of the records of a case must be numbers.
pub(super) fn needs_numbers(case: &Case) -> bool {
    let is_delta = |name: &str| kind_of(case.setting(name)) == Some("delta");
    let inner = case.setting("trigger").get("trigger").and_then(kind_of) == Some("delta");
    inner
        || is_delta("trigger")
        || is_delta("evictor")
        || Function::of(case).is_ok_and(Function::is_of_numbers)
}
