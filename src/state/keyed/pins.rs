//! What a key's slot is known by beside the key, and how many slots are looked at together.

/// So many cells are touched in one loop: caches hold them until they are wanted.
pub(crate) const WARM: usize = 64;

/// What a key's slot is known by beside the key.
#[derive(Default)]
pub(crate) struct Pins {
    /// What keeps a key without state: the number of timers in memory that speak of its slot.
    pub(super) count: u32,
    /// True if the key was touched since the hand came by.
    pub(super) touched: bool,
    /// True if the arrangements may have items of the key that the cells have not.
    pub(super) away: bool,
}
