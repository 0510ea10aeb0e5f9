//! Counters and gauges of a running job.
//!
//! A metric belongs to an operator and is shared by its instances on all workers. Operators update it once
//! for each batch or activation, never for each record. `docs/operations.md` lists the names.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// The metrics of a job. Cloning shares them.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<(String, &'static str), Metric>>>);

/// A number shared by all workers: a counter if it is only added to, a gauge if it is set.
#[derive(Clone, Default)]
pub struct Metric(Arc<AtomicI64>);

impl Metric {
    /// Adds to it.
    pub fn add(&self, count: i64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Raises it to at least this value.
    pub(crate) fn raise(&self, value: i64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl Metrics {
    /// The metric of this name of the operator with this uid, created on first use.
    pub fn metric(&self, operator: &str, name: &'static str) -> Metric {
        let mut metrics = lock(&self.0);
        metrics.entry((operator.to_owned(), name)).or_default().clone()
    }

    /// Registers a metric that was created before its operator had a uid.
    pub(crate) fn register(&self, operator: &str, name: &'static str, metric: &Metric) {
        let mut metrics = lock(&self.0);
        metrics.insert((operator.to_owned(), name), metric.clone());
    }

    /// All metrics with their values: operator, name, value.
    pub fn read(&self) -> Vec<(String, &'static str, i64)> {
        let metrics = lock(&self.0);
        metrics.iter().map(|((operator, name), metric)| (operator.clone(), *name, metric.get())).collect()
    }

    /// The sum of all metrics of this name, over all operators.
    pub fn sum(&self, name: &str) -> i64 {
        self.read().iter().filter(|(_, n, _)| *n == name).map(|(_, _, value)| value).sum()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.read()).finish()
    }
}
