//! Keyed state: arrangements, and the tables in front of them.
//!
//! All state that an operator keeps lies in an [`Arrangement`]: a differential trace, a
//! `Spine` of immutable sorted batches, with the epoch as its time. When an epoch closes, what it changed is
//! sorted by key and sealed into one batch; the spine merges batches of similar size in the background, a bounded piece
//! of work at each seal. So the state *as of* an epoch is a list of shared, immutable pages, and holding on to it
//! costs a few pointers.
//!
//! What a row means is its [`Rows`]: how a newer value of a key joins an older one (it replaces it, or is added to
//! it), when a value is nothing, and which keys have expired. Aggregates are added: then the trace *is* the aggregate
//! and merging batches is aggregating. Cached values replace each other.
//!
//! # Why the batches are our own
//!
//! Differential's batches hold `(key, value, time, diff)` and answer for each update at which times it
//! holds. Here time is an epoch, epochs are totally ordered, and each batch covers an interval of epochs: the batch's own
//! bounds say all there is to say, and a row is a key and a value. What is left of `reduce` is one pass over sorted rows.
//! The spine, its fuel accounting and its compaction frontiers are differential's, unchanged.
//!
//! # The front
//!
//! Sealing once per epoch needs the epoch's changes combined by key. That is a hash [`Table`]: records of the open epoch meet
//! their key there, and only distinct keys are sorted. There are two ways to use one:
//!
//! * *per epoch*: the table holds what the open epoch added and is emptied at the seal; reading the
//!   state means reading the arrangement. Windows do this: they are read once, by a range scan, when they close.
//! * *current values*: the table holds the value of every key and a list of those that the epoch touched; reading is a
//!   look-up, and the arrangement is only written. Rolling aggregates do this, since they read at each touch.

mod arrangement;
mod merge;
mod rows;
mod run;
mod table;

pub(crate) use arrangement::Arrangement;
pub(crate) use rows::{Latest, Rows, Sums};
pub(crate) use run::Run;
pub(crate) use table::{Slot, Table};
