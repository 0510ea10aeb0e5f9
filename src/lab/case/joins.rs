//! Cases of joins.

use std::time::Duration;

use serde_json::{Value, json};

use super::text::Text;
use super::{Case, Event, Timeline};
use crate::data::{Record, Stamp};
use crate::error::Result;
use crate::harness::Driver;
use crate::join::{Interval, Outer};
use crate::time::EventTime;
use crate::window::{Aligned, Sliding, Tumbling};

/// Whether it is of the first stream, its key, and its value.
type Row = (bool, Text, Text);

/// A row of the result: the key, and what each side has.
type Joined = (Text, Option<Text>, Option<Text>);

/// Feeds rows of two sides, each with its own watermark.
fn drive(
    case: &Case,
    mut driver: Driver<Row, Joined>,
    told: impl Fn(&Record<Joined>) -> Event,
) -> Result<Timeline> {
    let mut timeline = Timeline::default();
    // Each side is stamped by its own watermark; event time is as far as the one that is behind.
    let mut reached = [EventTime::MIN; 2];
    for step in case.steps()? {
        match step.as_array().map(Vec::as_slice) {
            Some([side, key, value, time]) => {
                let (left, time) = match (side.as_str(), time.as_i64()) {
                    (Some("L"), Some(time)) => (true, time),
                    (Some("R"), Some(time)) => (false, time),
                    _ => return Err(case.wrong(format!("{step} is no record of a side"))),
                };
                timeline.push(Event::Input(step.clone()));
                let stamp = Stamp { timestamp: time, watermark: reached[usize::from(left)] };
                driver.push_record(Record::new((left, Text::of(key), Text::of(value)), stamp))?;
            }
            _ => {
                let Some(time) = step.get("watermark").and_then(Value::as_i64) else {
                    return Err(case.wrong(format!("{step} is no record of a side and no watermark")));
                };
                let sides = match step.get("side").and_then(Value::as_str) {
                    Some("L") => 1..2,
                    Some("R") => 0..1,
                    _ => 0..2,
                };
                reached[sides].iter_mut().for_each(|side| *side = (*side).max(time.saturating_add(1)));
                driver.watermark(reached[0].min(reached[1]))?;
                timeline.push(Event::Watermark(time));
            }
        }
        driver.take_records().iter().for_each(|record| timeline.push(told(record)));
    }
    driver.finish()?;
    driver.take_records().iter().for_each(|record| timeline.push(told(record)));
    Ok(timeline)
}

fn outer(case: &Case) -> Result<Outer> {
    match case.setting("join").as_str() {
        None | Some("inner") => Ok(Outer::None),
        Some("left") => Ok(Outer::Left),
        Some("right") => Ok(Outer::Right),
        Some("full") => Ok(Outer::Both),
        Some(other) => Err(case.wrong(format!("there is no {other} join"))),
    }
}

/// A condition on one side's value: `left value <> 'L-5'`.
fn condition(case: &Case) -> Result<impl Fn(&Text, &Text) -> bool + Clone + Send + Sync + use<>> {
    let text = case.setting("extra_condition").as_str().unwrap_or("left value <> ''");
    let words: Vec<&str> = text.split_whitespace().collect();
    let parsed = match words[..] {
        [side @ ("left" | "right"), "value", operator @ ("<>" | "="), literal] => {
            let literal = literal.trim_matches('\'');
            let literal = literal.parse::<i64>().map_or_else(|_| json!(literal), |number| json!(number));
            Some((side == "left", operator == "=", Text::of(&literal)))
        }
        _ => None,
    };
    let (of_left, equal, literal) =
        parsed.ok_or_else(|| case.wrong(format!("the condition {text:?} is not understood")))?;
    Ok(move |left: &Text, right: &Text| (*(if of_left { left } else { right }) == literal) == equal)
}

pub(super) fn interval(case: &Case) -> Result<Timeline> {
    let includes = |name: &str| case.setting(name).as_bool().unwrap_or(true);
    let mut interval = Interval::millis(case.number("lower")?, case.number("upper")?);
    if !includes("lower_inclusive") {
        interval = interval.excluding_lower();
    }
    if !includes("upper_inclusive") {
        interval = interval.excluding_upper();
    }
    let (outer, fits) = (outer(case)?, condition(case)?);
    let driver = Driver::new(move |rows| {
        let keyed = rows.key_by(|row: &Row| row.1.clone());
        let left =
            keyed.clone().values().filter(|row| row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        let right = keyed.values().filter(|row| !row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        left.interval_join(right, interval).outer(
            outer,
            move |key: &Text, left: Option<&Text>, right: Option<&Text>| {
                let fits = left.zip(right).is_none_or(|(left, right)| fits(left, right));
                fits.then(|| (key.clone(), left.cloned(), right.cloned()))
            },
        )
    })?;
    let shown = |side: &Option<Text>| side.as_ref().map(Text::value);
    drive(case, driver, |record| {
        let (key, left, right) = &record.value;
        match left.is_some() && right.is_some() {
            true => Event::Out(json!([key.value(), shown(left), shown(right), record.stamp.timestamp])),
            false => Event::Padded(json!([key.value(), shown(left), shown(right)])),
        }
    })
}

pub(super) fn window(case: &Case) -> Result<Timeline> {
    let (windows, outer) = (aligned(case)?, outer(case)?);
    let driver = Driver::new(move |rows| {
        let left = rows.clone().filter(|row: &Row| row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        let right = rows.filter(|row: &Row| !row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        left.co_group(right, windows, move |group| {
            let alone = |side: &[Text], told: bool| if told { side.to_vec() } else { Vec::new() };
            let mut joined: Vec<Joined> = Vec::new();
            for left in &group.left {
                joined.extend(
                    group.right.iter().map(|r| (group.key.clone(), Some(left.clone()), Some(r.clone()))),
                );
            }
            let lefts =
                alone(&group.left, group.right.is_empty() && matches!(outer, Outer::Left | Outer::Both));
            let rights =
                alone(&group.right, group.left.is_empty() && matches!(outer, Outer::Right | Outer::Both));
            joined.extend(lefts.into_iter().map(|left| (group.key.clone(), Some(left), None)));
            joined.extend(rights.into_iter().map(|right| (group.key.clone(), None, Some(right))));
            joined
        })
    })?;
    let shown = |side: &Option<Text>| side.as_ref().map(Text::value);
    drive(case, driver, |record| {
        let (key, left, right) = &record.value;
        let row = json!([key.value(), shown(left), shown(right)]);
        if left.is_some() && right.is_some() { Event::Out(row) } else { Event::Padded(row) }
    })
}

fn aligned(case: &Case) -> Result<Aligned> {
    let assigner = case.setting("assigner");
    let size = |name: &str| assigner.get(name).and_then(Value::as_u64).map(Duration::from_millis);
    let windows = match (assigner.get("type").and_then(Value::as_str), size("size"), size("slide")) {
        (Some("tumble"), Some(size), _) => Tumbling::of(size),
        (Some("hop"), Some(size), Some(slide)) => Sliding::of(size, slide),
        _ => return Err(case.wrong(format!("a join cannot have the windows {assigner}"))),
    };
    Ok(windows.offset(size("offset").unwrap_or_default()))
}

/// Rates are versions and orders are rows: `["+" or "-", key, rate, time]` and `[id, key, amount, time]`.
pub(super) fn temporal(case: &Case) -> Result<Timeline> {
    let left = matches!(outer(case)?, Outer::Left);
    let mut driver: Driver<Row, Joined> = Driver::new(move |rows| {
        let versions = rows.clone().filter(|row: &Row| row.0).key_by(|row| row.1.clone());
        let versions = versions.map_values(|row| (!row.2.is_null()).then_some(row.2));
        let orders = rows.filter(|row: &Row| !row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        orders.temporal_join(versions, move |key: &Text, order: &Text, version: Option<&Text>| {
            let told = version.is_some() || left;
            told.then(|| (key.clone(), Some(order.clone()), version.cloned()))
        })
    })?;
    let mut timeline = Timeline::default();
    let rows = |name: &str| case.input.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    for (is_version, row) in rows("rates")
        .into_iter()
        .map(|row| (true, row))
        .chain(rows("orders").into_iter().map(|row| (false, row)))
    {
        let fields = row.as_array().map(Vec::as_slice);
        let Some(([first, key, value, time], at)) = fields.and_then(|fields| {
            let fields: &[Value; 4] = fields.try_into().ok()?;
            Some((fields, moment(&fields[3])?))
        }) else {
            return Err(case.wrong(format!("{row} is no row with a time")));
        };
        let value = match (is_version, first.as_str()) {
            (true, Some("+")) => value.clone(),
            (true, _) => Value::Null,
            (false, _) => json!([first, key, value]),
        };
        let _ = time;
        timeline.push(Event::Input(row.clone()));
        driver.push((is_version, Text::of(key), Text::of(&value)), at)?;
    }
    driver.finish()?;
    for (_, order, version) in driver.take_output() {
        let mut row = order.map(|order| order.value()).unwrap_or_default();
        if let Value::Array(fields) = &mut row {
            fields.push(version.map(|version| version.value()).unwrap_or_default());
        }
        timeline.push(Event::Out(row));
    }
    Ok(timeline)
}

/// A time in milliseconds, or as `day hours:minutes:seconds` of some month.
fn moment(time: &Value) -> Option<EventTime> {
    if let Some(millis) = time.as_i64() {
        return Some(millis);
    }
    let (day, clock) = time.as_str()?.split_once(' ')?;
    let mut seconds = day.parse::<i64>().ok()? * 24;
    let parts: Vec<i64> = clock.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hours, minutes, rest] = parts.try_into().ok()?;
    seconds = (seconds + hours) * 3600 + minutes * 60 + rest;
    Some(seconds * 1000)
}
