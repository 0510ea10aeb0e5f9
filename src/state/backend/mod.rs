//! State backends: an arrangement, or a log of deltas that only snapshots read.

pub(super) mod kway_merge;
pub(super) mod compaction;
pub(super) mod written_page;
pub(super) mod delta_log;
pub(super) mod snapshot_delta;
pub(super) mod state_backend;
