//! Event-time cases: an operator, its configuration, what comes in, and what must come out.
//!
#![doc = include_str!("notation.md")]

mod json;
mod number;
mod data;
mod function;
mod timeline;
mod condition;
mod assigner;
mod trigger;
mod window;
mod joins;
mod cep;
mod watermarks;

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use json::{Distinct, Object};

pub use timeline::{Event, Output, Timeline, Verdict};

/// A case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is called.
    pub id: String,
    /// What it shows, for readers.
    #[serde(default)]
    pub note: String,
    /// Where it is from, for readers.
    #[serde(default)]
    pub source: String,
    /// The operator.
    pub operator: Operator,
    /// How it is configured: by the keys of the operator.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// What comes in: the steps of the operator.
    pub input: Vec<Value>,
    /// What must come out.
    pub expected: Option<Vec<Output>>,
}

/// What a case is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Windows by key, with triggers, evictors and lateness.
    Window,
    /// Pairs whose times lie within an interval of each other.
    IntervalJoin,
    /// Pairs in the same window.
    WindowJoin,
    /// All records of both sides in a window.
    CoGroup,
    /// Records with the version of their key at their time.
    TemporalJoin,
    /// Matches of a pattern.
    Cep,
    /// The watermark of one split.
    BoundedOutOfOrderness,
    /// The watermark of several channels.
    WatermarkMerge,
}

/// A case that was run.
#[derive(Clone, Debug)]
pub struct Run {
    /// What happened.
    pub timeline: Timeline,
    /// Whether it should have.
    pub verdict: Verdict,
}

/// A case whose configuration and input have been read.
type Ready = Box<dyn FnOnce() -> Result<Timeline>>;

impl Case {
    /// Reads a list of cases.
    ///
    /// # Errors
    ///
    /// If the text is not JSON, has a key twice in an object, or if any of the cases is not written in the
    /// notation: the error names all of those, each with what is wrong with it.
    pub fn parse(text: &str) -> Result<Vec<Case>> {
        let list =
            serde_json::from_str(text).map_err(|error| Error::data(format!("these are no cases: {error}")));
        let Value::Array(list) = list.map(|Distinct(list)| list)? else {
            return Err(Error::data("these are no cases: a file of cases is a list, [{\"id\": ...}, ...]"));
        };
        let (mut cases, mut wrong) = (Vec::new(), Vec::new());
        for (place, case) in list.into_iter().enumerate() {
            let id = case.get("id").and_then(Value::as_str);
            let name = id.map_or_else(|| format!("number {}", place + 1), |id| format!("{id:?}"));
            let read = json::typed(case).and_then(|Object(case): Object<Case>| case.ready().map(|_| case));
            match read {
                Ok(case) => cases.push(case),
                Err(told) => wrong.push(format!("case {name}: {told}")),
            }
        }
        if wrong.is_empty() { Ok(cases) } else { Err(Error::data(wrong.join("\n"))) }
    }

    /// Runs the case.
    ///
    /// # Errors
    ///
    /// If its configuration or a step is not of its operator, the engine refuses the operator, or a result
    /// is a number that no case can hold.
    pub fn run(&self) -> Result<Run> {
        let wrong = |error: Error| Error::new(error.kind(), format!("case {:?}: {error}", self.id));
        let ready = self.ready().map_err(|told| wrong(Error::data(told)))?;
        let timeline = ready().map_err(wrong)?;
        let verdict = timeline.judge(self.expected.as_deref());
        Ok(Run { timeline, verdict })
    }

    fn ready(&self) -> Result<Ready, String> {
        match self.operator {
            Operator::Window => self.read(window::check, window::run),
            Operator::IntervalJoin => self.read(joins::check_interval, joins::interval),
            Operator::WindowJoin => self.read(joins::check_window, joins::window),
            Operator::CoGroup => self.read(joins::check_co_group, joins::co_group),
            Operator::TemporalJoin => self.read(joins::check_temporal, joins::temporal),
            Operator::Cep => self.read(cep::check, cep::run),
            Operator::BoundedOutOfOrderness => self.read(|_, _| Ok(()), watermarks::generate),
            Operator::WatermarkMerge => self.read(watermarks::check_merge, watermarks::merge),
        }
    }

    /// Reads the configuration and the steps as those of an operator.
    fn read<C, S>(
        &self,
        check: fn(&C, &[S]) -> Result<(), String>,
        run: fn(&C, &[S]) -> Result<Timeline>,
    ) -> Result<Ready, String>
    where
        C: DeserializeOwned + 'static,
        S: DeserializeOwned + 'static,
    {
        let config = json::typed(Value::Object(self.config.clone()));
        let config: C = config.map_err(|told| format!("in `config`: {told}"))?;
        let steps = self.input.iter().map(|step| {
            json::typed(step.clone()).map_err(|told| format!("in `input`, the step {step}: {told}"))
        });
        let steps: Vec<S> = steps.collect::<Result<_, _>>()?;
        check(&config, &steps)?;
        Ok(Box::new(move || run(&config, &steps)))
    }
}

/// Its name in cases.
impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Window => "window",
            Operator::IntervalJoin => "interval_join",
            Operator::WindowJoin => "window_join",
            Operator::CoGroup => "co_group",
            Operator::TemporalJoin => "temporal_join",
            Operator::Cep => "cep",
            Operator::BoundedOutOfOrderness => "bounded_out_of_orderness",
            Operator::WatermarkMerge => "watermark_merge",
        })
    }
}
