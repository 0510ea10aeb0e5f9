//! Cases of queries: the laboratory's own notation for aggregates in windows, and for joins of two of them.
//!
//! This is not the SQL of tables. It is as much of its words as event-time cases need: windows, groups, null,
//! what is late. What it does not understand it refuses, and says at which word.
//!
//! ```text
//! SELECT name, window_start, window_end, COUNT(*), SUM(a_int) FROM HOP(5 s, 10 s)
//!     WHERE a_int > 1 GROUP BY name, window HAVING COUNT(*) >= 2
//! left join of two TUMBLE(5 s) COUNT(DISTINCT comment) aggregates on name and window
//! ```
//!
//! * **Columns**: `"columns": ["name", "a_int INT", "ts seconds"]`. The one with a unit is the time, and
//!   windows' starts and ends come out in it. `"watermark": "ts - 1 s, after every row"` says that after each
//!   row the watermark is so far behind the greatest time. Without it only `{"watermark": t}` in the input,
//!   in the unit of the time, moves event time, or the end of the input. If neither is given, rows are those
//!   of the window data in Flink's tests of tables: `name`, `a_int`, `comment`, `ts seconds`, with the
//!   watermark above.
//! * **Windows**: `TUMBLE(size)`, `HOP(slide, size)`, `CUMULATE(step, size)`, each with an offset as one more
//!   length, and `SESSION(gap)`, which are each group's own. Lengths are written `5 s` or
//!   `INTERVAL '5' SECOND`. The table functions of Flink are read too:
//!   `TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND))`. A window gives `window_start`,
//!   `window_end` and `window_time`, its last millisecond.
//! * **Aggregates**: `COUNT(*)`, and `COUNT`, `SUM`, `AVG`, `MIN`, `MAX` of a column or of its `DISTINCT`
//!   values, each perhaps with `FILTER (WHERE ...)`.
//! * **Groups**: columns and the window, with `GROUPING SETS`, `ROLLUP` and `CUBE`. Null is a group.
//! * **Joins**: `inner`, `left`, `right`, `full`, `semi` and `anti`, on columns and the window. Null is equal
//!   to nothing, unless a column is followed by `IS NOT DISTINCT FROM`. `left` and `right` say which rows the
//!   sides have: `the WD rows`, `the same rows with name 'a' replaced by 'a1'`, `the rows where a_int > 2`. A
//!   row of the result is the first side's columns, the window, and the aggregates of both; of a full join
//!   the columns and window of each side, and then the aggregates.
//!
//! A row is late for a window whose end the watermark has passed; one that is late for all of its windows is
//! dropped, and the timeline tells it.
//!
//! Everything is run by the engine's own windows and joins: rows go one by one into a job of a window
//! operator for each side and a co-group of what they give. It costs a copy of a row for each grouping set.

mod fold;
mod query;
mod table;

use std::time::Duration;

use serde_json::{Value, json};

use self::fold::{Cell, Function};
use self::query::{Counted, How, Join, Query, Select, Windows};
use self::table::{Side, Table};
use super::text::Text;
use super::words::Told;
use super::{Case, Event, Timeline};
use crate::error::Result;
use crate::harness::Driver;
use crate::join::Group;
use crate::process::Side as SideOutput;
use crate::stream::{Chain, KeyedStream, Stream};
use crate::time::EventTime;
use crate::window::{Assigner, LatePolicy, Sessions, Trigger, Tumbling, Window, Windowed};

type Row = Vec<Text>;

/// The number of a grouping set, and the keys.
type Key = (u64, Vec<Text>);

/// The number of rows, and how far each aggregate has come.
type Sums = (u64, Vec<Cell>);

/// What comes out.
#[derive(Clone)]
enum Output {
    /// A row of the result, and whether a side of it is missing.
    Row(Vec<Text>, bool),
    Late(Row),
    /// A row that cannot be told, and why.
    Wrong(String),
}

pub(super) fn run(case: &Case) -> Result<Timeline> {
    let wrong = |told: String| case.wrong(told);
    let table = Table::of(case.setting("columns"), case.setting("watermark")).map_err(wrong)?;
    let text = case.setting("sql").as_str().ok_or_else(|| case.wrong("\"sql\" is no text"))?;
    let query = Query::of(text, case.setting("join"), &table).map_err(wrong)?;
    let (driver, counted) = match query {
        Query::Select(query) => {
            if let Some(name) = ["left", "right", "join"].iter().find(|name| !case.setting(name).is_null()) {
                return Err(case.wrong(format!("{name:?} would change nothing: the query is of one table")));
            }
            let counted = query.counted.clone();
            (select(query, &table)?, counted)
        }
        Query::Join(join) => {
            let side = |name: &str| Side::of(case.setting(name), &table).map_err(wrong);
            let (counted, sides) = (join.counted.clone(), [side("left")?, side("right")?]);
            (join_of_two(join, sides, &table)?, counted)
        }
    };
    drive(case, &table, &counted, driver)
}

/// Feeds the rows one by one, each followed by its watermark.
fn drive(case: &Case, table: &Table, counted: &Counted, mut driver: Driver<Row, Output>) -> Result<Timeline> {
    let (mut timeline, mut reached, mut has_watermarks) = (Timeline::default(), EventTime::MIN, false);
    for step in case.steps()? {
        if let Some(row) = step.as_array() {
            let time = table.time_of(row).and_then(|time| counted.check(row).map(|()| time));
            let time = time.map_err(|told| case.wrong(format!("{step}: {told}")))?;
            timeline.push(Event::Input(step.clone()));
            driver.push(texts(row), time)?;
            take(case, &mut driver, &mut timeline)?;
            let Some(watermark) = table.delay.map(|delay| time.saturating_sub(delay)) else { continue };
            if watermark.saturating_add(1) > reached {
                reached = watermark.saturating_add(1);
                driver.watermark(reached)?;
                take(case, &mut driver, &mut timeline)?;
                timeline.push(Event::Watermark(watermark.div_euclid(table.unit)));
            }
        } else if let Some(time) = step.get("watermark").and_then(Value::as_i64) {
            has_watermarks = true;
            reached = reached.max(time.saturating_mul(table.unit).saturating_add(1));
            driver.watermark(reached)?;
            take(case, &mut driver, &mut timeline)?;
            timeline.push(Event::Watermark(time));
        } else if step.get("checkpoint_restore").is_some() {
            driver.restart()?;
            timeline.push(Event::went_on());
        } else {
            return Err(case.wrong(format!("{step} is no row, watermark or checkpoint")));
        }
    }
    // Where watermarks are told, what only the end of the input brings is no part of the case, but for what
    // is late.
    if !has_watermarks || reached == EventTime::MAX {
        driver.finish()?;
        take(case, &mut driver, &mut timeline)?;
    } else {
        driver.watermark(reached.saturating_add(1))?;
        let late = driver.take_output().into_iter().filter(|output| matches!(output, Output::Late(_)));
        late.filter_map(|output| shown(output, false).ok()).for_each(|event| timeline.push(event));
    }
    Ok(timeline)
}

/// Takes note of what has come out. Rows that miss a side are told apart if the case does so.
fn take(case: &Case, driver: &mut Driver<Row, Output>, timeline: &mut Timeline) -> Result<()> {
    let apart = case.expected_padded.is_some();
    for output in driver.take_output() {
        timeline.push(shown(output, apart).map_err(|told| case.wrong(told))?);
    }
    Ok(())
}

fn shown(output: Output, apart: bool) -> Told<Event> {
    match output {
        Output::Row(row, true) if apart => Ok(Event::Padded(json!(values(&row)))),
        Output::Row(row, _) => Ok(Event::Out(json!(values(&row)))),
        Output::Late(row) => Ok(Event::Late(json!(values(&row)))),
        Output::Wrong(told) => Err(told),
    }
}

fn texts(row: &[Value]) -> Row {
    row.iter().map(Text::of).collect()
}

fn values(row: &[Text]) -> Vec<Value> {
    row.iter().map(Text::value).collect()
}

impl Counted {
    /// Says if there is something else than a number where numbers are summed up.
    fn check(&self, row: &[Value]) -> std::result::Result<(), String> {
        let sums =
            self.calls.iter().filter(|call| matches!(call.function, Function::Sum | Function::Average));
        let mut summed = sums.filter_map(|call| row.get(call.column?));
        match summed.find(|value| !value.is_number() && !value.is_null()) {
            None => Ok(()),
            Some(value) => Err(format!("{value} is no number, and cannot be summed up")),
        }
    }

    /// Aggregates rows by keys and windows. Also gives what is late.
    fn of<C: Chain<Out = Row>>(
        &self,
        rows: Stream<Row, C>,
    ) -> (Stream<Windowed<Key, Sums>>, Stream<(Key, Row)>) {
        let (keys, sets) = (self.keys.clone(), self.sets.clone());
        let grouped = rows.flat_map(move |row: Row| {
            let key = |set: &Vec<usize>| -> Vec<Text> {
                let is_in = |place: &usize| set.contains(place);
                let value = |place: usize| {
                    if is_in(&place) { row[keys[place]].clone() } else { Text::of(&Value::Null) }
                };
                (0..keys.len()).map(value).collect()
            };
            let keyed = sets.iter().zip(0..).map(|(set, number): (_, u64)| ((number, key(set)), row.clone()));
            keyed.collect::<Vec<(Key, Row)>>()
        });
        let grouped = grouped.key_by(|pair: &(Key, Row)| pair.0.clone()).map_values(|pair| pair.1);
        match self.windows.clone() {
            Windows::Aligned(windows) => self.fold(grouped, windows),
            Windows::Cumulating(windows) => self.fold(grouped, windows),
            Windows::Sessions(gap) => self.fold(grouped, Sessions::with_gap(gap).touching()),
        }
    }

    fn fold<C, W>(
        &self,
        grouped: KeyedStream<Key, Row, C>,
        windows: W,
    ) -> (Stream<Windowed<Key, Sums>>, Stream<(Key, Row)>)
    where
        C: Chain<Out = (Key, Row)>,
        W: Assigner<Row, Trigger: Trigger<Key, Row>>,
    {
        let late = SideOutput::new();
        let start: Sums = (0, self.calls.iter().map(fold::Call::start).collect());
        let (calls, others) = (self.calls.clone(), self.calls.clone());
        let windows = grouped.window_with(windows).late(LatePolicy::Side(late));
        let add = move |sums: &mut Sums, row: Row| {
            let row = values(&row);
            sums.0 += 1;
            calls.iter().zip(&mut sums.1).for_each(|(call, cell)| call.add(cell, &row));
        };
        let merge = move |sums: &mut Sums, more: Sums| {
            sums.0 += more.0;
            let cells = sums.1.iter_mut().zip(more.1);
            others.iter().zip(cells).for_each(|(call, (cell, other))| call.merge(cell, other));
        };
        let results = windows.fold(start, add, merge);
        let late = results.side(&late);
        (results, late)
    }

    /// The aggregates of a window.
    fn results(&self, sums: &Sums) -> Told<Vec<Value>> {
        self.calls.iter().zip(&sums.1).map(|(call, cell)| call.result(cell)).collect()
    }
}

fn select(query: Select, table: &Table) -> Result<Driver<Row, Output>> {
    let Select { counted, filter, items, having } = query;
    let table = table.clone();
    Driver::new(move |rows| {
        let rows = rows.filter(move |row: &Row| filter.holds(&values(row)));
        let (results, late) = counted.of(rows);
        let results = results.flat_map(move |result: Windowed<Key, Sums>| {
            let mut made = values(&result.key.1);
            made.extend(
                [result.window.start, result.window.end, result.window.last()].map(|time| table.shown(time)),
            );
            match counted.results(&result.value) {
                Ok(results) => made.extend(results),
                Err(told) => return Some(Output::Wrong(told)),
            }
            let row = items.iter().map(|place| Text::of(&made[*place])).collect();
            having.holds(&made).then_some(Output::Row(row, false))
        });
        // A row is in each grouping set, and late once.
        let late = late.filter(|late: &(Key, Row)| late.0.0 == 0).map(|late| Output::Late(late.1));
        results.union(late)
    })
}

/// The keys of a window's results, and the window. All results of a window have one time, so that they meet
/// in a window of a millisecond.
type Met = (Vec<Text>, Window);

fn join_of_two(join: Join, sides: [Side; 2], table: &Table) -> Result<Driver<Row, Output>> {
    let table = table.clone();
    Driver::new(move |rows| {
        let [(left, late), (right, others)] = sides.map(|side| {
            let rows = rows.clone().flat_map(move |row: Row| side.row(values(&row)).map(|row| texts(&row)));
            let (results, late) = join.counted.of(rows);
            let results = results.key_by(|result| -> Met { (result.key.1.clone(), result.window) });
            (results.map_values(|result| result.value), late)
        });
        let joined = left
            .co_group(right, Tumbling::of(Duration::from_millis(1)), move |group| join.meet(group, &table));
        let late = late.union(others).map(|late| Output::Late(late.1));
        joined.union(late)
    })
}

impl Join {
    fn meet(&self, group: Group<Met, Sums, Sums>, table: &Table) -> Vec<Output> {
        let Group { key: (keys, window), left, right, .. } = group;
        let equal = keys.iter().zip(&self.nulls).all(|(key, nulls)| *nulls || !key.is_null());
        let met = equal && !left.is_empty() && !right.is_empty();
        let columns = |is_there: bool| match is_there {
            true => values(&keys),
            false => vec![Value::Null; keys.len()],
        };
        let times = |is_there: bool| match is_there {
            true => [window.start, window.end].map(|time| table.shown(time)),
            false => [Value::Null, Value::Null],
        };
        let results = |sums: Option<&Sums>| match sums {
            Some(sums) => self.counted.results(sums),
            None => Ok(vec![Value::Null; self.counted.calls.len()]),
        };
        let row = |left: Option<&Sums>, right: Option<&Sums>| -> Told<Output> {
            let mut row = columns(left.is_some());
            match self.how {
                How::Full => {
                    row.extend(times(left.is_some()));
                    row.extend(columns(right.is_some()));
                    row.extend(times(right.is_some()));
                }
                _ => row.extend(times(true)),
            }
            row.extend(results(left)?);
            if !matches!(self.how, How::Semi | How::Anti) {
                row.extend(results(right)?);
            }
            Ok(Output::Row(texts(&row), left.is_none() || right.is_none()))
        };
        let (left, right) = (left.first(), right.first());
        let (keeps_left, keeps_right) = match self.how {
            How::Left | How::Anti => (true, false),
            How::Right => (false, true),
            How::Full => (true, true),
            How::Inner | How::Semi => (false, false),
        };
        let mut rows = Vec::new();
        if met && self.how != How::Anti {
            rows.push(row(left, right));
        }
        if !met && keeps_left {
            rows.extend(left.map(|left| row(Some(left), None)));
        }
        if !met && keeps_right {
            rows.extend(right.map(|right| row(None, Some(right))));
        }
        rows.into_iter().map(|row| row.unwrap_or_else(Output::Wrong)).collect()
    }
}
