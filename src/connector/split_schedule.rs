//! The schedule of a worker's splits: which is read next, which is polled again later, and which are silent.
//!
//! # Order of reading
//!
//! The split that is furthest behind in event time is read next, and of several that are equally far behind,
//! the one that was read least recently. So splits without event times take turns. A split whose watermark
//! does not advance when it is read can stay the furthest behind for ever; so after each of its turns a split
//! that is ahead of it has one.
//!
//! # Silence
//!
//! A split is silent if its reader was polled and had nothing, and was polled again after the idle timeout
//! and had had nothing all the while. Time in which it was not polled and may have had records proves
//! nothing, whatever the reason: many records of others, backpressure, a slow step, a restart. So a reader
//! that asks to be polled only after a longer time is polled once in between.
//!
//! A silent split does not count for the watermark. But once it is due to be polled again it may have
//! records, and until it was polled it counts. Otherwise after a pause, when all splits have many records,
//! those of the splits that are not read first would be late.
//!
//! # Cost
//!
//! The splits are kept in ordered sets, so a turn costs the logarithm of their number.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::time::{EventTime, Reach};

/// How many pieces are read in a row of a split whose reader had to be opened again.
const SLICE: u32 = 32;

/// The splits that a worker reads, each by its slot.
#[derive(Default)]
pub(super) struct SplitSchedule {
    entries: Vec<Entry>,
    /// Slots without a split.
    free: Vec<usize>,
    /// Splits that may have records, in the order in which they are read: by watermark and last turn.
    ready: BTreeSet<(EventTime, u64, usize)>,
    /// Splits that have nothing, by the time of their next poll.
    waiting: BTreeSet<(Duration, usize)>,
    /// The watermarks of the splits that count: all but those that are silent and wait.
    counting: BTreeSet<(EventTime, usize)>,
    silence: Option<Duration>,
    /// How many are silent.
    silent: usize,
    /// Counts the turns.
    turn: u64,
    /// The next split must be at least here, since those behind did not advance when they were read.
    floor: Option<EventTime>,
    /// A split that goes on with its slice before others.
    slicing: Option<usize>,
    /// The greatest watermark of all splits so far.
    greatest: Option<EventTime>,
}

struct Entry {
    watermark: EventTime,
    /// Its last turn.
    turn: u64,
    /// When it became ready, or was last polled.
    asked: Duration,
    /// When it was first found to have nothing, if it has had nothing since.
    quiet: Option<Duration>,
    is_silent: bool,
    /// Pieces that it may still read in a row.
    slice: u32,
}

impl SplitSchedule {
    /// No splits, and the idle timeout, if there is one.
    pub(super) fn new(silence: Option<Duration>) -> SplitSchedule {
        SplitSchedule { silence, ..SplitSchedule::default() }
    }

    /// The number of splits.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Adds a split, which may have records, and returns its slot.
    pub(super) fn add(&mut self, watermark: EventTime, now: Duration) -> usize {
        self.turn += 1;
        let turn = self.turn;
        let entry = Entry { watermark, turn, asked: now, quiet: None, is_silent: false, slice: 0 };
        let slot = self.free.pop().unwrap_or(self.entries.len());
        match self.entries.get_mut(slot) {
            Some(free) => *free = entry,
            None => self.entries.push(entry),
        }
        self.reach(watermark);
        self.counting.insert((watermark, slot));
        self.ready.insert((watermark, turn, slot));
        slot
    }

    /// Records the watermark of a split, maybe one that has ended.
    pub(super) fn reach(&mut self, watermark: EventTime) {
        self.greatest = self.greatest.max(Some(watermark));
    }

    /// Splits that are due to be polled by `now` may have records from now on.
    pub(super) fn wake(&mut self, now: Duration) {
        while let Some((due, slot)) = self.waiting.first().copied().filter(|(due, _)| *due <= now) {
            self.waiting.pop_first();
            let entry = &mut self.entries[slot];
            // Not `now`: in between it could have had records.
            entry.asked = due;
            // Until it is polled, it may have records.
            self.counting.insert((entry.watermark, slot));
            self.ready.insert(self.key(slot));
        }
    }

    /// Takes the split to read next, which must not be ahead of `limit`. The caller gives it back.
    pub(super) fn take(&mut self, limit: EventTime) -> Option<usize> {
        let slicing = self.slicing.take().map(|slot| self.key(slot));
        // The split that was read last did not advance: the next turn goes to one above it.
        let above = self.floor.take().and_then(|floor| self.ready.range((floor, 0, 0)..).next().copied());
        let first = self.ready.first().copied();
        let next =
            [slicing, above, first].into_iter().flatten().find(|(watermark, ..)| *watermark <= limit)?;
        self.ready.remove(&next);
        Some(next.2)
    }

    fn key(&self, slot: usize) -> (EventTime, u64, usize) {
        (self.entries[slot].watermark, self.entries[slot].turn, slot)
    }

    /// The watermark of the split that is furthest behind of those that may have records.
    pub(super) fn next_to_read(&self) -> Option<EventTime> {
        self.ready.first().map(|(watermark, ..)| *watermark)
    }

    /// The reader of a split that was taken had to be opened again: it reads more pieces in a row, to
    /// amortize that cost.
    pub(super) fn slice(&mut self, slot: usize) {
        self.entries[slot].slice = SLICE;
    }

    /// A split that was taken has been read and has reached a watermark. `gave` is false if it had no
    /// records.
    pub(super) fn note(&mut self, slot: usize, watermark: EventTime, gave: bool) {
        let entry = &mut self.entries[slot];
        let (before, was_silent) = (entry.watermark, entry.is_silent);
        entry.watermark = watermark;
        entry.slice = entry.slice.saturating_sub(1);
        if gave {
            (entry.quiet, entry.is_silent) = (None, false);
            self.silent -= usize::from(was_silent);
            // Only if other splits are ready, which may have more right to the next turn.
            self.floor =
                (watermark == before && !self.ready.is_empty()).then_some(watermark.saturating_add(1));
        }
        if watermark > before {
            self.counting.remove(&(before, slot));
            self.counting.insert((watermark, slot));
            self.reach(watermark);
        }
    }

    /// True if a split that was taken and may have more is the one to read next.
    pub(super) fn goes_on(&self, slot: usize, limit: EventTime) -> bool {
        let Entry { watermark, slice, .. } = self.entries[slot];
        let is_next =
            || self.ready.first().is_none_or(|(next, ..)| watermark < *next) && self.floor.is_none();
        watermark <= limit && (slice > 0 || self.ready.is_empty() || is_next())
    }

    /// Gives back a split that may have more.
    pub(super) fn put(&mut self, slot: usize, now: Duration) {
        self.turn += 1;
        let entry = &mut self.entries[slot];
        (entry.turn, entry.asked) = (self.turn, now);
        if entry.slice > 0 {
            self.slicing = Some(slot);
        }
        self.ready.insert(self.key(slot));
    }

    /// Gives back a split whose reader had nothing, or nothing more, `now`, and asks to be polled when it is
    /// `due`.
    pub(super) fn rest(&mut self, slot: usize, now: Duration, mut due: Duration) {
        self.turn += 1;
        let (turn, silence) = (self.turn, self.silence);
        let entry = &mut self.entries[slot];
        (entry.turn, entry.slice) = (turn, 0);
        // The time of the first poll without records. Earlier silence was not observed.
        let since = *entry.quiet.get_or_insert(now);
        let silent = silence.map(|silence| since.saturating_add(silence));
        if !entry.is_silent && silent.is_some_and(|silent| now >= silent) {
            entry.is_silent = true;
            self.silent += 1;
        }
        if entry.is_silent {
            self.counting.remove(&(entry.watermark, slot));
        } else {
            // Silence needs a second poll after the timeout, whatever the reader asks for.
            due = silent.map_or(due, |silent| silent.min(due));
        }
        self.waiting.insert((due, slot));
    }

    /// Removes a split that was taken.
    pub(super) fn remove(&mut self, slot: usize) {
        let entry = &self.entries[slot];
        self.silent -= usize::from(entry.is_silent);
        self.counting.remove(&(entry.watermark, slot));
        self.free.push(slot);
    }

    /// True if a split is silent.
    pub(super) fn is_silent(&self, slot: usize) -> bool {
        self.entries[slot].is_silent
    }

    /// The least watermark of the splits that count.
    pub(super) fn least(&self) -> Option<EventTime> {
        self.counting.first().map(|(watermark, _)| *watermark)
    }

    /// The progress to publish to other workers, with the `watermark` of this worker.
    pub(super) fn shown(&self, watermark: EventTime) -> Reach {
        Reach {
            least: self.least().map_or(EventTime::MAX, |least| least.max(watermark)),
            greatest: self.greatest.unwrap_or(EventTime::MIN),
            is_silent: self.silent > 0,
        }
    }

    /// When the next of the waiting splits is to be polled.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// A moment since which every split was polled, or had asked not to be polled yet.
    pub(super) fn asked_since(&self, now: Duration) -> Duration {
        self.ready.iter().map(|(.., slot)| self.entries[*slot].asked).min().unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const NO_LIMIT: EventTime = EventTime::MAX;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Reads a split that comes to a watermark and may have more.
    fn read(schedule: &mut SplitSchedule, to: EventTime) -> usize {
        let slot = schedule.take(NO_LIMIT).unwrap();
        schedule.note(slot, to, true);
        schedule.put(slot, Duration::ZERO);
        slot
    }

    fn schedule(splits: usize) -> SplitSchedule {
        let mut schedule = SplitSchedule::new(Some(millis(10)));
        (0..splits).for_each(|slot| assert_eq!(schedule.add(EventTime::MIN, Duration::ZERO), slot));
        schedule
    }

    #[test]
    fn the_split_that_is_furthest_behind_is_read_and_equals_take_turns() {
        let mut three = schedule(3);
        assert_eq!([5, 3, 9].map(|to| read(&mut three, to)), [0, 1, 2]);
        assert_eq!([4, 7, 7, 8].map(|to| read(&mut three, to)), [1, 1, 0, 1]);
        let mut still = schedule(3);
        assert_eq!([EventTime::MIN; 6].map(|to| read(&mut still, to)), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn one_that_does_not_move_lets_the_next_have_a_turn() {
        let mut three = schedule(3);
        [5, 6, 7].into_iter().enumerate().for_each(|(slot, to)| assert_eq!(read(&mut three, to), slot));
        assert_eq!([5, 8, 5, 7, 7].map(|to| read(&mut three, to)), [0, 1, 0, 2, 1], "0 stays at 5");
    }

    #[test]
    fn a_split_beyond_the_limit_is_not_read() {
        let mut two = schedule(2);
        [5, 20].into_iter().enumerate().for_each(|(slot, to)| assert_eq!(read(&mut two, to), slot));
        let slot = two.take(15).unwrap();
        two.note(slot, 16, true);
        assert!(slot == 0 && !two.goes_on(slot, 15) && two.goes_on(slot, 16));
        two.put(slot, Duration::ZERO);
        assert_eq!((two.take(15), two.next_to_read()), (None, Some(16)));
    }

    #[test]
    fn silence_is_what_the_reader_says_twice() {
        let mut two = schedule(2);
        assert_eq!(read(&mut two, 50), 0);
        let quiet = two.take(NO_LIMIT).unwrap();
        two.note(quiet, EventTime::MIN, false);
        two.rest(quiet, millis(7), millis(1_007));
        assert_eq!(two.next_due(), Some(millis(17)), "it is asked again then, whatever it wants");
        two.wake(millis(900));
        assert_eq!(two.least(), Some(EventTime::MIN), "it was not asked for long");
        let slot = two.take(NO_LIMIT).unwrap();
        two.note(slot, EventTime::MIN, false);
        two.rest(slot, millis(901), millis(1_901));
        assert_eq!((slot, two.is_silent(slot), two.least()), (quiet, true, Some(50)));
        // It is to be asked: until it was, it counts.
        two.wake(millis(1_901));
        assert_eq!(two.least(), Some(EventTime::MIN));
        assert_eq!(two.shown(40), Reach { least: 40, greatest: 50, is_silent: true });
        let slot = two.take(NO_LIMIT).unwrap();
        two.note(slot, 45, true);
        two.put(slot, millis(1_901));
        assert_eq!((slot, two.is_silent(slot), two.least()), (quiet, false, Some(45)));
        assert_eq!(two.shown(40), Reach { least: 45, greatest: 50, is_silent: false });
    }

    #[test]
    fn one_that_was_not_asked_is_not_silent() {
        let mut one = schedule(1);
        one.wake(millis(5_000));
        assert_eq!((one.asked_since(millis(5_000)), one.least()), (Duration::ZERO, Some(EventTime::MIN)));
        let slot = one.take(NO_LIMIT).unwrap();
        one.note(slot, 9, true);
        one.rest(slot, millis(6_000), millis(6_001));
        assert_eq!((one.asked_since(millis(6_000)), one.is_silent(slot)), (millis(6_000), false));
    }

    #[test]
    fn a_reader_that_was_opened_again_reads_some_pieces() {
        let mut two = schedule(2);
        let slot = two.take(NO_LIMIT).unwrap();
        two.slice(slot);
        for piece in 1..=i64::from(SLICE) {
            two.note(slot, piece, true);
            assert_eq!(two.goes_on(slot, NO_LIMIT), piece < i64::from(SLICE), "after {piece}");
            two.put(slot, Duration::ZERO);
            assert_eq!(two.take(NO_LIMIT).unwrap() == slot, piece < i64::from(SLICE));
        }
    }

    proptest! {
        /// Whatever happens to the splits, what is kept in order is what a look at all of them finds.
        #[test]
        fn all_is_as_if_each_were_looked_at(steps in vec((0..5u8, 0..40i64, 0..6u64), 0..300)) {
            let mut schedule = schedule(4);
            let mut there: Vec<usize> = (0..4).collect();
            let mut now = Duration::ZERO;
            for (what, ahead, later) in steps {
                now += millis(later);
                schedule.wake(now);
                if what == 0 && there.len() < 6 {
                    there.push(schedule.add(ahead, now));
                }
                let limit = schedule.least().map_or(NO_LIMIT, |least| least.saturating_add(30));
                if let Some(slot) = schedule.take(limit) {
                    let before = schedule.entries[slot].watermark;
                    prop_assert!(before <= limit);
                    let gave = what != 1;
                    schedule.note(slot, if gave { before.max(ahead) } else { before }, gave);
                    match what {
                        1 | 2 => schedule.rest(slot, now, now + millis(ahead as u64)),
                        3 if there.len() > 1 => {
                            schedule.remove(slot);
                            there.retain(|other| *other != slot);
                        }
                        _ => schedule.put(slot, now),
                    }
                }
                let ready = |slot: &usize| schedule.ready.contains(&schedule.key(*slot));
                let counting = there.iter().filter(|slot| !schedule.is_silent(**slot) || ready(slot));
                prop_assert_eq!(schedule.least(), counting.map(|slot| schedule.entries[*slot].watermark).min());
                prop_assert_eq!(schedule.ready.len(), there.iter().filter(|slot| ready(slot)).count());
                prop_assert_eq!(schedule.len(), there.len());
                prop_assert_eq!(schedule.ready.len() + schedule.waiting.len(), there.len());
                let silent = there.iter().filter(|slot| schedule.is_silent(**slot));
                prop_assert_eq!(schedule.silent, silent.count());
            }
        }
    }
}
