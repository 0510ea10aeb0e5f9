//! The operator: lets records wait for the watermark, shows them to the automaton in order, and seals both.
//!
//! All that happens on a worker happens in the order of event time: records by time, key and value, and
//! before those of a time the time-outs that are due then, by key. How far each watermark takes that order
//! makes no difference to it.
//!
//! # What is owed
//!
//! A record can complete a match at its own time, and a partial match can time out at its deadline. So the
//! operator owes output at the least of the times of waiting records and of deadlines, and what it emits in
//! one go is sent at that time. A deadline is acted on when the watermark reaches it, whether or not a record
//! comes; a record when the watermark is past it. A deadline is known to 64 milliseconds, and may be that of
//! a key that has none any more: the operator may owe it too early, but no earlier than the watermark, which
//! holds back no one.
//!
//! What is much is emitted a portion at a time, so that those that read it have their turn.
//!
//! # State
//!
//! [Records that wait](super::waiting_events), and the [partial matches](super::keys) of keys. Both are
//! sealed when someone asks, and both are in files if memory is limited, but for what is wanted soon.

use std::sync::Arc;
use std::vec;

use super::keys::Keys;
use super::matched::Match;
use super::partials::clamped;
use super::waiting_events::{Due, Waiting};
use super::{Automaton, Outcome, Partials, Taken};
use crate::data::{Exchange, Key, Record, Stamp, hash64};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{MemoryBudget, OperatorState, Share, SpillBudget, StateReaders};
use crate::stream::{OperatorLogic, Outputs};
use crate::time::{EventTime, Time};

/// So many results are enough for one activation; if memory is limited, so many.
const PORTION: usize = 8192;
const LIMITED: usize = 256;

/// The name of the note that says what the pattern is.
const PATTERN: &str = "pattern";

/// The logic on one worker.
pub(super) struct Detector<K: Key, T: Exchange + Ord> {
    automaton: Arc<Automaton<T>>,
    pub(super) waiting: Waiting<K, T>,
    pub(super) keys: Keys<K, T>,
    /// Records that wait no longer, and have not been taken.
    due: vec::IntoIter<Due<K, T>>,
    /// The input has ended, and something is decided by that for these keys, with their hashes.
    ending: vec::IntoIter<(u64, K)>,
    outcome: Outcome<T>,
    timed_out: Outputs<Match<K, T>>,
    /// The results that were given in this activation, and how many are enough.
    given: usize,
    pub(super) portion: usize,
    /// True if more is due than has been done.
    is_amid: bool,
    /// The pattern, as it is shown.
    pattern: String,
}

impl<K: Key, T: Exchange + Ord> Detector<K, T> {
    /// A logic whose state has so much memory, for its keys and for records that wait, if that is limited.
    pub(super) fn new(
        automaton: Arc<Automaton<T>>,
        timed_out: Outputs<Match<K, T>>,
        state_readers: &StateReaders,
        limits: Option<(MemoryBudget, SpillBudget)>,
    ) -> Detector<K, T> {
        let portion = if limits.is_some() { LIMITED } else { PORTION };
        let (limit, quota) = limits.unzip();
        Detector {
            keys: Keys::new(Arc::clone(&automaton), (state_readers, limit)),
            automaton,
            waiting: Waiting::new(quota),
            due: Vec::new().into_iter(),
            ending: Vec::new().into_iter(),
            outcome: if timed_out.is_unread() { Outcome::of_matches() } else { Outcome::default() },
            timed_out,
            given: 0,
            portion,
            is_amid: false,
            pattern: String::new(),
        }
    }

    /// Says which pattern it is, so that snapshots of another one are refused.
    pub(super) fn of(self, pattern: String) -> Detector<K, T> {
        Detector { pattern, ..self }
    }

    /// Shows a record to the automaton.
    fn take(&mut self, (at, key, value): Due<K, T>, since: Time, out: &mut Outputs<Match<K, T>>) {
        let hash = hash64(&key);
        let (automaton, outcome) = (&self.automaton, &mut self.outcome);
        match self.keys.find(hash, &key) {
            Some(slot) => {
                self.keys.change(slot, |partials| automaton.advance(partials, value, at, outcome));
            }
            None => {
                let mut partials = Partials::default();
                automaton.advance(&mut partials, value, at, outcome);
                // Most records begin nothing, and should leave no trace.
                if !partials.is_empty() {
                    self.keys.insert(hash, key.clone(), partials);
                }
            }
        }
        self.emit(&key, since, out);
    }

    /// Tells of the partial matches that time out up to `now`. False if that was not all.
    fn time_out(&mut self, now: EventTime, since: Time, out: &mut Outputs<Match<K, T>>) -> bool {
        while let Some(next) = self.keys.next_due(now) {
            let until = self.keys.recall(next, now);
            while let Some((deadline, due)) = self.keys.due(until) {
                for slot in due {
                    let key = self.keys.key(slot).clone();
                    let (automaton, outcome) = (&self.automaton, &mut self.outcome);
                    self.keys.change(slot, |partials| {
                        automaton.expire(partials, deadline, outcome);
                        true
                    });
                    self.emit(&key, since, out);
                    self.keys.release(slot);
                }
                if self.given >= self.portion {
                    return false;
                }
            }
            self.keys.evict(since.epoch);
            if until == now {
                break;
            }
        }
        true
    }

    /// Takes the records before `watermark`, and tells of what times out up to it. False if that was not all.
    fn go_on(&mut self, watermark: EventTime, since: Time, out: &mut Outputs<Match<K, T>>) -> bool {
        loop {
            while let Some((at, ..)) = self.due.as_slice().first() {
                if self.given >= self.portion || !self.time_out(*at, since, out) {
                    return false;
                }
                let record = self.due.next();
                record.into_iter().for_each(|record| self.take(record, since, out));
                self.keys.has_taken(since.epoch);
            }
            self.due = self.waiting.due(watermark).into_iter();
            if self.due.as_slice().is_empty() {
                let is_end = watermark == EventTime::MAX;
                return self.time_out(clamped(watermark), since, out) && (!is_end || self.end(since, out));
            }
        }
    }

    /// Tells of what is decided now that the input has ended. False if that was not all.
    fn end(&mut self, since: Time, out: &mut Outputs<Match<K, T>>) -> bool {
        if self.ending.as_slice().is_empty() {
            self.ending = self.keys.last().into_iter();
        }
        while let Some((hash, key)) = self.ending.next() {
            // What cannot be read ends the job.
            let Some(slot) = self.keys.bring(hash, &key) else { continue };
            let (automaton, outcome) = (&self.automaton, &mut self.outcome);
            self.keys.change(slot, |partials| automaton.expire(partials, EventTime::MAX, outcome));
            self.emit(&key, since, out);
            self.keys.remove_empty(slot);
            self.keys.has_taken(since.epoch);
            if self.given >= self.portion {
                break;
            }
        }
        let is_all = self.ending.as_slice().is_empty();
        if is_all {
            // Keys that were brought back were listed again, and have gone since. Nothing is owed any more.
            let left = self.keys.last();
            debug_assert!(left.is_empty(), "{left:?} wait for more than the end");
        }
        is_all
    }

    /// Emits what the automaton found for a key.
    fn emit(&mut self, key: &K, since: Time, out: &mut Outputs<Match<K, T>>) {
        let record = |(timestamp, events): (EventTime, Taken<T>)| {
            let stamp = Stamp { timestamp, watermark: timestamp };
            Record::new(Match { key: key.clone(), timestamp, events }, stamp)
        };
        self.given += self.outcome.matches.len() + self.outcome.timed_out.len();
        self.outcome.matches.drain(..).for_each(|found| out.give(since, record(found)));
        self.outcome.timed_out.drain(..).for_each(|over| self.timed_out.give(since, record(over)));
    }
}

impl<K: Key, T: Exchange + Ord> OperatorLogic<Record<(K, T)>> for Detector<K, T> {
    type Out = Match<K, T>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Record<(K, T)>>, _: &mut Outputs<Match<K, T>>) {
        for Record { value, stamp } in batch.drain(..) {
            let at = clamped(stamp.timestamp);
            debug_assert!(at >= self.waiting.taken(), "a record of {at} came after its time was taken");
            self.waiting.add(at, value);
        }
    }

    fn advance(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<Match<K, T>>) {
        self.given = 0;
        self.is_amid = !self.go_on(watermark, from, out);
        if !self.is_amid {
            self.waiting.reach(watermark);
        }
    }

    fn is_amid(&self) -> bool {
        self.is_amid
    }

    fn close(&mut self, _: u64, _: Option<Time>, _: &mut Outputs<Match<K, T>>) {
        self.keys.close();
    }

    fn states(&mut self, visit: &mut dyn FnMut(&mut dyn OperatorState)) {
        // Keys first: they make room for records that wait.
        visit(self.keys.state());
        visit(&mut self.waiting);
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.note_settings(PATTERN, Some(self.pattern.clone()))
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        from.check_settings(PATTERN, Some(self.pattern.clone()))?;
        self.restore_states(from, share)
    }

    fn flush(&mut self) {
        self.timed_out.flush();
    }

    fn owes(&self) -> Option<EventTime> {
        let due = self.due.as_slice().first().map(|(at, ..)| *at);
        let end = self.ending.as_slice().first().map(|_| EventTime::MAX);
        let owed = due.into_iter().chain(end).chain(self.waiting.next()).chain(self.keys.next()).min()?;
        // Deadlines may be later than they seem. The end is told in the last millisecond.
        Some(clamped(owed.max(self.waiting.taken())))
    }
}

#[cfg(test)]
#[path = "operator_tests.rs"]
mod tests;
