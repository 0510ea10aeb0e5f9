//! Cases of joins: records of two sides meet.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::assigner::{CaseAssigner, Windows, aligned};
use super::condition::Comparison;
use super::data::Text;
use super::json::{self, Object};
use super::timeline::{Event, Output, Timeline};
use crate::data::{Record as Stamped, Stamp};
use crate::error::Result;
use crate::harness::Driver;
use crate::join::{Group, Interval, Offset, Outer};
use crate::process::TimeDomain;
use crate::time::EventTime;
use crate::window::{Assigner, Window};

/// Which rows come out beside those of pairs, or instead of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Join {
    #[default]
    Inner,
    Left,
    Right,
    Full,
    /// The left records that have a partner.
    Semi,
    /// The left records that have none.
    Anti,
}

impl Join {
    /// The sides whose records come out though they have no partner.
    fn outer(self) -> Outer {
        match self {
            Join::Left => Outer::Left,
            Join::Right => Outer::Right,
            Join::Full => Outer::Both,
            Join::Inner | Join::Semi | Join::Anti => Outer::None,
        }
    }

    /// Refuses a join that an operator does not have.
    fn is_one_of(self, joins: &[Join]) -> Result<(), String> {
        let names = || joins.iter().map(|join| format!("{join:?}").to_lowercase()).collect::<Vec<_>>();
        match joins.contains(&self) {
            true => Ok(()),
            false => {
                Err(format!("in `config`: the `join` of this operator is one of {}", names().join(", ")))
            }
        }
    }
}

/// The configuration of an interval join. The bounds are milliseconds, and inclusive by default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IntervalJoin {
    lower: i64,
    upper: i64,
    #[serde(default = "yes")]
    lower_inclusive: bool,
    #[serde(default = "yes")]
    upper_inclusive: bool,
    #[serde(default)]
    join: Join,
    #[serde(default)]
    condition: Vec<Comparison>,
}

fn yes() -> bool {
    true
}

/// The configuration of a window join.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowJoin {
    assigner: Object<Windows>,
    #[serde(default)]
    allowed_lateness: u64,
    #[serde(default)]
    join: Join,
    #[serde(default)]
    condition: Vec<Comparison>,
}

/// The configuration of a co-group.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CoGroup {
    assigner: Object<Windows>,
    #[serde(default)]
    allowed_lateness: u64,
}

/// The configuration of a temporal join.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TemporalJoin {
    #[serde(default)]
    join: Join,
}

/// Refuses joins that there are not.
pub(super) fn check_interval(config: &IntervalJoin, _: &[Step]) -> Result<(), String> {
    config.join.is_one_of(&[Join::Inner, Join::Left, Join::Right, Join::Full])
}

/// Refuses joins that there are not.
pub(super) fn check_temporal(config: &TemporalJoin, _: &[Step]) -> Result<(), String> {
    config.join.is_one_of(&[Join::Inner, Join::Left])
}

/// Refuses windows in which no sides meet.
pub(super) fn check_window(config: &WindowJoin, _: &[Step]) -> Result<(), String> {
    check(config.assigner.0)
}

/// Refuses windows in which no sides meet.
pub(super) fn check_co_group(config: &CoGroup, _: &[Step]) -> Result<(), String> {
    check(config.assigner.0)
}

fn check(windows: Windows) -> Result<(), String> {
    match windows {
        Windows::Tumble { .. } | Windows::Hop { .. } | Windows::Session { .. } => windows.check(),
        _ => Err(WINDOWS.to_owned()),
    }
}

const WINDOWS: &str = "in `config`: two sides meet in windows of the types `tumble`, `hop` and `session`";

/// The side of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Side {
    L,
    R,
}

/// A side, a key, a value and a time.
type Record = (Side, Value, Value, EventTime);

/// A step that is no record. `Watermark` is of both sides.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    Watermark(EventTime),
    LeftWatermark(EventTime),
    RightWatermark(EventTime),
    CheckpointRestore,
}

pub(super) type Step = json::Step<Record, Mark>;

/// Whether it is of the left side, its key, and its value.
type Row = (bool, Text, Text);

/// A row of the result: the key, and what each side has.
type Joined = (Text, Option<Text>, Option<Text>);

/// Feeds rows of two sides, each with its own watermark, and judges them by the one that is behind, as Flink
/// does. A row is late that is more than `slack` behind it.
fn drive<O: Clone + Send + Sync + 'static>(
    steps: &[Step],
    mut driver: Driver<Row, O>,
    slack: i64,
    shown: impl Fn(&Stamped<O>) -> Output,
) -> Result<Timeline> {
    let mut timeline = Timeline::default();
    let (mut reached, mut has_watermarks) = ([EventTime::MIN; 2], false);
    let take = |driver: &mut Driver<Row, O>, timeline: &mut Timeline| {
        driver.take_records().iter().for_each(|record| timeline.push(Event::Output(shown(record))));
    };
    for step in steps {
        match step {
            Step::Record(record) => {
                let (side, key, value, time) = record;
                timeline.push(Event::Input(json!(record)));
                let watermark = reached[0].min(reached[1]).saturating_sub(slack);
                let stamp = Stamp { timestamp: *time, watermark };
                let row = (*side == Side::L, Text::of(key), Text::of(value));
                driver.push_record(Stamped::new(row, stamp))?;
            }
            Step::Mark(Mark::CheckpointRestore) => {
                driver.restart()?;
                timeline.push(Event::Restored);
            }
            Step::Mark(
                mark @ (Mark::Watermark(time) | Mark::LeftWatermark(time) | Mark::RightWatermark(time)),
            ) => {
                let sides = match mark {
                    Mark::LeftWatermark(_) => 0..1,
                    Mark::RightWatermark(_) => 1..2,
                    _ => 0..2,
                };
                has_watermarks = true;
                reached[sides].iter_mut().for_each(|side| *side = (*side).max(time.saturating_add(1)));
                driver.watermark(reached[0].min(reached[1]))?;
                take(&mut driver, &mut timeline);
                timeline.push(Event::Watermark(*time));
            }
        }
        take(&mut driver, &mut timeline);
    }
    // Where there are watermarks, what only the end of the input brings is no part of the case.
    if !has_watermarks || reached == [EventTime::MAX; 2] {
        driver.finish()?;
        take(&mut driver, &mut timeline);
    }
    Ok(timeline)
}

/// A row of the result as a case writes it, with the time of a pair if it has one of its own.
fn row((key, left, right): &Joined, time: Option<EventTime>) -> Output {
    let shown = |side: &Option<Text>| side.as_ref().map(Text::value);
    match (left.is_some() && right.is_some(), time) {
        (true, Some(time)) => Output::Out(json!([key.value(), shown(left), shown(right), time])),
        (true, None) => Output::Out(json!([key.value(), shown(left), shown(right)])),
        (false, _) => Output::Padded(json!([key.value(), shown(left), shown(right)])),
    }
}

/// True if two records are a pair. Nothing is equal to a key that is null.
fn meet(condition: &[Comparison], key: &Text, left: &Text, right: &Text) -> bool {
    !key.is_null() && Comparison::all_hold(condition, left, right)
}

pub(super) fn interval(config: &IntervalJoin, steps: &[Step]) -> Result<Timeline> {
    let mut interval = Interval::between(Offset::millis(config.lower), Offset::millis(config.upper));
    if !config.lower_inclusive {
        interval = interval.excluding_lower();
    }
    if !config.upper_inclusive {
        interval = interval.excluding_upper();
    }
    let (outer, condition) = (config.join.outer(), config.condition.clone());
    let driver = Driver::new(move |rows| {
        let keyed = rows.key_by(|row: &Row| row.1.clone());
        let left =
            keyed.clone().values().filter(|row| row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        let right = keyed.values().filter(|row| !row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        left.interval_join(right, interval).outer(
            outer,
            move |key: &Text, left: Option<&Text>, right: Option<&Text>| {
                let fits = left.zip(right).is_none_or(|(left, right)| meet(&condition, key, left, right));
                fits.then(|| (key.clone(), left.cloned(), right.cloned()))
            },
        )
    })?;
    // A record of the watermark's own time can still meet others.
    drive(steps, driver, 1, |record| row(&record.value, Some(record.stamp.timestamp)))
}

/// The rows that a window gives.
fn joined(join: Join, condition: &[Comparison], group: &Group<Text, Text, Text>) -> Vec<Joined> {
    let Group { key, left, right, .. } = group;
    let fits = |left: &Text, right: &Text| meet(condition, key, left, right);
    let has_partner = |one: &Text| right.iter().any(|other| fits(one, other));
    let lefts = |meets| {
        let rows = left.iter().filter(move |one| has_partner(one) == meets);
        rows.map(|one| (key.clone(), Some(one.clone()), None)).collect::<Vec<Joined>>()
    };
    if matches!(join, Join::Semi | Join::Anti) {
        return lefts(join == Join::Semi);
    }
    let mut rows: Vec<Joined> = Vec::new();
    for one in left {
        let partners = right.iter().filter(|other| fits(one, other));
        rows.extend(partners.map(|other| (key.clone(), Some(one.clone()), Some(other.clone()))));
    }
    if matches!(join, Join::Left | Join::Full) {
        rows.extend(lefts(false));
    }
    if matches!(join, Join::Right | Join::Full) {
        let alone = right.iter().filter(|other| !left.iter().any(|one| fits(one, other)));
        rows.extend(alone.map(|other| (key.clone(), None, Some(other.clone()))));
    }
    rows
}

pub(super) fn window(config: &WindowJoin, steps: &[Step]) -> Result<Timeline> {
    let WindowJoin { assigner, allowed_lateness, join, condition } = config.clone();
    let pairs = move |group| joined(join, &condition, &group);
    let driver = grouped(assigner.0, allowed_lateness, Arc::new(pairs))?;
    drive(steps, driver, 0, |record| match (join, &record.value) {
        (Join::Semi | Join::Anti, (key, Some(left), _)) => Output::Out(json!([key.value(), left.value()])),
        (_, joined) => row(joined, None),
    })
}

/// All that each side has in a window.
pub(super) fn co_group(config: &CoGroup, steps: &[Step]) -> Result<Timeline> {
    let lists = |group: Group<Text, Text, Text>| {
        let all = |side: &[Text]| side.iter().map(Text::value).collect::<Vec<_>>();
        vec![(Text::of(&json!([group.key.value(), all(&group.left), all(&group.right)])), None, None)]
    };
    let driver = grouped(config.assigner.0, config.allowed_lateness, Arc::new(lists))?;
    drive(steps, driver, 0, |record| Output::Out(record.value.0.value()))
}

/// What is made of both sides of a window. A pointer, so that the operators are compiled once for all.
type Grouped = Arc<dyn Fn(Group<Text, Text, Text>) -> Vec<Joined> + Send + Sync>;

fn grouped(windows: Windows, lateness: u64, function: Grouped) -> Result<Driver<Row, Joined>> {
    let cut = match windows {
        Windows::Tumble { size, offset } => aligned(size, size, offset),
        Windows::Hop { size, slide, offset } => aligned(size, slide, offset),
        _ => return together(windows, lateness, function),
    };
    if lateness > 0 {
        return together(windows, lateness, function);
    }
    Driver::new(move |rows| {
        let left = rows.clone().filter(|row: &Row| row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        let right = rows.filter(|row: &Row| !row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        left.co_group(right, cut, move |group| function(group))
    })
}

/// The same by one window operator over the rows of both sides, as Flink has it: for windows that merge, and
/// for late rows, with which a window is shown once more.
fn together(windows: Windows, lateness: u64, function: Grouped) -> Result<Driver<Row, Joined>> {
    // No join is in dynamic sessions.
    let windows = CaseAssigner::new(windows, TimeDomain::EventTime, |_| Duration::ZERO);
    windows.check()?;
    Driver::new(move |rows| {
        let windows = rows.key_by(|row: &Row| row.1.clone()).window_with(windows);
        windows.allowed_lateness(Duration::from_millis(lateness)).apply(by_side(function))
    })
}

/// A function of both sides as one of their rows together.
fn by_side(function: Grouped) -> impl FnMut(&Text, Window, Vec<Row>) -> Vec<Joined> + Clone + Send + Sync {
    move |key: &Text, window, rows: Vec<Row>| {
        let (left, right): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.0);
        let values = |side: Vec<Row>| side.into_iter().map(|row| row.2).collect();
        function(Group { key: key.clone(), window, left: values(left), right: values(right) })
    }
}

/// The left records with the right version of their key that holds at their time. A version of null ends the
/// one before.
pub(super) fn temporal(config: &TemporalJoin, steps: &[Step]) -> Result<Timeline> {
    let pads = config.join == Join::Left;
    let driver: Driver<Row, Joined> = Driver::new(move |rows| {
        let left = rows.clone().filter(|row: &Row| row.0).key_by(|row| row.1.clone()).map_values(|row| row.2);
        let versions = rows.filter(|row: &Row| !row.0).key_by(|row| row.1.clone());
        let versions = versions.map_values(|row| (!row.2.is_null()).then_some(row.2));
        left.temporal_join(versions, move |key: &Text, row: &Text, version: Option<&Text>| {
            let version = version.filter(|_| !key.is_null());
            (version.is_some() || pads).then(|| (key.clone(), Some(row.clone()), version.cloned()))
        })
    })?;
    drive(steps, driver, 0, |record| row(&record.value, None))
}
