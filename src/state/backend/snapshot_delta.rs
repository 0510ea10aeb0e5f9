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
//! What it costs a worker: a look at each changed item, and to encode it behind others. A row that says that
//! an item is no more counts less than an item of the same delta: one that came back is there.

use std::collections::{BTreeSet, btree_set};

use crate::data::{Exchange, Hashed, Key};
use crate::state::lsm::delta::Delta;
use crate::state::lsm::delta_log::DeltaLog;
use crate::state::run::item_rows::ItemOrTombstone;

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

/// The delta of a cut, while it is gathered.
pub(crate) struct SnapshotDelta<K, S> {
    delta: Delta,
    /// Rows of what is no more that are still to be encoded.
    tombstones: btree_set::IntoIter<(Hashed<K>, S)>,
}

/// Rows that say that something is no more.
pub(crate) type Tombstones<K, S> = BTreeSet<(Hashed<K>, S)>;

impl<K: Key, S: Key> SnapshotDelta<K, S> {
    /// The delta of what has changed, and of what is no more.
    pub(in crate::state) fn new(delta: Delta, tombstones: Tombstones<K, S>) -> SnapshotDelta<K, S> {
        SnapshotDelta { delta, tombstones: tombstones.into_iter() }
    }

    /// Copies an item of a key with its hash, which expires at a time.
    #[inline]
    pub(in crate::state) fn add<V: Exchange>(&mut self, hash: u64, key: (&K, &S), item: (&V, i64)) {
        self.delta.add(hash, &key, Some(item));
    }

    /// Copies what is no more, up to about so many rows, and takes them from the number. True if all are
    /// copied.
    pub(in crate::state) fn copy_tombstones(&mut self, left: &mut usize) -> bool {
        let some = *left;
        for (key, sub) in self.tombstones.by_ref().take(some) {
            self.delta.add::<_, ()>(key.hash, &(&key.key, &sub), None);
            *left -= 1;
        }
        self.tombstones.len() == 0
    }

    /// Hands over what was gathered.
    pub(in crate::state) fn push_delta(self, log: &DeltaLog) {
        log.append(self.delta);
    }
}

/// An item as it is copied.
pub(crate) fn copy<V: Clone>(value: &V, expires: i64) -> ItemOrTombstone<V> {
    Some((value.clone(), expires))
}
