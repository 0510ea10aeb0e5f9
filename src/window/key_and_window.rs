//! What state is kept by: a key and a window.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::assigner::Window;
use crate::data::{Key, hash64};
use crate::state::{Migratable, Slot, Store};

/// The table of what waits for its watermark: of records, or of the pieces of sessions in a snapshot of their
/// own operator.
pub(super) const WAITING: &str = "waiting";

/// The table of pieces of sessions that wait in a snapshot of the general operator.
pub(super) const PIECES: &str = "pieces";

/// A key's window: what the state of triggers and of functions for each window is kept by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope<K> {
    pub(super) key: K,
    /// The window, or the first of those that were merged into it.
    pub(super) window: Window,
}

impl<K: Key> Scope<K> {
    /// The hash that the window in a slot is owned by.
    pub(super) fn owner(store: &Store<Scope<K>>, slot: Slot) -> u64 {
        hash64(&store.key(slot).key)
    }

    /// The slot of the window, which is kept until it is let go.
    pub(super) fn pin(&self, store: &mut Store<Scope<K>>) -> Slot {
        let slot = store.place(self);
        store.pin(slot);
        slot
    }
}

/// A window that others have been merged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Merged {
    pub(super) window: Window,
    /// The window that its state is kept by.
    pub(super) state: Window,
}

impl<K: Key> Migratable for Scope<K> {
    type Part = ();
    type With<P: DeserializeOwned + 'static> = Scope<K>;

    fn own<P: DeserializeOwned + 'static>(with: Scope<K>, _: impl Fn(P)) -> Scope<K> {
        with
    }
}
