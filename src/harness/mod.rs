//! Jobs and pieces of jobs under a test's control: what comes in, when event time passes, what the wall clock
//! says, who steps when.
//!
//! A [`Driver`] runs a piece of a job on the calling thread, fed by hand. A [`Simulation`] runs a whole job,
//! with its sources, its sinks and all its workers, on a clock that stands still or is simulated, in an order
//! of steps that a seed decides. A [`Feed`] is a source for such a job whose records come when the test gives
//! them.

mod driver;
mod feed;
mod simulation;

pub use driver::Driver;
pub use feed::{Feed, FeedReader};
pub use simulation::{Simulated, Simulation, Trace};
