//! What happened in a run, step by step, and whether it should have.

use std::fmt;

use serde_json::Value;

use super::number::Number;
use super::{Case, Verdict};

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub struct Timeline(Vec<Event>);

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A record came in.
    Input(Value),
    /// Nothing at or before a time will come any more.
    Watermark(i64),
    /// The wall clock was moved.
    ProcessingTime(i64),
    /// A result came out.
    Out(Value),
    /// A record was too late.
    Late(Value),
    /// Something else that can be expected came out.
    Told(Value),
    /// A row came out for a record without a partner.
    Padded(Value),
    /// A partial match timed out: its events, its limit, and when that was noticed.
    TimedOut(Value, i64, i64),
    /// Something that a reader should know.
    Remark(String),
}

impl Event {
    /// All was let go of, and a snapshot taken up.
    pub(super) fn went_on() -> Event {
        Event::Remark("went on from a snapshot".to_owned())
    }
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

    /// Compares with what a case expects.
    pub(super) fn judge(&self, case: &Case) -> Verdict {
        let mut difference = Difference::default();
        if let Some(expected) = &case.expected {
            // That channels are active again need not be told.
            let is_active = |value: &Value| value.get("active").is_some();
            let mut found = self.as_expected();
            found.retain(|value| !is_active(value) || expected.iter().any(is_active));
            difference.in_order(&found, expected);
        }
        if let Some(expected) = &case.expected_unordered {
            difference.in_any_order(
                &self.of(|event| match event {
                    Event::Out(row) => Some(row.clone()),
                    _ => None,
                }),
                expected,
            );
        }
        if let Some(expected) = &case.expected_padded {
            difference.in_any_order(
                &self.of(|event| match event {
                    Event::Padded(row) => Some(row.clone()),
                    _ => None,
                }),
                expected,
            );
        }
        if let Some(expected) = &case.expected_timeouts {
            difference.in_any_order(&self.timeouts(expected), expected);
        }
        match difference {
            Difference { compared: false, .. } => Verdict::NothingExpected,
            Difference { missing, unexpected, .. } if missing.is_empty() && unexpected.is_empty() => {
                Verdict::AsExpected
            }
            Difference { missing, unexpected, .. } => Verdict::Different { missing, unexpected },
        }
    }

    fn of(&self, pick: impl Fn(&Event) -> Option<Value>) -> Vec<Value> {
        self.0.iter().filter_map(pick).collect()
    }

    /// What has timed out, each with its limit; where a case expects it with the time at which that was
    /// noticed, as Flink once had it, with that.
    fn timeouts(&self, expected: &[Value]) -> Vec<Value> {
        self.of(|event| match event {
            Event::TimedOut(names, limit, noticed) => {
                let (early, late) = (serde_json::json!([names, limit]), serde_json::json!([names, noticed]));
                Some(if expected.contains(&late) { late } else { early })
            }
            _ => None,
        })
    }

    /// What can be expected, as a case writes it.
    fn as_expected(&self) -> Vec<Value> {
        self.of(|event| match event {
            Event::Out(row) => Some(serde_json::json!({ "out": row })),
            Event::Late(row) => Some(serde_json::json!({ "late": row })),
            Event::Watermark(time) => Some(serde_json::json!({ "watermark": time })),
            Event::Told(told) => Some(told.clone()),
            _ => None,
        })
    }
}

#[derive(Default)]
struct Difference {
    compared: bool,
    missing: Vec<String>,
    unexpected: Vec<String>,
}

impl Difference {
    /// Watermarks divide both lists; between two of them the order is free.
    fn in_order(&mut self, found: &[Value], expected: &[Value]) {
        self.compared = true;
        let is_mark = |value: &&Value| value.get("watermark").is_some();
        let divide = |list: &[Value]| -> Vec<Vec<Value>> {
            list.split_inclusive(|value| is_mark(&value)).map(<[Value]>::to_vec).collect()
        };
        let (found, expected) = (divide(found), divide(expected));
        for stretch in 0..found.len().max(expected.len()) {
            let of = |list: &[Vec<Value>]| list.get(stretch).cloned().unwrap_or_default();
            self.in_any_order(&of(&found), &of(&expected));
        }
    }

    fn in_any_order(&mut self, found: &[Value], expected: &[Value]) {
        self.compared = true;
        let mut rest: Vec<&Value> = found.iter().collect();
        for value in expected {
            match rest.iter().position(|other| equal(other, value)) {
                Some(place) => drop(rest.swap_remove(place)),
                None => self.missing.push(value.to_string()),
            }
        }
        self.unexpected.extend(rest.into_iter().map(Value::to_string));
    }
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

/// One line for each thing that happened: what comes in on the left, what comes out on the right.
impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.0 {
            match event {
                Event::Input(row) => writeln!(f, "  record {row}")?,
                Event::Watermark(time) => writeln!(f, "  watermark {time}")?,
                Event::ProcessingTime(time) => writeln!(f, "  wall clock {time}")?,
                Event::Out(row) => writeln!(f, "{:>36}  result {row}", "->")?,
                Event::Late(row) => writeln!(f, "{:>36}  late {row}", "->")?,
                Event::Told(told) => writeln!(f, "{:>36}  {told}", "->")?,
                Event::Padded(row) => writeln!(f, "{:>36}  alone {row}", "->")?,
                Event::TimedOut(events, limit, _) => {
                    writeln!(f, "{:>36}  timed out at {limit} {events}", "->")?
                }
                Event::Remark(remark) => writeln!(f, "  ({remark})")?,
            }
        }
        Ok(())
    }
}
