//! Texts that a case of a join has for readers: the query that it is taken from.
//!
//! They say again what the settings say, and are not run. So they may say no more than that: a condition that
//! stands in such a text alone would be ignored, and the case judged as if it were not there. What else is to
//! be told of a case goes into its `note`.

use serde_json::Value;

use super::words::{Told, Words};

/// A text, if there is one.
fn text<'a>(name: &str, setting: &'a Value) -> Told<Option<&'a str>> {
    match setting {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        other => Err(format!("{name:?} is a text, and not {other}")),
    }
}

/// Says if a text and the setting `join` are about different joins.
fn agree(text: &str, says: &str, join: &Value) -> Told<()> {
    match join.as_str().unwrap_or("inner") {
        join if join == says => Ok(()),
        join => Err(format!("\"sql\" {text:?} is of the {says} join, and \"join\" says {join}")),
    }
}

/// What a query may have that the settings of an interval join do not.
const MORE: [&str; 13] = [
    "select",
    "where",
    "having",
    "group",
    "order",
    "limit",
    "fetch",
    "distinct",
    "filter",
    "union",
    "except",
    "intersect",
    "qualify",
];

/// The query of an interval join.
pub(super) fn interval(sql: &Value, join: &Value, condition: &Value) -> Told<()> {
    let Some(sql) = text("sql", sql)? else { return Ok(()) };
    let words: Vec<String> =
        sql.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_lowercase).collect();
    let has = |word: &str| words.iter().any(|other| other == word);
    if let Some(more) = MORE.into_iter().find(|more| has(more)) {
        return Err(format!(
            "\"sql\" {sql:?} says {}, which is not understood here: an interval join has \"lower\", \"upper\", \"join\" and \"extra_condition\"",
            more.to_uppercase()
        ));
    }
    let says = ["left", "right", "full"].into_iter().find(|kind| has(kind)).unwrap_or("inner");
    agree(sql, says, join)?;
    // ON key AND time BETWEEN lower AND upper
    let ands = words.iter().filter(|word| *word == "and").count();
    if (ands > 2 || has("or")) && condition.is_null() {
        return Err(format!(
            "\"sql\" {sql:?} says more than its bounds, and there is no \"extra_condition\""
        ));
    }
    Ok(())
}

/// The query of a temporal join: `orders LEFT JOIN rates FOR SYSTEM_TIME AS OF orders.t ON currency`.
pub(super) fn temporal(sql: &Value, join: &Value) -> Told<()> {
    let Some(sql) = text("sql", sql)? else { return Ok(()) };
    let mut words = Words::of(sql)?;
    let name = |words: &mut Words, what: &str| match words.name() {
        Some(_) => Ok(()),
        None => Err(words.wrong(what)),
    };
    name(&mut words, "the name of a table")?;
    let says = if words.take("left") { "left" } else { "inner" };
    let _ = words.take(if says == "left" { "outer" } else { "inner" });
    words.need("join")?;
    name(&mut words, "the name of a table")?;
    words.need("for system_time as of")?;
    name(&mut words, "the column with the time")?;
    words.need("on")?;
    name(&mut words, "the key")?;
    if words.take("=") {
        name(&mut words, "the key")?;
    }
    words.end()?;
    agree(sql, says, join)
}

/// What the versions of a temporal join are: `rates by currency`.
pub(super) fn versions(versioned: &Value) -> Told<()> {
    let Some(versioned) = text("versioned", versioned)? else { return Ok(()) };
    let rows = ", upserts (+) and delete (-) at their time";
    let table = versioned.strip_suffix(rows).unwrap_or(versioned);
    match table.split_whitespace().collect::<Vec<_>>()[..] {
        [_, by, _] if by.eq_ignore_ascii_case("by") => Ok(()),
        _ => Err(format!(
            "\"versioned\" {versioned:?} is not understood: it is TABLE BY KEY, and the versions are the rows in the input, all of them"
        )),
    }
}
