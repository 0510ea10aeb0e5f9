//! What is to be done at a time: timers, and records that wait for theirs.
//!
//! Entries lie in buckets of 64 milliseconds, in order of arrival; a bucket is sorted when its time has come.
//! So adding costs a look-up in a small tree and a push, whatever the order of the times, and each entry is
//! sorted once, among few; again, if others are added to its bucket while that is being worked off.
//!
//! # As rows
//!
//! What is added becomes a row when the timer queue is sealed, and is not touched again: rows lie in order of
//! time, and all of before the time that has been reached are over. So a seal writes what was added since the
//! last one, however much there is to be done. An entry that is added for a time that has been reached lies
//! among the first that have not.
//!
//! # Larger than memory
//!
//! If memory is limited, rows lie in files, and what is to be done last is forgotten when there is no room:
//! it is read back before its time comes. See `SpilledTimers`. Then entries are given out some at a time, in
//! the same order.

use std::cell::Cell;
use std::rc::Rc;

use crate::data::sort_by;
use crate::error::Result;
use crate::snapshot::{RestoredOperator, TableSnapshot};
use crate::state::lsm::page_builder::PAGE_ROWS;
use crate::state::run::arrangement::Arrangement;
use crate::state::run::incoming::{Share, is_reached};
use crate::state::run::run_builder::RunBuilder;
use crate::state::spill::budget::SpillBudget;
use crate::state::spill::footprint::Footprint;
use crate::state::timer::buckets::{Bucket, Buckets, LAST, Moments, SEALED, SPAN, at, offset};
use crate::state::timer::migratable::Migratable;
use crate::state::timer::rows::TimerRows;
use crate::state::timer::spilled::{END, SpilledTimers, TimerBound};
use crate::time::EventTime;

/// Entries by time. `R` is what is kept of an entry in an arrangement.
pub(crate) struct TimerQueue<E, R: Migratable = E> {
    buckets: Buckets<E>,
    len: usize,
    sealed: Option<Sealed<E, R>>,
    moments: Moments<E>,
}

/// The entries as rows.
struct Sealed<E, R: Migratable> {
    arrangement: Arrangement<TimerRows<R>>,
    /// All entries up to this time have been taken.
    clock: Rc<Cell<EventTime>>,
    /// The number of the next row.
    next: u64,
    /// What has left memory, if that is limited.
    far: Option<SpilledTimers<E>>,
}

/// So many entries are looked at to tell what entries point to.
const SAMPLES: usize = 16;

impl<E, R: Migratable> Default for TimerQueue<E, R> {
    fn default() -> TimerQueue<E, R> {
        TimerQueue { buckets: Buckets::default(), len: 0, sealed: None, moments: Moments::default() }
    }
}

impl<E, R: Migratable> TimerQueue<E, R> {
    /// A timer queue that can be sealed, and that may take so much of memory if that is limited.
    pub(crate) fn sealable(quota: Option<SpillBudget>) -> TimerQueue<E, R> {
        let clock = Rc::new(Cell::new(EventTime::MIN));
        let memory = quota.as_ref().map(SpillBudget::memory);
        let arrangement = Arrangement::new(TimerRows::new(), Rc::clone(&clock), memory);
        let sealed = Sealed { arrangement, clock, next: 0, far: quota.map(SpilledTimers::new) };
        TimerQueue { sealed: Some(sealed), ..TimerQueue::default() }
    }

    /// The same, of entries that hold all that their rows do, and of which those of a moment are taken
    /// together.
    pub(crate) fn of_records(quota: Option<SpillBudget>) -> TimerQueue<E, R> {
        let mut queue = TimerQueue::sealable(quota);
        if let Some(far) = queue.far_mut() {
            (far.footprint, far.splits) = (Footprint::new(true), false);
        }
        queue
    }

    fn far_mut(&mut self) -> Option<&mut SpilledTimers<E>> {
        self.sealed.as_mut()?.far.as_mut()
    }

    fn far(&self) -> Option<&SpilledTimers<E>> {
        self.sealed.as_ref()?.far.as_ref()
    }

    /// Adds an entry.
    #[inline]
    pub(crate) fn add(&mut self, time: EventTime, entry: E) {
        let bucket = self.buckets.of(time >> SPAN);
        bucket.entries.push(((time & LAST) as u8, entry));
        (bucket.fresh, bucket.sorted) = (true, false);
        self.len += 1;
    }

    /// Lets even few entries leave, and reads so many rows back together.
    #[cfg(test)]
    pub(in crate::state) fn tighten(&mut self, portion: usize, splits: bool) {
        use crate::state::timer::spilled::LEAST_ENTRY;
        if let Some(far) = self.far_mut() {
            (far.portion, far.splits) = (portion * LEAST_ENTRY, splits);
            far.quota.least = 0;
        }
    }

    /// The number of entries in memory.
    #[cfg(test)]
    pub(in crate::state) fn len(&self) -> usize {
        self.len + self.far().map_or(0, SpilledTimers::waiting)
    }

    /// No entry is earlier than this, and the first is less than a bucket later.
    pub(crate) fn next(&self) -> Option<EventTime> {
        let near = self.buckets.first_number().map(|bucket| bucket << SPAN);
        near.into_iter().chain(self.far().and_then(SpilledTimers::next)).min()
    }

    /// The time of the first entry. Costs a look at each entry of its bucket.
    pub(crate) fn first(&self) -> Option<EventTime> {
        let near = self.buckets.first_number().and_then(|bucket| {
            let first = self.buckets.get(bucket)?.entries.iter().map(|(mark, _)| offset(*mark)).min()?;
            Some(at(bucket, first))
        });
        near.into_iter().chain(self.far().and_then(SpilledTimers::next)).min()
    }

    /// The time of the first entry, none having left memory. Sorts its bucket, if entries have been added to
    /// it since it was sorted.
    pub(crate) fn first_sorted(&mut self) -> Option<EventTime> {
        let number = self.buckets.first_number()?;
        self.sorted(number).entries.first().map(|(mark, _)| at(number, *mark))
    }

    /// A bucket, in order of time.
    fn sorted(&mut self, number: i64) -> &mut Bucket<E> {
        let bucket = self.buckets.of(number);
        if !std::mem::replace(&mut bucket.sorted, true) {
            self.moments.sort(&mut bucket.entries);
        }
        bucket
    }

    /// Takes the entries of before a time, in order of time, then of arrival. None of them must have left
    /// memory.
    pub(crate) fn due(&mut self, before: EventTime) -> Vec<(EventTime, E)> {
        let mut due = Vec::new();
        while let Some(number) = self.buckets.first_number().filter(|first| first << SPAN < before) {
            let bucket = self.sorted(number);
            let now = bucket.entries.partition_point(|(mark, _)| at(number, *mark) < before);
            due.extend(bucket.entries.drain(..now).map(|(mark, entry)| (at(number, mark), entry)));
            if !bucket.entries.is_empty() {
                break;
            }
            self.buckets.remove(number);
        }
        self.len -= due.len();
        self.reach(before.saturating_sub(1));
        due
    }

    /// Takes all entries. None of them must have left memory.
    pub(crate) fn take(&mut self) -> Vec<(EventTime, E)> {
        let mut all = self.due(EventTime::MAX);
        // What is left is at the very end of time.
        for number in self.buckets.numbers(..) {
            let entries = self.buckets.remove(number).entries;
            all.extend(entries.into_iter().map(|(mark, entry)| (at(number, mark), entry)));
        }
        self.len = 0;
        self.reach(EventTime::MAX);
        all
    }

    /// Reads back what has left memory and is to be taken next, of what is `before` a time, or of all; called
    /// before [`some`](TimerQueue::some) with the same. `back` makes an entry of what was kept of one.
    #[inline]
    pub(crate) fn fetch(&mut self, before: Option<EventTime>, back: impl FnMut(&R) -> E) {
        if let Some(Sealed { arrangement, far: Some(far), .. }) = &mut self.sealed {
            far.fetch(arrangement, before.map_or(END, |before| (before, 0)), back);
        }
    }

    /// Takes entries of before a time, or of all, in order of time, then of arrival; and says up to where it
    /// has taken all. That is the time, unless some had left memory. Then it is to be called again, and it
    /// gives none only if there are none. `hash` tells the hash that an entry is owned by.
    #[inline]
    pub(crate) fn some(
        &mut self,
        before: Option<EventTime>,
        hash: impl Fn(&E) -> u64,
    ) -> (Vec<(EventTime, E)>, TimerBound) {
        let end = before.map_or(END, |before| (before, 0));
        match (self.far_mut(), before) {
            (Some(far), _) => {
                let (due, bound) = far.take(end);
                (self.join(due, bound, hash), bound)
            }
            (None, Some(before)) => (self.due(before), end),
            (None, None) => (self.take(), end),
        }
    }

    /// Joins what has come back to what has stayed, of before a place.
    fn join(
        &mut self,
        mut due: Vec<(EventTime, E)>,
        bound: TimerBound,
        hash: impl Fn(&E) -> u64,
    ) -> Vec<(EventTime, E)> {
        let (time, least) = bound;
        let mut near = if bound == END { self.take() } else { self.due(time) };
        if bound != END && least > 0 && self.buckets.get(time >> SPAN).is_some() {
            let bucket = self.buckets.of(time >> SPAN);
            let is_due = |(mark, entry): &(u8, E)| {
                EventTime::from(offset(*mark)) == time & LAST && hash(entry) < least
            };
            let (now, later): (Vec<_>, _) = std::mem::take(&mut bucket.entries).into_iter().partition(is_due);
            self.len -= now.len();
            bucket.entries = later;
            if bucket.entries.is_empty() {
                self.buckets.remove(time >> SPAN);
            }
            near.extend(now.into_iter().map(|(_, entry)| (time, entry)));
        }
        if due.is_empty() {
            return near;
        }
        // What has come back is older.
        due.append(&mut near);
        sort_by(&mut due, |(one, _), (other, _)| one.cmp(other));
        due
    }

    /// The bytes of memory that it takes, about.
    fn bytes(&self, far: &SpilledTimers<E>) -> usize {
        let (entries, buckets) = (self.len, self.buckets.len());
        // Buffers have room for four, and double.
        let inside = (4 * buckets).max(entries + entries / 2) * size_of::<(u8, E)>();
        inside + buckets * Buckets::<E>::BYTES + entries * far.footprint.heap() + far.bytes()
    }

    /// Lets the farthest entries leave memory, if they take more than they may, and gives them. `hash` and
    /// `kept` are what [`seal`](TimerQueue::seal) is told of an entry.
    pub(crate) fn evict(&mut self, epoch: u64, hash: impl Fn(&E) -> u64, kept: impl Fn(&E) -> R) -> Vec<E> {
        let Some(mut sealed) = self.sealed.take_if(|sealed| sealed.far.is_some()) else { return Vec::new() };
        let mut left = Vec::new();
        if let Some(far) = &mut sealed.far {
            if far.footprint.wanted {
                let last = self.buckets.descending().filter_map(|(_, bucket)| bucket.entries.last());
                last.take(SAMPLES).for_each(|(_, entry)| far.footprint.sample(&kept(entry)));
            }
            let bytes = self.bytes(far);
            let clock = sealed.clock.get();
            if let Some(allowance) = far.quota.allowance(bytes)
                && let Some(from) = self.horizon(far, far.first(clock), bytes, allowance)
            {
                let (mut built, mut first) = (sealed.arrangement.build(Vec::new()), None);
                for (number, entries) in self.split(from) {
                    let earliest = entries.iter().map(|(mark, _)| at(number, *mark)).min();
                    first = first.or(earliest);
                    add_rows(&mut built, number, &entries, sealed.next, (&hash, &kept));
                    sealed.next += entries.len() as u64;
                    left.extend(entries.into_iter().map(|(_, entry)| entry));
                }
                sealed.arrangement.seal_built(epoch, built);
                left.extend(far.leave(from, first, sealed.next));
                let bytes = self.bytes(far);
                far.quota.left(left.len(), bytes);
            }
        }
        self.sealed = Some(sealed);
        left
    }

    /// The time from which on entries must leave, that not more bytes are left than allowed, as far as they
    /// may: from `least` on. `None` if none can.
    fn horizon(
        &self,
        far: &SpilledTimers<E>,
        least: EventTime,
        mut bytes: usize,
        allowance: usize,
    ) -> Option<EventTime> {
        let beyond = far.beyond();
        let mut horizon = beyond;
        let entry = size_of::<(u8, E)>() * 3 / 2 + far.footprint.heap();
        for (number, bucket) in self.buckets.descending() {
            let (first, last) = (number << SPAN, number << SPAN | LAST);
            let must = beyond.is_some_and(|beyond| beyond <= first);
            if last < least || !must && bytes <= allowance {
                break;
            }
            bytes = bytes.saturating_sub(bucket.entries.len() * entry + Buckets::<E>::BYTES);
            if !must {
                horizon = Some(first.max(least));
            }
        }
        horizon
    }

    /// Takes the entries from a time on out, bucket by bucket.
    fn split(&mut self, from: EventTime) -> Vec<(i64, Vec<(u8, E)>)> {
        let mut going = Vec::new();
        for number in self.buckets.numbers(from >> SPAN..) {
            let mut bucket = self.buckets.remove(number);
            let goes = |(mark, _): &(u8, E)| from <= at(number, *mark);
            let (go, stay): (Vec<_>, Vec<_>) = match from <= number << SPAN {
                true => (bucket.entries, Vec::new()),
                false => bucket.entries.into_iter().partition(goes),
            };
            if !stay.is_empty() {
                bucket.entries = stay;
                *self.buckets.of(number) = bucket;
            }
            self.len -= go.len();
            going.push((number, go));
        }
        going
    }

    /// Takes note that all entries up to a time have been taken.
    fn reach(&mut self, time: EventTime) {
        if let Some(sealed) = &self.sealed {
            sealed.clock.set(sealed.clock.get().max(time));
        }
    }

    /// Writes what was added since the last seal into the arrangement, if there is one. `row` says what is
    /// kept of an entry, and the hash that it is owned by.
    pub(crate) fn seal(&mut self, epoch: u64, mut row: impl FnMut(&E) -> (u64, R)) {
        let Some(Sealed { arrangement, clock, next, .. }) = &mut self.sealed else { return };
        let clock = clock.get();
        let first = clock.saturating_add(1);
        let mut make = |number: i64, bucket: &mut Bucket<E>, rows: &mut Vec<_>, last| {
            let times = bucket.entries.iter_mut().map(|(mark, entry)| (at(number, *mark), mark, entry));
            for (time, mark, entry) in times.filter(|(time, mark, _)| *time <= last && **mark & SEALED == 0) {
                *mark |= SEALED;
                let (hash, kept) = row(entry);
                rows.push(((time.max(first), hash, *next), (time, kept)));
                *next += 1;
            }
        };
        let mut fresh = self.buckets.numbers(..);
        fresh.retain(|number| self.buckets.get(*number).is_some_and(|bucket| bucket.fresh));
        let mut late = Vec::new();
        for number in fresh.iter().take_while(|number| **number <= clock >> SPAN) {
            make(*number, self.buckets.of(*number), &mut late, clock);
        }
        let mut built = arrangement.build(late);
        for number in fresh {
            let bucket = self.buckets.of(number);
            bucket.fresh = false;
            built.group(|rows| make(number, bucket, rows, EventTime::MAX));
        }
        arrangement.seal_built(epoch, built);
    }
}

/// Adds the rows of a bucket's entries that have none to a run, numbered from `next` on; a page at a time,
/// lest all of them are rows at once.
fn add_rows<E, R: Migratable>(
    built: &mut RunBuilder<TimerRows<R>>,
    bucket: i64,
    entries: &[(u8, E)],
    next: u64,
    (hash, kept): (impl Fn(&E) -> u64, impl Fn(&E) -> R),
) {
    let fresh = (0u32..).zip(entries).filter(|(_, (mark, _))| mark & SEALED == 0);
    let mut fresh: Vec<u32> = fresh.map(|(number, _)| number).collect();
    if fresh.len() > PAGE_ROWS {
        fresh.sort_unstable_by_key(|number| {
            let (mark, entry) = &entries[*number as usize];
            (*mark, hash(entry), *number)
        });
    }
    for some in fresh.chunks(PAGE_ROWS) {
        built.group(|rows| {
            rows.extend(some.iter().map(|number| {
                let (mark, entry) = &entries[*number as usize];
                let time = at(bucket, *mark);
                ((time, hash(entry), next + u64::from(*number)), (time, kept(entry)))
            }));
        });
    }
}

impl<E, R: Migratable> TimerQueue<E, R> {
    /// What a snapshot needs of what was sealed.
    ///
    /// # Errors
    ///
    /// If an entry could not be encoded.
    pub(crate) fn save(&self, name: &str) -> Result<Option<TableSnapshot>> {
        self.sealed.as_ref().map(|sealed| sealed.arrangement.save(name)).transpose()
    }

    /// Takes in what a snapshot has of a worker's share. `entry` makes an entry of what was kept of one.
    pub(crate) fn restore(
        &mut self,
        name: &str,
        from: &RestoredOperator,
        share: &Share,
        mut entry: impl FnMut(&R) -> E,
    ) -> Result<()> {
        let Some(Sealed { arrangement, clock, next, far }) = &mut self.sealed else { return Ok(()) };
        arrangement.restore(name, from, share)?;
        let (buckets, len, clock) = (&mut self.buckets, &mut self.len, clock.get());
        arrangement.each(&mut |at, (time, kept)| {
            *next = (*next).max(at.2 + 1);
            if is_reached::<TimerRows<R>>(&at, clock) {
                return;
            }
            match far.as_mut().filter(|_| time == at.0) {
                Some(far) => far.restored(time, *next),
                None => {
                    let bucket = buckets.of(time >> SPAN);
                    bucket.entries.push(((time & LAST) as u8 | SEALED, entry(&kept)));
                    *len += 1;
                }
            }
        });
        Ok(())
    }
}

impl<E: Migratable> TimerQueue<E> {
    /// Takes records of before a time, or all, in order of time, then of arrival; `None` if there are none.
    /// Of those that have left memory it takes some at a time, but all of a moment.
    pub(crate) fn draw(&mut self, before: Option<EventTime>) -> Option<Vec<(EventTime, E)>> {
        self.fetch(before, E::clone);
        // Moments are whole.
        let (records, _) = self.some(before, |_| u64::MAX);
        (!records.is_empty()).then_some(records)
    }
}
