//! A job: what a user builds, before it runs.

use super::Graph;
use crate::metric::Metrics;

/// A stream program: sources, the streams made of them, and sinks.
///
/// A job is a description. Building it starts nothing and holds no data; [`run`](Job::run) lowers it to one timely
/// dataflow on each worker and waits until all input is read and all results are out.
///
/// ```
/// use highwater::stream::Job;
///
/// let job = Job::new();
/// let squares = job.collection(1..=3).map(|n| n * n).collect();
/// job.run()?;
/// assert_eq!(squares.sorted(), [1, 4, 9]);
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Clone)]
pub struct Job {
    pub(crate) graph: Graph,
    pub(crate) metrics: Metrics,
}

impl Job {
    /// An empty job.
    pub fn new() -> Job {
        Job { graph: Graph::new(), metrics: Metrics::default() }
    }

    /// What the job counts, now and while it runs.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl Default for Job {
    fn default() -> Job {
        Job::new()
    }
}
