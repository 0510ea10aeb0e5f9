//! What the values of a pair must meet besides having one key: `left value <> 'L-5' AND right value >= 3`.
//!
//! Conditions are joined by `AND`, or by `OR`, which binds less. Each compares a side's value with the other side's, a number, or a text in quotes. As in SQL,
//! no comparison with null holds, and null keys meet no one.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::Case;
use super::text::Text;
use crate::error::Result;

/// Any of these, each of which is all of those.
#[derive(Clone)]
pub(super) struct Condition(Vec<Vec<Comparison>>);

#[derive(Clone)]
struct Comparison {
    one: Operand,
    operator: &'static str,
    other: Operand,
}

#[derive(Clone)]
enum Operand {
    Left,
    Right,
    Literal(Value),
}

const OPERATORS: [&str; 7] = ["=", "<>", "!=", "<", "<=", ">", ">="];

impl Condition {
    pub(super) fn of(case: &Case) -> Result<Condition> {
        let text = match case.setting("extra_condition") {
            Value::Null => return Ok(Condition(vec![Vec::new()])),
            Value::String(text) => text,
            other => return Err(case.wrong(format!("the condition {other} is no text"))),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let either = words
            .split(|word| word.eq_ignore_ascii_case("or"))
            .map(|words| words.split(|word| word.eq_ignore_ascii_case("and")).map(Comparison::of).collect());
        let parsed: Option<Vec<Vec<Comparison>>> = either.collect();
        parsed.map(Condition).ok_or_else(|| case.wrong(format!("the condition {text:?} is not understood")))
    }

    /// True if two rows of a key are a pair.
    pub(super) fn holds(&self, key: &Text, left: &Text, right: &Text) -> bool {
        let (left, right) = (left.value(), right.value());
        let meets = |all: &Vec<Comparison>| all.iter().all(|comparison| comparison.holds(&left, &right));
        !key.is_null() && self.0.iter().any(meets)
    }
}

impl Comparison {
    fn of(words: &[&str]) -> Option<Comparison> {
        let at = words.iter().position(|word| OPERATORS.contains(word))?;
        let operator = OPERATORS.into_iter().find(|operator| *operator == words[at])?;
        Some(Comparison { one: Operand::of(&words[..at])?, operator, other: Operand::of(&words[at + 1..])? })
    }

    fn holds(&self, left: &Value, right: &Value) -> bool {
        let (one, other) = (self.one.of_pair(left, right), self.other.of_pair(left, right));
        let order = match (one, other) {
            (Value::Number(one), Value::Number(other)) => one.as_f64().partial_cmp(&other.as_f64()),
            (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
            (Value::Null, _) | (_, Value::Null) => None,
            (one, other) => Some(one.to_string().cmp(&other.to_string())),
        };
        order.is_some_and(|order| match self.operator {
            "=" => order == Ordering::Equal,
            "<>" | "!=" => order != Ordering::Equal,
            "<" => order == Ordering::Less,
            "<=" => order != Ordering::Greater,
            ">" => order == Ordering::Greater,
            _ => order != Ordering::Less,
        })
    }
}

impl Operand {
    fn of(words: &[&str]) -> Option<Operand> {
        match *words {
            ["left", "value"] => Some(Operand::Left),
            ["right", "value"] => Some(Operand::Right),
            [] => None,
            _ => {
                let text = words.join(" ");
                let quoted = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
                match (quoted, text.parse::<i64>(), text.parse::<f64>()) {
                    (Some(text), ..) => Some(Operand::Literal(json!(text))),
                    (None, Ok(number), _) => Some(Operand::Literal(json!(number))),
                    (None, _, Ok(number)) => Some(Operand::Literal(json!(number))),
                    _ => None,
                }
            }
        }
    }

    fn of_pair<'a>(&'a self, left: &'a Value, right: &'a Value) -> &'a Value {
        match self {
            Operand::Left => left,
            Operand::Right => right,
            Operand::Literal(value) => value,
        }
    }
}
