//! Records that wait until the watermark has passed them, in the order of their times.
//!
//! Those of the open epoch lie in a map by time. Those that were sealed are rows of an arrangement, in the
//! order of time, and are read by a range scan when they are due. All of before [`taken`](Waiting::taken)
//! have been taken, and such rows expire.
//!
//! # Beyond memory
//!
//! If memory is limited, pages of the arrangement lie in files. When records take more than they may, those
//! that are due last are sealed and leave, until the others take half of what they may; so each writes some
//! tens of kilobytes at least, or nothing. To read a page for each step of the watermark would be to read it
//! again and again; so what is read is a portion, a sixteenth of all memory ahead of the watermark: all
//! sealed records [before a time](Waiting::until) are in memory (the *near* ones) or have been taken, all
//! others are not in memory. What is sealed for a time before it stays in memory as well, and to let records
//! leave from some time on is to move it back. In either case the arrangement has every record that was
//! sealed, so what a snapshot finds there does not depend on any of this.
//!
//! Records are due in the order of time, and those of one time in an order that is not that of the rows (by
//! key, not by its hash). So they are given a portion at a time, each of which has all records of the times
//! that it covers and is sorted as a whole. Records of one millisecond are in memory together, however many
//! they are.
//!
//! # Cost
//!
//! A record that leaves is encoded and sorted once, and again for each merge of its page; one that is read
//! back is decoded once, or a few times if it lies in a small run beside large ones.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::mem::size_of;
use std::ops::ControlFlow;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::data::{Exchange, Hashed, Key};
use crate::error::Result;
use crate::snapshot::{Codec, RestoredOperator, SavedTables, Schema};
use crate::state::{
    Arrangement, Encoded, Footprint, OperatorState, Prefix, Rows, Share, SpillBudget, decode, encode,
    prefix_of_time,
};
use crate::time::EventTime;

/// Records of a worker's keys that wait.
pub(super) struct Waiting<K: Key, T: Exchange + Ord> {
    /// What has come since the last seal.
    open: Moments<K, T>,
    /// What of the rows is in memory: all of before `until` that have not been taken.
    near: Moments<K, T>,
    until: EventTime,
    /// The time of the first row that is not.
    far: Option<EventTime>,
    sealed: Arrangement<WaitingRows<K, T>>,
    /// Every record up to this time has been taken, and the rows expire by it.
    clock: Rc<Cell<EventTime>>,
    limited: Option<Box<Limited>>,
}

/// What a limit of memory needs.
struct Limited {
    quota: SpillBudget,
    footprint: Footprint,
}

/// A record with its key and its time.
pub(super) type Due<K, T> = (EventTime, K, T);

impl<K: Key, T: Exchange + Ord> Waiting<K, T> {
    pub(super) fn new(quota: Option<SpillBudget>) -> Waiting<K, T> {
        let clock = Rc::new(Cell::new(EventTime::MIN));
        let memory = quota.as_ref().map(SpillBudget::memory);
        Waiting {
            open: Moments::default(),
            near: Moments::default(),
            until: EventTime::MIN,
            far: None,
            sealed: Arrangement::new(WaitingRows(PhantomData), Rc::clone(&clock), memory),
            clock,
            limited: quota.map(|quota| Box::new(Limited { quota, footprint: Footprint::new(true) })),
        }
    }

    /// Every record before this has been taken.
    pub(super) fn taken(&self) -> EventTime {
        match self.clock.get() {
            EventTime::MIN => EventTime::MIN,
            clock => clock.saturating_add(1),
        }
    }

    /// Takes note that every record before a time has been taken.
    pub(super) fn reach(&mut self, time: EventTime) {
        self.clock.set(time.saturating_sub(1));
    }

    /// Lets a record wait.
    #[inline]
    pub(super) fn add(&mut self, at: EventTime, record: (K, T)) {
        if let Some(limited) = &mut self.limited {
            limited.footprint.see(&record.1);
        }
        self.open.add(at, record);
    }

    /// The time of the first record.
    pub(super) fn next(&self) -> Option<EventTime> {
        self.open.first().into_iter().chain(self.near.first()).chain(self.far).min()
    }

    /// Takes out records before `now`, in order: the next ones, all if memory is not limited. None if there
    /// are none.
    pub(super) fn due(&mut self, now: EventTime) -> Vec<Due<K, T>> {
        let (mut due, mut before) = (Vec::new(), now);
        if self.far.is_some_and(|far| far < now) {
            let read = self.read(now);
            before = now.min(self.until);
            for (at, key, value) in read {
                if at < before {
                    due.push((at, key, value));
                } else {
                    self.near.add(at, (key, value));
                }
            }
        }
        self.near.take(before, &mut due);
        self.open.take(before, &mut due);
        due.sort_unstable();
        due
    }

    /// Reads what lies behind the near records, and takes note of how far that goes: up to `now`, or a
    /// portion if memory is limited.
    fn read(&mut self, now: EventTime) -> Vec<Due<K, T>> {
        let from = self.until.max(self.taken());
        let (mut until, portion) = match &self.limited {
            None => (now, usize::MAX),
            Some(limited) => (EventTime::MAX, limited.quota.portion() / self.row()),
        };
        let (mut read, mut far) = (Vec::new(), None);
        let mut stop = |at: EventTime| far = Some(far.map_or(at, |far: EventTime| far.min(at)));
        // Of the run at hand: how many rows, and the last one's time.
        let (mut rows, mut last) = (0, from);
        self.sealed.scan((prefix_of_time(from), 0), &mut |(at, key, value), count| {
            if at < last {
                rows = 0;
            }
            // Records of one time are read together.
            if rows >= portion && at > last {
                until = until.min(at);
            }
            if at >= until {
                stop(at);
                (rows, last) = (0, from);
                return ControlFlow::Break(());
            }
            (rows, last) = (rows + 1, at);
            read.extend((0..count).map(|_| (at, key.key.clone(), value.clone())));
            ControlFlow::Continue(())
        });
        if self.limited.is_some() {
            // What other runs had there was not read.
            read.retain(|(at, ..)| {
                if *at >= until {
                    stop(*at);
                }
                *at < until
            });
        }
        (self.until, self.far) = (until, far);
        read
    }

    /// Makes rows of records.
    fn write(&mut self, epoch: u64, records: Moments<K, T>) {
        let first = records.moments.range(self.until..).next().map(|(at, _)| *at);
        self.far = self.far.into_iter().chain(first).min();
        let mut rows = Vec::with_capacity(records.len);
        for (at, records) in records.moments {
            rows.extend(records.into_iter().map(|(key, value)| ((at, Hashed::new(key), value), 1)));
        }
        rows.sort_unstable();
        rows.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            earlier.1 += if same { later.1 } else { 0 };
            same
        });
        self.sealed.seal(epoch, &rows);
    }

    /// Lets records leave memory, those that are due last, until the others take so many bytes. Gives their
    /// number.
    pub(super) fn leave(&mut self, epoch: u64, bytes: usize) -> usize {
        let before = self.open.len + self.near.len;
        let moments = self.open.moments.iter().chain(&self.near.moments);
        let mut moments: Vec<_> = moments.map(|(at, records)| (*at, records.len())).collect();
        moments.sort_unstable();
        let (row, mut left) = (self.row(), bytes);
        let goes = |(_, records): &&(EventTime, usize)| {
            let rest = left.checked_sub(records * row + MOMENT);
            left = rest.unwrap_or(0);
            rest.is_none()
        };
        let Some((from, _)) = moments.iter().find(goes) else { return 0 };
        // These are rows already.
        let near = self.near.split(*from);
        self.far = self.far.into_iter().chain(near.first()).min();
        self.until = self.until.min(*from);
        let open = self.open.split(*from);
        self.write(epoch, open);
        before - self.open.len - self.near.len
    }

    /// The bytes of memory that records take, about.
    fn bytes(&self) -> usize {
        let (open, near) = (&self.open, &self.near);
        (open.len + near.len) * self.row() + (open.moments.len() + near.moments.len()) * MOMENT
    }

    /// The bytes that a record takes, about.
    fn row(&self) -> usize {
        size_of::<(K, T)>() + self.limited.as_ref().map_or(0, |limited| limited.footprint.heap())
    }

    /// Takes note of what the arrangement has, nothing of which is in memory.
    fn find_far(&mut self) {
        let (taken, mut far) = (self.taken(), None::<EventTime>);
        self.sealed.each(&mut |(at, _, value), _| {
            if at >= taken {
                far = Some(far.map_or(at, |far| far.min(at)));
                self.limited.iter_mut().for_each(|limited| limited.footprint.see(&value));
            }
        });
        (self.until, self.far) = (taken, far);
    }
}

impl<K: Key, T: Exchange + Ord> OperatorState for Waiting<K, T> {
    fn seal(&mut self, epoch: u64) {
        let open = std::mem::take(&mut self.open);
        if self.limited.is_some() {
            for (at, records) in open.moments.range(..self.until) {
                records.iter().for_each(|record| self.near.add(*at, record.clone()));
            }
        }
        self.write(epoch, open);
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.tables.push(self.sealed.save(WAITING)?);
        Ok(())
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.sealed.restore(WAITING, from, share)?;
        self.find_far();
        Ok(())
    }

    fn evict(&mut self, epoch: u64) {
        let now = self.bytes();
        let allowance = self.limited.as_mut().and_then(|limited| limited.quota.allowance(now));
        let Some(allowance) = allowance else { return };
        let left = self.leave(epoch, allowance / 2);
        let now = self.bytes();
        self.limited.iter_mut().for_each(|limited| limited.quota.left(left, now));
    }
}

#[cfg(test)]
impl<K: Key, T: Exchange + Ord> Waiting<K, T> {
    /// Takes in all that another one has sealed up to an epoch.
    pub(super) fn restore_from(&mut self, other: &Waiting<K, T>, epoch: u64) {
        let mut rows = BTreeMap::new();
        let taken = other.taken();
        other.sealed.each(&mut |key, count| {
            if key.0 >= taken {
                *rows.entry(key).or_insert(0) += count;
            }
        });
        self.sealed.seal(epoch, &rows.into_iter().collect::<Vec<_>>());
        self.reach(taken);
        self.find_far();
    }

    /// The number of records of the open epoch, of those in memory, and of rows.
    pub(super) fn counts(&self) -> [usize; 3] {
        [self.open.len, self.open.len + self.near.len, self.sealed.len()]
    }
}

/// The kind of their rows, the first word of their schema, and the name of the table that they are saved in.
pub(crate) const WAITING: &str = "waiting";

/// What a time takes of memory that has records, beside these, about.
const MOMENT: usize = 64;

/// Records by their times.
struct Moments<K, T> {
    moments: BTreeMap<EventTime, Vec<(K, T)>>,
    len: usize,
}

impl<K, T> Default for Moments<K, T> {
    fn default() -> Moments<K, T> {
        Moments { moments: BTreeMap::new(), len: 0 }
    }
}

impl<K, T> Moments<K, T> {
    #[inline]
    fn add(&mut self, at: EventTime, record: (K, T)) {
        self.moments.entry(at).or_default().push(record);
        self.len += 1;
    }

    fn first(&self) -> Option<EventTime> {
        self.moments.keys().next().copied()
    }

    /// Takes out what lies before a time.
    fn take(&mut self, before: EventTime, due: &mut Vec<Due<K, T>>) {
        while let Some(first) = self.moments.first_entry().filter(|first| *first.key() < before) {
            let (at, records) = first.remove_entry();
            self.len -= records.len();
            due.extend(records.into_iter().map(|(key, value)| (at, key, value)));
        }
    }

    /// Takes out what lies at a time or later.
    fn split(&mut self, from: EventTime) -> Moments<K, T> {
        let moments = self.moments.split_off(&from);
        let len = moments.values().map(Vec::len).sum();
        self.len -= len;
        Moments { moments, len }
    }
}

/// Rows of waiting records, each with how often it is there.
struct WaitingRows<K, T>(PhantomData<fn() -> (K, T)>);

impl<K, T> Clone for WaitingRows<K, T> {
    fn clone(&self) -> Self {
        WaitingRows(PhantomData)
    }
}

/// A row of a record that waits.
type WaitingRow<K, T> = ((EventTime, Hashed<K>, T), u64);

impl<K: Key, T: Exchange + Ord> Rows for WaitingRows<K, T> {
    type Key = (EventTime, Hashed<K>, T);
    type Value = u64;
    type Part = T;

    const BY_TIME: bool = true;
    const ADDS_UP: bool = true;
    const ORDERED_BY_PART: bool = true;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(EventTime, K, P)>(WAITING)
    }

    fn prefix((at, key, _): &(EventTime, Hashed<K>, T)) -> Prefix {
        (prefix_of_time(*at), key.hash)
    }

    fn owner((_, key, _): &(EventTime, Hashed<K>, T)) -> u64 {
        key.hash
    }

    fn absorb(&self, earlier: &mut u64, later: &u64) {
        *earlier += later;
    }

    fn encode_key(&self, (at, key, value): &(EventTime, Hashed<K>, T), bytes: &mut Vec<u8>) -> Result<()> {
        encode(&(at, &key.key, value), bytes)
    }

    fn decode_key(&self, bytes: &[u8]) -> Result<(EventTime, Hashed<K>, T)> {
        let (at, key, value) = decode(bytes)?;
        Ok((at, Hashed::new(key), value))
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
