//! The test harness: jobs and parts of jobs whose input, event time, wall clock and order of steps are under
//! a test's control.
//!
//! A [`Driver`] runs a part of a job on the calling thread, fed by hand. A [`Simulation`] runs a whole job,
//! with its sources, its sinks and all its workers, on a clock that stands still or is simulated, in an order
//! of steps that a seed decides. A [`Feed`] is a source for such a job, whose records the test supplies while
//! it runs.

mod driver;
mod feed;
mod simulation;

pub use driver::Driver;
pub use feed::{Feed, FeedReader};
pub use simulation::{Simulated, Simulation, Trace};
