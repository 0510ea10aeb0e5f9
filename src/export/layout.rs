//! Layouts: which part of a row is its key, how the rows of a key become one, and which columns a row has
//! then.
//!
//! A schema begins with the kind of its rows. The kinds and the names of tables are constants of the
//! operators whose rows they are; this module lies above all of them and says how each kind is shown. Of each
//! key the newest row counts where the kind is `latest`: of an item, which may expire, of a value, or of what
//! there is but one of. Which of the three it is, the table's name and the number of parts tell. Rows of
//! other kinds are added up or stay as they are, and may be over by the clock of the worker that wrote them.
//!
//! | kind | rows in pages | columns |
//! |---|---|---|
//! | `latest` of three | key, sub-key, item and expiry or nothing | `key`, `sub`, `value`, `expires` |
//! | `latest` of two | key, value or nothing | `key`, `value` |
//! | `latest` named `rules` | value or nothing | `value` |
//! | `latest` of three, of joins | key, number and time and count, record or nothing | `key`, `value`, `time`, `count` |
//! | `sums` of four | key, value, time, number | `key`, `value`, `time`, `count` |
//! | `sums` of two | value, number | `value`, `count` |
//! | `waiting` | time, key, value, number | `time`, `key`, `value`, `count` |
//! | `panes` | pane, key, accumulator | `first`, `last`, `key`, `part`, `value` |
//! | `dated`, of timers | place, time, key, whether it was registered or deleted | `time`, `key` |
//! | `dated`, of others | place, time, entry | `time`, `value` |
//!
//! A sub-key that is `()` makes no column.

use std::sync::Arc;

use crate::cep::WAITING;
use crate::error::{Error, Result};
use crate::export::decode::Plan;
use crate::export::types::{Described, Type};
use crate::export::value::Value;
use crate::process::{EVENT_TIMERS, RULES, WALL_TIMERS};
use crate::state::{DATED, LATEST, SUMS};
use crate::stream::SIDES;
use crate::window::PANES;

/// A column of a table: its name and its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name: `key`, `sub`, `value`, `expires`, `time`, `count`, `first`, `last` or `part`.
    pub name: &'static str,
    /// The type of its values.
    pub ty: Type,
}

/// The columns of a table, and how its rows are read.
pub(super) struct Layout {
    pub(super) columns: Vec<Column>,
    pub(super) plan: Arc<Plan>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Items {
        sub: bool,
    },
    /// The rows of one side of a join.
    Side,
    Latest,
    Alone,
    Sums,
    Counts,
    Waiting,
    Panes,
    Timers,
    Dated,
}

/// The meaning of a row.
pub(super) enum RowMeaning {
    /// That something is so, whatever other rows say.
    Row(Vec<Value>),
    /// Something of a key.
    Of(Vec<Value>, RowValue),
    /// Nothing: it is over.
    Nothing,
}

/// The value of a key so far.
#[derive(Debug)]
pub(super) enum RowValue {
    /// The columns after its key, if there are any, of the row that came last in this order.
    Newest(u64, Option<Vec<Value>>),
    /// What is added up.
    Sum(i128),
    /// What only the aggregate knows how to merge, in the order of runs.
    Parts(Vec<(u64, Value)>),
}

impl Layout {
    /// The layout of the table of this name. None if its schema does not say what it reads, or is of no kind
    /// that is known here.
    pub(super) fn of(table: &str, schema: &str) -> Option<Layout> {
        let Described { kind, root, named } = Described::parse(schema)?;
        let parts: Vec<Type> = match &root {
            Type::Tuple(types) => types.to_vec(),
            _ => Vec::new(),
        };
        let option = |ty: Type| Type::Option(Arc::new(ty));
        let tuple = |types: &[Type]| Type::Tuple(types.into());
        let (form, row, columns) = match (kind.as_str(), &*parts) {
            (LATEST, _) if table == RULES => (Form::Alone, option(root), vec![]),
            (LATEST, [key, id @ Type::Tuple(of_id), value]) if is_side(table, of_id) => {
                let kept = option(tuple(&[value.clone(), Type::I64]));
                (Form::Side, tuple(&[key.clone(), id.clone(), kept]), parts)
            }
            (LATEST, [key, sub, value]) => {
                let kept = option(tuple(&[value.clone(), Type::I64]));
                let form = Form::Items { sub: *sub != Type::Unit };
                (form, tuple(&[key.clone(), sub.clone(), kept]), parts)
            }
            (LATEST, [key, value]) => (Form::Latest, tuple(&[key.clone(), option(value.clone())]), parts),
            (SUMS, [_, _, Type::I64, Type::I64]) => (Form::Sums, root, parts),
            (SUMS, [_, Type::I64]) => (Form::Counts, root, parts),
            (WAITING, [time @ Type::I64, key, value]) => {
                let row = [time.clone(), key.clone(), value.clone(), Type::U64];
                (Form::Waiting, tuple(&row), row.to_vec())
            }
            (PANES, [Type::Struct(pane), ..]) if parts.len() == 3 && pane.names[..] == ["last", "first"] => {
                (Form::Panes, root, parts)
            }
            (DATED, _) => {
                let at = tuple(&[Type::I64, Type::U64, Type::U64]);
                let is_timer = table.ends_with(EVENT_TIMERS) || table.ends_with(WALL_TIMERS);
                let form = if is_timer && parts.len() == 2 { Form::Timers } else { Form::Dated };
                (form, tuple(&[at, tuple(&[Type::I64, root])]), parts)
            }
            _ => return None,
        };
        let columns = form.columns(&row, &columns);
        Some(Layout { columns, plan: Arc::new(Plan { row, named }), form })
    }

    /// True if each worker has all rows, so that the first one's are enough.
    pub(super) fn is_everywhere(&self) -> bool {
        self.form == Form::Alone
    }

    /// What a row of a run says, by the clock of its shard.
    pub(super) fn read(&self, row: Value, run: u64, clock: i64) -> Result<RowMeaning> {
        self.form
            .read(row, run, clock)
            .ok_or_else(|| Error::data("a row of a snapshot is not what its schema says"))
    }

    /// The rows that a key has.
    pub(super) fn rows(&self, key: Vec<Value>, held: RowValue) -> Result<Vec<Vec<Value>>> {
        let with = |more: Vec<Value>| key.iter().cloned().chain(more).collect();
        Ok(match held {
            RowValue::Newest(_, None) | RowValue::Sum(0) => Vec::new(),
            RowValue::Newest(_, Some(record)) if self.form == Form::Side => {
                let row = side_row(key, record);
                vec![row.ok_or_else(|| Error::data("a row of a snapshot is not what its schema says"))?]
            }
            RowValue::Newest(_, Some(more)) => vec![with(more)],
            RowValue::Sum(sum) if matches!(self.form, Form::Sums | Form::Counts) => {
                let sum = i64::try_from(sum)
                    .map_err(|_| Error::data("the count of a row of a snapshot has more than 64 bits"))?;
                vec![with(vec![Value::Integer(sum)])]
            }
            RowValue::Sum(sum) => vec![with(vec![Value::Natural(u64::try_from(sum).unwrap_or(u64::MAX))])],
            RowValue::Parts(mut parts) => {
                parts.sort_by_key(|(run, _)| *run);
                let part = |(number, (_, part))| with(vec![Value::Natural(number), part]);
                (0..).zip(parts).map(part).collect()
            }
        })
    }
}

impl Form {
    fn columns(self, row: &Type, parts: &[Type]) -> Vec<Column> {
        let expiry = Type::Option(Arc::new(Type::I64));
        let column = |name, ty: &Type| Column { name, ty: ty.clone() };
        match (self, parts) {
            (Form::Items { sub: true }, [key, sub, value]) => {
                vec![
                    column("key", key),
                    column("sub", sub),
                    column("value", value),
                    column("expires", &expiry),
                ]
            }
            (Form::Items { .. }, [key, _, value]) => {
                vec![column("key", key), column("value", value), column("expires", &expiry)]
            }
            (Form::Side, [key, _, value]) => vec![
                column("key", key),
                column("value", value),
                column("time", &Type::I64),
                column("count", &Type::I64),
            ],
            (Form::Latest, [key, value]) => vec![column("key", key), column("value", value)],
            (Form::Sums, [key, value, time, count]) => {
                vec![column("key", key), column("value", value), column("time", time), column("count", count)]
            }
            (Form::Counts, [value, count]) => vec![column("value", value), column("count", count)],
            (Form::Waiting, [time, key, value, count]) => {
                vec![column("time", time), column("key", key), column("value", value), column("count", count)]
            }
            (Form::Panes, [_, key, value]) => vec![
                column("first", &Type::I64),
                column("last", &Type::I64),
                column("key", key),
                column("part", &Type::U64),
                column("value", value),
            ],
            (Form::Timers, [key, _]) => vec![column("time", &Type::I64), column("key", key)],
            (Form::Dated, _) => {
                let entry = second(row).and_then(second);
                let entry = entry.map(|entry| column("value", entry));
                std::iter::once(column("time", &Type::I64)).chain(entry).collect()
            }
            (_, _) => match row {
                Type::Option(value) => vec![column("value", value)],
                _ => Vec::new(),
            },
        }
    }

    /// None if the row is not of this form.
    fn read(self, row: Value, run: u64, clock: i64) -> Option<RowMeaning> {
        let newest = |key, more| Some(RowMeaning::Of(key, RowValue::Newest(run, more)));
        if self == Form::Alone {
            return newest(Vec::new(), option(row)?.map(|value| vec![value]));
        }
        let Value::Tuple(row) = row else { return None };
        match self {
            Form::Alone => None,
            Form::Items { sub } => {
                let [key, by, kept] = exactly(row)?;
                let key = if sub { vec![key, by] } else { vec![key] };
                let Some(Value::Tuple(kept)) = option(kept)? else { return newest(key, None) };
                let [value, Value::Integer(expires)] = exactly(kept)? else { return None };
                // The newest row counts even if it has expired: an older one must not take its place.
                let is_kept = expires > clock || expires == i64::MAX;
                let expires = (expires != i64::MAX).then(|| Box::new(Value::Integer(expires)));
                let expires = expires.map_or(Value::Absent, Value::Present);
                newest(key, is_kept.then(|| vec![value, expires]))
            }
            Form::Side => {
                let [key, id, kept] = exactly(row)?;
                let kept = match option(kept)? {
                    Some(Value::Tuple(kept)) => exactly::<2>(kept).map(|[record, _]| vec![record]),
                    _ => None,
                };
                newest(vec![key, id], kept)
            }
            Form::Latest => {
                let [key, value] = exactly(row)?;
                newest(vec![key], option(value)?.map(|value| vec![value]))
            }
            Form::Sums => {
                let [key, value, time, Value::Integer(count)] = exactly(row)? else { return None };
                Some(RowMeaning::Of(vec![key, value, time], RowValue::Sum(count.into())))
            }
            Form::Counts => {
                let [value, Value::Integer(count)] = exactly(row)? else { return None };
                Some(RowMeaning::Of(vec![value], RowValue::Sum(count.into())))
            }
            Form::Waiting => {
                let [Value::Integer(time), key, value, Value::Natural(count)] = exactly(row)? else {
                    return None;
                };
                if time <= clock {
                    return Some(RowMeaning::Nothing);
                }
                Some(RowMeaning::Of(vec![Value::Integer(time), key, value], RowValue::Sum(count.into())))
            }
            Form::Panes => {
                let [Value::Struct(_, pane), key, value] = exactly(row)? else { return None };
                let [Value::Integer(last), first] = exactly(pane)? else { return None };
                if last <= clock {
                    return Some(RowMeaning::Nothing);
                }
                Some(RowMeaning::Of(
                    vec![first, Value::Integer(last), key],
                    RowValue::Parts(vec![(run, value)]),
                ))
            }
            Form::Timers | Form::Dated => {
                let [Value::Tuple(place), Value::Tuple(entry)] = exactly(row)? else { return None };
                let [Value::Integer(at), _, Value::Natural(number)] = exactly(place)? else { return None };
                if at <= clock {
                    return Some(RowMeaning::Nothing);
                }
                if self == Form::Dated {
                    return Some(RowMeaning::Row(entry));
                }
                let [time, Value::Tuple(timer)] = exactly(entry)? else { return None };
                let [key, Value::Bool(is_set)] = exactly(timer)? else { return None };
                // What was said last of a key at a time counts, wherever it lies.
                Some(RowMeaning::Of(vec![time, key], RowValue::Newest(number, is_set.then(Vec::new))))
            }
        }
    }
}

impl RowValue {
    /// Joins what another row of the key says.
    pub(super) fn absorb(&mut self, other: RowValue) {
        match (self, other) {
            (RowValue::Newest(own, value), RowValue::Newest(other, newer)) => {
                if other >= *own {
                    (*own, *value) = (other, newer);
                }
            }
            (RowValue::Sum(sum), RowValue::Sum(more)) => *sum = sum.saturating_add(more),
            (RowValue::Parts(parts), RowValue::Parts(more)) => parts.extend(more),
            // Rows of one table are of one form.
            (_, _) => {}
        }
    }
}

/// True if a table is one side of a join, whose rows are known by a number, a time and a count.
fn is_side(table: &str, of_id: &[Type]) -> bool {
    SIDES.contains(&table) && *of_id == [Type::U64, Type::I64, Type::I64]
}

/// The columns of a row of a join, of what it is known by and its record.
fn side_row(key: Vec<Value>, record: Vec<Value>) -> Option<Vec<Value>> {
    let [key, Value::Tuple(id)] = exactly(key)? else { return None };
    let ([_, time, count], [record]) = (exactly(id)?, exactly(record)?);
    Some(vec![key, record, time, count])
}

/// The second type of a pair.
fn second(pair: &Type) -> Option<&Type> {
    if let Type::Tuple(types) = pair { types.get(1) } else { None }
}

fn option(value: Value) -> Option<Option<Value>> {
    match value {
        Value::Absent => Some(None),
        Value::Present(value) => Some(Some(*value)),
        _ => None,
    }
}

fn exactly<const N: usize>(values: Vec<Value>) -> Option<[Value; N]> {
    values.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::snapshot::Codec;
    use crate::snapshot::Schema;

    #[derive(Serialize, Deserialize)]
    struct Pane {
        last: i64,
        first: i64,
    }

    fn layout<T: DeserializeOwned + 'static>(table: &str, kind: &str) -> Layout {
        Layout::of(table, &Schema::of::<T>(kind).text).unwrap()
    }

    fn names(layout: &Layout) -> Vec<&str> {
        layout.columns.iter().map(|column| column.name).collect()
    }

    /// The rows, as JSON, that runs of rows make, oldest first, by a clock.
    fn state<T: Serialize + 'static>(layout: &Layout, runs: &[&[T]], clock: i64) -> Vec<String> {
        let (mut held, mut rows) = (std::collections::BTreeMap::<Vec<Value>, RowValue>::new(), Vec::new());
        for (run, typed) in (0..).zip(runs) {
            let bytes = Codec::Columnar.encode(typed).unwrap();
            for row in layout.plan.decode(&bytes, typed.len(), Codec::Columnar).unwrap() {
                match layout.read(row, run, clock).unwrap() {
                    RowMeaning::Nothing => {}
                    RowMeaning::Row(row) => rows.push(row),
                    RowMeaning::Of(key, said) => match held.get_mut(&key) {
                        Some(before) => before.absorb(said),
                        None => drop(held.insert(key, said)),
                    },
                }
            }
        }
        rows.extend(held.into_iter().flat_map(|(key, held)| layout.rows(key, held).unwrap()));
        rows.into_iter().map(|row| Value::Tuple(row).to_string()).collect()
    }

    #[test]
    fn the_newest_item_counts_until_it_expires() {
        let items = layout::<(u8, (), char)>("state s", "latest");
        assert_eq!(names(&items), ["key", "value", "expires"]);
        let old = [(1u8, (), Some(('a', i64::MAX))), (2, (), Some(('b', 50))), (3, (), Some(('c', 51)))];
        let new = [(1, (), None), (4, (), Some(('d', i64::MAX)))];
        assert_eq!(state(&items, &[&old, &new], 50), [r#"[3,"c",51]"#, r#"[4,"d",null]"#]);
        let by_sub = layout::<(u8, u8, char)>("aggregates", "latest");
        assert_eq!(names(&by_sub), ["key", "sub", "value", "expires"]);
        let rules = layout::<(u8, (), char)>("rules", "latest");
        assert!(names(&rules) == ["value"] && rules.is_everywhere());
        assert_eq!(
            state(&rules, &[&[Some((1u8, (), 'a'))], &[Some((2, (), 'b'))]], 0),
            [r#"[[2,null,"b"]]"#]
        );
        let sessions = layout::<(u8, (), Vec<u8>)>("sessions", "latest");
        assert_eq!(names(&sessions), ["key", "value", "expires"]);
        // As they once were.
        let sessions = layout::<(u8, Vec<u8>)>("sessions", "latest");
        let rows: [&[(u8, Option<Vec<u8>>)]; 2] = [&[(1, Some(vec![1])), (2, Some(vec![]))], &[(1, None)]];
        assert_eq!(
            (names(&sessions), state(&sessions, &rows, 0)),
            (vec!["key", "value"], vec!["[2,[]]".to_owned()])
        );
    }

    #[test]
    fn the_rows_of_a_join_have_a_time_and_a_count() {
        let side = layout::<(u8, (u64, i64, i64), char)>("left", "latest");
        assert_eq!(names(&side), ["key", "value", "time", "count"]);
        let row = |key: u8, number: u64, kept: Option<char>| {
            (key, (number, 7i64, 2i64), kept.map(|record| (record, i64::MAX)))
        };
        let runs: [&[_]; 2] = [&[row(1, 1, Some('a')), row(1, 2, Some('b'))], &[row(1, 1, None)]];
        assert_eq!(state(&side, &runs, i64::MAX - 1), [r#"[1,"b",7,2]"#]);
    }

    #[test]
    fn what_is_added_up_is_a_sum_and_nothing_is_left_of_nothing() {
        let sums = layout::<(u8, char, i64, i64)>("left", "sums");
        assert_eq!(names(&sums), ["key", "value", "time", "count"]);
        let runs: [&[(u8, char, i64, i64)]; 2] =
            [&[(1, 'a', 7, 2), (2, 'b', 7, 1)], &[(1, 'a', 7, -1), (2, 'b', 7, -1)]];
        assert_eq!(state(&sums, &runs, i64::MIN), [r#"[1,"a",7,1]"#]);
        let counts = layout::<((u8, u8), i64)>("collection", "sums");
        assert_eq!(names(&counts), ["value", "count"]);
        let runs: [&[((u8, u8), i64)]; 2] = [&[((1, 2), 2), ((3, 4), 1)], &[((1, 2), -3), ((3, 4), -1)]];
        assert_eq!(state(&counts, &runs, i64::MIN), ["[[1,2],-1]"]);
        let waiting = layout::<(i64, u8, char)>("waiting", "waiting");
        assert_eq!(names(&waiting), ["time", "key", "value", "count"]);
        let runs: [&[(i64, u8, char, u64)]; 2] = [&[(5, 1, 'a', 1), (6, 1, 'a', 1)], &[(6, 1, 'a', 2)]];
        assert_eq!(state(&waiting, &runs, 5), [r#"[6,1,"a",3]"#]);
    }

    #[test]
    fn parts_of_windows_that_have_fired_are_over_and_others_stay_apart() {
        let panes = layout::<(Pane, u8, u64)>("panes", "panes");
        assert_eq!(names(&panes), ["first", "last", "key", "part", "value"]);
        let row = |last, key, acc| (Pane { last, first: last - 9 }, key, acc);
        let runs: [&[(Pane, u8, u64)]; 2] = [&[row(9, 1, 5), row(19, 1, 6)], &[row(19, 1, 7), row(19, 2, 8)]];
        assert_eq!(state(&panes, &runs, 9), ["[10,19,1,0,6]", "[10,19,1,1,7]", "[10,19,2,0,8]"]);
    }

    #[test]
    fn what_was_said_last_of_a_timer_counts() {
        let timers = layout::<(u8, bool)>("window wall timers", "dated");
        assert_eq!(names(&timers), ["time", "key"]);
        let row =
            |at: i64, number: u64, time: i64, key: u8, is_set| ((at, 0u64, number), (time, (key, is_set)));
        let first = [row(3, 0, 3, 1, true), row(8, 1, 8, 1, true), row(8, 2, 8, 2, true)];
        let then = [row(8, 3, 8, 1, false), row(9, 4, 9, 3, false), row(9, 5, 9, 3, true)];
        assert_eq!(state(&timers, &[&first, &then], 3), ["[8,2]", "[9,3]"]);
        let entries = layout::<(u8, bool)>("waiting", "dated");
        assert_eq!(names(&entries), ["time", "value"]);
        assert_eq!(state(&entries, &[&first], 3), ["[8,[1,true]]", "[8,[2,true]]"]);
    }
}
