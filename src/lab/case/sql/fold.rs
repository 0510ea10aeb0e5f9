//! What a window makes of the rows of a group: counts, sums, least and greatest values.
//!
//! As in SQL, null counts for `COUNT(*)` alone, and what has no values but nulls is null. All numbers are
//! [exact](super::super::number). The average of whole numbers is a whole number, rounded toward zero, as
//! Flink has it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::condition::{Condition, order};
use super::super::number::Number;
use super::super::text::Text;
use super::super::words::Told;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    Count,
    Sum,
    Average,
    Min,
    Max,
}

/// An aggregate as a query calls it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) function: Function,
    /// The column; nothing for `COUNT(*)`.
    pub(super) column: Option<usize>,
    pub(super) distinct: bool,
    /// True if the column's numbers are not whole, whatever they look like.
    pub(super) has_fractions: bool,
    /// Which rows it is of.
    pub(super) filter: Condition,
}

/// How far an aggregate has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Cell {
    Count(u64),
    Sum(Number, u64),
    Extreme(Option<Text>),
    /// The values that differ. What is made of them is made at the end.
    Distinct(BTreeSet<Text>),
}

impl Call {
    /// Of no rows.
    pub(super) fn start(&self) -> Cell {
        match self.function {
            _ if self.distinct => Cell::Distinct(BTreeSet::new()),
            Function::Count => Cell::Count(0),
            Function::Sum | Function::Average => Cell::Sum(Number::ZERO, 0),
            Function::Min | Function::Max => Cell::Extreme(None),
        }
    }

    /// Adds a row.
    pub(super) fn add(&self, cell: &mut Cell, row: &[Value]) {
        if !self.filter.holds(row) {
            return;
        }
        match self.column.map(|place| &row[place]) {
            None => self.add_value(cell, &Value::Bool(true)),
            Some(Value::Null) => {}
            Some(value) => self.add_value(cell, value),
        }
    }

    fn add_value(&self, cell: &mut Cell, value: &Value) {
        match cell {
            Cell::Count(count) => *count += 1,
            Cell::Sum(sum, count) => {
                if let Some(number) = Number::of(value) {
                    *sum = sum.plus(number);
                    *count += 1;
                }
            }
            Cell::Extreme(extreme) => {
                let wanted = if self.function == Function::Min { Ordering::Less } else { Ordering::Greater };
                if extreme.as_ref().is_none_or(|old| order(value, &old.value()) == Some(wanted)) {
                    *extreme = Some(Text::of(value));
                }
            }
            Cell::Distinct(values) => drop(values.insert(Text::of(value))),
        }
    }

    /// Adds what another has come to.
    pub(super) fn merge(&self, cell: &mut Cell, other: Cell) {
        match (cell, other) {
            (Cell::Count(count), Cell::Count(other)) => *count += other,
            (Cell::Sum(sum, count), Cell::Sum(other, others)) => {
                *sum = sum.plus(other);
                *count += others;
            }
            (Cell::Distinct(values), Cell::Distinct(others)) => values.extend(others),
            (cell, Cell::Extreme(Some(other))) => self.add_value(cell, &other.value()),
            _ => {}
        }
    }

    /// What it has come to. An error if that is beyond what a case can hold.
    pub(super) fn result(&self, cell: &Cell) -> Told<Value> {
        Ok(match cell {
            Cell::Count(count) => json!(count),
            Cell::Sum(_, 0) | Cell::Extreme(None) => Value::Null,
            Cell::Sum(sum, count) if self.function == Function::Average => {
                sum.divided_by(*count, !self.has_fractions)?
            }
            Cell::Sum(sum, _) => sum.value()?,
            Cell::Extreme(Some(value)) => value.value(),
            Cell::Distinct(values) => {
                let plain = Call { distinct: false, ..self.clone() };
                let mut cell = plain.start();
                values.iter().for_each(|value| plain.add_value(&mut cell, &value.value()));
                plain.result(&cell)?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(function: Function, values: &[Value]) -> Value {
        let call = Call {
            function,
            column: Some(0),
            distinct: false,
            has_fractions: false,
            filter: Condition::always(),
        };
        // In two halves, which are merged.
        let half = |values: &[Value]| {
            let mut cell = call.start();
            values.iter().for_each(|value| call.add(&mut cell, std::slice::from_ref(value)));
            cell
        };
        let (one, other) = values.split_at(values.len() / 2);
        let mut cell = half(one);
        call.merge(&mut cell, half(other));
        call.result(&cell).unwrap()
    }

    #[test]
    fn sums_are_exact_and_averages_of_whole_numbers_whole() {
        let decimals = [json!(0.1), json!(0.2), Value::Null, json!(-1), json!(1.11)];
        assert_eq!(made(Function::Sum, &decimals), json!(0.41));
        assert_eq!(made(Function::Sum, &[json!(i64::MAX), json!(1), json!(-1)]), json!(i64::MAX));
        assert_eq!(made(Function::Sum, &[json!(1e300), json!(1e300)]), json!(2e300));
        assert_eq!(made(Function::Average, &[json!(-3), json!(-4)]), json!(-3));
        assert_eq!(made(Function::Average, &[json!(1.5), json!(2)]), json!(1.75));
        for function in [Function::Sum, Function::Average, Function::Min, Function::Max] {
            assert_eq!(made(function, &[Value::Null, Value::Null]), Value::Null);
        }
        assert_eq!(made(Function::Count, &[Value::Null, json!("x")]), json!(1));
        assert_eq!(made(Function::Min, &[json!(10), json!(9.5), json!(9.75)]), json!(9.5));
        assert_eq!(made(Function::Max, &[json!("b"), json!("a"), json!("c"), Value::Null]), json!("c"));
    }
}
