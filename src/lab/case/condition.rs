//! Conditions of joins on the values of two records: comparisons that must all hold.

use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::Value;

use super::data::Text;
use super::number::Number;

/// A comparison: `["left", "<", "right"]`, `["left", "!=", {"literal": 7}]`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Comparison(Operand, Operator, Operand);

/// What is compared: the value of a side, or always the same value.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operand {
    Left,
    Right,
    Literal(Value),
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Operator {
    #[serde(rename = "=")]
    Equal,
    #[serde(rename = "!=")]
    NotEqual,
    #[serde(rename = "<")]
    Less,
    #[serde(rename = "<=")]
    LessOrEqual,
    #[serde(rename = ">")]
    Greater,
    #[serde(rename = ">=")]
    GreaterOrEqual,
}

impl Comparison {
    /// True if all of them hold of two values, as in SQL: no comparison with null holds.
    pub(super) fn all_hold(comparisons: &[Comparison], left: &Text, right: &Text) -> bool {
        let (left, right) = (left.value(), right.value());
        comparisons.iter().all(|Comparison(one, operator, other)| {
            let order = order(one.of(&left, &right), other.of(&left, &right));
            order.is_some_and(|order| operator.accepts(order))
        })
    }
}

impl Operand {
    fn of<'a>(&'a self, left: &'a Value, right: &'a Value) -> &'a Value {
        match self {
            Operand::Left => left,
            Operand::Right => right,
            Operand::Literal(value) => value,
        }
    }
}

impl Operator {
    fn accepts(self, order: Ordering) -> bool {
        match self {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// How two values compare: numbers by what they are worth, and nothing with null.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Number(_), Value::Number(_)) => Some(Number::of(one)?.order(Number::of(other)?)),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (one, other) => Some(one.to_string().cmp(&other.to_string())),
    }
}
