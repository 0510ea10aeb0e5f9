//! Event-time cases: an operator, its configuration, what comes in, and what must come out.
//!
//! A case is a few lines of JSON, so that what an engine does with event time can be written down, tried and
//! talked about without a program. The laboratory runs the operator that the case names, one step at a time,
//! and keeps a [`Timeline`] of what came in and what came out at each step. If the case says what is
//! expected, it says whether that is what came.
//!
//! ```
//! use highwater::lab::case::{Case, Verdict};
//!
//! let case: Case = serde_json::from_str(r#"{
//!     "id": "tumble", "operator": "window",
//!     "config": {"assigner": {"type": "tumble", "size": 10}, "function": "sum"},
//!     "input": [["k", 1, 3], ["k", 2, 9], {"watermark": 9}, ["k", 5, 4], {"watermark": 30}],
//!     "expected": [{"out": ["k", 3, 0, 10]}, {"watermark": 9}, {"late": ["k", 5, 4]}, {"watermark": 30}]
//! }"#)?;
//! let run = case.run()?;
//! assert_eq!(run.verdict, Verdict::AsExpected);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The format
//!
//! A file is a list of cases, or an object with a list called `cases`. Times are milliseconds. A case's
//! watermark `t` says, as Flink's does, that nothing at or before `t` comes any more; in the engine that is
//! the watermark `t + 1`.
//!
//! | operator | configuration | input | expected |
//! |---|---|---|---|
//! | `window` | `assigner`: `tumble`, `hop`, `cumulate`, `session`, `count`, `global`; `trigger`; `evictor`; `allowed_lateness`; `late`: `side` or `drop`; `function` | `[key, value, time]` | `expected`: `out`, `late`, `watermark` in their order |
//! | `interval_join` | `lower`, `upper`, each with `_inclusive`; `join`; `extra_condition` | `["L" or "R", key, value, time]` | `expected_unordered`, `expected_padded` |
//! | `window_join` | `assigner`; `allowed_lateness`; `join`, which may also be `semi` or `anti`; `extra_condition` | the same | the same |
//! | `co_group` | `assigner`; `allowed_lateness` | the same | `expected_unordered`: `[key, [left ...], [right ...]]` |
//! | `temporal_join` | `join` | `rates`, `orders` | `expected_unordered` |
//! | `cep` | `pattern`, `within`, `after_match` | `[id, type, time]` | `expected_unordered`, `expected_timeouts` |
//! | `bounded_out_of_orderness` | `bound` | a time, or `"emit"` | `expected` |
//! | `watermark_merge` | `channels` | `{"channel", "watermark"}`, `{"channel", "idle"}`, `{"channel", "active"}` | `expected` |
//! | `sql` | `sql`, `columns`, `watermark`, `left`, `right` | a row as a list | `expected_unordered`, `expected_padded` |
//!
//! * Sizes and offsets are those of the assigner; an `offset` may be negative, and with
//!   `"time": "processing"` windows follow the wall clock. The `gap` of sessions is a number, `"value"`, or a
//!   map from keys, and then perhaps values, to numbers, with a `default`. Sessions that touch are one, as in
//!   Flink.
//! * Triggers are `event_time`, `processing_time`, `count`, `continuous_event_time`,
//!   `continuous_processing_time`, `delta`, `end_of_stream` and `never`, each by its name or as an object
//!   with a `type`; with `"purging": true` they drop what has fired. Evictors are `count`, `time` and
//!   `delta`, which may come `after` the function.
//! * A window of the wall clock fires when its last millisecond has come; in the engine, when that is over.
//! * What a join finds only when its input ends counts if the case tells no watermark, or the last of all.
//! * A partial match times out at its limit. A case may also expect it with the time of the event by which
//!   that was noticed.
//!
//! Names may also be those of Flink's classes and methods, such as `TumblingEventTimeWindows`,
//! `allowedLateness` or `followedByAny`, or of SQL, such as `LEFT OUTER`.
//!
//! Between two watermarks the order of outputs is free. Between the steps of windows, patterns, queries and
//! joins, but for temporal ones, there may be `{"checkpoint_restore": true}`: it takes a snapshot, lets go of
//! everything and goes on from the snapshot, which must change nothing.
//!
//! # What is refused
//!
//! A case that is not understood, or of which a part would change nothing: a name that there is not, a value
//! that is none, a setting without effect on the operator as it is configured, a step or a record with more
//! than it should have, a session whose gap would be empty. The error names it. What is for readers goes into
//! the case's `note`, `source` and `confidence`, or a `note` in the configuration. Joins may have the query
//! that they are taken from in `sql`, if it says no more than the settings do: a `WHERE` there is refused.
//!
//! # Numbers
//!
//! They are exact: integers, also beyond 2^53, and decimal fractions as they are written. `sum`, `min`, `max`
//! and the comparison with what is expected round nothing. `avg` is an integer if it is one, and otherwise
//! the floating number that is nearest to the exact quotient, which is also how an expected number with a
//! point is read. A result that is an integer below -2^63 or from 2^64 on is an error, since no case could
//! say it. Numbers that need more than 38 digits, such as `1e300`, are floating numbers.

mod channels;
mod condition;
mod dialect;
mod function;
mod joins;
mod json;
mod known;
mod number;
mod pattern;
mod readers;
mod sql;
mod steps;
mod text;
mod timeline;
mod trigger;
mod window;
mod words;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

pub use timeline::{Event, Timeline};

/// A case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is called.
    pub id: String,
    /// What it is about.
    #[serde(default)]
    pub category: String,
    /// The operator.
    pub operator: String,
    /// How it is configured.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// What comes in.
    pub input: Value,
    /// What must come out, in order.
    pub expected: Option<Vec<Value>>,
    /// The rows that must come out.
    pub expected_unordered: Option<Vec<Value>>,
    /// The rows that must come out for records without a partner.
    pub expected_padded: Option<Vec<Value>>,
    /// The partial matches that must time out: their events, and when.
    pub expected_timeouts: Option<Vec<Value>>,
    /// Why.
    #[serde(default)]
    pub note: String,
    /// Where it is from, for readers.
    #[serde(default)]
    pub source: String,
    /// How sure it is, for readers.
    #[serde(default)]
    pub confidence: String,
}

/// A case that was run.
#[derive(Clone, Debug)]
pub struct Run {
    /// What happened.
    pub timeline: Timeline,
    /// Whether it should have.
    pub verdict: Verdict,
}

/// What a run says about its case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The case says nothing of what is expected.
    NothingExpected,
    /// What came is what is expected.
    AsExpected,
    /// Something else came.
    Different {
        /// What was expected and did not come.
        missing: Vec<String>,
        /// What came and was not expected.
        unexpected: Vec<String>,
    },
}

impl Case {
    /// Reads the cases in a text.
    ///
    /// # Errors
    ///
    /// If it is not JSON, or not cases.
    pub fn parse(text: &str) -> Result<Vec<Case>> {
        let told = |error: serde_json::Error| Error::data(format!("these are no cases: {error}"));
        let cases = match serde_json::from_str::<json::Distinct>(text).map_err(told)?.0 {
            Value::Object(mut object) => match object.remove("cases") {
                Some(cases) => cases,
                None => Value::Array(vec![Value::Object(object)]),
            },
            other => other,
        };
        let Value::Array(cases) = cases else {
            return Err(Error::data("these are no cases: they are not a list"));
        };
        let read = |case: Value| {
            let id = case.get("id").map(Value::to_string);
            serde_json::from_value(case).map_err(|error| match id {
                Some(id) => Error::data(format!("this is no case: {id}: {error}")),
                None => told(error),
            })
        };
        cases.into_iter().map(read).collect()
    }

    /// Runs the case.
    ///
    /// # Errors
    ///
    /// If its operator is unknown, or its configuration or input makes no sense.
    pub fn run(&self) -> Result<Run> {
        let wrong = |told: String| self.wrong(told);
        let case = dialect::plain(self).map_err(wrong)?;
        known::check(&case).and_then(|()| steps::check(&case)).map_err(wrong)?;
        let timeline = case.happens()?;
        let verdict = timeline.judge(&case);
        Ok(Run { timeline, verdict })
    }

    fn happens(&self) -> Result<Timeline> {
        match self.operator.as_str() {
            "window" => window::run(self),
            "interval_join" => joins::interval(self),
            "window_join" => joins::window(self),
            "co_group" => joins::co_group(self),
            "temporal_join" => joins::temporal(self),
            "cep" => pattern::run(self),
            "bounded_out_of_orderness" | "ascending_timestamps" => channels::generate(self),
            "watermark_merge" => channels::merge(self),
            "sql" => sql::run(self),
            other => Err(self.wrong(format!("there is no operator {other:?} to run it with"))),
        }
    }

    /// An error that names the case.
    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::data(format!("case {}: {what}", self.id))
    }

    /// A part of the configuration.
    fn setting(&self, name: &str) -> &Value {
        self.config.get(name).unwrap_or(&Value::Null)
    }

    /// A number in the configuration.
    fn number(&self, name: &str) -> Result<i64> {
        let number = self.setting(name).as_i64();
        number.ok_or_else(|| self.wrong(format!("{name:?} must be a number, and is {}", self.setting(name))))
    }

    /// A length of time in the configuration, if there is one.
    fn length(&self, name: &str) -> Result<Option<u64>> {
        let setting = self.setting(name);
        match setting.as_u64() {
            None if !setting.is_null() => {
                Err(self
                    .wrong(format!("{name:?} must be a length of time in milliseconds, and is {setting}")))
            }
            length => Ok(length),
        }
    }

    /// The steps of the input.
    fn steps(&self) -> Result<&Vec<Value>> {
        self.input.as_array().ok_or_else(|| self.wrong("its input is not a list"))
    }
}

/// What kind of thing a setting is: a name by itself, or an object with a `type`.
fn kind_of(setting: &Value) -> Option<&str> {
    setting.as_str().or_else(|| setting.get("type")?.as_str())
}
