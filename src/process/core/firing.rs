//! The timers of a function: how they are registered, and how they fire.
//!
//! A call that registers a timer or deletes one is an entry in a timer queue, with the slot of its key. When
//! its time has come, the last call counts of those for one key and time. So neither is looked for when it is
//! made, and a call is exact wherever the calls before it are.
//!
//! # Timers that have left memory
//!
//! If memory is limited, calls for far-off times leave it, as rows with the key instead of a slot; and a key
//! of which no call is in memory can leave wholly. When calls come back their keys are given slots again; the
//! state of a key comes back when its timer fires. Timers are fired some at a time then: those of before a
//! *bound*, of which all calls are in memory. What a timer calls for a time beyond the bound goes to the
//! timer queue, after what has left; what it calls for a time that has been waits aside until all have fired.
//!
//! What fires brings state into memory, however many timers are due at once: when the watermark leaps, all of
//! them. So state may leave it in between.
//!
//! # At the end
//!
//! When the input has ended there is no time that is not over, so all timers fire, those at the very end of
//! time and those for times that have been too, whatever registers them. If there is no end of timers that
//! register timers, [`LAST_TIMERS`] of those fire and the rest is dropped; if some had left memory, more may
//! fire before.

use std::collections::BTreeMap;

use super::timer_pass::{Call, Ending, Pass};
use super::{Core, call_of};
use crate::data::{self, Key};
use crate::state::{END, Slot, TimeDomain, TimerBound as Bound, TimerQueue, WARM};

/// When the input has ended, all timers fire, and on each worker so many of those that timers register then.
/// What is left is dropped, and counted as `timers_dropped`.
pub const LAST_TIMERS: usize = 100_000;

impl<K: Key> Core<K> {
    /// Registers or deletes a timer.
    pub(crate) fn time(&mut self, by: TimeDomain, time: i64, call: Call) {
        let Core { slot, store, pass, owner, .. } = self;
        if let Some(pass) = pass.as_mut().filter(|pass| pass.by == by) {
            let (bound, hash) = pass.bound;
            let is_before = time < bound
                || pass.bound == END
                || time == bound && hash > 0 && owner(store.key(*slot)) < hash;
            if pass.at < time && is_before {
                if pass.calls.insert((time, *slot), call).is_none() && store.is_limited() {
                    store.pin(*slot);
                }
                return;
            }
            if time <= pass.at && !pass.is_last() {
                store.pin(*slot);
                pass.late.push((time, *slot, call));
                return;
            }
        }
        let slot = *slot;
        store.pin(slot);
        self.queue(by).add(time, (slot, call));
    }

    fn queue(&mut self, by: TimeDomain) -> &mut TimerQueue<(Slot, Call), (K, bool)> {
        match by {
            TimeDomain::EventTime => &mut self.event_timers,
            TimeDomain::ProcessingTime => &mut self.wall_timers,
        }
    }

    /// Begins to fire the timers of before a time, or all.
    pub(crate) fn begin(&mut self, by: TimeDomain, until: Option<i64>) {
        let (bound, due, calls, late) = ((i64::MIN, 0), Vec::new(), BTreeMap::new(), Vec::new());
        self.pass = Some(Pass { by, until, bound, at: i64::MIN, due, calls, late });
        self.go_on();
    }

    /// Says if all timers of both clocks are to be fired once more, now that the input has ended: the first
    /// time, and then as long as there are any and some of them may. What is left in the end is to be
    /// [dropped](Core::drop_timers).
    pub(crate) fn ends_again(&mut self) -> bool {
        let has_timers = self.event_timers.next().is_some() || self.wall_timers.next().is_some();
        match &mut self.ending {
            None => self.ending = Some(Ending { left: LAST_TIMERS, is_first: true }),
            Some(ending) if has_timers && ending.left > 0 => ending.is_first = false,
            Some(_) => {
                self.ending = None;
                return false;
            }
        }
        true
    }

    /// Takes the timers that are to fire next from the queue. False if there are no more, which ends the
    /// pass.
    fn go_on(&mut self) -> bool {
        while let Some((by, until)) =
            self.pass.as_ref().filter(|pass| !pass.is_last()).map(|pass| (pass.by, pass.until))
        {
            let (due, bound) = self.next_timers(by, until);
            let Some(pass) = &mut self.pass else { return false };
            pass.bound = bound;
            if let Some(ending) = self.ending.as_mut().filter(|ending| ending.is_first) {
                ending.left += due.len();
            }
            pass.due = due;
            if !pass.due.is_empty() {
                if !pass.due.len().is_multiple_of(WARM) {
                    let first = pass.due.iter().rev().take(pass.due.len() % WARM);
                    self.store.warm_cells(first.map(|(_, slot)| *slot));
                }
                return true;
            }
        }
        let Some(Pass { by, late, .. }) = self.pass.take() else { return false };
        late.into_iter().for_each(|(time, slot, call)| self.queue(by).add(time, (slot, call)));
        false
    }

    /// Takes timers of before a time, or all, out of a queue, the first one last, and says up to where
    /// these are all. If memory is limited, their slots are pinned.
    fn next_timers(&mut self, by: TimeDomain, before: Option<i64>) -> (Vec<(i64, Slot)>, Bound) {
        let Core { store, event_timers, wall_timers, owner, .. } = self;
        let queue = match by {
            TimeDomain::EventTime => event_timers,
            TimeDomain::ProcessingTime => wall_timers,
        };
        queue.fetch(before, |(key, registers)| call_of(store, key, *registers));
        let (mut calls, bound) = queue.some(before, |(slot, _)| owner(store.key(*slot)));
        // Of several calls for one key and time the last one counts, and they are in order of arrival.
        calls
            .chunk_by_mut(|a, b| a.0 == b.0)
            .for_each(|calls| data::sort_by(calls, |(_, (one, _)), (_, (other, _))| one.cmp(other)));
        store.warm(calls.iter().map(|(_, (slot, _))| *slot));
        let mut due = Vec::with_capacity(calls.len());
        for group in calls.chunk_by(|a, b| a.0 == b.0 && a.1.0 == b.1.0) {
            let (time, (slot, last)) = group[group.len() - 1];
            if last == Call::Register {
                due.push((time, slot));
                if store.is_limited() {
                    store.pin(slot);
                }
            }
            group.iter().for_each(|_| store.unpin(slot));
        }
        due.reverse();
        (due, bound)
    }

    /// Makes the key of the next timer to fire the one at hand, and gives the timer's time. `None` ends what
    /// was begun.
    pub(crate) fn fire(&mut self) -> Option<i64> {
        let is_limited = self.store.is_limited();
        if is_limited {
            self.relieve(1);
        }
        loop {
            let pass = self.pass.as_mut()?;
            if pass.due.len().is_multiple_of(WARM) {
                self.store.warm_cells(pass.due.iter().rev().take(WARM).map(|(_, slot)| *slot));
            }
            let due = pass.due.last().copied();
            let called = pass.calls.first_key_value().map(|(timer, call)| (*timer, *call));
            let (timer, fires) = match (due, called) {
                (Some(due), Some((timer, call))) if timer <= due => {
                    pass.calls.pop_first();
                    if timer == due {
                        pass.due.pop();
                        if is_limited {
                            self.store.unpin(timer.1);
                        }
                    }
                    (timer, call == Call::Register)
                }
                (None, Some((timer, call))) => {
                    pass.calls.pop_first();
                    (timer, call == Call::Register)
                }
                (Some(due), _) => {
                    pass.due.pop();
                    (due, true)
                }
                (None, None) if self.go_on() => continue,
                (None, None) => return None,
            };
            let is_dropped = fires && self.ending.as_ref().is_some_and(|ending| ending.left == 0);
            if fires && !is_dropped {
                self.ending.iter_mut().for_each(|ending| ending.left -= 1);
                pass.at = timer.0;
                self.slot = timer.1;
                self.store.touch(self.slot);
            }
            if is_limited {
                self.store.unpin(timer.1);
            }
            if fires && !is_dropped {
                return Some(timer.0);
            }
            self.dropped += usize::from(is_dropped);
        }
    }

    /// Drops all timers and says how many.
    pub(crate) fn drop_timers(&mut self) -> usize {
        for by in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
            loop {
                let (timers, bound) = self.next_timers(by, None);
                self.dropped += timers.len();
                if self.store.is_limited() {
                    timers.iter().for_each(|(_, slot)| self.store.unpin(*slot));
                    self.relieve(timers.len());
                }
                if bound == END {
                    break;
                }
            }
        }
        self.take_dropped()
    }

    /// How many timers have been dropped since this was last asked.
    pub(crate) fn take_dropped(&mut self) -> usize {
        std::mem::take(&mut self.dropped)
    }
}
