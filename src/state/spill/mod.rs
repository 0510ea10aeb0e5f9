//! State beyond memory: the budget, the files, and pages in them.

pub(super) mod files;
pub(super) mod page_file;
pub(super) mod spilling;
pub(super) mod footprint;
pub(super) mod budget;
