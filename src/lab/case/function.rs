//! What a case makes of the values in a window.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Case;
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

    pub(super) fn of_values(self, values: Vec<Value>) -> Value {
        let least = |a: &Value, b: &Value| number(a).total_cmp(&number(b));
        match self {
            Function::Sum => sum(&values),
            Function::Count => json!(values.len()),
            Function::Min => values.into_iter().min_by(least).unwrap_or(Value::Null),
            Function::Max => values.into_iter().max_by(least).unwrap_or(Value::Null),
            Function::Average => json!(values.iter().map(number).sum::<f64>() / values.len() as f64),
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
        }
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The sum, exact as long as all are integers.
fn sum(values: &[Value]) -> Value {
    let integers: Option<Vec<i64>> = values.iter().map(Value::as_i64).collect();
    match integers {
        Some(integers) => json!(integers.iter().fold(0_i64, |sum, n| sum.wrapping_add(*n))),
        None => json!(values.iter().map(number).sum::<f64>()),
    }
}
