//! What a [keyed table](super::keyed_state) hands over when the state as of an epoch is asked for, and takes
//! in from a snapshot.
//!
//! Entries that have changed are sealed into an arrangement in one piece, if their rows can be asked for;
//! otherwise they are copied a slice at a time, as [`snapshot_delta`](crate::state::backend::snapshot_delta)
//! says.

use std::hint::black_box;

use crate::data::{Exchange, Hashed, Key, hash64};
use crate::error::Result;
use crate::snapshot::{Foreign, RestoredOperator, SavedTables};
use crate::state::backend::snapshot_delta::DirtyMark;
use crate::state::keyed::entry::Entry;
use crate::state::keyed::entry_cache::EntryCache;
use crate::state::keyed::keyed_state::{Copying, KeyedState};
use crate::state::keyed::pins::WARM;
use crate::state::keyed::write_back::WriteBack;
use crate::state::lsm::expiry::{NEVER, is_over};
use crate::state::operator_state::OperatorState;
use crate::state::run::incoming::{Share, read_rows};
use crate::state::run::item_rows::ItemRows;
use crate::state::run::latest_and_sums::Latest;
use crate::state::run::rows::Rows;
use crate::state::spill::budget::{Evictable, MemoryBudget};
use crate::state::table::key_table::{Found, Slot};
use crate::state::table::segmented_vec::Chunks;
use crate::time::EventTime;

impl<K: Key, E: Entry> KeyedState<K, E> {
    /// Lets the clock come this far that rows expire by.
    pub(crate) fn reach(&mut self, watermark: EventTime) {
        self.write_back.clock.set(watermark);
    }

    /// As [`restore`](OperatorState::restore), of rows without expiry.
    fn restore_undated(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        each_row(E::TABLE, from, share, &mut |key: K, row| {
            let hash = hash64(&key);
            if let Some(slot) = self.cache.table.find(hash, &key) {
                self.remove(slot);
            }
            if let Some(entry) = row.and_then(|row| E::from_row(row, NEVER)) {
                self.insert(hash, key, entry);
            }
        })
    }
}

impl<K: Key, E: Entry> OperatorState for KeyedState<K, E> {
    fn seal(&mut self, epoch: u64) {
        if !self.write_back.is_arranged() {
            return;
        }
        let KeyedState { cache: EntryCache { table, .. }, write_back, .. } = self;
        let changed = std::mem::take(&mut self.changed).into_list();
        // The slot of a removed key may be vacant, or another's.
        let hash = |(slot, number): (&Slot, u32)| Some((hash64(&table.try_get(*slot)?.0), number));
        let mut order: Vec<(u64, u32)> = changed.iter().zip(0..).filter_map(hash).collect();
        order.sort_unstable();
        write_back.seal(epoch, &order, &mut |hash, number, rows| {
            if let Some((key, cached)) = table.try_get_mut(changed[number as usize])
                && cached.mark != DirtyMark::Still
            {
                let key = Hashed { hash, key: key.clone() };
                rows.push(((key, ()), Some(cached.written())));
            }
        });
    }

    fn cut(&mut self, epoch: u64) {
        let Some(delta) = self.write_back.begin_cut(epoch) else { return };
        let list = Chunks::new(std::mem::take(&mut self.changed));
        self.copying = Some(Copying { list, delta });
    }

    fn copy(&mut self, left: &mut usize) -> bool {
        let KeyedState { cache: EntryCache { table, .. }, write_back, .. } = self;
        let Some(Copying { list, delta }) = &mut self.copying else { return true };
        let is_told = delta.copy_tombstones(left);
        while *left > 0 && !list.is_over() {
            let some = list.some(WARM.min(*left));
            // The loads of a loop with nothing else in it do not wait for each other.
            black_box(some.iter().filter(|slot| table.try_get(**slot).is_some()).count());
            for slot in some {
                if let Some((key, cached)) = table.try_get_mut(*slot)
                    && cached.mark.is_before(write_back.dirty_mark)
                {
                    let (row, expires) = cached.written();
                    delta.add(hash64(key), (key, &()), (&row, expires));
                }
            }
            *left -= some.len();
        }
        if !is_told || !list.is_over() {
            return false;
        }
        if let Some(copying) = self.copying.take() {
            self.write_back.backend.push_delta(copying.delta);
        }
        true
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.tables.push(self.write_back.save(E::TABLE)?);
        Ok(())
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        if E::HAD_NO_EXPIRY && is_undated::<K, E::Row>(E::TABLE, from) {
            return self.restore_undated(from, share);
        }
        let KeyedState { cache, write_back: WriteBack { backend, rows, clock, .. }, budget, .. } = self;
        let mut found = Vec::new();
        backend.restore((rows, clock), (E::TABLE, from), share, &mut |read, keys| {
            if budget.is_none() && cache.table.is_empty() {
                cache.table.reserve(keys);
            }
            // Together: where they are to be looked up is in the caches then.
            found.clear();
            cache.table.find_all(read.iter().map(|((hashed, ()), _)| &hashed.key), &mut found);
            for (((hashed, ()), kept), Found { slot, .. }) in read.into_iter().zip(&found) {
                let kept = kept.filter(|(_, expires)| !is_over(*expires, clock.get()));
                let entry = kept.and_then(|(row, expires)| E::from_row(row, expires));
                admit(cache, budget.as_mut(), hashed, *slot, entry);
            }
        })
    }

    fn evict(&mut self, epoch: u64) {
        self.evict_keys(epoch);
    }
}

/// True if a snapshot has a table of these keys and rows without expiry.
fn is_undated<K: Key, R: Exchange>(table: &str, from: &RestoredOperator) -> bool {
    let schema_of = Latest::<Hashed<K>, R>::schema_of::<Foreign>;
    from.is_saved_as::<R>(table, &Latest::<Hashed<K>, R>::schema(), schema_of)
}

/// Shows the rows that a snapshot has of a worker's share of a table that has or once had no expiry, older
/// ones of a key first.
pub(crate) fn each_row<K: Key, R: Exchange>(
    table: &str,
    from: &RestoredOperator,
    share: &Share,
    visit: &mut dyn FnMut(K, Option<R>),
) -> Result<()> {
    if is_undated::<K, R>(table, from) {
        let rows = Latest::<Hashed<K>, R>::new();
        read_rows(&rows, (table, from), share, &mut |hashed, row| visit(hashed.key, row))?;
        return Ok(());
    }
    let rows = ItemRows::<K, (), R>::new(hash64);
    read_rows(&rows, (table, from), share, &mut |(hashed, ()), kept| {
        visit(hashed.key, kept.map(|(row, _)| row));
    })?;
    Ok(())
}

/// Takes a restored entry of a key in, in place of what an older row had.
pub(super) fn admit<K: Key, E: Entry>(
    cache: &mut EntryCache<K, E>,
    budget: Option<&mut MemoryBudget>,
    Hashed { hash, key }: Hashed<K>,
    slot: Slot,
    entry: Option<E>,
) {
    let was_resident = slot != Slot::NONE && cache.take(slot).is_some();
    if !was_resident && !cache.evicted.is_empty() {
        cache.evicted.take(hash, &key);
    }
    let Some(entry) = entry else { return };
    match budget.filter(|budget| !budget.has_room(cache.bytes())) {
        None => {
            cache.put(hash, key, entry, DirtyMark::Still);
        }
        Some(_) if E::IS_RECALLED => {
            let deadline = entry.deadline(&cache.context);
            cache.evicted.add(hash, key, deadline);
        }
        Some(budget) => budget.has_evicted = true,
    }
}
