//! What a window makes of the rows of a group: counts, sums, least and greatest values.
//!
//! As in SQL, null counts for `COUNT(*)` alone, and what has no values but nulls is null. Sums are exact: of integers, and of decimal fractions
//! as they are written. The average of whole numbers is a whole number, rounded toward zero, as Flink has it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::condition::{Condition, order};
use super::super::text::Text;

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
    Sum(Sum, u64),
    Extreme(Option<Text>),
    /// The values that differ. What is made of them is made at the end.
    Distinct(BTreeSet<Text>),
}

/// A sum: an integer with so many digits behind the point, or, if that is not enough, a floating number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Sum {
    Exact(i128, u32),
    Floating(f64),
}

impl Call {
    /// Of no rows.
    pub(super) fn start(&self) -> Cell {
        match self.function {
            _ if self.distinct => Cell::Distinct(BTreeSet::new()),
            Function::Count => Cell::Count(0),
            Function::Sum | Function::Average => Cell::Sum(Sum::Exact(0, 0), 0),
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
                *sum = sum.plus(Sum::of(value));
                *count += 1;
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

    pub(super) fn result(&self, cell: &Cell) -> Value {
        match cell {
            Cell::Count(count) => json!(count),
            Cell::Sum(_, 0) | Cell::Extreme(None) => Value::Null,
            Cell::Sum(sum, count) if self.function == Function::Average => {
                sum.divided_by(*count, self.has_fractions)
            }
            Cell::Sum(sum, _) => sum.value(),
            Cell::Extreme(Some(value)) => value.value(),
            Cell::Distinct(values) => {
                let plain = Call { distinct: false, ..self.clone() };
                let mut cell = plain.start();
                values.iter().for_each(|value| plain.add_value(&mut cell, &value.value()));
                plain.result(&cell)
            }
        }
    }
}

impl Sum {
    fn of(value: &Value) -> Sum {
        let text = value.to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let scale = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        match format!("{whole}{fraction}").parse::<i128>() {
            Ok(number) => Sum::Exact(number, scale),
            Err(_) => Sum::Floating(value.as_f64().unwrap_or(f64::NAN)),
        }
    }

    fn plus(self, other: Sum) -> Sum {
        let exact = match (self, other) {
            (Sum::Exact(a, of_a), Sum::Exact(b, of_b)) => {
                let scale = of_a.max(of_b);
                let scaled = |n: i128, of: u32| n.checked_mul(10i128.checked_pow(scale - of)?);
                let sum = scaled(a, of_a).zip(scaled(b, of_b)).and_then(|(a, b)| a.checked_add(b));
                sum.map(|sum| Sum::Exact(sum, scale))
            }
            _ => None,
        };
        exact.unwrap_or_else(|| Sum::Floating(self.floating() + other.floating()))
    }

    /// The nearest floating number, as if it were read from its digits.
    fn floating(self) -> f64 {
        match self {
            Sum::Exact(number, scale) => format!("{number}e-{scale}").parse().unwrap_or(f64::NAN),
            Sum::Floating(number) => number,
        }
    }

    fn value(self) -> Value {
        match self {
            Sum::Exact(number, 0) => {
                i64::try_from(number).map_or_else(|_| json!(self.floating()), |n| json!(n))
            }
            _ => json!(self.floating()),
        }
    }

    fn divided_by(self, count: u64, has_fractions: bool) -> Value {
        match self {
            Sum::Exact(number, 0) if !has_fractions => Sum::Exact(number / i128::from(count), 0).value(),
            _ => json!(self.floating() / count as f64),
        }
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
        call.result(&cell)
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
