//! The runtime: runs a job on the workers of one process.
//!
//! Each worker is a thread that builds the whole dataflow and steps it on its share of the splits and keys.
//! The runtime sees a job as a graph to lower, and does not know what its operators do.
//!
//! Workers run freely, or take turns: one step at a time, in an order that a seed decides. A step is the same
//! in both.

mod seeded_schedule;
mod lockstep;
mod restart;
mod run;
#[cfg(test)]
mod shares_tests;

pub use run::{Running, Summary};

pub(crate) use lockstep::{Lockstep, Until};
pub(crate) use restart::prepare;
pub(crate) use seeded_schedule::Drawn;
