//! The operator: lets records wait for the watermark, shows them to the automaton in order, and seals both.
//!
//! All that happens on a worker happens in the order of event time: records by time, key and value, and before those of a
//! time the time-outs that are due then, by key. How far each watermark takes that order makes no difference to it.
//!
//! # What is owed
//!
//! A record can complete a match at its own time, and a partial match can time out at its deadline. So the operator owes output
//! at the least of the times of waiting records and of deadlines, and what it emits in one go is sent at that time. A deadline is
//! acted on when the watermark reaches it, whether or not a record comes; a record when the watermark is past it.
//!
//! # State
//!
//! Waiting records of the open epoch lie in a map by time, those of sealed epochs only in the arrangement. All with a time below
//! [`taken`](Detector::taken) have been taken, and such rows expire. Partial matches lie in a table and, as of the last
//! sealed epoch, in an arrangement; a key that has none has no entry in either.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use timely::dataflow::operators::generic::OperatorInfo;

use super::{Automaton, Match, Outcome, Partials, Taken};
use crate::data::{Exchange, Key, Record, Stamp, hash64};
use crate::error::Result;
use crate::snapshot::{Codec, RestoredOperator, Saved, Schema};
use crate::state::{Arrangement, Encoded, Hashed, Latest, Rows, Saves, Share, Slot, Table};
use crate::stream::{Logic, Outlets};
use crate::time::{EventTime, Time};

/// The time that a record is taken at: its own, but for the last there is, which no watermark passes.
pub(super) fn clamped(timestamp: EventTime) -> EventTime {
    timestamp.min(EventTime::MAX - 1)
}

/// The logic on one worker.
pub(super) struct Detector<K: Key, T: Exchange + Ord> {
    automaton: Arc<Automaton<T>>,
    /// Waiting records that the open epoch brought.
    open: BTreeMap<EventTime, Vec<(K, T)>>,
    /// Waiting records of sealed epochs, and the least time of one.
    sealed: Arrangement<Waiting<K, T>>,
    next_sealed: Option<EventTime>,
    /// Every record before this has been taken; shared with the rows, which expire by it.
    taken: Rc<Cell<EventTime>>,
    /// The keys with partial matches, and some that had one in the open epoch.
    keys: Table<K, Entry<T>>,
    /// When the next partial match of each key times out.
    deadlines: BTreeSet<(EventTime, Slot)>,
    touched: Vec<Slot>,
    /// The keys that have changed since the last seal, and those that the last seal knew and that are no more.
    changed: Vec<Slot>,
    gone: Vec<Hashed<K>>,
    partials: Arrangement<Latest<Hashed<K>, Partials<T>>>,
    outcome: Outcome<T>,
    timed_out: Outlets<Match<K, T>>,
    /// The pattern, as it is shown.
    pattern: String,
}

struct Entry<T> {
    partials: Partials<T>,
    deadline: Option<EventTime>,
    /// True if the open epoch has changed it.
    touched: bool,
    /// True if it is among those that have changed since the last seal.
    changed: bool,
    /// True if the arrangement knows the key.
    sealed: bool,
}

impl<K: Key, T: Exchange + Ord> Detector<K, T> {
    pub(super) fn new(
        automaton: Arc<Automaton<T>>,
        timed_out: Outlets<Match<K, T>>,
        operator: OperatorInfo,
    ) -> Detector<K, T> {
        let taken = Rc::new(Cell::new(EventTime::MIN));
        let rows = Waiting { taken: Rc::clone(&taken), row: PhantomData };
        Detector {
            automaton,
            open: BTreeMap::new(),
            sealed: Arrangement::new(rows, operator.clone()),
            next_sealed: None,
            taken,
            keys: Table::default(),
            deadlines: BTreeSet::new(),
            touched: Vec::new(),
            changed: Vec::new(),
            gone: Vec::new(),
            partials: Arrangement::new(Latest::new(), operator),
            outcome: if timed_out.is_unread() { Outcome::of_matches() } else { Outcome::default() },
            timed_out,
            pattern: String::new(),
        }
    }

    /// Says which pattern it is, so that snapshots of another one are refused.
    pub(super) fn of(self, pattern: String) -> Detector<K, T> {
        Detector { pattern, ..self }
    }

    /// Takes out the waiting records before `now`, in order.
    fn due(&mut self, now: EventTime) -> Vec<(EventTime, K, T)> {
        let mut due = Vec::new();
        while let Some(first) = self.open.first_entry().filter(|first| *first.key() < now) {
            let (at, records) = first.remove_entry();
            due.extend(records.into_iter().map(|(key, value)| (at, key, value)));
        }
        if self.next_sealed.is_some_and(|next| next < now) {
            let (taken, mut next) = (self.taken.get(), None::<EventTime>);
            self.sealed.scan(
                |(at, ..)| *at < taken,
                |row, count| {
                    if row.0 >= now {
                        next = Some(next.map_or(row.0, |next| next.min(row.0)));
                        return ControlFlow::Break(());
                    }
                    let (at, key, value) = row;
                    due.extend((0..*count).map(|_| (*at, key.key.clone(), value.clone())));
                    ControlFlow::Continue(())
                },
            );
            self.next_sealed = next;
        }
        due.sort_unstable();
        due
    }

    /// Shows a record to the automaton.
    fn take(&mut self, (at, key, value): (EventTime, K, T), since: Time, out: &mut Outlets<Match<K, T>>) {
        let hash = hash64(&key);
        let slot = match self.keys.find(hash, &key) {
            Some(slot) => slot,
            None => {
                let mut partials = Partials::default();
                self.automaton.advance(&mut partials, value, at, &mut self.outcome);
                // Most records begin nothing, and should leave no trace.
                if !partials.is_empty() {
                    let entry =
                        Entry { partials, deadline: None, touched: false, changed: false, sealed: false };
                    let slot = self.keys.insert(hash, key.clone(), entry);
                    self.touch(slot);
                }
                self.emit(&key, since, out);
                return;
            }
        };
        let partials = &mut self.keys.get_mut(slot).1.partials;
        if self.automaton.advance(partials, value, at, &mut self.outcome) {
            self.touch(slot);
        }
        self.emit(&key, since, out);
    }

    /// Tells of the partial matches that time out up to `now`.
    fn time_out(&mut self, now: EventTime, since: Time, out: &mut Outlets<Match<K, T>>) {
        while let Some((deadline, _)) = self.deadlines.first().copied().filter(|first| first.0 <= now) {
            let due = self.deadlines.iter().take_while(|(other, _)| *other == deadline);
            let mut due: Vec<Slot> = due.map(|(_, slot)| *slot).collect();
            due.sort_unstable_by(|one, other| self.keys.get(*one).0.cmp(&self.keys.get(*other).0));
            for slot in due {
                let (key, entry) = self.keys.get_mut(slot);
                let key = key.clone();
                self.automaton.expire(&mut entry.partials, deadline, &mut self.outcome);
                self.touch(slot);
                self.emit(&key, since, out);
            }
        }
    }

    /// Takes note that a key's partial matches have changed.
    fn touch(&mut self, slot: Slot) {
        let entry = &mut self.keys.get_mut(slot).1;
        let deadline = self.automaton.deadline(&entry.partials);
        if deadline != entry.deadline {
            if let Some(before) = entry.deadline {
                self.deadlines.remove(&(before, slot));
            }
            self.deadlines.extend(deadline.map(|deadline| (deadline, slot)));
            entry.deadline = deadline;
        }
        if !entry.touched {
            entry.touched = true;
            self.touched.push(slot);
        }
    }

    /// Emits what the automaton found for a key.
    fn emit(&mut self, key: &K, since: Time, out: &mut Outlets<Match<K, T>>) {
        let record = |(timestamp, events): (EventTime, Taken<T>)| {
            let stamp = Stamp { timestamp, watermark: timestamp };
            Record::new(Match { key: key.clone(), timestamp, events }, stamp)
        };
        self.outcome.matches.drain(..).for_each(|found| out.give(since, record(found)));
        self.outcome.timed_out.drain(..).for_each(|over| self.timed_out.give(since, record(over)));
    }
}

impl<K: Key, T: Exchange + Ord> Logic<Record<(K, T)>> for Detector<K, T> {
    type Out = Match<K, T>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Record<(K, T)>>, _: &mut Outlets<Match<K, T>>) {
        for Record { value, stamp } in batch.drain(..) {
            let at = clamped(stamp.timestamp);
            debug_assert!(at >= self.taken.get(), "a record of {at} came after its time was taken");
            self.open.entry(at).or_default().push(value);
        }
    }

    fn advance(&mut self, watermark: EventTime, from: Time, out: &mut Outlets<Match<K, T>>) {
        for record in self.due(watermark) {
            self.time_out(record.0, from, out);
            self.take(record, from, out);
        }
        self.time_out(watermark, from, out);
        self.taken.set(watermark);
    }

    fn close(&mut self, _: u64, _: Option<Time>, _: &mut Outlets<Match<K, T>>) {
        for slot in self.touched.drain(..) {
            let entry = &mut self.keys.get_mut(slot).1;
            entry.touched = false;
            if !entry.partials.is_empty() {
                if !std::mem::replace(&mut entry.changed, true) {
                    self.changed.push(slot);
                }
            } else if let Some((key, entry)) = self.keys.remove(slot)
                && entry.sealed
            {
                self.gone.push(Hashed::new(key));
            }
        }
        self.keys.trim(&mut self.changed, |entry| entry.changed);
    }

    fn seal(&mut self, epoch: u64) {
        let open = std::mem::take(&mut self.open);
        self.next_sealed = self.next_sealed.into_iter().chain(open.keys().next().copied()).min();
        let rows = open.into_iter().flat_map(|(at, records)| {
            records.into_iter().map(move |(key, value)| (at, Hashed::new(key), value))
        });
        let mut rows: Vec<_> = rows.map(|row| (row, 1)).collect();
        rows.sort_unstable();
        rows.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            earlier.1 += if same { later.1 } else { 0 };
            same
        });
        self.sealed.seal(epoch, rows);

        let mut rows: Vec<_> = self.gone.drain(..).map(|key| (key, None)).collect();
        for slot in self.changed.drain(..) {
            // The slot of a key that is no more may be vacant or another's.
            if let Some((key, entry)) = self.keys.try_get_mut(slot).filter(|(_, entry)| entry.changed) {
                (entry.changed, entry.sealed) = (false, true);
                rows.push((Hashed::new(key.clone()), Some(entry.partials.clone())));
            }
        }
        self.partials.seal_unsorted(epoch, rows);
    }

    fn save(&mut self) -> Result<Saved> {
        let tables = vec![self.sealed.save("waiting"), self.partials.save("partial matches")];
        let mut saved = Saved { tables, ..Saved::default() };
        saved.note_settings(PATTERN, Some(self.pattern.clone()))?;
        Ok(saved)
    }

    fn restore(&mut self, from: &RestoredOperator, share: Share) -> Result<()> {
        from.check_settings(PATTERN, Some(self.pattern.clone()))?;
        self.sealed.restore("waiting", from, share)?;
        let (taken, mut next) = (self.taken.get(), None::<EventTime>);
        self.sealed.each(|(at, ..), _| {
            if *at >= taken {
                next = Some(next.map_or(*at, |next| next.min(*at)));
            }
        });
        self.next_sealed = next;
        self.partials.restore("partial matches", from, share)?;
        let keys = &mut self.keys;
        self.partials.each(|Hashed { hash, key }, partials| {
            let entry =
                |partials| Entry { partials, deadline: None, touched: false, changed: false, sealed: true };
            keys.replace(*hash, key, partials.clone().map(entry));
        });
        let slots: Vec<_> = self.keys.occupied().collect();
        for slot in slots {
            let entry = &mut self.keys.get_mut(slot).1;
            entry.deadline = self.automaton.deadline(&entry.partials);
            self.deadlines.extend(entry.deadline.map(|deadline| (deadline, slot)));
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.timed_out.flush();
    }

    fn owes(&self) -> Option<EventTime> {
        let open = self.open.keys().next().copied();
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        open.into_iter().chain(self.next_sealed).chain(deadline).min()
    }
}

/// Rows of waiting records, each with how often it is there.
struct Waiting<K, T> {
    taken: Rc<Cell<EventTime>>,
    row: PhantomData<fn() -> (K, T)>,
}

impl<K, T> Clone for Waiting<K, T> {
    fn clone(&self) -> Self {
        Waiting { taken: Rc::clone(&self.taken), row: PhantomData }
    }
}

impl<K: Key, T: Exchange + Ord> Rows for Waiting<K, T> {
    type Key = (EventTime, Hashed<K>, T);
    type Value = u64;

    fn absorb(&self, older: &mut u64, newer: &u64) {
        *older += newer;
    }

    fn is_vacant(&self, _: &u64, _: bool) -> bool {
        false
    }

    fn is_expired((at, ..): &(EventTime, Hashed<K>, T), clock: i64) -> bool {
        *at <= clock
    }

    fn clock(&self) -> i64 {
        self.taken.get().saturating_sub(1)
    }

    fn reach(&self, time: i64) {
        self.taken.set(time.saturating_add(1));
    }
}

/// The name of the note that says what the pattern is.
const PATTERN: &str = "pattern";

/// A row of a record that waits.
type WaitingRow<K, T> = ((EventTime, Hashed<K>, T), u64);

impl<K: Key, T: Exchange + Ord> Saves for Waiting<K, T> {
    type Part = T;

    const ORDERED_BY_PART: bool = true;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(EventTime, K, P)>("waiting")
    }

    fn owner((_, key, _): &(EventTime, Hashed<K>, T)) -> u64 {
        key.hash
    }

    fn encode(rows: &[WaitingRow<K, T>], codec: Codec) -> Result<Vec<u8>> {
        let rows: Vec<_> =
            rows.iter().map(|((at, key, value), count)| (at, &key.key, value, count)).collect();
        codec.encode_views(&rows)
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> T,
    ) -> Result<Vec<WaitingRow<K, T>>> {
        let row =
            |(at, key, value, count): (EventTime, K, P, u64)| ((at, Hashed::new(key), own(value)), count);
        Ok(page.rows()?.into_iter().map(row).collect())
    }
}

#[cfg(test)]
#[path = "operator_tests.rs"]
mod tests;
