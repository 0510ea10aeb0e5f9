//! What state is kept by: a key and a window.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::data::Key;
use crate::state::Parted;
use crate::window::Window;

/// A key's window: what the state of triggers and of functions for each window is kept by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope<K> {
    pub(super) key: K,
    /// The window, or the first of those that were merged into it.
    pub(super) window: Window,
}

/// A window that others have been merged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Merged {
    pub(super) window: Window,
    /// The window that its state is kept by.
    pub(super) state: Window,
}

impl<K: Key> Parted for Scope<K> {
    type Part = ();
    type With<P: DeserializeOwned + 'static> = Scope<K>;

    fn own<P: DeserializeOwned + 'static>(with: Scope<K>, _: impl Fn(P)) -> Scope<K> {
        with
    }
}
