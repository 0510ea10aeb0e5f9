//! A job: what a user builds, before it runs.

use std::sync::{Arc, Mutex};

use super::Graph;
use crate::lock::lock;
use crate::metric::Metrics;
use crate::notice::Notices;
use crate::snapshot::Migrations;

/// A stream program: sources, the streams made of them, and sinks.
///
/// A job is a description. Building it starts nothing and holds no data; [`run`](Job::run) lowers it to one
/// timely dataflow on each worker and waits until all input is read and all results are out.
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
    pub(crate) notices: Notices,
    migrations: Arc<Mutex<Migrations>>,
}

impl Job {
    /// An empty job.
    pub fn new() -> Job {
        Job {
            graph: Graph::new(),
            metrics: Metrics::default(),
            notices: Notices::default(),
            migrations: Arc::default(),
        }
    }

    /// What the job counts, now and while it runs.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What the job has to tell its user that is no error: see [`Notices`].
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Says what has changed in the job since [snapshots](crate::snapshot) were written that it may go on
    /// from: see [`Migrations`]. What is said at several times is added up.
    ///
    /// The job does not start if something is said of an operator that it does not have, whether there is a
    /// snapshot or not.
    pub fn migrations(&self, migrations: Migrations) {
        lock(&self.migrations).extend(migrations);
    }

    /// What was said.
    pub(crate) fn migrations_told(&self) -> Migrations {
        lock(&self.migrations).clone()
    }
}

impl Default for Job {
    fn default() -> Job {
        Job::new()
    }
}
