//! The entries of a [keyed table](super::keyed_state) that are in memory: their slots, their deadlines, and
//! what they take.
//!
//! # Deadlines
//!
//! An entry says when its operator must look at it. It is listed under that time, or an earlier one: a
//! deadline that moves back costs nothing until the listed time comes, when it is listed anew. What is gone
//! stays listed until then, too, and the list is made anew when most of it is such: so keys that come and go,
//! with deadlines far off, do not pile up.

use std::hint::black_box;
use std::mem::size_of;

use crate::data::Key;
use crate::state::backend::snapshot_delta::DirtyMark;
use crate::state::keyed::entry::{Entry, Held};
use crate::state::keyed::evicted_keys::EvictedKeys;
use crate::state::keyed::store::INDEXED;
use crate::state::spill::footprint::Footprint;
use crate::state::table::key_table::{KeyTable, Slot};
use crate::state::timer::queue::TimerQueue;
use crate::time::EventTime;

/// Entries, and the keys of those that are to come back.
pub(super) struct EntryCache<K: Key, E: Entry> {
    pub(super) context: E::Context,
    pub(super) table: KeyTable<K, Cached<E>>,
    /// Keys by the times that they are listed under.
    deadlines: TimerQueue<Slot, ()>,
    /// The number of them, those included that are listed in vain.
    pub(super) listed: usize,
    /// Keys that are not in memory, if they are to be recalled.
    pub(super) evicted: EvictedKeys<K>,
    pub(super) held: Held,
    pub(super) footprint: Footprint,
}

/// An entry, and what the table knows of it.
pub(super) struct Cached<E> {
    pub(super) entry: E,
    /// The time that it is listed under, which is not later than its deadline; the end of time if it is not.
    pub(super) alarm: EventTime,
    is_listed: bool,
    /// The seal or cut that its last change belongs to, if that is still to come.
    pub(super) mark: DirtyMark,
    /// True if the backend has the key.
    pub(super) is_sealed: bool,
    /// True if it was asked for since the eviction hand last passed.
    pub(super) is_recent: bool,
    /// True if its operator has opened it.
    pub(super) is_open: bool,
}

/// So many keys may be listed in vain.
const MANY: usize = 1024;

/// What a deadline takes of memory, about.
const DEADLINE: usize = 16;

impl<E: Entry> Cached<E> {
    /// True if it is listed under this time, and not under another one since.
    fn is_due(&self, alarm: EventTime) -> bool {
        self.is_listed && self.alarm == alarm
    }

    /// The row and when it expires, as it is handed over. The backend has it then.
    pub(super) fn written(&mut self) -> (E::Row, EventTime) {
        (self.mark, self.is_sealed) = (DirtyMark::Still, true);
        (self.entry.row(), self.entry.expires())
    }
}

impl<K: Key, E: Entry> EntryCache<K, E> {
    /// No entries. `is_limited` says if what they take is of interest.
    pub(super) fn new(context: E::Context, is_limited: bool) -> EntryCache<K, E> {
        EntryCache {
            context,
            table: KeyTable::default(),
            deadlines: TimerQueue::default(),
            listed: 0,
            evicted: EvictedKeys::default(),
            held: Held::default(),
            footprint: Footprint::new(is_limited),
        }
    }

    /// Puts an entry into the table. The backend has it if it has not changed.
    pub(super) fn put(&mut self, hash: u64, key: K, entry: E, mark: DirtyMark) -> Slot {
        if self.footprint.wanted {
            self.held.account(Held::default(), entry.held());
        }
        let cached = Cached {
            entry,
            alarm: EventTime::MAX,
            is_listed: false,
            mark,
            is_sealed: mark == DirtyMark::Still,
            is_recent: true,
            is_open: false,
        };
        let slot = self.table.insert(hash, key, cached);
        self.settle(slot);
        slot
    }

    /// Takes an entry out of the table, if it is there.
    pub(super) fn take(&mut self, slot: Slot) -> Option<(K, Cached<E>)> {
        let taken = self.table.remove(slot)?;
        if self.footprint.wanted {
            self.held.account(taken.1.entry.held(), Held::default());
        }
        Some(taken)
    }

    /// Changes what an entry holds.
    #[inline]
    pub(super) fn change(&mut self, slot: Slot, change: impl FnOnce(&mut E) -> bool) -> bool {
        let cached = &mut self.table.get_mut(slot).1;
        let before = self.footprint.wanted.then(|| cached.entry.held());
        let has_changed = change(&mut cached.entry);
        if let Some(before) = before {
            self.held.account(before, cached.entry.held());
        }
        has_changed
    }

    /// Takes note of what an entry has become: of its deadline, and of what it points to.
    #[inline]
    pub(super) fn settle(&mut self, slot: Slot) {
        let cached = &mut self.table.get_mut(slot).1;
        cached.entry.sample(&mut self.footprint);
        let Some(deadline) = cached.entry.deadline(&self.context) else { return };
        if deadline < cached.alarm || !cached.is_listed {
            (cached.alarm, cached.is_listed) = (deadline, true);
            self.list(deadline, slot);
        }
    }

    #[inline(never)]
    fn list(&mut self, deadline: EventTime, slot: Slot) {
        self.deadlines.add(deadline, slot);
        self.listed += 1;
        if self.listed <= MANY + 2 * self.table.len() {
            return;
        }
        let mut all = self.deadlines.take();
        all.retain(|(alarm, slot)| {
            self.table.try_get(*slot).is_some_and(|(_, cached)| cached.is_due(*alarm))
        });
        all.sort_unstable();
        all.dedup();
        self.listed = all.len();
        all.into_iter().for_each(|(alarm, slot)| self.deadlines.add(alarm, slot));
    }

    /// No deadline is earlier than this, of keys in memory or of evicted ones.
    #[inline]
    pub(super) fn next_deadline(&self) -> Option<EventTime> {
        self.deadlines.next().into_iter().chain(self.evicted.next()).min()
    }

    /// The first time that a key in memory is listed under.
    pub(super) fn first_alarm(&mut self) -> Option<EventTime> {
        self.deadlines.first_sorted()
    }

    /// The keys in memory whose deadlines are at a time or before, with the times that they were listed
    /// under, in order of these. None is given again before it is [settled](EntryCache::settle).
    pub(super) fn due(&mut self, until: EventTime) -> Vec<(EventTime, Slot)> {
        let mut due = match until.checked_add(1) {
            Some(before) => self.deadlines.due(before),
            None => self.deadlines.take(),
        };
        self.listed -= due.len();
        let (table, context, mut later) = (&mut self.table, &self.context, Vec::new());
        // The entries are all over memory; loads of a loop with nothing else in it do not wait for each
        // other.
        black_box(due.iter().filter(|(_, slot)| table.try_get(*slot).is_some()).count());
        due.retain(|(time, slot)| {
            let Some((_, cached)) = table.try_get_mut(*slot) else { return false };
            // The slot may be another key's since, or listed twice.
            if !cached.is_due(*time) {
                return false;
            }
            (cached.alarm, cached.is_listed) = (EventTime::MAX, false);
            let Some(deadline) = cached.entry.deadline(context) else { return false };
            if deadline > until {
                later.push(*slot);
            }
            deadline <= until
        });
        later.into_iter().for_each(|slot| self.settle(slot));
        due
    }

    /// The bytes of memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let entry = size_of::<Option<(K, Cached<E>)>>() + INDEXED;
        let held = self.held.bytes + self.held.values * self.footprint.heap();
        self.table.len() * entry + self.listed * DEADLINE + held + self.evicted.bytes()
    }
}
