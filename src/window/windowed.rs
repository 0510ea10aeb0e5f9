//! What windows give.

use serde::{Deserialize, Serialize};

use super::assigner::Window;

/// The result of a window for a key. Its event time is the last moment of the window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Windowed<K, R> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
    /// The result.
    pub value: R,
}
