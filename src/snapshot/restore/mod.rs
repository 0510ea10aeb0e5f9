//! Restore: a snapshot as operators ask for it when a job goes on.

pub(super) mod page_source;
pub(super) mod restored;
