//! What a case makes of the values in a window. What is reckoned is [exact](super::number).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Case;
use super::number::Number;
use super::words::Told;
use crate::error::Result;

/// What is made of a window's values.
#[derive(Clone, Copy)]
pub(super) enum Function {
    Sum,
    Count,
    Min,
    Max,
    Average,
    First,
    Last,
    Distinct,
    Concat,
    List,
}

impl Function {
    pub(super) fn of(case: &Case) -> Result<Function> {
        match case.setting("function").as_str() {
            Some("sum" | "reduce") => Ok(Function::Sum),
            Some("count") => Ok(Function::Count),
            Some("min") => Ok(Function::Min),
            Some("max") => Ok(Function::Max),
            Some("avg" | "average") => Ok(Function::Average),
            Some("first") => Ok(Function::First),
            Some("last") => Ok(Function::Last),
            Some("count_distinct" | "distinct") => Ok(Function::Distinct),
            Some("concat") => Ok(Function::Concat),
            Some("list" | "collect" | "apply" | "process") => Ok(Function::List),
            _ => {
                let there = "sum, count, min, max, avg, first, last, count_distinct, concat and list";
                Err(case
                    .wrong(format!("there is no function {}: there are {there}", case.setting("function"))))
            }
        }
    }

    /// True if it is of numbers alone.
    pub(super) fn is_of_numbers(self) -> bool {
        matches!(self, Function::Sum | Function::Min | Function::Max | Function::Average)
    }

    /// What it makes of the values of a window, in order.
    pub(super) fn of_values(self, values: Vec<Value>) -> Told<Value> {
        let order = |a: &Value, b: &Value| match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.order(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        let sum = || values.iter().filter_map(Number::of).fold(Number::ZERO, Number::plus);
        Ok(match self {
            Function::Sum => sum().value()?,
            Function::Count => json!(values.len()),
            Function::Average if values.is_empty() => Value::Null,
            Function::Average => sum().divided_by(values.len() as u64, false)?,
            Function::Min => values.into_iter().min_by(order).unwrap_or(Value::Null),
            Function::Max => values.into_iter().max_by(order).unwrap_or(Value::Null),
            Function::First => values.into_iter().next().unwrap_or(Value::Null),
            Function::Last => values.into_iter().next_back().unwrap_or(Value::Null),
            Function::Distinct => {
                let texts: BTreeSet<String> = values.iter().map(Value::to_string).collect();
                json!(texts.len())
            }
            Function::Concat => {
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                json!(values.iter().map(text).collect::<String>())
            }
            Function::List => Value::Array(values),
        })
    }
}
