//! A log-structured merge tree of encoded rows: what a state is kept in behind its hash table.
//!
//! A row is a key and a value as bytes, in the encoding that snapshots have. So pages lie in memory, in local
//! files and in snapshots alike, and all that is done with them, but to encode a row and to decode it, is
//! compiled once and not for each type: see [`RowType`](row_type::RowType) for what is asked of types.
//!
//! The state as of an epoch is a list of [runs](sorted_run), each of which has the rows that some epochs have
//! changed, in order of keys: immutable, and shared by all who read it. A [merge] of several runs is
//! another run. A worker that reads its state again [seals](lsm) what has changed; one that does not copies
//! it to a [log](delta_log), and the thread of snapshots makes the runs.

pub(super) mod expiry;
pub(super) mod row_type;
pub(super) mod page;
pub(super) mod sorted_run;
pub(super) mod page_builder;
pub(super) mod merge;
pub(super) mod compaction;
mod segment_pool;
pub(super) mod delta;
pub(super) mod delta_log;
#[allow(clippy::module_inception, reason = "the tree of a state that is read")]
pub(super) mod lsm;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod page_tests;
