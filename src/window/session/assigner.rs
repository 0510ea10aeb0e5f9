//! What ends a session.

use std::time::Duration;

use crate::data::Data;
use crate::time::EventTime;
use crate::window::Window;

/// Session windows: Flink's `EventTimeSessionWindows`.
///
/// ```
/// use highwater::stream::Job;
/// use highwater::time::Watermarks;
/// use highwater::window::Sessions;
/// use std::time::Duration;
///
/// let job = Job::new();
/// let clicks = [("ann", 1), ("ann", 8), ("bob", 9), ("ann", 30)];
/// let visits = job
///     .timed_collection(clicks, Watermarks::monotone(|click: &(&str, i64)| click.1))
///     .key_by(|click| click.0.to_string())
///     .map_values(|click| click.1)
///     .window(Sessions::with_gap(Duration::from_millis(10)))
///     .count()
///     .map(|visit| (visit.key, visit.window.start, visit.window.end, visit.value))
///     .collect();
/// job.run()?;
/// assert_eq!(visits.sorted(), [("ann".into(), 1, 18, 2), ("ann".into(), 30, 40, 1), ("bob".into(), 9, 19, 1)]);
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sessions<G = Fixed>(pub(crate) G);

/// One gap for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed(i64);

/// A gap for each record.
#[derive(Clone, Copy, Debug)]
pub struct PerRecord<F>(F);

impl Sessions {
    /// Sessions that end when nothing has happened for so long; at least 1 millisecond.
    pub fn with_gap(gap: Duration) -> Sessions<Fixed> {
        Sessions(Fixed(millis(gap)))
    }

    /// Sessions whose records say how long they last: a session ends when the last of its records is over. At least 1 millisecond.
    pub fn with_gaps<T, F>(gap: F) -> Sessions<PerRecord<F>>
    where
        F: Fn(&T) -> Duration + Clone + Send + Sync + 'static,
    {
        Sessions(PerRecord(gap))
    }
}

impl<G> Sessions<G> {
    /// The stretch of time that a record covers.
    #[inline]
    pub(crate) fn reach<T>(&self, value: &T, time: EventTime) -> Window
    where
        G: Gap<T>,
    {
        Window { start: time, end: time.saturating_add(self.0.gap(value)) }
    }
}

/// How long a record makes its session last. Implemented by what [`Sessions`] makes.
pub trait Gap<T>: Clone + Send + Sync + 'static {
    /// Milliseconds, at least 1.
    fn gap(&self, value: &T) -> i64;
}

impl<T: Data> Gap<T> for Fixed {
    #[inline]
    fn gap(&self, _: &T) -> i64 {
        self.0
    }
}

impl<T: Data, F: Fn(&T) -> Duration + Clone + Send + Sync + 'static> Gap<T> for PerRecord<F> {
    #[inline]
    fn gap(&self, value: &T) -> i64 {
        millis((self.0)(value))
    }
}

fn millis(gap: Duration) -> i64 {
    i64::try_from(gap.as_millis()).unwrap_or(i64::MAX).max(1)
}
