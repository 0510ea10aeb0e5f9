//! Windowed joins: what two streams have for a key in the same window.
//!
//! Each side's records are kept by window and key. When the watermark has passed a window's end, both groups
//! are given to a function: Flink's `coGroup`. The window join is the case of all pairs. A record counts for
//! the windows that it is not late for by its own stamp.
//!
//! # Cost
//!
//! A record is kept once for each of its windows, until that has fired. A window costs its records, and the
//! pairs that it gives.

use std::marker::PhantomData;

use crate::data::{Data, Exchange, Key};
use crate::process::{CoProcess, Context, Map, States, Timer};
use crate::stream::{Chain, KeyedStream, Stream, operator_fault};
use crate::time::EventTime;
use crate::window::{Aligned, Window};

/// What two streams have for a key in a window. The records of each are in order of event time, and those of
/// one time in order of arrival.
#[derive(Clone, Debug)]
pub struct Group<K, L, R> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
    /// The records of the first stream.
    pub left: Vec<L>,
    /// The records of the second stream.
    pub right: Vec<R>,
}

impl<K: Key, L: Exchange, C: Chain<Out = (K, L)>> KeyedStream<K, L, C> {
    /// Calls a function with the records of this stream and `other` for each key and window, once the window
    /// is over. It is also called for windows in which a key has a record of one stream only: that makes
    /// outer joins.
    ///
    /// ```
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    /// use highwater::window::Tumbling;
    /// use std::time::Duration;
    ///
    /// let job = Job::new();
    /// let by_time = || Watermarks::monotone(|time: &i64| *time);
    /// let sent = job.timed_collection([1, 2, 11], by_time()).key_by(|_| 'k');
    /// let heard = job.timed_collection([3, 25], by_time()).key_by(|_| 'k');
    /// let lost = sent
    ///     .co_group(heard, Tumbling::of(Duration::from_millis(10)), |group| {
    ///         vec![(group.window.start, group.left.len() as i64 - group.right.len() as i64)]
    ///     })
    ///     .collect();
    /// job.run()?;
    /// assert_eq!(lost.values(), [(0, 1), (10, 1), (20, -1)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn co_group<R, D, O, F>(self, other: KeyedStream<K, R, D>, windows: Aligned, f: F) -> Stream<O>
    where
        R: Exchange,
        D: Chain<Out = (K, R)>,
        O: Data,
        F: Fn(Group<K, L, R>) -> Vec<O> + Clone + Send + Sync + 'static,
    {
        if let Err(error) = windows.check() {
            self.complain(error);
        }
        let function =
            Grouping { windows, f, lefts: Map::default(), rights: Map::default(), out: PhantomData };
        self.connect(other).process(function)
    }

    /// Each pair of a record and one of `other` with the same key in the same window.
    pub fn window_join<R, D, O, F>(self, other: KeyedStream<K, R, D>, windows: Aligned, f: F) -> Stream<O>
    where
        R: Exchange,
        D: Chain<Out = (K, R)>,
        O: Data,
        F: Fn(&K, &L, &R) -> O + Clone + Send + Sync + 'static,
    {
        self.co_group(other, windows, move |Group { key, left, right, .. }| {
            let with = |l| right.iter().map(move |r| (l, r));
            left.iter().flat_map(with).map(|(l, r)| f(&key, l, r)).collect()
        })
    }
}

/// A record by the end of its window, its time, and its number among those of the time.
type Side<T> = Map<(EventTime, EventTime, u64), T>;

struct Grouping<L, R, O, F> {
    windows: Aligned,
    f: F,
    lefts: Side<L>,
    rights: Side<R>,
    out: PhantomData<fn() -> O>,
}

impl<L, R, O, F: Clone> Clone for Grouping<L, R, O, F> {
    fn clone(&self) -> Self {
        Grouping { f: self.f.clone(), ..*self }
    }
}

impl<L, R, O, F> Grouping<L, R, O, F> {
    fn keep<K: Key, T: Exchange>(&self, side: &Side<T>, value: T, cx: &mut Context<'_, K, O>)
    where
        O: Data,
    {
        let (time, stamp) = (cx.timestamp(), cx.stamp());
        // Records are kept by the ends of their windows, which must be distinct.
        if let Err(error) = self.windows.check_time(time) {
            return operator_fault::note(&error.to_string());
        }
        let (windows, mut kept) = (self.windows.of_timestamp(time), false);
        for window in windows.iter().filter(|window| !stamp.is_late_for(window.end)) {
            let those = (window.end, time, 0)..=(window.end, time, u64::MAX);
            // Records of one window and time are numbered, so that none replaces another and the order of
            // arrival is kept.
            let number = side.range(cx, those).next_back().map_or(0, |(last, _)| last.2 + 1);
            side.insert(cx, (window.end, time, number), value.clone());
            cx.register_timer(window.end - 1);
            kept = true;
        }
        if !kept && !windows.is_empty() {
            cx.count("late_dropped", 1);
        }
    }
}

/// Removes the records of a window and returns them.
fn take<K: Key, T: Exchange, O: Data>(side: &Side<T>, end: EventTime, cx: &mut Context<'_, K, O>) -> Vec<T> {
    let those = (end, EventTime::MIN, 0)..=(end, EventTime::MAX, u64::MAX);
    let keys: Vec<_> = side.range(cx, those).map(|(key, _)| *key).collect();
    keys.iter().filter_map(|key| side.remove(cx, key)).collect()
}

impl<K, L, R, O, F> CoProcess<K, L, R> for Grouping<L, R, O, F>
where
    K: Key,
    L: Exchange,
    R: Exchange,
    O: Data,
    F: Fn(Group<K, L, R>) -> Vec<O> + Clone + Send + Sync + 'static,
{
    type Out = O;

    fn open(&mut self, states: &mut States<'_, K>) {
        self.lefts = states.map("left");
        self.rights = states.map("right");
    }

    fn left(&mut self, value: L, cx: &mut Context<'_, K, O>) {
        self.keep(&self.lefts, value, cx);
    }

    fn right(&mut self, value: R, cx: &mut Context<'_, K, O>) {
        self.keep(&self.rights, value, cx);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, K, O>) {
        let end = timer.time + 1;
        let (left, right) = (take(&self.lefts, end, cx), take(&self.rights, end, cx));
        let group = Group { key: cx.key().clone(), window: self.windows.ending_at(end), left, right };
        (self.f)(group).into_iter().for_each(|result| cx.emit(result));
    }
}
