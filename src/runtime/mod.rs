//! Running a job: the workers of one process.
//!
//! Each worker is a thread that builds the whole dataflow and steps it on its share of the splits and keys. The runtime knows a job
//! as a graph to lower, and nothing of what its operators do.

mod run;

pub use run::{Running, Summary};
