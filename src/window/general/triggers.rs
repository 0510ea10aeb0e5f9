//! The triggers that are included.

use super::trigger::{Absorbed, Fire, Trigger, TriggerContext};
use crate::data::{Data, Exchange, Key};
use crate::process::{States, Value};
use crate::time::EventTime;
use crate::window::key_and_window::Scope;

/// Fires when the watermark has reached the window's end, and then for each late record that comes within the
/// allowed lateness. The default for windows of event time.
///
/// A window has one timer at a time. When a session has grown since, the timer is moved as it goes off.
#[derive(Clone, Debug, Default)]
pub struct OnEventTime {
    alarm: Value<EventTime>,
}

impl OnEventTime {
    fn arm<K: Key>(&self, cx: &mut TriggerContext<'_, K>) {
        let last = cx.window().last();
        if self.alarm.get(cx).is_none_or(|alarm| *alarm > last) {
            self.alarm.set(cx, last);
            cx.register_timer(last);
        }
    }
}

impl<K: Key, T> Trigger<K, T> for OnEventTime {
    fn open(&mut self, states: &mut States<'_, Scope<K>>) {
        self.alarm = states.value("event time alarm");
    }

    fn on_element(&mut self, _: &T, cx: &mut TriggerContext<'_, K>) -> Fire {
        Trigger::<K, T>::on_content(self, cx)
    }

    fn on_content(&mut self, cx: &mut TriggerContext<'_, K>) -> Fire {
        // The window has fired at its end, and the record is within the allowed lateness: a firing for each.
        if cx.window().end <= cx.watermark() {
            return Fire::Fire;
        }
        self.arm(cx);
        Fire::Continue
    }

    fn on_event_time(&mut self, time: EventTime, cx: &mut TriggerContext<'_, K>) -> Fire {
        // A timer of another trigger, or of an end that was given up for an earlier one.
        if self.alarm.get(cx) != Some(&time) {
            return Fire::Continue;
        }
        self.alarm.clear(cx);
        // Otherwise a session has grown since: the timer moves to its new end.
        if time == cx.window().last() {
            return Fire::Fire;
        }
        self.arm(cx);
        Fire::Continue
    }

    fn on_merge(&mut self, _: Absorbed, cx: &mut TriggerContext<'_, K>) {
        if cx.window().end > cx.watermark() {
            self.arm(cx);
        }
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, K>) {
        if let Some(alarm) = self.alarm.take(cx) {
            cx.delete_timer(alarm);
        }
    }
}

/// Fires when the wall clock has reached the window's end. The default for windows of processing time.
#[derive(Clone, Debug, Default)]
pub struct OnProcessingTime {
    alarm: Value<i64>,
}

impl OnProcessingTime {
    fn arm<K: Key>(&self, cx: &mut TriggerContext<'_, K>) {
        let end = cx.window().end;
        if self.alarm.get(cx).is_none_or(|alarm| *alarm > end) {
            self.alarm.set(cx, end);
            cx.register_wall_timer(end);
        }
    }
}

impl<K: Key, T> Trigger<K, T> for OnProcessingTime {
    fn open(&mut self, states: &mut States<'_, Scope<K>>) {
        self.alarm = states.value("processing time alarm");
    }

    fn on_element(&mut self, _: &T, cx: &mut TriggerContext<'_, K>) -> Fire {
        self.arm(cx);
        Fire::Continue
    }

    fn on_processing_time(&mut self, time: i64, cx: &mut TriggerContext<'_, K>) -> Fire {
        if self.alarm.get(cx) != Some(&time) {
            return Fire::Continue;
        }
        self.alarm.clear(cx);
        if time == cx.window().end {
            return Fire::Fire;
        }
        self.arm(cx);
        Fire::Continue
    }

    fn on_merge(&mut self, _: Absorbed, cx: &mut TriggerContext<'_, K>) {
        self.arm(cx);
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, K>) {
        if let Some(alarm) = self.alarm.take(cx) {
            cx.delete_wall_timer(alarm);
        }
    }
}

/// Never fires. The default for [`Global`](super::Global) windows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl<K: Key, T> Trigger<K, T> for Never {
    fn on_element(&mut self, _: &T, _: &mut TriggerContext<'_, K>) -> Fire {
        Fire::Continue
    }
}

/// Fires when a number of records have come since it last fired. It never fires by time.
#[derive(Clone, Debug)]
pub struct CountTrigger {
    every: u64,
    count: Value<u64>,
}

impl CountTrigger {
    /// Fires for each `every` records, at least 1.
    pub fn of(every: u64) -> CountTrigger {
        CountTrigger { every: every.max(1), count: Value::default() }
    }
}

impl<K: Key, T> Trigger<K, T> for CountTrigger {
    fn open(&mut self, states: &mut States<'_, Scope<K>>) {
        self.count = states.value("count");
    }

    fn on_element(&mut self, _: &T, cx: &mut TriggerContext<'_, K>) -> Fire {
        let every = self.every;
        let full = self.count.update(
            cx,
            || 0,
            |count| {
                *count += 1;
                *count >= every
            },
        );
        if full == Some(true) {
            self.count.set(cx, 0);
            return Fire::Fire;
        }
        Fire::Continue
    }

    fn on_merge(&mut self, absorbed: Absorbed, cx: &mut TriggerContext<'_, K>) {
        if let Some(other) = cx.of(absorbed, |cx| self.count.take(cx)) {
            self.count.update(cx, || 0, |count| *count += other);
        }
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, K>) {
        self.count.clear(cx);
    }
}

/// Fires when a record differs by more than a threshold from the first one, and then from the one that fired
/// last. Flink's `DeltaTrigger`.
///
/// What cannot be told, a difference of NaN, does not exceed anything: a record that differs by it from the
/// others does not fire. Should the first one be like that, the one after it takes its place.
#[derive(Clone, Debug)]
pub struct DeltaTrigger<T, F> {
    threshold: f64,
    delta: F,
    last: Value<T>,
}

impl<T, F: Fn(&T, &T) -> f64> DeltaTrigger<T, F> {
    /// Fires when `delta` of the last record that fired and the one at hand exceeds the threshold.
    pub fn of(threshold: f64, delta: F) -> DeltaTrigger<T, F> {
        DeltaTrigger { threshold, delta, last: Value::default() }
    }
}

impl<K, T, F> Trigger<K, T> for DeltaTrigger<T, F>
where
    K: Key,
    T: Exchange,
    F: Fn(&T, &T) -> f64 + Clone + Send + Sync + 'static,
{
    fn open(&mut self, states: &mut States<'_, Scope<K>>) {
        self.last = states.value("last");
    }

    fn on_element(&mut self, value: &T, cx: &mut TriggerContext<'_, K>) -> Fire {
        let Some(last) = self.last.get(cx) else {
            self.last.set(cx, value.clone());
            return Fire::Continue;
        };
        let delta = (self.delta)(last, value);
        let exceeds = delta > self.threshold;
        if exceeds || delta.is_nan() && (self.delta)(last, last).is_nan() {
            self.last.set(cx, value.clone());
        }
        if exceeds { Fire::Fire } else { Fire::Continue }
    }

    fn on_merge(&mut self, absorbed: Absorbed, cx: &mut TriggerContext<'_, K>) {
        if let Some(other) = cx.of(absorbed, |cx| self.last.take(cx))
            && self.last.get(cx).is_none()
        {
            self.last.set(cx, other);
        }
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, K>) {
        self.last.clear(cx);
    }
}

/// Makes another trigger drop what is in the window each time it fires.
#[derive(Clone, Debug, Default)]
pub struct Purging<G>(pub G);

fn purging(fire: Fire) -> Fire {
    if fire.fires() { Fire::FireAndPurge } else { fire }
}

impl<K: Key, T: Data, G: Trigger<K, T>> Trigger<K, T> for Purging<G> {
    fn open(&mut self, states: &mut States<'_, Scope<K>>) {
        self.0.open(states);
    }

    fn on_element(&mut self, value: &T, cx: &mut TriggerContext<'_, K>) -> Fire {
        purging(self.0.on_element(value, cx))
    }

    fn on_content(&mut self, cx: &mut TriggerContext<'_, K>) -> Fire {
        purging(self.0.on_content(cx))
    }

    fn on_event_time(&mut self, time: EventTime, cx: &mut TriggerContext<'_, K>) -> Fire {
        purging(self.0.on_event_time(time, cx))
    }

    fn on_processing_time(&mut self, time: i64, cx: &mut TriggerContext<'_, K>) -> Fire {
        purging(self.0.on_processing_time(time, cx))
    }

    fn on_merge(&mut self, absorbed: Absorbed, cx: &mut TriggerContext<'_, K>) {
        self.0.on_merge(absorbed, cx);
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, K>) {
        self.0.clear(cx);
    }
}

/// Fires when one of two triggers does: `Either(OnEventTime::default(), CountTrigger::of(100))` gives early
/// results. Each has states of its own, so both may be of the same kind.
#[derive(Clone, Debug, Default)]
pub struct Either<G, H>(pub G, pub H);

impl<K: Key, T, G: Trigger<K, T>, H: Trigger<K, T>> Trigger<K, T> for Either<G, H> {
    fn open(&mut self, states: &mut States<'_, Scope<K>>) {
        states.part(|states| self.0.open(states));
        states.part(|states| self.1.open(states));
    }

    fn on_element(&mut self, value: &T, cx: &mut TriggerContext<'_, K>) -> Fire {
        self.0.on_element(value, cx).and(self.1.on_element(value, cx))
    }

    fn on_content(&mut self, cx: &mut TriggerContext<'_, K>) -> Fire {
        self.0.on_content(cx).and(self.1.on_content(cx))
    }

    fn on_event_time(&mut self, time: EventTime, cx: &mut TriggerContext<'_, K>) -> Fire {
        self.0.on_event_time(time, cx).and(self.1.on_event_time(time, cx))
    }

    fn on_processing_time(&mut self, time: i64, cx: &mut TriggerContext<'_, K>) -> Fire {
        self.0.on_processing_time(time, cx).and(self.1.on_processing_time(time, cx))
    }

    fn on_merge(&mut self, absorbed: Absorbed, cx: &mut TriggerContext<'_, K>) {
        self.0.on_merge(absorbed, cx);
        self.1.on_merge(absorbed, cx);
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, K>) {
        self.0.clear(cx);
        self.1.clear(cx);
    }
}
