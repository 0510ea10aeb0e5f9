//! The queries of the notation, and how they are read.

use std::time::Duration;

use serde_json::Value;

use super::super::condition::Condition;
use super::super::window::Cumulating;
use super::super::words::{Told, Words};
use super::fold::{Call, Function};
use super::table::Table;
use crate::window::{Aligned, Sliding, Tumbling};

/// What a case asks for.
pub(super) enum Query {
    Select(Select),
    Join(Join),
}

/// `SELECT ... FROM windows WHERE ... GROUP BY ... HAVING ...`.
pub(super) struct Select {
    pub(super) counted: Counted,
    pub(super) filter: Condition,
    /// Which of what a window gives are the columns of the result, and what must hold of it. A window gives
    /// keys, its start, its end, its last millisecond, and aggregates.
    pub(super) items: Vec<usize>,
    pub(super) having: Condition,
}

/// Aggregates by keys and windows.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) windows: Windows,
    /// The columns that are keys.
    pub(super) keys: Vec<usize>,
    /// Each grouping set, as the places of its keys. The others are null in it.
    pub(super) sets: Vec<Vec<usize>>,
    pub(super) calls: Vec<Call>,
}

/// `join of two windows aggregates on keys and window`.
#[derive(Clone)]
pub(super) struct Join {
    pub(super) counted: Counted,
    pub(super) how: How,
    /// For each key, whether null is equal to null.
    pub(super) nulls: Vec<bool>,
}

/// What becomes of what the two sides have in a window.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum How {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

#[derive(Clone)]
pub(super) enum Windows {
    Aligned(Aligned),
    Cumulating(Cumulating),
    Sessions(Duration),
}

/// What a window's times are called.
const TIMES: [&str; 3] = ["window_start", "window_end", "window_time"];

/// What a select list asks for, before the groups are known.
enum Item {
    Name(String, Words),
    /// The window's start, its end, or its last millisecond.
    Time(usize),
    Call(Call),
}

impl Query {
    /// Reads a query. The kind of a join may also be said beside it.
    pub(super) fn of(text: &str, join: &Value, table: &Table) -> Told<Query> {
        let mut words = Words::of(text)?;
        let query = match words.take("select") {
            true => Query::Select(select(&mut words, table)?),
            false => Query::Join(join_of_two(&mut words, join, table)?),
        };
        words.end().map(|()| query)
    }
}

fn select(words: &mut Words, table: &Table) -> Told<Select> {
    let mut listed = vec![item(words, table)?];
    while words.take(",") {
        listed.push(item(words, table)?);
    }
    words.need("from")?;
    let windows = windows(words, table)?;
    let filter = match words.take("where") {
        true => Condition::read(words, &mut |words: &mut Words| table.column(words))?,
        false => Condition::always(),
    };
    words.need("group by")?;
    let (keys, sets) = groups(words, table)?;
    let mut calls: Vec<Call> = Vec::new();
    let (mut items, mut aliases) = (Vec::new(), Vec::new());
    for (item, alias) in listed {
        let place = match item {
            Item::Name(name, at) => {
                let key = keys.iter().position(|key| table.name_of(*key).eq_ignore_ascii_case(&name));
                key.ok_or_else(|| {
                    at.wrong("a column of GROUP BY, window_start, window_end, or an aggregate")
                })?
            }
            Item::Time(which) => keys.len() + which,
            Item::Call(call) => keys.len() + TIMES.len() + place_of(&mut calls, call),
        };
        items.push(place);
        aliases.extend(alias.map(|alias| (alias, place)));
    }
    let having = match words.take("having") {
        true => {
            let names = keys.iter().map(|key| table.name_of(*key)).chain(TIMES);
            let named = aliases.iter().map(|(alias, place)| (alias.as_str(), *place)).chain(names.zip(0..));
            let named: Vec<(&str, usize)> = named.collect();
            Condition::read(words, &mut |words: &mut Words| {
                let mut ahead = words.clone();
                if let Ok(Some(call)) = call(&mut ahead, table) {
                    *words = ahead;
                    return Some(keys.len() + TIMES.len() + place_of(&mut calls, call));
                }
                named.iter().find(|(name, _)| words.take(name)).map(|(_, place)| *place)
            })?
        }
        false => Condition::always(),
    };
    Ok(Select { counted: Counted { windows, keys, sets, calls }, filter, items, having })
}

/// The place of an aggregate, which is made once however often it is asked for.
fn place_of(calls: &mut Vec<Call>, call: Call) -> usize {
    calls.iter().position(|other| *other == call).unwrap_or_else(|| {
        calls.push(call);
        calls.len() - 1
    })
}

/// A part of a select list, and what it is called besides.
fn item(words: &mut Words, table: &Table) -> Told<(Item, Option<String>)> {
    let item = if let Some(which) = TIMES.iter().position(|name| words.take(name)) {
        Item::Time(which)
    } else if let Some(call) = call(words, table)? {
        Item::Call(call)
    } else {
        let at = words.clone();
        match words.name() {
            Some(name) if !name.eq_ignore_ascii_case("from") => Item::Name(name, at),
            _ => return Err(at.wrong("a column, window_start, window_end, or an aggregate")),
        }
    };
    let alias =
        if words.take("as") { Some(words.name().ok_or_else(|| words.wrong("a name"))?) } else { None };
    Ok((item, alias))
}

/// An aggregate, if one comes next: `COUNT(*)`, `SUM(DISTINCT column)`, `MAX(column) FILTER (WHERE ...)`.
fn call(words: &mut Words, table: &Table) -> Told<Option<Call>> {
    let functions = [
        ("count (", Function::Count),
        ("sum (", Function::Sum),
        ("avg (", Function::Average),
        ("min (", Function::Min),
        ("max (", Function::Max),
    ];
    let Some((_, function)) = functions.into_iter().find(|(name, _)| words.take(name)) else {
        return Ok(None);
    };
    let (mut column, mut distinct) = (None, false);
    if function != Function::Count || !words.take("*") {
        distinct = words.take("distinct");
        column = Some(table.need_column(words)?);
    }
    words.need(")")?;
    let mut filter = Condition::always();
    if words.take("filter") {
        words.need("( where")?;
        filter = Condition::read(words, &mut |words: &mut Words| table.column(words))?;
        words.need(")")?;
    }
    let has_fractions = column.is_some_and(|place| table.has_fractions(place));
    Ok(Some(Call { function, column, distinct, has_fractions, filter }))
}

/// `TUMBLE(5 s)`, or `TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND))`.
fn windows(words: &mut Words, table: &Table) -> Told<Windows> {
    let is_wrapped = words.take("table (");
    let names = ["tumble (", "hop (", "cumulate (", "session ("];
    let Some(place) = names.iter().position(|name| words.take(name)) else {
        return Err(words.wrong("TUMBLE(size), HOP(slide, size), CUMULATE(step, size) or SESSION(gap)"));
    };
    let mut lengths: Vec<i64> = Vec::new();
    loop {
        if !argument(words, table)? {
            // Which is which is known without being said.
            let _ = ["size", "slide", "step", "gap", "offset"].iter().any(|name| words.take(name));
            let sign = if words.take("-") { -1 } else { 1 };
            lengths.push(sign * words.duration()?);
        }
        if !words.take(",") {
            break;
        }
    }
    let read = windows_of(place, &lengths).ok_or_else(|| {
        let wanted = ["size", "slide, size", "step, size, a multiple of it", "gap"][place];
        words.wrong(&format!("as many positive lengths as {}{wanted})", names[place].to_uppercase()))
    })?;
    words.need(")")?;
    if is_wrapped {
        words.need(")")?;
    }
    Ok(read)
}

/// Steps over the table of a window and the column with the time, if one of them comes next.
fn argument(words: &mut Words, table: &Table) -> Told<bool> {
    if words.take("table") {
        words.name().ok_or_else(|| words.wrong("the name of a table"))?;
        return Ok(true);
    }
    let descriptor = words.take("descriptor (");
    let before = words.clone();
    match table.column(words) {
        Some(place) if table.is_time(place) => {}
        None if !descriptor => return Ok(false),
        _ => return Err(before.wrong("the column with the time")),
    }
    if descriptor {
        words.need(")")?;
    }
    Ok(true)
}

/// Windows by their lengths in milliseconds. Of a slide and a size, or a step and a size, the shorter is the
/// first, in whichever order they stand.
fn windows_of(place: usize, lengths: &[i64]) -> Option<Windows> {
    let (of_windows, offset) = match (place, lengths) {
        (0 | 3, [length]) => ([*length, *length], 0),
        (0, [length, offset]) => ([*length, *length], *offset),
        (1 | 2, [one, other]) => ([*one.min(other), *one.max(other)], 0),
        (1 | 2, [one, other, offset]) => ([*one.min(other), *one.max(other)], *offset),
        _ => return None,
    };
    let [step, size] = of_windows;
    if step <= 0 {
        return None;
    }
    let millis = |length: i64| Duration::from_millis(length.unsigned_abs());
    let moved = |windows: Aligned, by: i64| windows.offset(millis(offset.rem_euclid(by)));
    Some(match place {
        0 => Windows::Aligned(moved(Tumbling::of(millis(size)), size)),
        1 => Windows::Aligned(moved(Sliding::of(millis(size), millis(step)), step)),
        2 if size % step == 0 => {
            Windows::Cumulating(Cumulating { size, step, offset: offset.rem_euclid(size) })
        }
        3 => Windows::Sessions(millis(size)),
        _ => return None,
    })
}

/// The most grouping sets of a query.
const MOST_SETS: usize = 64;

/// The columns of `GROUP BY`, and its grouping sets. The window must be there.
fn groups(words: &mut Words, table: &Table) -> Told<(Vec<usize>, Vec<Vec<usize>>)> {
    let (mut keys, mut sets) = (Vec::new(), vec![Vec::new()]);
    let mut window = [false; 2];
    loop {
        if words.take("window") {
            window = [true; 2];
        } else if words.take("window_start") {
            window[0] = true;
        } else if words.take("window_end") {
            window[1] = true;
        } else {
            let more = grouping(words, table, &mut keys)?;
            if sets.len() * more.len() > MOST_SETS {
                return Err(words.wrong(&format!("no more than {MOST_SETS} grouping sets")));
            }
            let with = |set: &Vec<usize>| {
                more.iter().map(|other| [set.as_slice(), other].concat()).collect::<Vec<_>>()
            };
            sets = sets.iter().flat_map(with).collect();
        }
        if !words.take(",") {
            break;
        }
    }
    match window {
        [true, true] => Ok((keys, sets)),
        _ => Err(words.wrong("the window in GROUP BY, as WINDOW or as WINDOW_START, WINDOW_END")),
    }
}

/// One part of `GROUP BY` as grouping sets, each a list of places in `keys`, to which its columns are added.
fn grouping(words: &mut Words, table: &Table, keys: &mut Vec<usize>) -> Told<Vec<Vec<usize>>> {
    let (rollup, cube) = (words.take("rollup ("), words.take("cube ("));
    if rollup || cube {
        let all = columns(words, table, keys)?;
        if all.len() > MOST_SETS.ilog2() as usize {
            return Err(words.wrong("fewer columns in ROLLUP or CUBE"));
        }
        return Ok(match rollup {
            true => (0..=all.len()).map(|length| all[..length].to_vec()).collect(),
            false => (0..1usize << all.len()).map(|chosen| chosen_of(&all, chosen)).collect(),
        });
    }
    if words.take("grouping sets (") {
        let mut sets = Vec::new();
        loop {
            sets.push(match words.take("(") {
                true => columns(words, table, keys)?,
                false => vec![key(keys, table.need_column(words)?)],
            });
            if !words.take(",") {
                break;
            }
        }
        words.need(")")?;
        return Ok(sets);
    }
    Ok(vec![vec![key(keys, table.need_column(words)?)]])
}

fn chosen_of(all: &[usize], chosen: usize) -> Vec<usize> {
    all.iter().enumerate().filter(|(bit, _)| chosen >> bit & 1 == 1).map(|(_, key)| *key).collect()
}

/// Columns up to a closing parenthesis, as places of keys.
fn columns(words: &mut Words, table: &Table, keys: &mut Vec<usize>) -> Told<Vec<usize>> {
    let mut read = Vec::new();
    while !words.take(")") {
        if !read.is_empty() {
            words.need(",")?;
        }
        read.push(key(keys, table.need_column(words)?));
    }
    Ok(read)
}

/// The place of a column among the keys.
fn key(keys: &mut Vec<usize>, column: usize) -> usize {
    keys.iter().position(|key| *key == column).unwrap_or_else(|| {
        keys.push(column);
        keys.len() - 1
    })
}

fn join_of_two(words: &mut Words, beside: &Value, table: &Table) -> Told<Join> {
    let how = match beside {
        Value::Null => how(words),
        Value::String(text) => {
            let mut other = Words::of(text)?;
            let how = how(&mut other);
            other.take("join");
            other.end()?;
            how
        }
        other => return Err(format!("the join {other} is no text")),
    };
    if !words.take("join") {
        return Err(words.wrong("SELECT, or a JOIN OF TWO windows with aggregates ON columns AND WINDOW"));
    }
    // As SQL writes the last two kinds.
    let _ = how == How::Semi && words.take("( exists )") || how == How::Anti && words.take("( not exists )");
    words.need("of two")?;
    let windows = windows(words, table)?;
    let mut calls = Vec::new();
    loop {
        match call(words, table)? {
            Some(call) => drop(place_of(&mut calls, call)),
            None => return Err(words.wrong("an aggregate: COUNT, SUM, AVG, MIN or MAX of a column")),
        }
        if !words.take(",") && !words.take("and") {
            break;
        }
    }
    let _ = words.take("aggregates") || words.take("aggregate");
    words.need("on")?;
    let (mut keys, mut nulls, mut has_window) = (Vec::new(), Vec::new(), false);
    loop {
        if words.take("window") {
            has_window = true;
        } else {
            keys.push(table.need_column(words)?);
            nulls.push(is_not_distinct(words));
        }
        if !words.take(",") && !words.take("and") {
            break;
        }
    }
    if !has_window {
        return Err(words.wrong("AND WINDOW"));
    }
    let is_with = words.take("with");
    if is_not_distinct(words) {
        nulls.fill(true);
    } else if is_with {
        return Err(words.wrong("IS NOT DISTINCT FROM"));
    }
    let sets = vec![(0..keys.len()).collect()];
    Ok(Join { counted: Counted { windows, keys, sets, calls }, how, nulls })
}

fn is_not_distinct(words: &mut Words) -> bool {
    words.take("is not distinct from") || words.take("( is not distinct from )")
}

/// The kind of a join, which is inner if nothing is said.
fn how(words: &mut Words) -> How {
    let kinds = [
        ("inner", How::Inner),
        ("left semi", How::Semi),
        ("left anti", How::Anti),
        ("left", How::Left),
        ("right", How::Right),
        ("full", How::Full),
        ("semi", How::Semi),
        ("anti", How::Anti),
    ];
    let how = kinds.into_iter().find(|(name, _)| words.take(name)).map_or(How::Inner, |(_, how)| how);
    words.take("outer");
    how
}
