//! Evictors: which records leave a window before or after its function sees them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data::{Data, Stamp};
use crate::time::EventTime;
use crate::window::assigner::{Window, millis};

/// A record in a window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Element<T> {
    /// When it happened; the least time if it has no event time.
    pub timestamp: EventTime,
    /// The record.
    pub value: T,
}

/// Drops records of a window when it fires: Flink's `Evictor`. A window with an evictor keeps its records,
/// since an aggregate cannot give them back.
///
/// ```
/// use highwater::stream::Job;
/// use highwater::window::{CountTrigger, Element, Evictor, Global, Window};
///
/// /// Keeps even numbers.
/// #[derive(Clone)]
/// struct Even;
///
/// impl Evictor<i64> for Even {
///     fn before(&self, elements: &mut Vec<Element<i64>>, _: Window) {
///         elements.retain(|element| element.value % 2 == 0);
///     }
/// }
///
/// let job = Job::new();
/// let windows = job.collection(1..=6).key_by(|_| ()).window(Global).trigger(CountTrigger::of(3));
/// let sums = windows.evictor(Even).sum(|n| n).map(|sum| sum.value).collect();
/// job.run()?;
/// assert_eq!(sums.values(), [2, 2 + 4 + 6]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub trait Evictor<T>: Send + Sync + 'static {
    /// Drops records before the function sees the rest. They are in order of arrival.
    fn before(&self, _elements: &mut Vec<Element<T>>, _window: Window) {}

    /// Drops records after the function has seen them.
    fn after(&self, _elements: &mut Vec<Element<T>>, _window: Window) {}
}

/// The evictors that come along: by number, by age, by difference.
#[derive(Clone, Debug)]
pub struct Evict<R> {
    rule: R,
    after: bool,
}

/// Keeps the last records that came. See [`Evict::count`].
#[derive(Clone, Copy, Debug)]
pub struct KeepCount(usize);

/// Keeps records by age. See [`Evict::time`].
#[derive(Clone, Copy, Debug)]
pub struct KeepTime(i64);

/// Keeps records by difference. See [`Evict::delta`].
#[derive(Clone, Copy, Debug)]
pub struct KeepDelta<F>(f64, F);

impl Evict<()> {
    /// Keeps the last `count` records that came.
    pub fn count(count: u64) -> Evict<KeepCount> {
        Evict { rule: KeepCount(usize::try_from(count).unwrap_or(usize::MAX)), after: false }
    }

    /// Keeps records that are less than `size` older than the latest, by event time. Records without event
    /// time stay.
    pub fn time(size: Duration) -> Evict<KeepTime> {
        Evict { rule: KeepTime(millis(size)), after: false }
    }

    /// Keeps records whose `delta` to the last that came is less than a threshold, and that one. A difference
    /// of NaN is not less than anything.
    pub fn delta<T, F: Fn(&T, &T) -> f64>(threshold: f64, delta: F) -> Evict<KeepDelta<F>> {
        Evict { rule: KeepDelta(threshold, delta), after: false }
    }
}

impl<R> Evict<R> {
    /// Evicts after the function, not before.
    pub fn after(mut self) -> Evict<R> {
        self.after = true;
        self
    }
}

/// Which records to keep.
pub trait Keep<T>: Send + Sync + 'static {
    /// Drops the others.
    fn keep(&self, elements: &mut Vec<Element<T>>);
}

impl<T> Keep<T> for KeepCount {
    fn keep(&self, elements: &mut Vec<Element<T>>) {
        elements.drain(..elements.len().saturating_sub(self.0));
    }
}

impl<T> Keep<T> for KeepTime {
    fn keep(&self, elements: &mut Vec<Element<T>>) {
        let untimed = Stamp::UNTIMED.timestamp;
        let latest = elements.iter().map(|element| element.timestamp).max().unwrap_or(untimed);
        if latest != untimed {
            let limit = latest.saturating_sub(self.0);
            elements.retain(|element| element.timestamp == untimed || element.timestamp > limit);
        }
    }
}

impl<T, F: Fn(&T, &T) -> f64 + Send + Sync + 'static> Keep<T> for KeepDelta<F> {
    fn keep(&self, elements: &mut Vec<Element<T>>) {
        let Some((last, others)) = elements.split_last() else { return };
        let stays: Vec<bool> =
            others.iter().map(|element| (self.1)(&element.value, &last.value) < self.0).collect();
        // The last one differs from itself as little as can be.
        let mut stays = stays.into_iter();
        elements.retain(|_| stays.next().unwrap_or(true));
    }
}

impl<T: Data, R: Keep<T>> Evictor<T> for Evict<R> {
    fn before(&self, elements: &mut Vec<Element<T>>, _: Window) {
        if !self.after {
            self.rule.keep(elements);
        }
    }

    fn after(&self, elements: &mut Vec<Element<T>>, _: Window) {
        if self.after {
            self.rule.keep(elements);
        }
    }
}
