//! The dirty half of a write-back cache: what a keyed table has changed and its backend does not have yet.
//!
//! A table of current values in memory is a cache of its [backend](StateBackend), written back when the state
//! as of an epoch is asked for, or when a key is evicted. Three kinds of rows are on their way there: entries
//! that are marked as changed, which the table lists; evicted ones; and tombstones of those that the backend
//! has and that are no more. A tombstone is older than an evicted row of the same key, since a key must have
//! come back to be evicted: so tombstones are written first.
//!
//! Costs what it holds. What an entry was by a cut is kept by its table, before it changes
//! ([`SnapshotDelta`]).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::data::{Exchange, Hashed, Key, Owner};
use crate::error::Result;
use crate::snapshot::TableSnapshot;
use crate::state::backend::snapshot_delta::{DirtyMark, SnapshotDelta, Tombstones};
use crate::state::backend::state_backend::{StateBackend, StateReaders};
use crate::state::keyed::view::PublishedEpoch;
use crate::state::lsm::row_type::RowPlace;
use crate::state::run::item_rows::{ItemOrTombstone, ItemRows, Row};
use crate::state::spill::budget::rows_to_write;

/// What is on its way from a keyed table to its backend.
pub(in crate::state) struct WriteBack<K: Key, S: Key, V: Exchange> {
    pub(in crate::state) rows: ItemRows<K, S, V>,
    /// The time that rows expire by.
    pub(in crate::state) clock: Rc<Cell<i64>>,
    pub(in crate::state) backend: StateBackend<K, S, V>,
    /// What changes are marked by.
    pub(in crate::state) dirty_mark: DirtyMark,
    /// Items that the backend has and that are no more.
    pub(in crate::state) tombstones: Tombstones<K, S>,
    /// Evicted items that the backend does not have.
    pub(in crate::state) evicted: Vec<Row<K, S, V>>,
    /// False if nobody will ask for the state as of an epoch: what has changed need not be listed then.
    pub(in crate::state) is_asked: bool,
}

impl<K: Key, S: Key, V: Exchange> WriteBack<K, S, V> {
    /// Nothing, before an empty backend for these readers.
    pub(in crate::state) fn new(owner: Owner<K>, state_readers: &StateReaders) -> WriteBack<K, S, V> {
        let (rows, clock) = (ItemRows::new(owner), Rc::new(Cell::new(i64::MIN)));
        WriteBack {
            backend: StateBackend::new(&rows, &clock, state_readers),
            rows,
            clock,
            dirty_mark: DirtyMark::default().next(),
            tombstones: Tombstones::new(),
            evicted: Vec::new(),
            is_asked: state_readers.read || !state_readers.unasked,
        }
    }

    /// True if rows go into an arrangement, by [`seal`](WriteBack::seal), and false if onto a delta log, by a
    /// [cut](WriteBack::begin_cut).
    pub(in crate::state) fn is_arranged(&self) -> bool {
        matches!(self.backend, StateBackend::Arranged(_))
    }

    /// Takes note that an item is no more that the backend has.
    pub(in crate::state) fn bury(&mut self, key: K, sub: S) {
        self.tombstones.insert((self.rows.hashed(key), sub));
    }

    fn take_rows(&mut self) -> Vec<Row<K, S, V>> {
        rows_to_write(std::mem::take(&mut self.tombstones), &mut self.evicted)
    }

    /// Writes what has changed up to and including an epoch: tombstones, evicted rows, and the rows that
    /// `copy` makes of the numbers in `order`, which are in order of the hashes that they come with.
    ///
    /// Costs a sort of the rows of equal hash, and the merges that the new run brings about.
    pub(in crate::state) fn seal(
        &mut self,
        epoch: u64,
        order: &[(u64, u32)],
        copy: &mut dyn FnMut(u64, u32, &mut Vec<Row<K, S, V>>),
    ) {
        let before = self.take_rows();
        let Some(arrangement) = self.backend.arrangement() else { return };
        let mut built = arrangement.build(before);
        for same in order.chunk_by(|one, other| one.0 == other.0) {
            built.group(|group| same.iter().for_each(|(hash, number)| copy(*hash, *number, group)));
        }
        arrangement.seal_built(epoch, built);
    }

    /// Writes evicted rows and tombstones, within an epoch or at its end.
    pub(in crate::state) fn write_evicted(&mut self, epoch: u64) {
        let rows = self.take_rows();
        if let Some(arrangement) = self.backend.arrangement() {
            arrangement.seal_unsorted(epoch, rows);
        }
    }

    /// Begins the delta as of the end of an epoch, if rows are not sealed. Changes have another mark from now
    /// on.
    pub(in crate::state) fn begin_cut(&mut self, epoch: u64) -> Option<SnapshotDelta<K, S>> {
        let delta = self.backend.delta(epoch, self.clock.get(), &mut self.tombstones)?;
        self.dirty_mark = self.dirty_mark.next();
        Some(delta)
    }

    /// Shows the rows that the backend can be asked for of a key, older ones first.
    pub(in crate::state) fn read(&self, key: &Hashed<K>, visit: &mut dyn FnMut(S, ItemOrTombstone<V>)) {
        if let StateBackend::Arranged(arrangement) = &self.backend {
            let place = RowPlace::of_hash(key.hash);
            arrangement.range(place, &mut |(other, sub), kept| {
                if other.key == key.key {
                    visit(sub, kept);
                }
            });
        }
    }

    /// The state as of the last seal, for readers from outside: that of the end of an epoch, and of those
    /// before another.
    pub(in crate::state) fn published(&self, (epoch, until): (u64, u64)) -> Option<PublishedEpoch<K, S, V>> {
        let StateBackend::Arranged(arrangement) = &self.backend else { return None };
        let failed = arrangement.failed().map(Arc::from);
        let (rows, runs) = (self.rows.clone(), arrangement.runs().to_vec());
        Some(PublishedEpoch { epoch, until, rows, reached: self.clock.get(), runs, failed })
    }

    /// What a snapshot needs of the state as of the last seal, or the last cut.
    ///
    /// # Errors
    ///
    /// If something could not be encoded.
    pub(in crate::state) fn save(&self, name: &str) -> Result<TableSnapshot> {
        self.backend.save(name, self.clock.get())
    }
}
