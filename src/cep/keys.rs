//! The partial matches of each key: in memory, and beyond it.
//!
//! They lie in a table and, as of the last seal, in an arrangement; a key that has none has no entry in
//! either.
//!
//! # Beyond memory
//!
//! If memory is limited, keys that have not been touched for a while leave the table [wholly](EvictedKeys),
//! with the records that their partial matches hold. What has changed of them is written when they leave; the
//! arrangement then has their latest row. A key comes back in two cases, before anything is asked of it:
//!
//! * a record of it is taken: whoever [finds](Keys::find) a key finds it in the table, or has it read, or
//!   there is none;
//! * its deadline is due: before the [next](Keys::due) deadlines are told, the keys that are away and have
//!   one up to then are [recalled](Keys::recall). The deadline of a key that is away cannot change, since
//!   nothing happens to it.
//!
//! The end of the input is a deadline too, for keys whose matches are [held back](Automaton::deadline) until
//! then. There may be any number of these, so they are brought back one by one, in their order, by a list of
//! them.
//!
//! So whatever is asked is asked of the same partial matches, in the same order, as if nothing had left. A
//! key that has come back changes nothing until it is touched, and leaves without being written again if it
//! was not. A key that is over is a row that says so; that row is newer than all of before, since what leaves
//! and what is over are written in one go.
//!
//! A watermark that leaps, as it does when the input ends, can bring much more due than an epoch has brought.
//! So time goes on by steps while keys are away, keys that are over go at once, and keys leave between two
//! steps, and every so many records, as they do when an epoch closes. What they are then is written as part
//! of the open epoch: a row that changes again before its end has a newer one then, and no one asks for the
//! state as of an epoch before it has closed.
//!
//! # Cost
//!
//! A key that is away takes some sixty bytes, if its own are few: its place in a table, and eight or sixteen
//! bytes for its alarm. To let a key leave and to bring it back is to encode and to decode all its partial
//! matches with what they hold, those events included that no partial match needs any more and that were not
//! dropped yet; and to look a key up in [files](crate::state). Without a limit nothing leaves, and what that
//! costs is a comparison or two for each record.

use std::collections::BTreeSet;
use std::mem::size_of;
use std::rc::Rc;
use std::sync::Arc;

use timely::dataflow::operators::generic::OperatorInfo;

use super::buffer::Size;
use super::{Automaton, Partials};
use crate::data::{Exchange, Key, hash64};
use crate::error::Result;
use crate::snapshot::{self, RestoredOperator};
use crate::state::{
    Arrangement, Evictable, EvictedKeys, Footprint, Hashed, INDEXED, KeyTable, Latest, MemoryBudget,
    SegmentedVec, Share, SharedBudget, Slot, Spilling, each, rows_to_write,
};
use crate::time::EventTime;

/// The partial matches of a worker's keys.
pub(super) struct Keys<K: Key, T: Exchange> {
    automaton: Arc<Automaton<T>>,
    /// The keys with partial matches, and some that had one in the open epoch.
    table: KeyTable<K, Entry<T>>,
    /// When the next partial match of each of these times out.
    deadlines: BTreeSet<(EventTime, Slot)>,
    /// Those that the open epoch has changed.
    touched: Vec<Slot>,
    /// The keys that have changed since the last seal, and those that the last seal knew and that are no
    /// more.
    changed: SegmentedVec<Slot>,
    tombstones: Vec<Hashed<K>>,
    arrangement: Arrangement<PartialRows<K, T>>,
    /// Keys that have left memory.
    evicted: EvictedKeys<K>,
    /// What of them the arrangement does not have yet.
    left: Vec<PartialRow<K, T>>,
    limit: Option<MemoryBudget>,
    /// The records that were taken since it was last asked whether keys must leave.
    taken: u32,
    /// What the entries point to, if that is limited, and the events of these.
    size: Size,
    footprint: Footprint,
}

type PartialRows<K, T> = Spilling<Latest<Hashed<K>, Partials<T>>>;
type PartialRow<K, T> = (Hashed<K>, Option<Partials<T>>);

struct Entry<T> {
    partials: Partials<T>,
    deadline: Option<EventTime>,
    /// True if the open epoch has changed it.
    touched: bool,
    /// True if it is among those that have changed since the last seal.
    changed: bool,
    /// True if the arrangement knows the key.
    sealed: bool,
    /// True if it was asked for since the hand came by that lets keys leave memory.
    used: bool,
}

/// While keys are away, deadlines are due for so many milliseconds at a time.
const STEP: EventTime = 64;

/// After so many records it is asked whether keys must leave.
const TAKEN: u32 = 64;

/// What a deadline takes of memory, about.
const DEADLINE: usize = 32;

/// The name of the table that they are saved in.
const PARTIALS: &str = "partial matches";

impl<K: Key, T: Exchange> Keys<K, T> {
    pub(super) fn new(
        automaton: Arc<Automaton<T>>,
        (memory, limit): (Option<&Rc<SharedBudget>>, Option<MemoryBudget>),
        operator: OperatorInfo,
    ) -> Keys<K, T> {
        let rows = Spilling::new(Latest::new(), memory, |key: &Hashed<K>| key.hash);
        Keys {
            automaton,
            table: KeyTable::default(),
            deadlines: BTreeSet::new(),
            touched: Vec::new(),
            changed: SegmentedVec::default(),
            tombstones: Vec::new(),
            arrangement: Arrangement::new(rows, operator),
            evicted: EvictedKeys::default(),
            left: Vec::new(),
            footprint: Footprint::new(limit.is_some()),
            limit,
            taken: 0,
            size: Size::default(),
        }
    }

    fn is_limited(&self) -> bool {
        self.footprint.wanted
    }

    /// The slot of a key, if it has partial matches.
    #[inline]
    pub(super) fn find(&mut self, hash: u64, key: &K) -> Option<Slot> {
        let slot = self.table.find(hash, key);
        if slot.is_none() && !self.evicted.is_empty() && self.evicted.take(hash, key) {
            return self.enter(hash, key.clone());
        }
        slot
    }

    /// The key of a slot.
    pub(super) fn key(&self, slot: Slot) -> &K {
        &self.table.get(slot).0
    }

    /// Adds a key that has no partial matches.
    pub(super) fn insert(&mut self, hash: u64, key: K, partials: Partials<T>) {
        let slot = self.put(hash, key, partials, false);
        self.touch(slot);
    }

    /// Puts a key's partial matches into the table. `sealed` says if the arrangement has them.
    fn put(&mut self, hash: u64, key: K, partials: Partials<T>, sealed: bool) -> Slot {
        if self.is_limited() {
            self.size.account(Size::default(), partials.size());
            partials.newest().into_iter().for_each(|event| self.footprint.see(event));
        }
        let entry = Entry { partials, deadline: None, touched: false, changed: false, sealed, used: true };
        let slot = self.table.insert(hash, key, entry);
        self.expect(slot);
        slot
    }

    /// Lets `change` have a key's partial matches, which says if they are not what they were.
    #[inline]
    pub(super) fn change(&mut self, slot: Slot, change: impl FnOnce(&mut Partials<T>) -> bool) {
        let entry = &mut self.table.get_mut(slot).1;
        entry.used = true;
        let before = self.footprint.wanted.then(|| entry.partials.size());
        let has_changed = change(&mut entry.partials);
        if let Some(before) = before {
            self.size.account(before, entry.partials.size());
            entry.partials.newest().into_iter().for_each(|event| self.footprint.see(event));
        }
        if has_changed {
            self.touch(slot);
        }
    }

    /// Takes note that a key's partial matches have changed.
    fn touch(&mut self, slot: Slot) {
        self.expect(slot);
        let entry = &mut self.table.get_mut(slot).1;
        if !entry.touched {
            entry.touched = true;
            self.touched.push(slot);
        }
    }

    /// Takes note of a key's deadline.
    fn expect(&mut self, slot: Slot) {
        let entry = &mut self.table.get_mut(slot).1;
        let deadline = self.automaton.deadline(&entry.partials);
        if deadline != entry.deadline {
            if let Some(before) = entry.deadline {
                self.deadlines.remove(&(before, slot));
            }
            self.deadlines.extend(deadline.map(|deadline| (deadline, slot)));
            entry.deadline = deadline;
        }
    }

    /// No deadline is earlier than this.
    #[inline]
    pub(super) fn next(&self) -> Option<EventTime> {
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        deadline.into_iter().chain(self.evicted.next()).min()
    }

    /// Brings the keys back that have a deadline up to `now`, or up to some time after `next` that is before
    /// it. Gives that time.
    pub(super) fn recall(&mut self, next: EventTime, now: EventTime) -> EventTime {
        if self.evicted.is_empty() {
            return now;
        }
        let until = now.min(next.saturating_add(STEP));
        for (hash, key) in self.evicted.due(until) {
            self.enter(hash, key);
        }
        until
    }

    /// The first deadline up to `until` of the keys in memory, and these keys, in order.
    pub(super) fn due(&self, until: EventTime) -> Option<(EventTime, Vec<Slot>)> {
        let (deadline, _) = self.deadlines.first().copied().filter(|first| first.0 <= until)?;
        let due = self.deadlines.iter().take_while(|(other, _)| *other == deadline);
        let mut due: Vec<Slot> = due.map(|(_, slot)| *slot).collect();
        due.sort_unstable_by(|one, other| self.key(*one).cmp(self.key(*other)));
        Some((deadline, due))
    }

    /// Brings a key back into memory that is no longer [evicted](EvictedKeys). `None` if it cannot be read,
    /// which ends the job.
    #[cold]
    fn enter(&mut self, hash: u64, key: K) -> Option<Slot> {
        let (key, mut found) = (Hashed { hash, key }, None);
        // Newer rows come after older ones.
        self.arrangement.range(hash, &|other| other.cmp(&key), &mut |_, partials| found = partials);
        let slot = self.put(hash, key.key, found?, true);
        self.limit.iter_mut().for_each(MemoryBudget::entered);
        Some(slot)
    }

    /// Takes an entry out of the table.
    fn take(&mut self, slot: Slot) -> Option<(K, Entry<T>)> {
        let (key, entry) = self.table.remove(slot)?;
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, slot));
        }
        if self.is_limited() {
            self.size.account(entry.partials.size(), Size::default());
        }
        Some((key, entry))
    }

    /// Lets a key go that is no more.
    fn remove(&mut self, slot: Slot) {
        let removed = self.take(slot).filter(|(_, entry)| entry.sealed);
        self.tombstones.extend(removed.map(|(key, _)| Hashed::new(key)));
    }

    /// Lets a key go at once if it is no more and memory is limited: many may have come back for that alone.
    pub(super) fn release(&mut self, slot: Slot) {
        if self.is_limited() {
            self.remove_empty(slot);
        }
    }

    /// Lets a key go at once if it is no more.
    pub(super) fn remove_empty(&mut self, slot: Slot) {
        if self.table.get(slot).1.partials.is_empty() {
            self.remove(slot);
        }
    }

    /// The keys of which something is decided by the end of the input, in order. All earlier deadlines are
    /// over. Each must be [brought](Keys::bring) then.
    pub(super) fn last(&mut self) -> Vec<(u64, K)> {
        let mut last = self.evicted.due(EventTime::MAX);
        let here = self.deadlines.iter().map(|(_, slot)| self.key(*slot));
        last.extend(here.map(|key| (hash64(key), key.clone())));
        last.sort_unstable_by(|one, other| one.1.cmp(&other.1));
        last
    }

    /// The slot of one of the [last](Keys::last) keys, wherever it is now.
    pub(super) fn bring(&mut self, hash: u64, key: &K) -> Option<Slot> {
        self.table.find(hash, key).or_else(|| {
            self.evicted.take(hash, key);
            self.enter(hash, key.clone())
        })
    }

    /// The open epoch is over.
    pub(super) fn close(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for slot in touched.drain(..) {
            // The slot of a key that is no more may be vacant or another's.
            let Some((_, entry)) = self.table.try_get_mut(slot).filter(|(_, entry)| entry.touched) else {
                continue;
            };
            entry.touched = false;
            if entry.partials.is_empty() {
                self.remove(slot);
            } else if !std::mem::replace(&mut entry.changed, true) {
                self.changed.push(slot);
            }
        }
        self.touched = touched;
        self.table.trim(&mut self.changed, |entry| entry.changed);
    }

    /// Writes what has changed since the last seal.
    pub(super) fn seal(&mut self, epoch: u64) {
        let mut rows: Vec<_> = self.tombstones.drain(..).map(|key| (key, None)).collect();
        for slot in std::mem::take(&mut self.changed).into_list() {
            // The slot of a key that is no more may be vacant or another's.
            if let Some((key, entry)) = self.table.try_get_mut(slot).filter(|(_, entry)| entry.changed) {
                (entry.changed, entry.sealed) = (false, true);
                rows.push((Hashed::new(key.clone()), Some(entry.partials.clone())));
            }
        }
        self.arrangement.seal_unsorted(epoch, rows);
    }

    /// What a snapshot needs of what was sealed.
    pub(super) fn save(&self) -> snapshot::TableSnapshot {
        self.arrangement.save(PARTIALS)
    }

    /// Takes in what a snapshot has of a worker's share: into memory, as long as there is room.
    pub(super) fn restore(&mut self, from: &RestoredOperator, share: Share) -> Result<()> {
        self.arrangement.restore(PARTIALS, from, share)?;
        self.admit_all();
        Ok(())
    }

    /// Takes note of what the arrangement has.
    fn admit_all(&mut self) {
        for run in self.arrangement.runs() {
            each::<PartialRows<K, T>>(run.pages(), &mut |key, partials| self.admit(key, partials.as_ref()));
        }
    }

    /// Takes note of what the arrangement has of a key, in place of what an older row of it had.
    fn admit(&mut self, Hashed { hash, key }: &Hashed<K>, partials: Option<&Partials<T>>) {
        match self.table.find(*hash, key) {
            Some(slot) => drop(self.take(slot)),
            None => drop(self.evicted.take(*hash, key)),
        }
        let Some(partials) = partials else { return };
        let bytes = if self.is_limited() { self.bytes() } else { 0 };
        if self.limit.as_ref().is_none_or(|limit| limit.has_room(bytes)) {
            self.put(*hash, key.clone(), partials.clone(), true);
        } else {
            self.evicted.add(*hash, key.clone(), self.automaton.deadline(partials));
        }
    }

    /// Lets keys leave memory if they take more than they may, when some more records have been taken.
    #[inline]
    pub(super) fn has_taken(&mut self, epoch: u64) {
        if self.is_limited() {
            self.taken += 1;
            if self.taken >= TAKEN {
                self.taken = 0;
                self.evict_keys(epoch);
            }
        }
    }
}

#[cfg(test)]
impl<K: Key, T: Exchange> Keys<K, T> {
    /// Takes in all that another one has sealed up to an epoch.
    pub(super) fn restore_from(&mut self, other: &Keys<K, T>, epoch: u64) {
        let mut rows = std::collections::BTreeMap::new();
        other.arrangement.each(&mut |key, partials| drop(rows.insert(key.clone(), partials.clone())));
        self.arrangement.seal(epoch, rows.into_iter().collect());
        self.admit_all();
    }

    /// The number of keys in memory, of deadlines, of takes, of rows, and of keys that were touched.
    pub(super) fn counts(&self) -> [usize; 5] {
        let takes = self.table.iter().map(|(_, entry)| entry.partials.held().0).sum();
        [self.table.len(), self.deadlines.len(), takes, self.arrangement.len(), self.touched.len()]
    }

    /// The number of keys that have left memory.
    pub(super) fn away(&self) -> usize {
        self.evicted.len()
    }

    /// Panics if what is known of the size of all is not their size.
    pub(super) fn check_size(&self) {
        let mut size = Size::default();
        self.table.iter().for_each(|(_, entry)| size.account(Size::default(), entry.partials.size()));
        assert_eq!(self.size, size);
    }
}

impl<K: Key, T: Exchange> Evictable for Keys<K, T> {
    fn bytes(&self) -> usize {
        let entry = size_of::<Option<(K, Entry<T>)>>() + INDEXED + DEADLINE;
        let held = self.size.bytes + self.size.events * self.footprint.heap();
        self.table.len() * entry + held + self.evicted.bytes()
    }

    fn slots(&self) -> usize {
        self.table.slots()
    }

    fn limit(&mut self) -> &mut Option<MemoryBudget> {
        &mut self.limit
    }

    fn evict_key(&mut self, slot: Slot) -> bool {
        let Some((_, entry)) = self.table.try_get_mut(slot) else { return false };
        if std::mem::take(&mut entry.used) {
            return false;
        }
        if entry.partials.is_empty() {
            self.remove(slot);
            return true;
        }
        let Some((key, entry)) = self.take(slot) else { return false };
        let key = Hashed::new(key);
        self.evicted.add(key.hash, key.key.clone(), entry.deadline);
        if entry.touched || entry.changed || !entry.sealed {
            self.left.push((key, Some(entry.partials)));
        }
        true
    }

    fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    fn write(&mut self, epoch: u64) {
        let rows = rows_to_write(self.tombstones.drain(..), &mut self.left);
        self.arrangement.seal_unsorted(epoch, rows);
    }
}
