//! The partial matches of each key: in memory, and beyond it.
//!
//! They are the entries of a [keyed table](KeyedState); a key that has none has no entry. What the table does
//! when memory is limited changes nothing, for a key comes back in two cases, before anything is asked of it:
//!
//! * a record of it is taken: whoever [finds](Keys::find) a key finds it in the table, or has it read, or
//!   there is none;
//! * its deadline is due: before the [next](Keys::due) deadlines are told, the evicted keys that have one up
//!   to then are [recalled](Keys::recall). The deadline of an evicted key cannot change, since nothing
//!   happens to it.
//!
//! The end of the input is a deadline too, for keys whose matches are [held back](Automaton::deadline) until
//! then. There may be any number of these, so they are brought back one by one, in their order, by a list of
//! them.
//!
//! A watermark that leaps, as it does when the input ends, can bring much more due than an epoch has brought.
//! So time goes on by steps while keys are evicted, keys that are over go at once, and keys are evicted
//! between two steps, and every so many records, as they are when an epoch closes.
//!
//! # Cost
//!
//! An evicted key takes some sixty bytes, if its own are few. To evict a key and to bring it back is to
//! encode and to decode all its partial matches with what they hold, those events included that no partial
//! match needs any more and that were not dropped yet. To write a key for a snapshot costs a copy of as much.

use std::sync::Arc;

use super::{Automaton, Partials};
use crate::data::{Exchange, Key};
use crate::state::{Entry, Footprint, Held, KeyedState, MemoryBudget, OperatorState, Slot, StateReaders};
use crate::time::EventTime;

/// The partial matches of a worker's keys.
pub(super) struct Keys<K: Key, T: Exchange> {
    state: KeyedState<K, Partials<T>>,
    /// Keys that have lost their last partial match in the open epoch, and may have got others since.
    emptied: Vec<Slot>,
    /// The records that were taken since it was last asked whether keys must leave.
    taken: u32,
}

/// While keys are evicted, deadlines are due for so many milliseconds at a time.
const STEP: EventTime = 64;

/// After so many records it is asked whether keys must leave.
const TAKEN: u32 = 64;

impl<T: Exchange> Entry for Partials<T> {
    type Row = Partials<T>;
    type Context = Arc<Automaton<T>>;
    const TABLE: &'static str = "partial matches";
    const IS_RECALLED: bool = true;
    const HAD_NO_EXPIRY: bool = true;

    fn row(&self) -> Partials<T> {
        self.clone()
    }

    fn into_row(self) -> Partials<T> {
        self
    }

    fn from_row(row: Partials<T>, _: EventTime) -> Option<Partials<T>> {
        Some(row)
    }

    fn is_vacant(&self) -> bool {
        self.is_empty()
    }

    fn deadline(&self, automaton: &Arc<Automaton<T>>) -> Option<EventTime> {
        automaton.deadline(self)
    }

    #[inline]
    fn held(&self) -> Held {
        self.size()
    }

    fn sample(&self, footprint: &mut Footprint) {
        self.newest().into_iter().for_each(|event| footprint.see(event));
    }
}

impl<K: Key, T: Exchange> Keys<K, T> {
    pub(super) fn new(
        automaton: Arc<Automaton<T>>,
        (state_readers, budget): (&StateReaders, Option<MemoryBudget>),
    ) -> Keys<K, T> {
        let state = KeyedState::new(automaton, state_readers, budget);
        Keys { state, emptied: Vec::new(), taken: 0 }
    }

    /// The slot of a key, if it has partial matches.
    #[inline]
    pub(super) fn find(&mut self, hash: u64, key: &K) -> Option<Slot> {
        self.state.find(hash, key)
    }

    /// The key of a slot.
    pub(super) fn key(&self, slot: Slot) -> &K {
        self.state.get(slot).0
    }

    /// Adds a key that has no partial matches.
    pub(super) fn insert(&mut self, hash: u64, key: K, partials: Partials<T>) {
        self.state.insert(hash, key, partials);
    }

    /// Lets `change` have a key's partial matches, which says if they are not what they were.
    #[inline]
    pub(super) fn change(&mut self, slot: Slot, change: impl FnOnce(&mut Partials<T>) -> bool) {
        let was_empty = self.state.get(slot).1.is_empty();
        self.state.change(slot, change);
        if !was_empty && self.state.get(slot).1.is_empty() {
            self.emptied.push(slot);
        }
    }

    /// No deadline is earlier than this, and the first is less than 64 milliseconds later.
    #[inline]
    pub(super) fn next(&self) -> Option<EventTime> {
        self.state.next_deadline()
    }

    /// The first deadline that is not after `now`, or an earlier time.
    #[inline]
    pub(super) fn next_due(&mut self, now: EventTime) -> Option<EventTime> {
        // Mostly none is near, which is known at once.
        self.state.next_deadline().filter(|next| *next <= now)?;
        self.state.first_deadline().filter(|next| *next <= now)
    }

    /// Brings the keys back that have a deadline up to `now`, or up to some time after `next` that is before
    /// it. Gives that time.
    pub(super) fn recall(&mut self, next: EventTime, now: EventTime) -> EventTime {
        if self.state.is_resident() {
            return now;
        }
        let until = now.min(next.saturating_add(STEP));
        self.state.recall(until);
        until
    }

    /// The first deadline up to `until` of the keys in memory, and these keys, in order. Each is to be
    /// [changed](Keys::change).
    pub(super) fn due(&mut self, until: EventTime) -> Option<(EventTime, Vec<Slot>)> {
        while let Some(first) = self.state.first_alarm().filter(|first| *first <= until) {
            // Some may have a later deadline by now: they are listed anew.
            let due = self.state.due(first);
            if !due.is_empty() {
                let mut due: Vec<Slot> = due.into_iter().map(|(_, slot)| slot).collect();
                due.sort_unstable_by(|one, other| self.key(*one).cmp(self.key(*other)));
                return Some((first, due));
            }
        }
        None
    }

    /// Lets a key go at once if it is no more and memory is limited: many may have come back for that alone.
    pub(super) fn release(&mut self, slot: Slot) {
        if self.state.is_limited() {
            self.remove_empty(slot);
        }
    }

    /// Lets a key go at once if it is no more.
    pub(super) fn remove_empty(&mut self, slot: Slot) {
        if self.state.get(slot).1.is_empty() {
            self.state.remove(slot);
        }
    }

    /// The keys of which something is decided by the end of the input, in order. All earlier deadlines are
    /// over. Each must be [brought](Keys::bring) then.
    pub(super) fn last(&mut self) -> Vec<(u64, K)> {
        self.state.with_deadline()
    }

    /// The slot of one of the [last](Keys::last) keys, wherever it is now.
    pub(super) fn bring(&mut self, hash: u64, key: &K) -> Option<Slot> {
        self.state.bring(hash, key)
    }

    /// The open epoch is over.
    pub(super) fn close(&mut self) {
        for slot in self.emptied.drain(..) {
            // The slot of a key that is no more may be vacant or another's.
            if self.state.try_get(slot).is_some_and(|(_, partials)| partials.is_empty()) {
                self.state.remove(slot);
            }
        }
        self.state.trim();
    }

    /// The keys as a state of the operator.
    pub(super) fn state(&mut self) -> &mut dyn OperatorState {
        &mut self.state
    }

    /// Evicts keys, if they take more memory than they may.
    pub(super) fn evict(&mut self, epoch: u64) {
        self.state.evict(epoch);
    }

    /// Evicts keys, if they take more memory than they may, when some more records have been taken.
    #[inline]
    pub(super) fn has_taken(&mut self, epoch: u64) {
        if self.state.is_limited() {
            self.taken += 1;
            if self.taken >= TAKEN {
                self.taken = 0;
                self.evict(epoch);
            }
        }
    }
}

#[cfg(test)]
impl<K: Key, T: Exchange> Keys<K, T> {
    /// Takes in all that another one has sealed up to an epoch.
    pub(super) fn restore_from(&mut self, other: &Keys<K, T>, epoch: u64) {
        self.state.restore_from(&other.state, epoch);
    }

    /// The number of keys in memory, of deadlines, of takes, and of rows.
    pub(super) fn counts(&self) -> [usize; 4] {
        let [keys, deadlines, rows, _] = self.state.counts();
        let mut takes = 0;
        self.state.each(&mut |partials| takes += partials.takes_and_events().0);
        [keys, deadlines, takes, rows]
    }

    /// The first deadline of a key in memory.
    pub(super) fn least_deadline(&self) -> Option<EventTime> {
        self.state.least_deadline()
    }

    /// The number of keys that have left memory.
    pub(super) fn away(&self) -> usize {
        self.state.counts()[3]
    }

    /// Panics if what is known of the size of all is not their size.
    pub(super) fn check_size(&self) {
        self.state.check_held();
    }
}
