//! Running a job: the workers of one process.
//!
//! Each worker is a thread that builds the whole dataflow and steps it on its share of the splits and keys.
//! The runtime knows a job as a graph to lower, and nothing of what its operators do.
//!
//! Workers run freely, or take turns, one step at a time in an order that a seed decides; what a worker does
//! in its turn is the same.

mod baton;
mod restart;
mod run;
mod schedule;
#[cfg(test)]
mod shares_tests;

pub use run::{Running, Summary};

pub(crate) use baton::{Baton, Until};
pub(crate) use restart::prepare;
pub(crate) use schedule::Drawn;
