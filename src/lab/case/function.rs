//! What a window makes of its values. The arithmetic is [exact](super::number).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::number::Number;

/// A window function.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Function {
    Sum,
    Count,
    Min,
    Max,
    Avg,
    First,
    Last,
    CountDistinct,
    Concat,
    List,
}

impl Function {
    /// True if it takes numbers alone.
    pub(super) fn is_of_numbers(self) -> bool {
        matches!(self, Function::Sum | Function::Min | Function::Max | Function::Avg)
    }

    /// Its result for the values of a window, in order.
    pub(super) fn of_values(self, values: Vec<Value>) -> Result<Value, String> {
        let order = |a: &Value, b: &Value| match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.order(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        let sum = || values.iter().filter_map(Number::of).fold(Number::ZERO, Number::plus);
        Ok(match self {
            Function::Sum => sum().value()?,
            Function::Count => json!(values.len()),
            // An evictor may leave nothing.
            Function::Avg if values.is_empty() => Value::Null,
            Function::Avg => sum().divided_by(values.len() as u64)?,
            Function::Min => values.into_iter().min_by(order).unwrap_or(Value::Null),
            Function::Max => values.into_iter().max_by(order).unwrap_or(Value::Null),
            Function::First => values.into_iter().next().unwrap_or(Value::Null),
            Function::Last => values.into_iter().next_back().unwrap_or(Value::Null),
            Function::CountDistinct => {
                json!(values.iter().map(Value::to_string).collect::<BTreeSet<String>>().len())
            }
            Function::Concat => {
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                json!(values.iter().map(text).collect::<String>())
            }
            Function::List => Value::Array(values),
        })
    }
}
