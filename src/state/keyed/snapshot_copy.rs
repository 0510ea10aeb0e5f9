//! A cut through the cells of a state: what had changed by it is copied a slice at a time, while the cells
//! change further.
//!
//! See [`delta`](crate::state::backend::snapshot_delta) for why what is handed over is the state as of the
//! cut.

use crate::data::Key;
use crate::state::backend::snapshot_delta::SnapshotDelta;
use crate::state::keyed::items::Shape;
use crate::state::keyed::pins::Pins;
use crate::state::run::item_rows::{ItemOrTombstone, ItemRows};
use crate::state::table::key_table::{KeyTable, Slot};
use crate::state::table::segmented_vec::{Chunks, SegmentedVec};

/// What is copied for a cut.
pub(crate) struct SnapshotCopy<K: Key, S: Shape> {
    /// Where items are that had changed, and that have not been seen to.
    pub(super) list: Chunks<(Slot, S::Mark)>,
    /// Copies whose keys are still to be looked up.
    pub(super) kept: SegmentedVec<(Slot, S::Sub, ItemOrTombstone<S::Value>)>,
    pub(in crate::state) delta: SnapshotDelta<K, S::Sub>,
}

impl<K: Key, S: Shape> SnapshotCopy<K, S> {
    /// Keeps an item as it was by the cut.
    pub(in crate::state) fn keep(&mut self, slot: Slot, sub: S::Sub, kept: ItemOrTombstone<S::Value>) {
        self.kept.push((slot, sub, kept));
    }

    /// Looks up the keys of what was kept, up to about so many, and takes them from the number. All must be
    /// done before any key goes.
    pub(in crate::state) fn resolve(
        &mut self,
        keys: &KeyTable<K, Pins>,
        rows: &ItemRows<K, S::Sub, S::Value>,
        left: &mut usize,
    ) {
        while *left > 0 && self.kept.len() > 0 {
            let some = self.kept.take_segment();
            *left = left.saturating_sub(some.len());
            for (slot, sub, kept) in some {
                if let (Some((key, _)), Some((value, expires))) = (keys.try_get(slot), kept) {
                    self.delta.add(rows.owner()(key), (key, &sub), (&value, expires));
                }
            }
        }
    }
}
