//! State backends: an arrangement, or a log of deltas that only snapshots read.

pub(super) mod snapshot_delta;
pub(super) mod state_backend;
