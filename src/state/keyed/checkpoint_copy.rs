//! A cut through the cells of a state: what had changed by it is copied a slice at a time, while the cells
//! change further.
//!
//! See [`draft`](crate::state::backend::checkpoint_delta) for why what is delivered is the state as of the
//! cut.

use std::hint::black_box;

use crate::data::Key;
use crate::state::backend::checkpoint_delta::{Draft, Turn};
use crate::state::keyed::column::{Cells, Shape};
use crate::state::keyed::store::{Pins, WARM};
use crate::state::run::item_rows::{ItemRows, Kept};
use crate::state::table::key_table::{Slot, Table};
use crate::state::table::segmented_vec::{Deal, Pile};

/// What is copied for a cut.
pub(crate) struct Cutting<K: Key, S: Shape> {
    /// Where items are that had changed, and that have not been seen to.
    list: Deal<(Slot, S::Mark)>,
    /// Copies whose keys are still to be looked up.
    kept: Pile<(Slot, S::Sub, Kept<S::Value>)>,
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

impl<K: Key, S: Shape> Cells<K, S> {
    /// Sets aside what has changed up to the end of an epoch, if it is to be delivered.
    pub(in crate::state) fn begin_cut(&mut self, epoch: u64) {
        let Cells { backing, rows, gone, changed, .. } = self;
        let Some(draft) = backing.draft(epoch, rows, gone, changed.len()) else { return };
        let list = Deal::new(std::mem::take(&mut self.changed));
        self.turn = self.turn.next();
        self.cutting = Some(Box::new(Cutting { list, kept: Pile::default(), draft }));
    }

    /// Copies some of what was set aside, and delivers all when all is copied. `left` is how many rows it may
    /// still take.
    pub(in crate::state) fn copy_slice(&mut self, keys: &Table<K, Pins>, left: &mut usize) {
        let Some(mut cutting) = self.cutting.take() else { return };
        cutting.resolve(keys, &self.rows, left);
        let Cutting { list, kept, draft } = &mut *cutting;
        while *left > 0 && !list.is_over() {
            let some = list.some(WARM.min(*left));
            let slots = some.iter().map(|(slot, _)| *slot);
            // The loads of a loop with nothing else in it do not wait for each other.
            black_box(slots.clone().filter(|slot| keys.try_get(*slot).is_some()).count());
            black_box(
                slots.filter(|slot| self.cells.get(slot.index()).is_some_and(|cell| !S::peek(cell))).count(),
            );
            for (slot, mark) in some {
                let copied = self.copy_place(draft, (*slot, mark), keys);
                *left = left.saturating_sub(copied.max(1));
            }
        }
        if list.is_over() && kept.len() == 0 {
            self.backing.deliver(cutting.draft);
        } else {
            self.cutting = Some(cutting);
        }
    }

    /// Copies what is at a place, and says how much it was.
    fn copy_place(
        &mut self,
        draft: &mut Draft<K, S::Sub, S::Value>,
        (slot, mark): (Slot, &S::Mark),
        keys: &Table<K, Pins>,
    ) -> usize {
        let Cells { cells, rows, turn, changed, .. } = self;
        let (Some(cell), key) = (cells.get_mut(slot.index()), keys.try_get(slot)) else { return 0 };
        let (mut copied, mut again) = (0, Vec::new());
        // Of a slot without a key as well: what it notes is for the next one.
        S::noted(cell, mark, |sub, item| {
            if item.tag.changed() == *turn {
                again.push(sub);
            } else if let Some((key, _)) = key.filter(|_| item.tag.changed() != Turn::Still) {
                item.tag = item.tag.kept();
                let row = (rows.hashed(key.clone()), sub);
                draft.add((row, Some((item.value.clone(), item.tag.expires()))));
                copied += 1;
            }
        });
        for sub in again {
            // What has changed since the cut is still to be found by the next one.
            changed.extend(S::note(cell, &sub).map(|mark| (slot, mark)));
        }
        copied
    }
}
