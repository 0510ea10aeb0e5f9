//! A cut through the cells of a state: what had changed by it is copied a slice at a time, while the cells
//! change further.
//!
//! See [`draft`](crate::state::backend::checkpoint_delta) for why what is delivered is the state as of the
//! cut.

use crate::data::Key;
use crate::state::backend::checkpoint_delta::Draft;
use crate::state::keyed::items::Shape;
use crate::state::keyed::pins::Pins;
use crate::state::run::item_rows::{ItemRows, Kept};
use crate::state::table::key_table::{Slot, Table};
use crate::state::table::segmented_vec::{Deal, Pile};

/// What is copied for a cut.
pub(crate) struct Cutting<K: Key, S: Shape> {
    /// Where items are that had changed, and that have not been seen to.
    pub(super) list: Deal<(Slot, S::Mark)>,
    /// Copies whose keys are still to be looked up.
    pub(super) kept: Pile<(Slot, S::Sub, Kept<S::Value>)>,
    pub(in crate::state) draft: Draft<K, S::Sub, S::Value>,
}

impl<K: Key, S: Shape> Cutting<K, S> {
    /// Keeps an item as it was by the cut.
    pub(in crate::state) fn keep(&mut self, slot: Slot, sub: S::Sub, kept: Kept<S::Value>) {
        self.kept.push((slot, sub, kept));
    }

    /// Looks up the keys of what was kept, up to about so many, and takes them from the number. All must be
    /// done before any key goes.
    pub(in crate::state) fn resolve(
        &mut self,
        keys: &Table<K, Pins>,
        rows: &ItemRows<K, S::Sub, S::Value>,
        left: &mut usize,
    ) {
        while *left > 0 && self.kept.len() > 0 {
            let some = self.kept.take_stack();
            *left = left.saturating_sub(some.len());
            for (slot, sub, kept) in some {
                if let Some((key, _)) = keys.try_get(slot) {
                    self.draft.add(((rows.hashed(key.clone()), sub), kept));
                }
            }
        }
    }
}
