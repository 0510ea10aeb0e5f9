//! What of a timer queue has left memory, if that is limited: what is to be done later than all that has
//! stayed.
//!
//! # What it means
//!
//! Rows of an [timer queue](crate::state::timer::queue::TimerQueue) lie in order of the time that they are
//! due at, then of the hash of their key. What has left is all rows from some *place* in this order on, but
//! for those that were added since: these have greater numbers. So a place and a number tell of each row
//! whether it has left, and nothing is kept of a single one.
//!
//! When entries leave, the farthest go first, and all go that lie beyond the place: then the number can be
//! the next one again. The place comes nearer if more must go. When what has left comes due, some rows are
//! read back, in order, and wait in a queue; then the place is that of the first row that was not. They may
//! be rows that are not due yet: to read a page for each few rows would cost a hundred times as much.
//!
//! # Why it is correct
//!
//! An entry is in exactly one of three: the buckets, the queue, the rows that have left. A timer queue gives
//! out what lies before a *bound* that is no farther than the place: all entries of before it are in memory
//! then. Of entries of one time and key those that have left are older than those in the buckets, and have
//! smaller numbers than what was added since. So they come in order of arrival, as they would from memory:
//! whoever lets the last of several count, as [timers](crate::process) do, which are registered and deleted
//! any number of times, sees the same.
//!
//! Many entries may have one time, more than memory holds. Then the place may lie in the middle of a moment,
//! between two hashes, and of its rows those have left whose number is below what it was when the moment was
//! begun. Entries of one key never come apart.
//!
//! A snapshot has nothing to do with all this: rows are rows, wherever their pages lie. What is restored has
//! left to begin with.
//!
//! # What it costs
//!
//! To leave and come back costs an entry the writing of a row of some forty bytes and what its key takes, its
//! share in merges, and the reading of it. In memory some three bytes stay of it, for its page. If nothing
//! has left, a branch in each call.

use std::collections::VecDeque;

use crate::state::lsm::row_type::prefix_of_time;
use crate::state::run::arrangement::Arrangement;
use crate::state::spill::budget::SpillBudget;
use crate::state::spill::footprint::Footprint;
use crate::state::timer::migratable::Migratable;
use crate::state::timer::rows::TimerRows;
use crate::time::EventTime;

/// A time, and a hash: entries of that time and of lesser hashes lie before it.
pub(crate) type TimerBound = (EventTime, u64);

/// After all entries.
pub(crate) const END: TimerBound = (EventTime::MAX, u64::MAX);

/// An entry that comes back takes as many bytes, with the key that comes with it.
pub(in crate::state) const LEAST_ENTRY: usize = 128;

/// What has left, and what has come back.
pub(in crate::state) struct SpilledTimers<E> {
    pub(in crate::state) quota: SpillBudget,
    /// What entries point to, if they hold what their rows do.
    pub(in crate::state) footprint: Footprint,
    /// About so many bytes are read back together.
    pub(in crate::state) portion: usize,
    /// True if they may end in the middle of a moment.
    pub(in crate::state) splits: bool,
    /// No row that has left lies before this. `None` if none has.
    from: Option<TimerBound>,
    /// The rows from there on have left whose numbers are below this.
    below: u64,
    /// The moment that `from` lies in the middle of, and what is `below` for its rows.
    amid: Option<(EventTime, u64)>,
    /// What has come back, in order. All of it lies before `from`.
    queue: VecDeque<(TimerBound, E)>,
    /// All that lies before this has been given out, but for what was late.
    taken: TimerBound,
}

impl<E> SpilledTimers<E> {
    pub(in crate::state) fn new(quota: SpillBudget) -> SpilledTimers<E> {
        let portion = quota.memory().share() / 16;
        SpilledTimers {
            quota,
            footprint: Footprint::new(false),
            portion,
            splits: true,
            from: None,
            below: 0,
            amid: None,
            queue: VecDeque::new(),
            taken: (EventTime::MIN, 0),
        }
    }

    /// The bytes that an entry in the queue takes.
    fn entry(&self) -> usize {
        size_of::<(TimerBound, E)>() + self.footprint.heap()
    }

    /// The bytes that the queue takes.
    pub(in crate::state) fn bytes(&self) -> usize {
        self.queue.len() * self.entry()
    }

    /// The number of entries in the queue.
    #[cfg(test)]
    pub(in crate::state) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// No entry here is earlier than this.
    pub(in crate::state) fn next(&self) -> Option<EventTime> {
        let first = self.queue.front().map(|(place, _)| *place);
        first.into_iter().chain(self.from).map(|(time, _)| time).min()
    }

    /// Reads rows back if what is to be given out next, of what lies before `end`, has left.
    pub(in crate::state) fn fetch<R>(
        &mut self,
        arrangement: &Arrangement<TimerRows<R>>,
        end: TimerBound,
        mut back: impl FnMut(&R) -> E,
    ) where
        R: Migratable,
    {
        let Some(from) = self.from.filter(|from| *from <= end && self.queue.is_empty()) else { return };
        let rows = self.portion / self.entry().max(LEAST_ENTRY);
        let mut cursors = arrangement.cursors((prefix_of_time(from.0), from.1));
        loop {
            let heads = cursors.iter().enumerate();
            let heads = heads.filter_map(|(number, cursor)| Some((cursor.row()?.0, number)));
            let Some(((time, hash, row), number)) = heads.min() else {
                (self.from, self.amid) = (None, None);
                return;
            };
            let below = self.below_of(time);
            let cursor = &mut cursors[number];
            // What was added for a time that had been lies later than its own time, and never leaves.
            let has_left = |(own, _): &(EventTime, R)| row < below && *own == time;
            if let Some((_, kept)) = cursor.row().filter(|(_, kept)| has_left(kept)) {
                let last = self.queue.back().map(|(last, _)| *last);
                let is_amid = last.is_some_and(|last| last.0 == time);
                let may_end = if is_amid { self.splits && last != Some((time, hash)) } else { true };
                if may_end && self.queue.len() >= rows.max(1) {
                    self.from = Some(if is_amid { (time, hash) } else { (time, 0) });
                    self.amid = is_amid.then_some((time, below));
                    return;
                }
                self.queue.push_back(((time, hash), back(&kept.1)));
            }
            cursor.take();
        }
    }

    fn below_of(&self, time: EventTime) -> u64 {
        self.amid.filter(|(moment, _)| *moment == time).map_or(self.below, |(_, below)| below)
    }

    /// What may be given out: all of before this place, which is no farther than `end`. Takes what the queue
    /// has of it.
    pub(in crate::state) fn take(&mut self, end: TimerBound) -> (Vec<(EventTime, E)>, TimerBound) {
        let bound = self.from.map_or(end, |from| from.min(end));
        let now = self.queue.partition_point(|(place, _)| *place < bound);
        self.taken = self.taken.max(bound);
        (self.queue.drain(..now).map(|((time, _), entry)| (time, entry)).collect(), bound)
    }

    /// The first time of which all may leave, if all of up to `clock` has been given out.
    pub(in crate::state) fn first(&self, clock: EventTime) -> EventTime {
        let (time, hash) = self.taken;
        clock.saturating_add(1).max(time.saturating_add(EventTime::from(hash > 0)))
    }

    /// From this time on all must leave that is in the buckets, if anything leaves.
    pub(in crate::state) fn beyond(&self) -> Option<EventTime> {
        self.from.and_then(|(time, hash)| time.checked_add(EventTime::from(hash > 0)))
    }

    /// Takes note that all entries from a time on have left, the first at `first`, and that all rows have
    /// numbers below this. Gives what was in the queue of them.
    pub(in crate::state) fn leave(
        &mut self,
        from: EventTime,
        first: Option<EventTime>,
        below: u64,
    ) -> impl Iterator<Item = E> + '_ {
        let stays = self.queue.partition_point(|((time, _), _)| *time < from);
        let back = self.queue.get(stays).map(|((time, _), _)| (*time, 0));
        let first = first.map(|first| (first, 0));
        self.from = self.from.into_iter().chain(first).chain(back).min();
        // What was in the middle of a moment is at its beginning, or has not changed.
        if self.from.is_some_and(|(_, hash)| hash == 0) {
            self.amid = None;
        }
        self.below = below;
        self.queue.drain(stays..).map(|(_, entry)| entry)
    }

    /// Takes note of a row that was restored. `below` is greater than its number.
    pub(in crate::state) fn restored(&mut self, time: EventTime, below: u64) {
        self.from = Some(self.from.map_or((time, 0), |from| from.min((time, 0))));
        self.below = self.below.max(below);
    }
}
