//! Timers of windows: how the two clocks fire timers and end windows.

use super::super::assigner::Assigner;
use super::super::content::Content;
use super::super::trigger::{Trigger, TriggerContext};
use super::{Cause, Windows};
use crate::data::{Exchange, Key, Stamp};
use crate::process::TimeDomain;
use crate::stream::Outputs;
use crate::time::{EventTime, Time};
use crate::window::assigner::Window;
use crate::window::key_and_window::Scope;

impl<K, T, W, G, B> Windows<K, T, W, G, B>
where
    K: Key,
    T: Exchange,
    W: Assigner<T>,
    G: Trigger<K, T>,
    B: Content<K, T>,
{
    /// Fires the timers of before a time, or all.
    pub(super) fn fire(&mut self, by: TimeDomain, until: Option<i64>, from: Time, out: &mut Outputs<B::Out>) {
        self.windows.begin(by, until);
        while let Some(time) = self.windows.fire() {
            self.keys.relieve(1);
            let Some(window) = self.open(self.windows.slot) else { continue };
            if self.settings.assigner.ends()
                && by == self.settings.assigner.clock()
                && time > self.last_call(window)
            {
                continue;
            }
            let at = if by == TimeDomain::EventTime { time } else { self.windows.now.watermark };
            let stamp = Stamp { timestamp: at, watermark: at };
            let mut cx = TriggerContext {
                core: &mut self.windows,
                window,
                stamp,
                clock: self.settings.assigner.clock(),
            };
            let (fire, cause) = match by {
                TimeDomain::EventTime => {
                    (self.settings.trigger.on_event_time(time, &mut cx), Cause::EventTimer(time))
                }
                TimeDomain::ProcessingTime => {
                    (self.settings.trigger.on_processing_time(time, &mut cx), Cause::WallTimer(time))
                }
            };
            self.react(fire, window, cause, from, out);
        }
        let dropped = self.windows.take_dropped();
        if dropped > 0 {
            self.counters.add("timers_dropped", dropped as i64);
        }
    }

    /// Drops windows that take no records any more from `until` on, or all.
    pub(super) fn end(&mut self, until: Option<i64>) {
        while self.ends.next().is_some_and(|next| until.is_none_or(|until| next < until)) {
            let store = &mut self.windows.store;
            self.ends.fetch(until, |scope| scope.pin(store));
            let (due, _) = self.ends.some(until, |slot| Scope::owner(store, *slot));
            if due.is_empty() {
                return;
            }
            self.windows.relieve(due.len());
            self.keys.relieve(due.len());
            for (time, slot) in due {
                let window = self.open(slot);
                // An absorbed window has been cleared, and a window that began anew in its slot has a time of
                // its own.
                if self.over_at.get(&self.windows) == Some(&time)
                    && let Some(window) = window
                {
                    let last_call = self.last_call(window);
                    // A window that has merged since may end later than was scheduled.
                    match last_call > time {
                        true => self.call_last(last_call),
                        false => self.drop_window(window),
                    }
                }
                // Pinned when it was added to `ends`; `call_last` has pinned it once more if the window goes
                // on.
                self.windows.store.unpin(slot);
            }
        }
    }

    /// Drops all state of the window at hand.
    fn drop_window(&mut self, window: Window) {
        let now = self.windows.now.watermark;
        let stamp = Stamp { timestamp: now, watermark: now };
        let Windows { settings, content, windows, keys, .. } = self;
        let clock = settings.assigner.clock();
        settings.trigger.clear(&mut TriggerContext { core: windows, window, stamp, clock });
        content.clear(windows);
        self.over_at.clear(windows);
        if self.settings.assigner.merges() {
            self.merged.change(keys, |known| known.retain(|known| known.window != window));
            if self.merged.get(keys).is_some_and(Vec::is_empty) {
                self.merged.clear(keys);
            }
        }
    }

    /// Advances event time to a watermark.
    pub(super) fn pass(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<B::Out>) {
        self.windows.reach(watermark);
        self.keys.reach(watermark);
        // Before windows end: a timer at a window's end fires it, and the end drops it.
        if self.windows.event_timers.next().is_some_and(|next| next < watermark) {
            self.fire(TimeDomain::EventTime, Some(watermark), from, out);
        }
        if self.is_by_event_time() {
            self.end(Some(watermark));
        }
    }

    /// Fires all timers, of both clocks, and drops all windows: event time has ended, and the wall clock says
    /// nothing any more.
    pub(super) fn finish(&mut self, from: Time, out: &mut Outputs<B::Out>) {
        self.windows.reach(EventTime::MAX);
        self.keys.reach(EventTime::MAX);
        while self.windows.ends_again() {
            self.fire(TimeDomain::EventTime, None, from, out);
            if self.is_by_event_time() {
                self.end(None);
            }
            self.fire(TimeDomain::ProcessingTime, None, from, out);
        }
        self.end(None);
        let dropped = self.windows.drop_timers();
        self.counters.add("timers_dropped", dropped as i64);
    }

    /// Does what is due by the wall clock.
    pub(super) fn ring(&mut self, millis: i64, from: Time, out: &mut Outputs<B::Out>) {
        let Some(until) = millis.checked_add(1) else { return self.finish(from, out) };
        self.fire(TimeDomain::ProcessingTime, Some(until), from, out);
        if !self.is_by_event_time() {
            self.end(Some(until));
        }
    }

    /// Fires timers that were registered for a time that had been.
    pub(super) fn catch_up(&mut self, from: Time, out: &mut Outputs<B::Out>) {
        match self.windows.now.watermark {
            EventTime::MAX => self.finish(from, out),
            now if self.windows.event_timers.next().is_some_and(|next| next < now) => {
                self.fire(TimeDomain::EventTime, Some(now), from, out);
            }
            _ => {}
        }
    }

    /// Looks at the wall clock, if windows or states follow it.
    pub(super) fn look_at_clock(&mut self) {
        if !self.is_by_event_time() {
            self.set_millis(self.windows.clock.millis());
        }
        self.windows.look_at_clock();
        self.keys.look_at_clock();
    }

    pub(super) fn set_millis(&mut self, millis: i64) {
        self.windows.now.millis = millis;
        self.keys.now.millis = millis;
    }
}
