//! What has changed by a cut, while it is copied slice by slice and its state changes further.
//!
//! At a cut the list of what has changed is set aside, and a new one begins. From then on, items of the old
//! list are copied a slice at a time. One that is about to change, or to go, before its turn came is copied
//! then. So what is handed over is the state as of the cut, each changed item once, and no slice is longer
//! than was asked for.
//!
//! Whether an item's last change came before the cut or after it is told by its mark: there is one
//! [`DirtyMark`] for the changes before a cut and another one for those after it, and again the first one for
//! those after the next. By then the delta of the first cut is finished.
//!
//! What it costs a worker: a look at each changed item, and a copy of it, behind others.

use std::sync::Arc;

use crate::data::{Exchange, Key};
use crate::state::backend::delta_log::{Delta, DeltaLog, Tombstones};
use crate::state::run::item_rows::Row;
use crate::state::run::item_rows::{ItemOrTombstone, ItemRows};
use crate::state::run::rows::Rows;
use crate::state::table::segmented_vec::{BufferPool, SegmentedVec};

/// What a change is marked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DirtyMark {
    /// Nothing has changed.
    #[default]
    Still = 1,
    /// It has changed before one cut, or after another.
    Even,
    /// It has changed after the one, or before the other.
    Odd,
}

impl DirtyMark {
    /// The mark of changes after the next cut.
    pub(crate) fn next(self) -> DirtyMark {
        match self {
            DirtyMark::Even => DirtyMark::Odd,
            DirtyMark::Still | DirtyMark::Odd => DirtyMark::Even,
        }
    }

    /// It as two bits, which are never both zero.
    #[inline]
    pub(in crate::state) fn bits(self) -> u64 {
        self as u64
    }

    /// It again.
    #[inline]
    pub(in crate::state) fn of_bits(bits: u64) -> DirtyMark {
        match bits {
            bits if bits == DirtyMark::Even as u64 => DirtyMark::Even,
            bits if bits == DirtyMark::Odd as u64 => DirtyMark::Odd,
            _ => DirtyMark::Still,
        }
    }

    /// True if the change that it marks came before the last cut, when those after it are marked by `now`,
    /// and has not been copied.
    #[inline]
    pub(crate) fn is_before(self, now: DirtyMark) -> bool {
        self != now && self != DirtyMark::Still
    }
}

/// A delta that is being gathered.
pub(crate) struct SnapshotDelta<K, S, V> {
    delta: Delta<K, S, V>,
    /// The bits of a hash that do not tell its segmented vector.
    shift: u32,
    buffers: Arc<BufferPool<Option<Row<K, S, V>>>>,
}

/// About so many rows lie in a segmented vector, if that does not make too many segmented vectors: then they
/// are sorted in the processor's cache.
const PART_ROWS: usize = 4096;

/// The most segmented vectors. If there were thousands, each row would be the first one in a while that its
/// segmented vector gets: so its place would have to be fetched, and all segmented vectors would begin a new
/// segment at about one time, which takes as long as to clear all their memory.
const MAX_PARTS: usize = 64;

impl<K: Key, S: Key, V: Exchange> SnapshotDelta<K, S, V> {
    /// The delta of what has changed up to and including an epoch: what is no more, and about so many items.
    /// It is copied to `buffers` first.
    pub(crate) fn new(
        epoch: u64,
        rows: &ItemRows<K, S, V>,
        tombstones: Tombstones<K, S>,
        items: usize,
        buffers: Arc<BufferPool<Option<Row<K, S, V>>>>,
    ) -> SnapshotDelta<K, S, V> {
        let parts = (items / PART_ROWS).next_power_of_two().min(MAX_PARTS);
        let row_parts = (0..parts).map(|_| SegmentedVec::default()).collect();
        let delta = Delta { epoch, clock: rows.clock(), tombstones, row_parts };
        SnapshotDelta { delta, shift: u64::BITS - parts.ilog2(), buffers }
    }

    /// Copies an item.
    #[inline]
    pub(crate) fn add(&mut self, row: Row<K, S, V>) {
        let segments = row.0.0.hash.checked_shr(self.shift).unwrap_or(0);
        self.delta.row_parts[segments as usize].push_with(&self.buffers, Some(row));
    }

    /// Delivers what was gathered.
    pub(crate) fn push_delta(self, log: &DeltaLog<K, S, V>) {
        log.append(self.delta);
    }
}

/// An item as it is copied.
pub(crate) fn copy<V: Clone>(value: &V, expires: i64) -> ItemOrTombstone<V> {
    Some((value.clone(), expires))
}
