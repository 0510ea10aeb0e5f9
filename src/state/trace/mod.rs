//! State as differential's operators read it: runs as batches, and the list of them as a trace.
//!
//! A collection of records with keys, of which each seal is a run of what an epoch has changed
//! ([`Sums`](crate::state::run::latest_and_sums::Sums)), is what differential calls an arrangement. So its
//! runs are [batches](batch), shared by pointers by whoever reads them, and a [cursor] decodes keys
//! as it comes to them. Differential's own [`TraceAgent`] is how several readers share one [list of
//! batches](spine), each with a `since` of its own.
//!
//! # Why it is correct
//!
//! All rows of a seal have the time of its epoch, with the least event time: epochs are totally ordered, so a
//! batch is what differs between two states. The sum of all batches up to an epoch is the state as of it, and
//! the runs of that state, which the LSM has merged in its own way, have the same sum. Once no reader tells
//! earlier epochs apart, the batches up to one are therefore replaced by the runs of the state as of it. This
//! is all there is to compaction: nothing is merged for readers, and a reader that needs an epoch holds the
//! runs that its state has.
//!
//! # What it costs
//!
//! A seal costs a reader a few pointers. A cursor looks into each run, as any search does, and keeps the
//! rows of the keys that it has come to until it is dropped: one that walks over all of a state holds a copy
//! of it then.

pub(super) mod batch;
pub(super) mod cursor;
pub(super) mod spine;
#[cfg(test)]
mod tests;

use differential_dataflow::operators::arrange::TraceAgent;

/// A state of records with keys as differential's operators read it: the trace of an
/// [`Arranged`](differential_dataflow::operators::arrange::Arranged) whose keys are
/// [`&Hashed<K>`](crate::data::Hashed) and whose values are `&V`.
pub type StateTrace<K, V> = TraceAgent<spine::StateSpine<K, V>>;
