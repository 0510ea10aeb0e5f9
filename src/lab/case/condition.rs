//! What must hold of some values: `left value <> 'L-5' AND right value >= 3`.
//!
//! Conditions are joined by `AND`, or by `OR`, which binds less. Each compares a value with another, a
//! number, or a text in quotes, or says that it `IS NULL` or `IS NOT NULL`. As in SQL, no comparison with
//! null holds.

use std::cmp::Ordering;

use serde_json::Value;

use super::Case;
use super::number::Number;
use super::text::Text;
use super::words::{Told, Words};
use crate::error::Result;

/// Any of these, each of which is all of those.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition(Vec<Vec<Comparison>>);

#[derive(Clone, Debug, PartialEq)]
enum Comparison {
    Compares(Operand, &'static str, Operand),
    /// Whether it is null.
    IsNull(Operand, bool),
}

/// A value by its place, or one that is always the same.
#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Field(usize),
    Literal(Value),
}

const OPERATORS: [&str; 7] = ["=", "<>", "!=", "<", "<=", ">", ">="];

/// Reads what may stand for a value, and gives its place.
pub(super) type Field<'a> = &'a mut dyn FnMut(&mut Words) -> Option<usize>;

impl Condition {
    /// What holds of everything.
    pub(super) fn always() -> Condition {
        Condition(vec![Vec::new()])
    }

    /// The condition of a join, on the values of its two sides.
    pub(super) fn of_pairs(case: &Case) -> Result<Condition> {
        let text = match case.setting("extra_condition") {
            Value::Null => return Ok(Condition::always()),
            Value::String(text) => text,
            other => return Err(case.wrong(format!("the condition {other} is no text"))),
        };
        let side = |words: &mut Words| {
            let sides = [("left", 0), ("left.value", 0), ("right", 1), ("right.value", 1)];
            let place = sides.into_iter().find(|(name, _)| words.take(name))?.1;
            words.take("value");
            Some(place)
        };
        let condition = Words::of(text).and_then(|mut words| {
            let condition = Condition::read(&mut words, &mut { side })?;
            words.end().map(|()| condition)
        });
        condition.map_err(|told| case.wrong(told))
    }

    /// Reads a condition on values that `field` knows.
    pub(super) fn read(words: &mut Words, field: Field<'_>) -> Told<Condition> {
        let mut any = Vec::new();
        loop {
            let mut all = vec![Comparison::read(words, field)?];
            while words.take("and") {
                all.push(Comparison::read(words, field)?);
            }
            any.push(all);
            if !words.take("or") {
                return Ok(Condition(any));
            }
        }
    }

    /// True if it holds of these values.
    pub(super) fn holds(&self, values: &[Value]) -> bool {
        self.0.iter().any(|all| all.iter().all(|comparison| comparison.holds(values)))
    }

    /// True if two rows of a key are a pair. Null keys meet no one.
    pub(super) fn joins(&self, key: &Text, left: &Text, right: &Text) -> bool {
        !key.is_null() && self.holds(&[left.value(), right.value()])
    }
}

impl Comparison {
    fn read(words: &mut Words, field: Field<'_>) -> Told<Comparison> {
        let one = Operand::read(words, field)?;
        if words.take("is") {
            let is_null = !words.take("not");
            words.need("null")?;
            return Ok(Comparison::IsNull(one, is_null));
        }
        let Some(operator) = OPERATORS.into_iter().find(|operator| words.take(operator)) else {
            return Err(words.wrong("a comparison: =, <>, <, <=, >, >=, IS NULL or IS NOT NULL"));
        };
        Ok(Comparison::Compares(one, operator, Operand::read(words, field)?))
    }

    fn holds(&self, values: &[Value]) -> bool {
        match self {
            Comparison::IsNull(one, is_null) => one.of(values).is_null() == *is_null,
            Comparison::Compares(one, operator, other) => order(one.of(values), other.of(values))
                .is_some_and(|order| match *operator {
                    "=" => order == Ordering::Equal,
                    "<>" | "!=" => order != Ordering::Equal,
                    "<" => order == Ordering::Less,
                    "<=" => order != Ordering::Greater,
                    ">" => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                }),
        }
    }
}

/// How two values compare: numbers by what they are worth, and nothing with null.
pub(super) fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Number(_), Value::Number(_)) => Some(Number::of(one)?.order(Number::of(other)?)),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (one, other) => Some(one.to_string().cmp(&other.to_string())),
    }
}

impl Operand {
    fn read(words: &mut Words, field: Field<'_>) -> Told<Operand> {
        if let Some(place) = field(words) {
            return Ok(Operand::Field(place));
        }
        let literal = words.literal().map(Operand::Literal);
        literal.ok_or_else(|| words.wrong("a value that there is, a number, or a text in single quotes"))
    }

    fn of<'a>(&'a self, values: &'a [Value]) -> &'a Value {
        match self {
            Operand::Field(place) => values.get(*place).unwrap_or(&Value::Null),
            Operand::Literal(value) => value,
        }
    }
}
