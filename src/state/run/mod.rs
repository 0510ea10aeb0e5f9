//! Sorted runs: immutable rows of an interval of epochs, how they are merged, kept as an arrangement, and
//! saved.

pub(super) mod page;
pub(super) mod hashed;
pub(super) mod rows;
pub(super) mod saves;
pub(super) mod latest_and_sums;
pub(super) mod item_rows;
pub(super) mod sorted_run;
pub(super) mod merge;
pub(super) mod builder;
pub(super) mod arrangement;
pub(super) mod persist;
