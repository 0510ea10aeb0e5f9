//! Rows of tables by their types: what they are made of, and how they become bytes and are read again.

pub(super) mod rows;
pub(super) mod latest_and_sums;
pub(super) mod item_rows;
pub(super) mod incoming;
pub(super) mod cursor;
pub(super) mod run_builder;
pub(super) mod arrangement;
