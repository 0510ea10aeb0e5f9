//! Running a job: the workers of one process.

mod run;

pub use run::{Running, Summary};
