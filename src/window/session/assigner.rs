//! Session assigners: the gaps that end a session.

use std::time::Duration;

use crate::data::Data;
use crate::error::{Error, Result};
use crate::time::EventTime;
use crate::window::assigner::Window;

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
pub struct Sessions<G = Fixed> {
    gap: G,
}

/// Sessions that a record exactly a gap after another goes on with. Made by [`Sessions::touching`].
#[derive(Clone, Copy, Debug)]
pub struct Touching<G = Fixed>(pub(crate) Sessions<G>);

/// One gap for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed(i64);

/// A gap for each record.
#[derive(Clone, Copy, Debug)]
pub struct PerRecord<F>(F);

impl Sessions {
    /// Sessions that end when nothing has happened for so long; at least 1 millisecond, or the job does not
    /// start.
    pub fn with_gap(gap: Duration) -> Sessions<Fixed> {
        Sessions { gap: Fixed(millis(gap)) }
    }

    /// Sessions whose records say how long they last: a session ends when the last of its records is over. A
    /// record lasts 1 millisecond at least.
    pub fn with_gaps<T, F>(gap: F) -> Sessions<PerRecord<F>>
    where
        F: Fn(&T) -> Duration + Clone + Send + Sync + 'static,
    {
        Sessions { gap: PerRecord(gap) }
    }
}

impl<G> Sessions<G> {
    /// A record exactly a gap after another belongs to the same session, if that is not over by the record's
    /// own stamp. Flink has it so in its `DataStream` windows. Costs more: such sessions are kept by the
    /// operator of all windows.
    ///
    /// ```
    /// use highwater::harness::Driver;
    /// use highwater::window::Sessions;
    /// use std::time::Duration;
    ///
    /// let mut driver = Driver::new(|values| {
    ///     let sessions = Sessions::with_gap(Duration::from_millis(10)).touching();
    ///     values.key_by(|_: &i64| 0u8).window(sessions).sum(|value| value).map(|sum| (sum.window.end, sum.value))
    /// })?;
    /// driver.push(1, 5)?;
    /// driver.push(2, 15)?;
    /// driver.finish()?;
    /// assert_eq!(driver.take_output(), [(25, 3)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn touching(self) -> Touching<G> {
        Touching(self)
    }

    pub(crate) fn check<T>(&self) -> Result<()>
    where
        G: Gap<T>,
    {
        self.gap.check()
    }

    /// The stretch of time that a record covers.
    #[inline]
    pub(crate) fn reach<T>(&self, value: &T, time: EventTime) -> Window
    where
        G: Gap<T>,
    {
        Window { start: time, end: time.saturating_add(self.gap.gap(value)) }
    }
}

/// How long a record makes its session last. Implemented by what [`Sessions`] makes.
pub trait Gap<T>: Clone + Send + Sync + 'static {
    /// Milliseconds, at least 1.
    fn gap(&self, value: &T) -> i64;

    /// Checks the gap before the job starts.
    ///
    /// # Errors
    ///
    /// If it makes none.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl<T: Data> Gap<T> for Fixed {
    #[inline]
    fn gap(&self, _: &T) -> i64 {
        self.0
    }

    fn check(&self) -> Result<()> {
        match self.0 {
            0 => Err(Error::config(
                "a session with a gap of 0 ms is not possible: the gap must be at least 1 ms",
            )),
            _ => Ok(()),
        }
    }
}

impl<T: Data, F: Fn(&T) -> Duration + Clone + Send + Sync + 'static> Gap<T> for PerRecord<F> {
    #[inline]
    fn gap(&self, value: &T) -> i64 {
        millis((self.0)(value)).max(1)
    }
}

fn millis(gap: Duration) -> i64 {
    i64::try_from(gap.as_millis()).unwrap_or(i64::MAX)
}
