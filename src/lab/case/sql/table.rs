//! What the rows of a query are: their columns, which of these is the time, and how far the watermark stays
//! behind it.

use serde_json::Value;

use super::super::condition::Condition;
use super::super::words::{Told, Words, unit};

/// What rows are if a case does not say: the rows of the window data in Flink's tests of tables.
const COLUMNS: [&str; 4] = ["name", "a_int", "comment", "ts seconds"];
const WATERMARK: &str = "ts - 1 s, after every row";

/// Types of numbers that are not whole, and other types, as columns may have them.
const FRACTIONS: [&str; 5] = ["double", "float", "real", "decimal", "numeric"];
const OTHERS: [&str; 10] =
    ["int", "integer", "bigint", "smallint", "tinyint", "string", "varchar", "char", "boolean", "text"];

/// What rows are.
#[derive(Clone, Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    /// The column with the time, and its unit in milliseconds.
    time: usize,
    pub(super) unit: i64,
    /// By how many milliseconds the watermark after a row stays behind the greatest time; nothing, if rows
    /// make none.
    pub(super) delay: Option<i64>,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    /// True if its numbers are not whole, whatever they look like.
    has_fractions: bool,
}

impl Table {
    /// Reads the settings `columns` and `watermark`.
    pub(super) fn of(columns: &Value, watermark: &Value) -> Told<Table> {
        let mut named: Vec<&str> = Vec::new();
        match columns {
            Value::Null => named.extend(COLUMNS),
            Value::Array(list) => {
                for column in list {
                    named.push(column.as_str().ok_or_else(|| format!("the column {column} is no text"))?);
                }
            }
            other => return Err(format!("columns must be a list of names, and are {other}")),
        }
        if named.is_empty() {
            return Err("there are no columns".to_owned());
        }
        let (mut read, mut time) = (Vec::new(), None);
        for text in named {
            let (column, unit) = column(text)?;
            if let (Some(_), Some(_)) = (unit, time) {
                return Err(format!("the column {text:?} is a second time"));
            }
            time = time.or(unit.map(|unit| (read.len(), unit)));
            read.push(column);
        }
        let (time, unit) = time.unwrap_or((read.len().saturating_sub(1), 1));
        let mut table = Table { columns: read, time, unit, delay: None };
        table.delay = match (watermark, columns) {
            (Value::String(text), _) => table.watermark(text)?,
            (Value::Null, Value::Null) => table.watermark(WATERMARK)?,
            (Value::Null, _) => None,
            (other, _) => return Err(format!("the watermark {other} is no text")),
        };
        Ok(table)
    }

    /// Reads `ts - 1 s, after every row`.
    fn watermark(&self, text: &str) -> Told<Option<i64>> {
        let mut words = Words::of(text)?;
        if words.take("none") {
            return words.end().map(|()| None);
        }
        match self.column(&mut words) {
            Some(place) if place == self.time => {}
            _ => return Err(words.wrong("the column with the time, or NONE")),
        }
        let delay = if words.take("-") { words.duration()? } else { 0 };
        if words.take(",") {
            words.need("after")?;
            if !words.take("every") && !words.take("each") {
                return Err(words.wrong("EVERY"));
            }
            words.need("row")?;
        }
        words.end().map(|()| Some(delay))
    }

    /// The place of the column that comes next, if one does.
    pub(super) fn column(&self, words: &mut Words) -> Option<usize> {
        self.columns.iter().position(|column| words.take(&column.name))
    }

    /// The place of a column that must come next.
    pub(super) fn need_column(&self, words: &mut Words) -> Told<usize> {
        let place = self.column(words);
        place.ok_or_else(|| words.wrong(&format!("a column, which are {}", self.names().join(", "))))
    }

    fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// How a column is called.
    pub(super) fn name_of(&self, place: usize) -> &str {
        &self.columns[place].name
    }

    pub(super) fn has_fractions(&self, place: usize) -> bool {
        self.columns[place].has_fractions
    }

    pub(super) fn is_time(&self, place: usize) -> bool {
        place == self.time
    }

    /// The time of a row in milliseconds.
    pub(super) fn time_of(&self, row: &[Value]) -> Told<i64> {
        if row.len() != self.columns.len() {
            let (values, columns) = (row.len(), self.columns.len());
            return Err(format!("a row has {values} values where there are {columns} columns"));
        }
        let time = row[self.time].as_i64().and_then(|time| time.checked_mul(self.unit));
        time.ok_or_else(|| format!("a row has the time {}, which is none", row[self.time]))
    }

    /// A moment as the column has it: whole if it can be.
    pub(super) fn shown(&self, millis: i64) -> Value {
        match millis % self.unit {
            0 => Value::from(millis / self.unit),
            _ => Value::from(millis as f64 / self.unit as f64),
        }
    }
}

/// A column, and its unit in milliseconds if it is the time: `ts seconds`.
fn column(text: &str) -> Told<(Column, Option<i64>)> {
    let mut words = Words::of(text)?;
    let name = words.name().ok_or_else(|| words.wrong("the name of a column"))?;
    let wanted = "a unit of time, a type such as INT, DOUBLE or STRING, or the end";
    let before = words.clone();
    let (has_fractions, millis) = match words.name().map(|kind| kind.to_lowercase()) {
        None => (false, None),
        Some(kind) if FRACTIONS.contains(&kind.as_str()) => (true, None),
        Some(kind) if OTHERS.contains(&kind.as_str()) => (false, None),
        Some(kind) => (false, Some(unit(&kind).ok_or_else(|| before.wrong(wanted))?)),
    };
    words.end()?;
    Ok((Column { name, has_fractions }, millis))
}

/// Which rows a side of a join has: `the same rows with name 'a' replaced by 'a1'`.
#[derive(Clone, Debug)]
pub(super) struct Side {
    filter: Condition,
    /// A column, a value, and what is put in its place.
    replaced: Vec<(usize, Value, Value)>,
}

impl Side {
    /// All rows, if nothing is said.
    pub(super) fn of(setting: &Value, table: &Table) -> Told<Side> {
        let mut side = Side { filter: Condition::always(), replaced: Vec::new() };
        let text = match setting {
            Value::Null => return Ok(side),
            Value::String(text) => text,
            other => return Err(format!("the side {other} is no text")),
        };
        let mut words = Words::of(text)?;
        for word in ["the", "same", "all", "wd", "input"] {
            words.take(word);
        }
        words.need("rows")?;
        if words.take("with") {
            loop {
                let column = table.need_column(&mut words)?;
                let literal = |words: &mut Words| {
                    words.literal().ok_or_else(|| words.wrong("a number or a text in single quotes"))
                };
                let old = literal(&mut words)?;
                words.need("replaced by")?;
                side.replaced.push((column, old, literal(&mut words)?));
                if !words.take("and") && !words.take(",") {
                    break;
                }
            }
        }
        if words.take("where") {
            side.filter = Condition::read(&mut words, &mut |words: &mut Words| table.column(words))?;
        }
        words.end().map(|()| side)
    }

    /// The row as this side has it, if it does.
    pub(super) fn row(&self, mut row: Vec<Value>) -> Option<Vec<Value>> {
        if !self.filter.holds(&row) {
            return None;
        }
        for (place, old, new) in &self.replaced {
            if row[*place] == *old {
                row[*place] = new.clone();
            }
        }
        Some(row)
    }
}
