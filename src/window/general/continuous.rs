//! Triggers that fire again and again: early results at multiples of an interval, by either clock.
//!
//! A window has one timer of this kind at a time. When it goes off the next one is set, so a window costs a
//! firing for each interval that it is open, and nothing in between. If the window ends before the next
//! multiple, the timer is set for its end; should the window, a session, have grown by then, the timer is set
//! anew and nothing fires. When event time jumps, the windows fire at each multiple on the way: how often a
//! window fires does not depend on how often the watermark advances.

use std::time::Duration;

use super::trigger::{Absorbed, Fire, Trigger, TriggerContext};
use super::triggers::OnEventTime;
use crate::data::Key;
use crate::process::{States, TimeDomain, Value};
use crate::time::EventTime;
use crate::window::assigner::millis;
use crate::window::key_and_window::Scope;

/// Fires each time the watermark has passed a multiple of an interval, and at the window's end: early
/// results. Flink's `ContinuousEventTimeTrigger`.
///
/// The first multiple is the one after the time of the window's first record. A window fires at each one that
/// follows until it ends, also if it grows meanwhile, as sessions do, and whether something has come since or
/// not; [`only_news`](EveryEventTime::only_news) changes that. When the input ends, windows that never end
/// fire once more.
#[derive(Clone, Debug)]
pub struct EveryEventTime {
    interval: i64,
    next: Value<EventTime>,
    news: News,
    end: OnEventTime,
}

impl EveryEventTime {
    /// Fires each `interval`, at least 1 millisecond.
    pub fn of(interval: Duration) -> EveryEventTime {
        EveryEventTime {
            interval: millis(interval).max(1),
            next: Value::default(),
            news: News::default(),
            end: OnEventTime::default(),
        }
    }

    /// Fires at a multiple only if something has come since the window last fired, or been merged into it.
    pub fn only_news(mut self) -> EveryEventTime {
        self.news = News { come: Some(Value::default()) };
        self
    }

    /// Sets the timer for `time`, or for the window's end if that comes sooner.
    fn arm<K: Key>(&self, time: EventTime, cx: &mut TriggerContext<'_, K>) {
        let next = time.min(cx.window().last());
        self.next.set(cx, next);
        cx.register_timer(next);
    }
}

/// The first multiple of an interval after a time.
fn next_multiple(time: i64, interval: i64) -> i64 {
    time.saturating_add(interval - time.rem_euclid(interval))
}

/// True if a time is one.
fn is_multiple(time: i64, interval: i64) -> bool {
    time.rem_euclid(interval) == 0
}

/// Whether something has come since a window last fired, if that is asked for.
#[derive(Clone, Debug, Default)]
struct News {
    come: Option<Value<bool>>,
}

impl News {
    fn open<K: Key>(&mut self, states: &mut States<'_, Scope<K>>) {
        if let Some(come) = &mut self.come {
            *come = states.value("news");
        }
    }

    fn comes<K: Key>(&self, cx: &mut TriggerContext<'_, K>) {
        if let Some(come) = self.come {
            come.set(cx, true);
        }
    }

    /// Whether there are any, or none are asked for. There are none afterwards.
    fn take<K: Key>(&self, cx: &mut TriggerContext<'_, K>) -> bool {
        self.come.is_none_or(|come| come.take(cx).is_some())
    }
}

impl<K: Key, T> Trigger<K, T> for EveryEventTime {
    fn open(&mut self, states: &mut States<'_, Scope<K>>) {
        self.next = states.value("next");
        self.news.open(states);
        Trigger::<K, T>::open(&mut self.end, states);
    }

    fn on_element(&mut self, _: &T, cx: &mut TriggerContext<'_, K>) -> Fire {
        Trigger::<K, T>::on_content(self, cx)
    }

    fn on_content(&mut self, cx: &mut TriggerContext<'_, K>) -> Fire {
        let fire = Trigger::<K, T>::on_content(&mut self.end, cx);
        if !fire.fires() {
            self.news.comes(cx);
            // One timer at a time: the next one is set when it goes off.
            if self.next.get(cx).is_none() {
                self.arm(next_multiple(cx.timestamp(), self.interval), cx);
            }
        }
        fire
    }

    fn on_event_time(&mut self, time: EventTime, cx: &mut TriggerContext<'_, K>) -> Fire {
        let at_end = Trigger::<K, T>::on_event_time(&mut self.end, time, cx);
        // A timer of something else, or of a time that was given up for an earlier one.
        if self.next.get(cx) != Some(&time) {
            return at_end;
        }
        self.next.clear(cx);
        if cx.watermark() == EventTime::MAX && cx.window().end == EventTime::MAX {
            // There would be no end of multiples.
            return at_end;
        }
        let last = cx.window().last();
        if time < last {
            self.arm(next_multiple(time, self.interval), cx);
            if !is_multiple(time, self.interval) {
                // The window was to end here, and has grown since.
                return at_end;
            }
        }
        match time <= last && self.news.take(cx) {
            true => Fire::Fire,
            false => at_end,
        }
    }

    fn on_merge(&mut self, absorbed: Absorbed, cx: &mut TriggerContext<'_, K>) {
        if cx.of(absorbed, |cx| self.news.come.is_some() && self.news.take(cx)) {
            self.news.comes(cx);
        }
        if let Some(other) = cx.of(absorbed, |cx| self.next.get(cx).copied())
            && self.next.get(cx).is_none_or(|next| *next > other)
        {
            self.next.set(cx, other);
            cx.register_timer(other);
        }
        Trigger::<K, T>::on_merge(&mut self.end, absorbed, cx);
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, K>) {
        if let Some(next) = self.next.take(cx) {
            cx.delete_timer(next);
        }
        self.news.take(cx);
        Trigger::<K, T>::clear(&mut self.end, cx);
    }
}

/// Fires each time the wall clock has reached a multiple of an interval, and in windows of processing time
/// also at the end. Flink's `ContinuousProcessingTimeTrigger`.
///
/// A window fires at each multiple after its first record, whether something has come since or not;
/// [`only_news`](EveryProcessingTime::only_news) changes that.
#[derive(Clone, Debug)]
pub struct EveryProcessingTime {
    interval: i64,
    next: Value<i64>,
    news: News,
}

impl EveryProcessingTime {
    /// Fires each `interval`, at least 1 millisecond.
    pub fn of(interval: Duration) -> EveryProcessingTime {
        EveryProcessingTime {
            interval: millis(interval).max(1),
            next: Value::default(),
            news: News::default(),
        }
    }

    /// Fires at a multiple only if something has come since the window last fired, or been merged into it.
    pub fn only_news(mut self) -> EveryProcessingTime {
        self.news = News { come: Some(Value::default()) };
        self
    }

    fn arm<K: Key>(&self, mut time: i64, cx: &mut TriggerContext<'_, K>) {
        if cx.clock == TimeDomain::ProcessingTime {
            time = time.min(cx.window().end);
        }
        self.next.set(cx, time);
        cx.register_wall_timer(time);
    }
}

impl<K: Key, T> Trigger<K, T> for EveryProcessingTime {
    fn open(&mut self, states: &mut States<'_, Scope<K>>) {
        self.next = states.value("next wall");
        self.news.open(states);
    }

    fn on_element(&mut self, _: &T, cx: &mut TriggerContext<'_, K>) -> Fire {
        Trigger::<K, T>::on_content(self, cx)
    }

    fn on_content(&mut self, cx: &mut TriggerContext<'_, K>) -> Fire {
        self.news.comes(cx);
        if self.next.get(cx).is_none() {
            self.arm(next_multiple(cx.processing_time(), self.interval), cx);
        }
        Fire::Continue
    }

    fn on_processing_time(&mut self, time: i64, cx: &mut TriggerContext<'_, K>) -> Fire {
        if self.next.get(cx) != Some(&time) {
            return Fire::Continue;
        }
        self.next.clear(cx);
        let has_ended = cx.clock == TimeDomain::ProcessingTime && time >= cx.window().end;
        // When the input has ended the wall clock does not go on.
        if !has_ended && cx.watermark() < EventTime::MAX {
            self.arm(next_multiple(time, self.interval), cx);
            if !is_multiple(time, self.interval) {
                // The window was to end here, and has grown since.
                return Fire::Continue;
            }
        }
        match self.news.take(cx) {
            true => Fire::Fire,
            false => Fire::Continue,
        }
    }

    fn on_merge(&mut self, absorbed: Absorbed, cx: &mut TriggerContext<'_, K>) {
        if cx.of(absorbed, |cx| self.news.come.is_some() && self.news.take(cx)) {
            self.news.comes(cx);
        }
        if let Some(other) = cx.of(absorbed, |cx| self.next.get(cx).copied())
            && self.next.get(cx).is_none_or(|next| *next > other)
        {
            self.next.set(cx, other);
            cx.register_wall_timer(other);
        }
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, K>) {
        if let Some(next) = self.next.take(cx) {
            cx.delete_wall_timer(next);
        }
        self.news.take(cx);
    }
}
