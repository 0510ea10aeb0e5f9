//! How the cells of a state are copied for a cut, a slice at a time.

use std::hint::black_box;

use crate::data::Key;
use crate::state::backend::snapshot_delta::{DirtyMark, SnapshotDelta};
use crate::state::keyed::column::Cells;
use crate::state::keyed::items::Shape;
use crate::state::keyed::pins::{Pins, WARM};
use crate::state::keyed::snapshot_copy::SnapshotCopy;
use crate::state::keyed::write_back::WriteBack;
use crate::state::table::key_table::{KeyTable, Slot};
use crate::state::table::segmented_vec::{Chunks, SegmentedVec};

impl<K: Key, S: Shape> Cells<K, S> {
    /// Sets aside what has changed up to the end of an epoch, if it is to be handed over.
    pub(in crate::state) fn begin_cut(&mut self, epoch: u64) {
        let Some(delta) = self.write_back.begin_cut(epoch) else { return };
        let list = Chunks::new(std::mem::take(&mut self.changed));
        self.copying = Some(Box::new(SnapshotCopy { list, kept: SegmentedVec::default(), delta }));
    }

    /// Copies some of what was set aside, and hands all over when all is copied. `left` is how many rows it
    /// may still take.
    pub(in crate::state) fn copy_slice(&mut self, keys: &KeyTable<K, Pins>, left: &mut usize) {
        let Some(mut copying) = self.copying.take() else { return };
        copying.resolve(keys, &self.write_back.rows, left);
        let SnapshotCopy { list, kept, delta } = &mut *copying;
        let is_told = delta.copy_tombstones(left);
        while *left > 0 && !list.is_over() {
            let some = list.some(WARM.min(*left));
            let slots = some.iter().map(|(slot, _)| *slot);
            // The loads of a loop with nothing else in it do not wait for each other.
            black_box(slots.clone().filter(|slot| keys.try_get(*slot).is_some()).count());
            black_box(
                slots.filter(|slot| self.cells.get(slot.index()).is_some_and(|cell| !S::peek(cell))).count(),
            );
            for (slot, mark) in some {
                let copied = self.copy_place(delta, (*slot, mark), keys);
                *left = left.saturating_sub(copied.max(1));
            }
        }
        if is_told && list.is_over() && kept.len() == 0 {
            self.write_back.backend.push_delta(copying.delta);
        } else {
            self.copying = Some(copying);
        }
    }

    /// Copies what is at a place, and says how much it was.
    fn copy_place(
        &mut self,
        delta: &mut SnapshotDelta<K, S::Sub>,
        (slot, mark): (Slot, &S::Mark),
        keys: &KeyTable<K, Pins>,
    ) -> usize {
        let Cells { cells, write_back: WriteBack { rows, dirty_mark, .. }, changed, .. } = self;
        let (Some(cell), key) = (cells.get_mut(slot.index()), keys.try_get(slot)) else { return 0 };
        let (mut copied, mut again) = (0, Vec::new());
        // Of a slot without a key as well: what it notes is for the next one.
        S::noted(cell, mark, |sub, item| {
            if item.meta.changed() == *dirty_mark {
                again.push(sub);
            } else if let Some((key, _)) = key.filter(|_| item.meta.changed() != DirtyMark::Still) {
                item.meta = item.meta.kept();
                delta.add(rows.owner()(key), (key, &sub), (&item.value, item.meta.expires()));
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
