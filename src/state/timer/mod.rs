//! Timers, and records that wait for a time: the queue, its rows, and what of it is spilled.

pub(super) mod migratable;
mod buckets;
pub(super) mod rows;
pub(super) mod spilled;
pub(super) mod queue;
mod records;
#[cfg(test)]
mod queue_tests;
