//! Windows whose results are corrected.

use super::content::Restated;
use super::{Assigner, LatePolicy, Trigger, Triggered};
use crate::data::{Change, Exchange, Key};
use crate::stream::{Aggregate, Chain, Stream};
use crate::window::Windowed;

/// Windows whose results are taken back and restated when late records come. Made by
/// [`correct_until`](Triggered::correct_until).
///
/// At each moment the changes so far add up to one result for each window that has fired. When sessions that
/// have been told of become one, their results are taken back when the one they have become is told.
///
/// ```
/// use highwater::stream::Job;
/// use highwater::time::Watermarks;
/// use highwater::window::Tumbling;
/// use std::time::Duration;
///
/// let job = Job::new();
/// let times = [1, 2, 12, 3]; // 3 is late, and counts
/// let counts = job
///     .timed_collection(times, Watermarks::monotone(|t: &i64| *t))
///     .key_by(|_| ())
///     .window(Tumbling::of(Duration::from_millis(10)))
///     .correct_until(Duration::from_millis(10))
///     .count()
///     .map(|change| change.map(|count| (count.window.end, count.value)));
/// let (changes, current) = (counts.clone().map(|c| (c.record, c.diff)).collect(), counts.current());
/// job.run()?;
/// assert_eq!(changes.values(), [((10, 2), 1), ((10, 2), -1), ((10, 3), 1), ((20, 1), 1)]);
/// assert_eq!(current.sorted(), [(10, 3), (20, 1)]);
/// # Ok::<(), highwater::Error>(())
/// ```
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct Corrected<K, T, C, W, G>(pub(super) Triggered<K, T, C, W, G>);

impl<K, T, C, W, G> Corrected<K, T, C, W, G> {
    /// Says what becomes of records that are later than the horizon.
    pub fn late(self, policy: LatePolicy<K, T>) -> Corrected<K, T, C, W, G> {
        Corrected(self.0.late(policy))
    }

    /// Fires windows by another trigger: early results are corrected too. Its purges are not: a result that
    /// is purged stands until the next one.
    pub fn trigger<H>(self, trigger: H) -> Corrected<K, T, C, W, H> {
        Corrected(self.0.trigger(trigger))
    }
}

impl<K, T, C, W, G> Corrected<K, T, C, W, G>
where
    K: Key,
    T: Exchange,
    C: Chain<Out = (K, T)>,
    W: Assigner<T>,
    G: Trigger<K, T>,
{
    /// Aggregates the values of each key and window. Evictors play no part.
    pub fn aggregate<A>(self, aggregate: A) -> Stream<Change<Windowed<K, A::Out>>>
    where
        A: Aggregate<T, Out: Exchange + PartialEq>,
    {
        self.0.build(Restated::new(aggregate))
    }
}
