//! What happened in a run, step by step, and whether it is what was expected.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::number::Number;
use crate::time::EventTime;

/// What an operator gives, as cases write it: `{"out": ["k", 3, 0, 10]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// A result.
    Out(Value),
    /// A record that was too late, in the side output.
    Late(Value),
    /// The row of an outer join for a record without a partner.
    Padded(Value),
    /// A partial match that timed out: its events, its limit, and the first time among those of events and
    /// watermarks that had reached the limit.
    TimedOut(Value, EventTime, EventTime),
    /// A watermark.
    Watermark(EventTime),
    /// All channels are idle.
    Idle,
    /// A channel is active again, after all were idle.
    Active,
}

/// What happened in a run, in order.
#[derive(Clone, Debug, Default)]
pub struct Timeline(Vec<Event>);

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A record came in.
    Input(Value),
    /// A watermark came in: nothing at or before it will come any more.
    Watermark(EventTime),
    /// The wall clock was moved.
    ProcessingTime(i64),
    /// The operator was stopped after a snapshot, and restored from it.
    Restored,
    /// Something came out.
    Output(Output),
}

/// What a run says about its case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The case does not say what is expected.
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

impl Timeline {
    /// Adds what happened.
    pub(super) fn push(&mut self, event: Event) {
        self.0.push(event);
    }

    /// What happened, in order.
    pub fn events(&self) -> &[Event] {
        &self.0
    }

    /// Compares what came out with what a case expects.
    ///
    /// Watermarks that came in are compared if the case expects any watermark. Watermarks, `idle` and
    /// `active` divide both lists; the order between two of them is free.
    pub(super) fn judge(&self, expected: Option<&[Output]>) -> Verdict {
        let Some(expected) = expected else { return Verdict::NothingExpected };
        let are_told = expected.iter().any(|output| matches!(output, Output::Watermark(_)));
        let found = self.0.iter().filter_map(|event| match event {
            Event::Output(output) => Some(output.clone()),
            Event::Watermark(time) if are_told => Some(Output::Watermark(*time)),
            _ => None,
        });
        let (found, expected) = (divided(found), divided(expected.iter().cloned()));
        let (mut missing, mut unexpected) = (Vec::new(), Vec::new());
        for stretch in 0..found.len().max(expected.len()) {
            let of = |list: &[Vec<Value>]| list.get(stretch).cloned().unwrap_or_default();
            let mut rest = of(&found);
            for value in of(&expected) {
                match rest.iter().position(|other| equal(other, &value)) {
                    Some(place) => drop(rest.remove(place)),
                    None => missing.push(value.to_string()),
                }
            }
            unexpected.extend(rest.iter().map(Value::to_string));
        }
        match missing.is_empty() && unexpected.is_empty() {
            true => Verdict::AsExpected,
            false => Verdict::Different { missing, unexpected },
        }
    }
}

/// Cuts a list after each output that divides it, and writes all of them as cases do.
fn divided(outputs: impl Iterator<Item = Output>) -> Vec<Vec<Value>> {
    let mut stretches = vec![Vec::new()];
    for output in outputs {
        let divides = matches!(output, Output::Watermark(_) | Output::Idle | Output::Active);
        let value = serde_json::to_value(output).unwrap_or_default();
        stretches.last_mut().into_iter().for_each(|stretch| stretch.push(value.clone()));
        if divides {
            stretches.push(Vec::new());
        }
    }
    stretches
}

/// Equal but for how numbers are written: 1 is 1.0, and nothing else is.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
        }
        (Value::Number(_), Value::Number(_)) => {
            Number::of(a).zip(Number::of(b)).is_some_and(|(a, b)| a.order(b).is_eq())
        }
        _ => a == b,
    }
}

/// One line for each thing that happened: what comes in on the left, what comes out on the right, as cases
/// write it.
impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.0 {
            match event {
                Event::Input(row) => writeln!(f, "  record {row}")?,
                Event::Watermark(time) => writeln!(f, "  watermark {time}")?,
                Event::ProcessingTime(time) => writeln!(f, "  processing time {time}")?,
                Event::Restored => writeln!(f, "  (restored from a checkpoint)")?,
                Event::Output(output) => {
                    let output = serde_json::to_string(output).map_err(|_| fmt::Error)?;
                    writeln!(f, "{:>36}  {output}", "->")?;
                }
            }
        }
        Ok(())
    }
}
