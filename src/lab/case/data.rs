//! Keys, values and records of cases as data of streams.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::number::Number;
use crate::time::EventTime;

/// A JSON value as its text, which has an order and a hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn of(value: &Value) -> Text {
        Text(value.to_string())
    }

    pub(super) fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }

    pub(super) fn is_null(&self) -> bool {
        self.0 == "null"
    }
}

/// A record of a window without its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) value: Text,
    /// When it happened, if that is known.
    pub(super) time: Option<EventTime>,
}

impl Row {
    /// The gap of its session, if its value is to be that.
    pub(super) fn gap(&self) -> Option<u64> {
        self.value.value().as_u64().filter(|gap| *gap > 0)
    }

    /// How far the numbers of two records are apart.
    pub(super) fn apart(a: &Row, b: &Row) -> f64 {
        let number = |row: &Row| Number::of(&row.value.value());
        number(b).zip(number(a)).map_or(f64::NAN, |(b, a)| b.minus(a).floating())
    }
}
