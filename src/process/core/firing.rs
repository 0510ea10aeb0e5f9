//! The timers of a function: registration and firing.
//!
//! A call that registers or deletes a timer is an entry in a timer queue, with the slot of its key. When its
//! time has come, the last of the calls for one key and time counts. So a call never searches for earlier
//! ones, and is exact wherever these are, in memory or on disk.
//!
//! # Evicted timers
//!
//! If memory is limited, calls for far-off times are evicted, as rows with the key instead of a slot; and a
//! key of which no call is in memory can be evicted wholly. When calls are read back their keys are given
//! slots again; the state of a key is read back when its timer fires. Timers are then fired in portions:
//! those before a *bound*, of which all calls are in memory. A call by a firing timer for a time beyond the
//! bound goes to the timer queue, behind the evicted ones; a call for a time that has passed is kept aside
//! until all timers have fired.
//!
//! Firing timers bring state into memory, however many are due at once: when the watermark leaps, all of
//! them. So state may be evicted in between.
//!
//! # At the end
//!
//! When the input has ended all times have passed, so all timers fire, those at the very end of time and
//! those for passed times too, whatever registers them. If timers go on registering timers without end,
//! [`LAST_TIMERS`] of those fire and the rest is dropped; if some were evicted, more may fire before.

use std::collections::BTreeMap;

use super::timer_pass::{Call, Ending, Pass};
use super::{Core, call_of};
use crate::data::{self, Key};
use crate::state::{END, Slot, TimeDomain, TimerBound as Bound, TimerQueue, WARM};

/// When the input has ended, all timers fire, and on each worker so many of those that timers register then.
/// The rest is dropped, and counted as `timers_dropped`.
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
            // The pass has taken all calls before its bound from the queue, so one more in the queue would
            // not be seen by this pass. The later call for the same key and time replaces the earlier one.
            if pass.at < time && is_before {
                if pass.calls.insert((time, *slot), call).is_none() && store.is_limited() {
                    store.pin(*slot);
                }
                return;
            }
            // In the queue it would be taken with the next portion of this pass, which might then never end.
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

    /// Begins a pass over the timers before a time, or all.
    pub(crate) fn begin(&mut self, by: TimeDomain, until: Option<i64>) {
        let (bound, due, calls, late) = ((i64::MIN, 0), Vec::new(), BTreeMap::new(), Vec::new());
        self.pass = Some(Pass { by, until, bound, at: i64::MIN, due, calls, late });
        self.go_on();
    }

    /// True if all timers of both clocks are to be fired once more, now that the input has ended: the first
    /// time, and then as long as there are any within the limit. The rest is to be
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

    /// Takes the timers that fire next from the queue. False if there are no more, which ends the pass.
    fn go_on(&mut self) -> bool {
        while let Some((by, until)) =
            self.pass.as_ref().filter(|pass| !pass.is_last()).map(|pass| (pass.by, pass.until))
        {
            let (due, bound) = self.next_timers(by, until);
            let Some(pass) = &mut self.pass else { return false };
            pass.bound = bound;
            if let Some(ending) = self.ending.as_mut().filter(|ending| ending.is_first) {
                // Timers from before the end always fire: they add what they will use up.
                ending.left += due.len();
            }
            pass.due = due;
            if !pass.due.is_empty() {
                if !pass.due.len().is_multiple_of(WARM) {
                    // `fire` warms up each time that a multiple of `WARM` is left; the odd ones at the front
                    // come before.
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

    /// Takes timers before a time, or all, out of a queue, the first one last, and returns the bound up to
    /// which they are complete. If memory is limited, their slots are pinned.
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
                // Until it fires: an eviction in between must not give its slot to another key.
                if store.is_limited() {
                    store.pin(slot);
                }
            }
            // Each call in the queue has pinned the slot once.
            group.iter().for_each(|_| store.unpin(slot));
        }
        // So that `fire` pops the first from the end.
        due.reverse();
        (due, bound)
    }

    /// Makes the key of the next timer to fire the current one, and returns the timer's time. `None` at the
    /// end of the pass.
    pub(crate) fn fire(&mut self) -> Option<i64> {
        let is_limited = self.store.is_limited();
        if is_limited {
            // Here no key is current: the last timer is done, and the next is not chosen.
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
                // Calls made in this pass are merged in order. One for the same key and time as a due timer
                // is the later one and decides.
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

    /// Drops all timers and returns how many.
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
