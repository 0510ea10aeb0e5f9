//! State beyond memory: the budget, the files, and pages in them.

pub(super) mod files;
pub(super) mod footprint;
pub(super) mod budget;
