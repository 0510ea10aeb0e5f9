//! The triggers of cases, as one type.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::Deserialize;

use super::data::{Row, Text};
use crate::process::{States, TimeDomain};
use crate::time::EventTime;
use crate::window::{
    Absorbed, Assigner, CountTrigger, DeltaTrigger, EveryEventTime, EveryProcessingTime, Fire, Never,
    OnEventTime, OnProcessingTime, Scope, Trigger, TriggerContext,
};

/// A trigger as cases write it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Setting {
    EventTime {},
    ProcessingTime {},
    Count { n: NonZeroU64 },
    ContinuousEventTime { interval: NonZeroU64 },
    ContinuousProcessingTime { interval: NonZeroU64 },
    Delta { threshold: f64 },
    Never {},
}

/// Any trigger of the engine that cases have.
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
pub(super) struct CaseTrigger {
    trigger: Any,
    purging: bool,
}

impl CaseTrigger {
    /// A trigger by its setting; the default of the windows if there is none.
    pub(super) fn new(windows: &impl Assigner<Row>, setting: Option<Setting>, purging: bool) -> CaseTrigger {
        let default = match windows.clock() {
            _ if !windows.ends() => Setting::Never {},
            TimeDomain::ProcessingTime => Setting::ProcessingTime {},
            TimeDomain::EventTime => Setting::EventTime {},
        };
        let millis = |interval: NonZeroU64| Duration::from_millis(interval.get());
        let trigger = match setting.unwrap_or(default) {
            Setting::EventTime {} => Any::EventTime(OnEventTime::default()),
            Setting::ProcessingTime {} => Any::ProcessingTime(OnProcessingTime::default()),
            Setting::Count { n } => Any::Count(CountTrigger::of(n.get())),
            Setting::ContinuousEventTime { interval } => {
                Any::EveryEventTime(EveryEventTime::of(millis(interval)))
            }
            Setting::ContinuousProcessingTime { interval } => {
                Any::EveryProcessingTime(EveryProcessingTime::of(millis(interval)))
            }
            Setting::Delta { threshold } => {
                Any::Delta(DeltaTrigger::of(threshold, Row::apart as fn(&Row, &Row) -> f64))
            }
            Setting::Never {} => Any::Never(Never),
        };
        CaseTrigger { trigger, purging }
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

impl CaseTrigger {
    fn purge(&self, fire: Fire) -> Fire {
        match self.purging && fire.fires() {
            true => Fire::FireAndPurge,
            false => fire,
        }
    }
}

impl Trigger<Text, Row> for CaseTrigger {
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
