//! Other words for the same: what cases call things, in the words that the laboratory has for them.
//!
//! People write down what they know by the names of Flink's classes (`TumblingEventTimeWindows`,
//! `CountTrigger`), of its methods (`allowedLateness`, `followedByAny`), or of SQL (`LEFT OUTER`). Here,
//! before a case is run, all of these become one name each, so that operators know one name for each thing.
//! Lengths of time may be written with a unit: `"5 s"`. A name that means nothing stays as it is, and is
//! [refused](super::known) later. Two names for one thing are refused here, since one of them would mean
//! nothing.

use serde_json::{Map, Value, json};

use super::Case;
use super::known::has_only;
use super::words::{Told, Words};

/// A name here, and others for it.
type Names = &'static [(&'static str, &'static [&'static str])];

const OPERATORS: Names = &[
    ("window", &["windows", "window_operator", "evicting_window"]),
    ("co_group", &["cogroup", "window_co_group", "window_cogroup"]),
    ("cep", &["pattern"]),
    ("temporal_join", &["versioned_join", "temporal_table_join"]),
    ("bounded_out_of_orderness", &["bounded_out_of_orderness_watermarks"]),
    ("ascending_timestamps", &["monotonous_timestamps", "ascending", "monotonous"]),
];

const SETTINGS: Names = &[
    ("assigner", &["windows", "window", "window_assigner"]),
    ("allowed_lateness", &["lateness"]),
    ("function", &["window_function", "aggregate_function"]),
    ("late", &["late_policy", "late_data", "late_records"]),
    ("purging", &["purge"]),
    ("lower", &["lower_bound"]),
    ("upper", &["upper_bound"]),
    ("join", &["join_type", "join_kind"]),
    ("extra_condition", &["condition", "join_condition"]),
    ("after_match", &["skip", "skip_strategy", "after_match_skip", "after_match_skip_strategy"]),
    ("skip_to", &["skip_to_name", "skip_to_pattern"]),
    ("bound", &["max_out_of_orderness", "out_of_orderness", "delay", "max_delay"]),
    ("channels", &["inputs", "num_channels"]),
];

const ASSIGNER: Names = &[
    ("type", &["kind", "name"]),
    ("size", &["length", "window_size", "max_size", "count", "n"]),
    ("slide", &["slide_size", "hop"]),
    ("time", &["clock", "time_domain", "time_characteristic"]),
    ("gap", &["session_gap", "gaps", "dynamic_gap", "gap_by_key", "gap_by_value"]),
];

const ASSIGNERS: Names = &[
    ("tumble", &["tumbling", "fixed"]),
    ("hop", &["hopping", "slide", "sliding"]),
    ("cumulate", &["cumulative", "cumulating"]),
    ("session", &["sessions", "dynamic_session", "dynamic_gap_session", "session_dynamic_gap"]),
    ("global", &[]),
    ("count", &["tumbling_count", "sliding_count", "count_tumbling", "count_sliding"]),
];

const TRIGGER: Names = &[
    ("type", &["kind", "name"]),
    ("n", &["count", "max_count", "size"]),
    ("interval", &["period", "every"]),
    ("threshold", &["delta"]),
    ("purging", &["purge", "purges"]),
    ("trigger", &["inner", "of", "nested"]),
];

const TRIGGERS: Names = &[
    ("event_time", &["on_event_time", "watermark"]),
    ("processing_time", &["on_processing_time"]),
    ("continuous_event_time", &["continuous", "continuous_event"]),
    ("continuous_processing_time", &["continuous_processing"]),
    ("end_of_stream", &["end_of_input", "global_end_of_stream"]),
];

const EVICTOR: Names = &[
    ("type", &["kind", "name"]),
    ("after", &["evict_after", "do_evict_after", "after_function"]),
    ("n", &["count", "max_count"]),
    ("size", &["window_size", "window", "time"]),
    ("threshold", &["delta"]),
];

const PART: Names = &[
    ("contig", &["contiguity"]),
    ("match", &["matches", "types"]),
    ("neg", &["not", "negated"]),
    ("inner", &["inner_contig", "inner_contiguity"]),
];

const CONTIGUITIES: Names = &[
    ("strict", &["next", "consecutive", "strict_contiguity"]),
    ("relaxed", &["followed_by", "begin", "start", "relaxed_contiguity"]),
    (
        "any",
        &[
            "followed_by_any",
            "allow_combinations",
            "combinations",
            "non_deterministic",
            "non_deterministic_relaxed",
            "non_deterministic_relaxed_contiguity",
        ],
    ),
];

const STRATEGIES: Names = &[
    ("no_skip", &["none", "noskip"]),
    ("skip_to_next", &["skip_to_next_event", "skip_to_next_row"]),
    ("skip_past_last", &["skip_past_last_event", "skip_past_last_row"]),
    ("skip_to_first", &[]),
    ("skip_to_last", &[]),
];

/// The case in the laboratory's words.
pub(super) fn plain(case: &Case) -> Told<Case> {
    let operator = here(OPERATORS, &snake(&case.operator));
    if operator == "sql" {
        return Ok(Case { operator, ..case.clone() });
    }
    let mut config = renamed(&case.config, SETTINGS)?;
    if let Some(assigner) = config.get_mut("assigner") {
        *assigner = plain_assigner(assigner)?;
    }
    purging(&mut config)?;
    side_output(&mut config)?;
    if let Some(trigger) = config.get_mut("trigger") {
        *trigger = plain_trigger(trigger)?;
    }
    if let Some(evictor) = config.get_mut("evictor") {
        *evictor = plain_evictor(evictor)?;
    }
    if let Some(Value::String(join)) = config.get_mut("join") {
        *join = plain_join(join);
    }
    for side in ["lower", "upper"] {
        let (excludes, includes) = (format!("{side}_exclusive"), format!("{side}_inclusive"));
        if let Some(flag) = taken_flag(&mut config, &excludes)? {
            put(&mut config, &includes, json!(!flag))?;
        }
    }
    if let Some(Value::Array(parts)) = config.get_mut("pattern") {
        for part in parts {
            *part = plain_part(part)?;
        }
    }
    if let Some(strategy) = config.remove("after_match") {
        plain_strategy(&strategy, &mut config)?;
    }
    in_millis(&mut config, &["allowed_lateness", "lower", "upper", "within", "bound"]);
    Ok(Case { operator, config, ..case.clone() })
}

/// Adds a setting, which must not have been said in other words.
fn put(settings: &mut Map<String, Value>, name: &str, value: Value) -> Told<()> {
    match settings.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(format!("{name:?} is said twice, in different words")),
    }
}

/// Takes out a setting that is true or false, if it is there.
fn taken_flag(settings: &mut Map<String, Value>, name: &str) -> Told<Option<bool>> {
    match settings.remove(name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(other) => Err(format!("{name:?} is true or false, and not {other}")),
    }
}

/// Whether the trigger purges may also be said beside it.
fn purging(config: &mut Map<String, Value>) -> Told<()> {
    let Some(purging) = config.remove("purging") else { return Ok(()) };
    let trigger = config.remove("trigger").unwrap_or(Value::Null);
    let mut settings = match trigger {
        Value::Null => Map::new(),
        Value::Object(settings) => renamed(&settings, TRIGGER)?,
        kind => Map::from_iter([("type".to_owned(), kind)]),
    };
    put(&mut settings, "purging", purging)?;
    put(config, "trigger", Value::Object(settings))
}

/// Late records go to a side unless it is said that they do not.
fn side_output(config: &mut Map<String, Value>) -> Told<()> {
    match config.remove("side_output") {
        None => Ok(()),
        Some(Value::Bool(false)) => put(config, "late", json!("drop")),
        Some(Value::Bool(true) | Value::String(_)) => put(config, "late", json!("side")),
        Some(other) => Err(format!("\"side_output\" is true, false or the name of a side, and not {other}")),
    }
}

/// Small letters, with underscores between words.
fn snake(name: &str) -> String {
    let (mut snake, mut was_small) = (String::new(), false);
    for c in name.trim().chars() {
        if c.is_uppercase() && was_small {
            snake.push('_');
        }
        was_small = c.is_lowercase() || c.is_numeric();
        match c.is_alphanumeric() {
            true => snake.extend(c.to_lowercase()),
            false => snake.push('_'),
        }
    }
    snake
}

/// The name here for a name in small letters.
fn here(names: Names, name: &str) -> String {
    let entry = names.iter().find(|(here, others)| *here == name || others.contains(&name));
    entry.map_or(name, |(here, _)| here).to_owned()
}

/// The settings by their names here.
fn renamed(settings: &Map<String, Value>, names: Names) -> Told<Map<String, Value>> {
    let mut renamed = Map::new();
    for (name, value) in settings {
        put(&mut renamed, &here(names, &snake(name)), value.clone())?;
    }
    Ok(renamed)
}

/// A setting as an object with a `type`, renamed, and that type as words.
fn opened(setting: &Value, names: Names) -> Told<Option<(Map<String, Value>, Vec<String>)>> {
    let object = match setting {
        Value::String(kind) => Map::from_iter([("type".to_owned(), json!(kind))]),
        Value::Object(object) => renamed(object, names)?,
        _ => return Ok(None),
    };
    let kind = snake(object.get("type").and_then(Value::as_str).unwrap_or_default());
    Ok(Some((object, kind.split('_').filter(|word| !word.is_empty()).map(str::to_owned).collect())))
}

fn closed(mut object: Map<String, Value>, kind: String) -> Value {
    if !kind.is_empty() {
        object.insert("type".to_owned(), json!(kind));
    }
    Value::Object(object)
}

/// Writes lengths of time as milliseconds.
fn in_millis(settings: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        let Some(Value::String(text)) = settings.get(*name) else { continue };
        let read = Words::of(text).and_then(|mut words| {
            let sign = if words.take("-") { -1 } else { 1 };
            let millis = words.duration()?;
            words.end().map(|()| sign * millis)
        });
        if let Ok(millis) = read {
            settings.insert((*name).to_owned(), json!(millis));
        }
    }
}

fn plain_assigner(setting: &Value) -> Told<Value> {
    let mut setting = setting.clone();
    if let Value::Object(settings) = &mut setting
        && settings.get("gap").is_some_and(|gap| gap == "dynamic")
    {
        // What says only that there is something else is not it.
        settings.remove("gap");
    }
    Ok(opened(&setting, ASSIGNER)?.map_or(setting, |(object, words)| assigner(object, words)))
}

fn assigner(mut object: Map<String, Value>, words: Vec<String>) -> Value {
    let wall = words.iter().any(|word| word == "processing");
    if wall && !object.contains_key("time") {
        object.insert("time".to_owned(), json!("processing"));
    }
    in_millis(&mut object, &["size", "slide", "step", "offset", "gap"]);
    let more = ["window", "windows", "event", "processing", "time", "assigner"];
    let words: Vec<String> = words.into_iter().filter(|word| !more.contains(&word.as_str())).collect();
    closed(object, here(ASSIGNERS, &words.join("_")))
}

fn plain_trigger(setting: &Value) -> Told<Value> {
    let Some((mut object, mut words)) = opened(setting, TRIGGER)? else { return Ok(setting.clone()) };
    words.retain(|word| word != "trigger");
    if words.len() > 1 && words[0] == "purging" {
        words.remove(0);
        put(&mut object, "purging", json!(true))?;
    }
    in_millis(&mut object, &["interval"]);
    if let Some(inner) = object.get_mut("trigger") {
        *inner = plain_trigger(inner)?;
    }
    Ok(closed(object, here(TRIGGERS, &words.join("_"))))
}

fn plain_evictor(setting: &Value) -> Told<Value> {
    let Some((mut object, mut words)) = opened(setting, EVICTOR)? else { return Ok(setting.clone()) };
    words.retain(|word| word != "evictor");
    in_millis(&mut object, &["size"]);
    let kind = words.join("_");
    // The size of windows of a number of records is that number.
    if kind == "count"
        && let Some(size) = object.remove("size")
    {
        put(&mut object, "n", size)?;
    }
    Ok(closed(object, kind))
}

/// `LEFT OUTER JOIN` is `left`; an outer join of neither side is one of both.
fn plain_join(join: &str) -> String {
    let snake = snake(join);
    let words: Vec<&str> = snake.split('_').filter(|word| !["outer", "join", ""].contains(word)).collect();
    match words.join("_").as_str() {
        "" if snake.contains("outer") => "full".to_owned(),
        "both" => "full".to_owned(),
        plain => plain.to_owned(),
    }
}

fn plain_part(part: &Value) -> Told<Value> {
    let Value::Object(settings) = part else { return Ok(part.clone()) };
    let mut part = renamed(settings, PART)?;
    if let Some(Value::String(contig)) = part.get("contig") {
        let plain = snake(contig);
        let negated = plain.strip_prefix("not_");
        let contig = here(CONTIGUITIES, negated.unwrap_or(&plain));
        if negated.is_some() {
            put(&mut part, "neg", json!(true))?;
        }
        part.insert("contig".to_owned(), json!(contig));
    }
    if let Some(Value::String(inner)) = part.get("inner") {
        let inner = here(CONTIGUITIES, &snake(inner));
        part.insert("inner".to_owned(), json!(inner));
    }
    for (flag, name, value) in [
        ("consecutive", "inner", json!("strict")),
        ("allow_combinations", "inner", json!("any")),
        ("one_or_more", "times", json!([1, null])),
    ] {
        if taken_flag(&mut part, flag)? == Some(true) {
            put(&mut part, name, value)?;
        }
    }
    if let Some(least) = part.remove("times_or_more") {
        put(&mut part, "times", json!([least, null]))?;
    }
    Ok(Value::Object(part))
}

/// Says what becomes of a strategy after a match, and where it skips to.
fn plain_strategy(setting: &Value, config: &mut Map<String, Value>) -> Told<()> {
    let names: Names =
        &[("type", &["kind", "name", "strategy"]), ("to", &["pattern", "pattern_name", "skip_to"])];
    let Some((mut object, words)) = opened(setting, names)? else {
        return put(config, "after_match", setting.clone());
    };
    if let Some(to) = object.remove("to") {
        put(config, "skip_to", to)?;
    }
    has_only("the strategy", &object, &["type"])?;
    put(config, "after_match", json!(here(STRATEGIES, &words.join("_"))))
}
