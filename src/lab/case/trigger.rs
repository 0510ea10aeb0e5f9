//! The triggers that a case can name, as one type.

use std::time::Duration;

use serde_json::Value;

use super::text::Text;
use super::window::Row;
use super::{Case, kind_of};
use crate::error::Result;
use crate::process::{States, TimerKind};
use crate::time::EventTime;
use crate::window::{
    Absorbed, Assigner, CountTrigger, DeltaTrigger, EveryEventTime, EveryProcessingTime, Fire, Never,
    OnEventTime, OnProcessingTime, Scope, Trigger, TriggerContext,
};

/// Any of the triggers that a case can name.
#[derive(Clone)]
enum Any {
    EventTime(OnEventTime),
    ProcessingTime(OnProcessingTime),
    Count(CountTrigger),
    EveryEventTime(EveryEventTime),
    EveryProcessingTime(EveryProcessingTime),
    Delta(DeltaTrigger<Row, fn(&Row, &Row) -> f64>),
    Never(Never),
}

/// A trigger, and whether it purges.
#[derive(Clone)]
pub(super) struct Named {
    trigger: Any,
    purging: bool,
}

impl Named {
    /// The trigger that a case names, or the default of its windows.
    pub(super) fn of<W: Assigner<Row>>(case: &Case) -> Result<Named> {
        let default = match W::CLOCK {
            TimerKind::ProcessingTime => "processing_time",
            TimerKind::EventTime if W::ENDS => "event_time",
            TimerKind::EventTime => "never",
        };
        Named::read(case, case.setting("trigger"), default)
    }

    /// Fires at a number of records.
    pub(super) fn count(n: u64, purging: bool) -> Named {
        Named { trigger: Any::Count(CountTrigger::of(n)), purging }
    }

    fn read(case: &Case, setting: &Value, default: &str) -> Result<Named> {
        let needs = |name: &str| case.wrong(format!("the trigger {setting} needs {name:?}"));
        let interval = || -> Result<Duration> {
            let millis = setting.get("interval").and_then(Value::as_u64).filter(|millis| *millis > 0);
            millis.map(Duration::from_millis).ok_or_else(|| needs("interval"))
        };
        let trigger = match kind_of(setting).unwrap_or(default) {
            "event_time" => Any::EventTime(OnEventTime::default()),
            "processing_time" => Any::ProcessingTime(OnProcessingTime::default()),
            "count" => {
                let n = setting.get("n").and_then(Value::as_u64);
                Any::Count(CountTrigger::of(n.ok_or_else(|| needs("n"))?))
            }
            "continuous_event_time" => Any::EveryEventTime(EveryEventTime::of(interval()?)),
            "continuous_processing_time" => Any::EveryProcessingTime(EveryProcessingTime::of(interval()?)),
            "delta" => {
                let threshold = setting.get("threshold").and_then(Value::as_f64);
                let threshold = threshold.ok_or_else(|| needs("threshold"))?;
                Any::Delta(DeltaTrigger::of(threshold, Row::apart as fn(&Row, &Row) -> f64))
            }
            // A window of all time ends when event time does.
            "end_of_stream" => Any::EventTime(OnEventTime::default()),
            "purging" => {
                let inner = setting.get("trigger").ok_or_else(|| needs("trigger"))?;
                let inner = Named::read(case, inner, default)?;
                return Ok(Named { purging: true, ..inner });
            }
            "never" => Any::Never(Never),
            _ => {
                let there = "event_time, processing_time, count, continuous_event_time, continuous_processing_time, \
                             delta, purging, end_of_stream and never";
                return Err(case.wrong(format!("there is no trigger {setting}: there are {there}")));
            }
        };
        Ok(Named { trigger, purging: setting.get("purging").and_then(Value::as_bool).unwrap_or(false) })
    }

    /// True if it fires when event time has come somewhere, and not only for a record.
    pub(super) fn is_by_event_time(&self) -> bool {
        matches!(self.trigger, Any::EventTime(_) | Any::EveryEventTime(_))
    }

    /// True if it fires when a window of the wall clock ends.
    pub(super) fn is_by_wall_clock(&self) -> bool {
        matches!(self.trigger, Any::ProcessingTime(_))
    }
}

/// Does the same with whichever trigger it is.
macro_rules! with {
    ($named:expr, $trigger:ident => $what:expr) => {
        match &mut $named.trigger {
            Any::EventTime($trigger) => $what,
            Any::ProcessingTime($trigger) => $what,
            Any::Count($trigger) => $what,
            Any::EveryEventTime($trigger) => $what,
            Any::EveryProcessingTime($trigger) => $what,
            Any::Delta($trigger) => $what,
            Any::Never($trigger) => $what,
        }
    };
}

impl Named {
    fn purge(&self, fire: Fire) -> Fire {
        match self.purging && fire.fires() {
            true => Fire::FireAndPurge,
            false => fire,
        }
    }
}

impl Trigger<Text, Row> for Named {
    fn open(&mut self, states: &mut States<'_, Scope<Text>>) {
        with!(self, trigger => Trigger::<Text, Row>::open(trigger, states));
    }

    fn on_element(&mut self, row: &Row, cx: &mut TriggerContext<'_, Text>) -> Fire {
        let fire = with!(self, trigger => Trigger::<Text, Row>::on_element(trigger, row, cx));
        self.purge(fire)
    }

    fn on_event_time(&mut self, time: EventTime, cx: &mut TriggerContext<'_, Text>) -> Fire {
        let fire = with!(self, trigger => Trigger::<Text, Row>::on_event_time(trigger, time, cx));
        self.purge(fire)
    }

    fn on_processing_time(&mut self, time: i64, cx: &mut TriggerContext<'_, Text>) -> Fire {
        let fire = with!(self, trigger => Trigger::<Text, Row>::on_processing_time(trigger, time, cx));
        self.purge(fire)
    }

    fn on_merge(&mut self, absorbed: Absorbed, cx: &mut TriggerContext<'_, Text>) {
        with!(self, trigger => Trigger::<Text, Row>::on_merge(trigger, absorbed, cx));
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, Text>) {
        with!(self, trigger => Trigger::<Text, Row>::clear(trigger, cx));
    }
}
