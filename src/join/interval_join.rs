//! How an interval join is asked for, and the process function that it becomes.

use super::interval::{Interval, Outer};
use super::interval_matches::Joining;
use crate::data::{Data, Exchange, Key};
use crate::stream::{Chain, KeyedStream, Stream};

/// Two keyed streams to be joined by an interval.
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct IntervalJoin<K, L, R, C, D> {
    left: KeyedStream<K, L, C>,
    right: KeyedStream<K, R, D>,
    interval: Interval,
}

impl<K: Key, L: Exchange, C: Chain<Out = (K, L)>> KeyedStream<K, L, C> {
    /// Joins with the records of `other` that have the same key and lie in an interval around this stream's.
    ///
    /// Records that are behind the watermark of their split are dropped and counted as `late_dropped`.
    ///
    /// ```
    /// use highwater::join::Interval;
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    /// use std::time::Duration;
    ///
    /// let job = Job::new();
    /// let orders = [("ann", 10), ("bob", 20)];
    /// let payments = [("ann", 12), ("bob", 90)];
    /// let by_time = || Watermarks::monotone(|row: &(&str, i64)| row.1);
    /// let orders = job.timed_collection(orders, by_time()).key_by(|row| row.0.to_string());
    /// let payments = job.timed_collection(payments, by_time()).key_by(|row| row.0.to_string());
    /// let orders = orders.map_values(|order| order.1);
    /// let payments = payments.map_values(|payment| payment.1);
    /// let paid = orders
    ///     .interval_join(payments, Interval::after(Duration::from_millis(30)))
    ///     .inner(|name, order, payment| (name.clone(), payment - order))
    ///     .collect();
    /// job.run()?;
    /// assert_eq!(paid.values(), [("ann".to_string(), 2)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn interval_join<R, D>(
        self,
        other: KeyedStream<K, R, D>,
        interval: Interval,
    ) -> IntervalJoin<K, L, R, C, D>
    where
        R: Exchange,
        D: Chain<Out = (K, R)>,
    {
        IntervalJoin { left: self, right: other, interval }
    }
}

impl<K, L, R, C, D> IntervalJoin<K, L, R, C, D>
where
    K: Key,
    L: Exchange,
    R: Exchange,
    C: Chain<Out = (K, L)>,
    D: Chain<Out = (K, R)>,
{
    /// The pairs. The event time of a pair is the later one of its two records.
    pub fn inner<O, F>(self, f: F) -> Stream<O>
    where
        O: Data,
        F: Fn(&K, &L, &R) -> O + Clone + Send + Sync + 'static,
    {
        self.outer(Outer::None, move |key, left, right| match (left, right) {
            (Some(left), Some(right)) => Some(f(key, left, right)),
            _ => None,
        })
    }

    /// The pairs for which `f` gives something, and the records of the outer sides that are in no such pair,
    /// each with nothing for the other side. These have their own event time, and come when no partner can
    /// come any more.
    pub fn outer<O, F>(self, outer: Outer, f: F) -> Stream<O>
    where
        O: Data,
        F: Fn(&K, Option<&L>, Option<&R>) -> Option<O> + Clone + Send + Sync + 'static,
    {
        self.left.connect(self.right).process(Joining::new(self.interval, outer, f))
    }
}
