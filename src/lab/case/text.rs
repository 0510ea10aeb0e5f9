//! JSON as keys and values of streams.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A JSON value as its text, which has an order and a hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn of(value: &Value) -> Text {
        Text(value.to_string())
    }

    pub(super) fn value(&self) -> Value {
        let value = serde_json::from_str(&self.0).unwrap_or(Value::Null);
        // What reads JSON may miss the nearest number by one.
        match value.is_f64() {
            true => self.0.parse::<f64>().map_or(value, Value::from),
            false => value,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.0 == "null"
    }
}
