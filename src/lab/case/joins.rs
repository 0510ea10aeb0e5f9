//! Cases of joins.

use std::time::Duration;

use serde_json::{Value, json};

use super::condition::Condition;
use super::text::Text;
use super::window::offset;
use super::{Case, Event, Timeline, kind_of};
use crate::data::{Data, Record, Stamp};
use crate::error::Result;
use crate::harness::Driver;
use crate::join::{Group, Interval, Outer};
use crate::time::EventTime;
use crate::window::{Aligned, Assigner, Sessions, Sliding, Trigger, Tumbling};

/// Whether it is of the first stream, its key, and its value.
type Row = (bool, Text, Text);

/// A row of the result: the key, and what each side has.
type Joined = (Text, Option<Text>, Option<Text>);

/// Feeds rows of two sides, each with its own watermark, and judges them by the one that is behind, as Flink
/// does. A row is late that is more than `slack` behind it.
fn drive<O: Clone + Send + Sync + 'static>(
    case: &Case,
    mut driver: Driver<Row, O>,
    slack: i64,
    told: impl Fn(&Record<O>) -> Event,
) -> Result<Timeline> {
    let mut timeline = Timeline::default();
    let (mut reached, mut has_watermarks) = ([EventTime::MIN; 2], false);
    for step in case.steps()? {
        match step.as_array().map(Vec::as_slice) {
            Some([side, key, value, time]) => {
                let (left, time) = match (side.as_str(), time.as_i64()) {
                    (Some("L"), Some(time)) => (true, time),
                    (Some("R"), Some(time)) => (false, time),
                    _ => return Err(case.wrong(format!("{step} is no record of a side"))),
                };
                timeline.push(Event::Input(step.clone()));
                let watermark = reached[0].min(reached[1]).saturating_sub(slack);
                let stamp = Stamp { timestamp: time, watermark };
                driver.push_record(Record::new((left, Text::of(key), Text::of(value)), stamp))?;
            }
            _ if step.get("checkpoint_restore").is_some() => {
                driver.restart()?;
                timeline.push(Event::went_on());
            }
            _ => {
                let Some(time) = step.get("watermark").and_then(Value::as_i64) else {
                    let there = "no record of a side, no watermark and no checkpoint";
                    return Err(case.wrong(format!("{step} is {there}")));
                };
                let sides = match step.get("side").and_then(Value::as_str) {
                    Some("L") => 1..2,
                    Some("R") => 0..1,
                    _ => 0..2,
                };
                has_watermarks = true;
                reached[sides].iter_mut().for_each(|side| *side = (*side).max(time.saturating_add(1)));
                driver.watermark(reached[0].min(reached[1]))?;
                timeline.push(Event::Watermark(time));
            }
        }
        driver.take_records().iter().for_each(|record| timeline.push(told(record)));
    }
    // Where watermarks are told, what only the end of the input brings is no part of the case.
    if !has_watermarks || reached == [EventTime::MAX; 2] {
        driver.finish()?;
        driver.take_records().iter().for_each(|record| timeline.push(told(record)));
    }
    Ok(timeline)
}

fn outer(case: &Case) -> Result<Outer> {
    match case.setting("join").as_str() {
        None | Some("inner") => Ok(Outer::None),
        Some("left") => Ok(Outer::Left),
        Some("right") => Ok(Outer::Right),
        Some("full") => Ok(Outer::Both),
        Some(other) => {
            Err(case.wrong(format!("there is no {other} join here: there are inner, left, right and full")))
        }
    }
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
    let (outer, condition) = (outer(case)?, Condition::of_pairs(case)?);
    let driver = Driver::new(move |rows| {
        let keyed = rows.key_by(|row: &Row| row.1.clone());
        let left =
            keyed.clone().values().filter(|row| row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        let right = keyed.values().filter(|row| !row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        left.interval_join(right, interval).outer(
            outer,
            move |key: &Text, left: Option<&Text>, right: Option<&Text>| {
                let fits = left.zip(right).is_none_or(|(left, right)| condition.joins(key, left, right));
                fits.then(|| (key.clone(), left.cloned(), right.cloned()))
            },
        )
    })?;
    let shown = |side: &Option<Text>| side.as_ref().map(Text::value);
    // A record of the watermark's own time can still meet others.
    drive(case, driver, 1, |record| {
        let (key, left, right) = &record.value;
        match left.is_some() && right.is_some() {
            true => Event::Out(json!([key.value(), shown(left), shown(right), record.stamp.timestamp])),
            false => Event::Padded(json!([key.value(), shown(left), shown(right)])),
        }
    })
}

/// What becomes of the two sides of a window.
#[derive(Clone, Copy)]
enum Meeting {
    Pairs(Outer),
    /// The rows of the first side that meet someone, or that meet no one.
    Semi(bool),
}

/// The rows that a window gives: a key, and what each side has; nothing for a side that is not asked for.
fn meet(how: Meeting, condition: &Condition, group: &Group<Text, Text, Text>) -> Vec<Joined> {
    let Group { key, left, right, .. } = group;
    let fits = |left: &Text, right: &Text| condition.joins(key, left, right);
    let outer = match how {
        Meeting::Semi(meets) => {
            let rows = left.iter().filter(|left| right.iter().any(|right| fits(left, right)) == meets);
            return rows.map(|left| (key.clone(), Some(left.clone()), None)).collect();
        }
        Meeting::Pairs(outer) => outer,
    };
    let mut joined: Vec<Joined> = Vec::new();
    for left in left {
        let partners = right.iter().filter(|right| fits(left, right));
        joined.extend(partners.map(|right| (key.clone(), Some(left.clone()), Some(right.clone()))));
    }
    if matches!(outer, Outer::Left | Outer::Both) {
        let alone = left.iter().filter(|left| !right.iter().any(|right| fits(left, right)));
        joined.extend(alone.map(|left| (key.clone(), Some(left.clone()), None)));
    }
    if matches!(outer, Outer::Right | Outer::Both) {
        let alone = right.iter().filter(|right| !left.iter().any(|left| fits(left, right)));
        joined.extend(alone.map(|right| (key.clone(), None, Some(right.clone()))));
    }
    joined
}

pub(super) fn window(case: &Case) -> Result<Timeline> {
    let how = match case.setting("join").as_str() {
        Some("semi") => Meeting::Semi(true),
        Some("anti") => Meeting::Semi(false),
        _ => Meeting::Pairs(outer(case)?),
    };
    let condition = Condition::of_pairs(case)?;
    let driver = grouped(case, move |group| meet(how, &condition, &group))?;
    let shown = |side: &Option<Text>| side.as_ref().map(Text::value);
    drive(case, driver, 0, |record| {
        let (key, left, right) = &record.value;
        let row = json!([key.value(), shown(left), shown(right)]);
        match how {
            Meeting::Semi(_) => Event::Out(json!([key.value(), shown(left)])),
            Meeting::Pairs(_) if left.is_some() && right.is_some() => Event::Out(row),
            Meeting::Pairs(_) => Event::Padded(row),
        }
    })
}

/// All that each side has in a window.
pub(super) fn co_group(case: &Case) -> Result<Timeline> {
    let driver = grouped(case, |group| {
        let all = |side: &[Text]| side.iter().map(Text::value).collect::<Vec<_>>();
        vec![json!([group.key.value(), all(&group.left), all(&group.right)]).to_string()]
    })?;
    drive(case, driver, 0, |record| Event::Out(serde_json::from_str(&record.value).unwrap_or_default()))
}

fn grouped<O, F>(case: &Case, f: F) -> Result<Driver<Row, O>>
where
    O: Data,
    F: Fn(Group<Text, Text, Text>) -> Vec<O> + Clone + Send + Sync + 'static,
{
    let assigner = case.setting("assigner");
    let millis = |name: &str| assigner.get(name).and_then(Value::as_u64).map(Duration::from_millis);
    let lateness = case.length("allowed_lateness")?.unwrap_or(0);
    if let (Some("session"), Some(gap)) = (kind_of(assigner), millis("gap")) {
        return together(Sessions::with_gap(gap).touching(), lateness, f);
    }
    let windows = aligned(case)?;
    if lateness > 0 {
        return together(windows, lateness, f);
    }
    Driver::new(move |rows| {
        let left = rows.clone().filter(|row: &Row| row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        let right = rows.filter(|row: &Row| !row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        left.co_group(right, windows, f)
    })
}

/// The same by one window operator over the rows of both sides, as Flink has it: for windows that merge, and
/// for late rows, with which a window is shown once more.
fn together<O, F, W>(windows: W, lateness: u64, f: F) -> Result<Driver<Row, O>>
where
    O: Data,
    F: Fn(Group<Text, Text, Text>) -> Vec<O> + Clone + Send + Sync + 'static,
    W: Assigner<Row, Trigger: Trigger<Text, Row>>,
{
    windows.check()?;
    Driver::new(move |rows| {
        let windows = rows.key_by(|row: &Row| row.1.clone()).window_with(windows);
        windows.allowed_lateness(Duration::from_millis(lateness)).apply(
            move |key: &Text, window, rows: Vec<Row>| {
                let (left, right): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.0);
                let values = |side: Vec<Row>| side.into_iter().map(|row| row.2).collect();
                f(Group { key: key.clone(), window, left: values(left), right: values(right) })
            },
        )
    })
}

fn aligned(case: &Case) -> Result<Aligned> {
    let assigner = case.setting("assigner");
    let size = |name: &str| assigner.get(name).and_then(Value::as_u64).map(Duration::from_millis);
    let (windows, slide) = match (kind_of(assigner), size("size"), size("slide")) {
        (Some("tumble"), Some(size), _) => (Tumbling::of(size), size),
        (Some("hop"), Some(size), Some(slide)) => (Sliding::of(size, slide), slide),
        _ => return Err(case.wrong(format!("a join cannot have the windows {assigner}"))),
    };
    Ok(windows.offset(offset(assigner, slide)))
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
    let rows = |names: [&str; 3]| {
        let rows = names.iter().find_map(|name| case.input.get(name)?.as_array());
        rows.cloned().ok_or_else(|| case.wrong(format!("its input has no list {:?}", names[0])))
    };
    let versions = rows(["rates", "versions", "right"])?.into_iter().map(|row| (true, row));
    let orders = rows(["orders", "rows", "left"])?.into_iter().map(|row| (false, row));
    for (is_version, row) in versions.chain(orders) {
        let fields = row.as_array().map_or(&[][..], Vec::as_slice);
        let Some((fields @ [sign, key, value @ ..], time)) =
            fields.split_last().map(|(time, rest)| (rest, time))
        else {
            return Err(case.wrong(format!("{row} is no row with a key")));
        };
        let time = moment(time).ok_or_else(|| case.wrong(format!("{row} ends in no time")))?;
        timeline.push(Event::Input(row.clone()));
        let value = match (is_version, sign.as_str().unwrap_or_default()) {
            // Nothing is equal to null, and what is taken back to be replaced is replaced.
            (true, _) if key.is_null() => continue,
            (true, "-U") => continue,
            (true, sign) if sign.starts_with('+') => value.first().cloned().unwrap_or_default(),
            (true, _) => Value::Null,
            (false, _) => json!(fields),
        };
        driver.push((is_version, Text::of(key), Text::of(&value)), time)?;
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
