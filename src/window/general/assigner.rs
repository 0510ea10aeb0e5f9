//! Assigners: which windows a record falls into.

use super::triggers::{CountTrigger, Never, OnEventTime, OnProcessingTime, Purging};
use crate::data::Data;
use crate::error::{Error, Result};
use crate::process::TimeDomain;
use crate::time::EventTime;
use crate::window::assigner::{Aligned, Window};
use crate::window::session::{Gap, SETTINGS, Sessions, Touching};

/// Assigns records to windows: Flink's `WindowAssigner`.
///
/// ```
/// use highwater::stream::Job;
/// use highwater::time::{EventTime, Watermarks};
/// use highwater::window::{Assigner, OnEventTime, Window};
///
/// /// A window from each record's time until the end of its ten milliseconds.
/// #[derive(Clone)]
/// struct Rest;
///
/// impl Assigner<i64> for Rest {
///     type Trigger = OnEventTime;
///     fn assign(&self, _: &i64, time: EventTime, windows: &mut Vec<Window>) {
///         windows.push(Window { start: time, end: time - time.rem_euclid(10) + 10 });
///     }
/// }
///
/// let job = Job::new();
/// let counts = job
///     .timed_collection([3, 3, 7, 12], Watermarks::monotone(|t: &i64| *t))
///     .key_by(|_| ())
///     .window_with(Rest)
///     .count()
///     .map(|result| (result.window.start, result.window.end, result.value))
///     .collect();
/// job.run()?;
/// assert_eq!(counts.sorted(), [(3, 10, 2), (7, 10, 1), (12, 20, 1)]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub trait Assigner<T>: Clone + Send + Sync + 'static {
    /// What fires the windows if no other trigger is asked for.
    type Trigger: Default;

    /// True if windows of one key that overlap become one. The same at each call, as what follows.
    #[inline]
    fn merges(&self) -> bool {
        false
    }

    /// The clock that windows follow.
    #[inline]
    fn clock(&self) -> TimeDomain {
        TimeDomain::EventTime
    }

    /// False if windows never end: then no record is late, and none has to wait.
    #[inline]
    fn ends(&self) -> bool {
        true
    }

    /// Adds the windows of a record that happened at `time`; if windows follow the wall clock, at that time
    /// of it. A window ends after it starts; one that ends at the end of time never ends.
    fn assign(&self, value: &T, time: EventTime, windows: &mut Vec<Window>);

    /// True if windows of one key that merge also do so if one begins where the other ends.
    fn touches(&self) -> bool {
        false
    }

    /// Checks its settings before the job starts.
    ///
    /// # Errors
    ///
    /// If they make none.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The settings that distinguish its windows from others. A job does not go on from a snapshot in which
    /// windows were others, for what is open cannot be cut anew. Without settings nothing is compared: then
    /// windows that are open stay as they are, and records that come go to new ones.
    fn settings(&self) -> Option<String> {
        None
    }

    /// The windows that these are, if there is a faster operator for them, whose snapshots can be gone on
    /// from.
    #[doc(hidden)]
    fn aligned(&self) -> Option<Aligned> {
        None
    }
}

impl<T: Data> Assigner<T> for Aligned {
    type Trigger = OnEventTime;

    fn assign(&self, _: &T, time: EventTime, windows: &mut Vec<Window>) {
        self.push_windows(time, windows);
    }

    fn check(&self) -> Result<()> {
        Aligned::check(self)
    }

    fn settings(&self) -> Option<String> {
        Some(Aligned::settings(self))
    }

    fn aligned(&self) -> Option<Aligned> {
        Some(*self)
    }
}

impl<T: Data, G: Gap<T>> Assigner<T> for Sessions<G> {
    type Trigger = OnEventTime;

    #[inline]
    fn merges(&self) -> bool {
        true
    }

    fn assign(&self, value: &T, time: EventTime, windows: &mut Vec<Window>) {
        windows.push(self.reach(value, time));
    }

    fn check(&self) -> Result<()> {
        Sessions::check::<T>(self)
    }

    /// Their gaps may change: a session that is open goes on with those that its records came with.
    fn settings(&self) -> Option<String> {
        Some(SETTINGS.to_owned())
    }
}

impl<T: Data, G: Gap<T>> Assigner<T> for Touching<G> {
    type Trigger = OnEventTime;

    #[inline]
    fn merges(&self) -> bool {
        true
    }

    fn assign(&self, value: &T, time: EventTime, windows: &mut Vec<Window>) {
        self.0.assign(value, time, windows);
    }

    fn touches(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        self.0.check::<T>()
    }

    fn settings(&self) -> Option<String> {
        Assigner::<T>::settings(&self.0)
    }
}

/// Windows of processing time: what falls into them is decided by when it is processed.
///
/// ```
/// use highwater::window::{Tumbling, ProcessingTime};
/// use std::time::Duration;
/// let seconds = ProcessingTime(Tumbling::of(Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ProcessingTime<W>(pub W);

impl<T: Data, W: Assigner<T>> Assigner<T> for ProcessingTime<W> {
    type Trigger = OnProcessingTime;

    #[inline]
    fn merges(&self) -> bool {
        self.0.merges()
    }

    #[inline]
    fn ends(&self) -> bool {
        self.0.ends()
    }

    #[inline]
    fn clock(&self) -> TimeDomain {
        TimeDomain::ProcessingTime
    }

    fn assign(&self, value: &T, time: EventTime, windows: &mut Vec<Window>) {
        self.0.assign(value, time, windows);
    }

    fn touches(&self) -> bool {
        self.0.touches()
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn settings(&self) -> Option<String> {
        self.0.settings().map(|settings| format!("{settings} by the wall clock"))
    }
}

/// One window for each key, of all time: Flink's `GlobalWindows`. It never fires unless a trigger says so.
#[derive(Clone, Copy, Debug)]
pub struct Global;

impl Window {
    /// All time.
    pub const GLOBAL: Window = Window { start: EventTime::MIN, end: EventTime::MAX };
}

impl<T: Data> Assigner<T> for Global {
    type Trigger = Never;

    #[inline]
    fn ends(&self) -> bool {
        false
    }

    fn assign(&self, _: &T, _: EventTime, windows: &mut Vec<Window>) {
        windows.push(Window::GLOBAL);
    }

    fn settings(&self) -> Option<String> {
        Some("of all time".to_owned())
    }
}

/// Windows of a number of records of a key, in order of arrival: Flink's `countWindow`.
///
/// ```
/// use highwater::stream::Job;
/// use highwater::window::CountWindows;
///
/// let job = Job::new();
/// let numbers = job.collection(1..=7).key_by(|_| ());
/// let threes = numbers.clone().window(CountWindows::of(3)).sum(|n| n).map(|sum| sum.value).collect();
/// let last = numbers.window(CountWindows::sliding(4, 2)).sum(|n| n).map(|sum| sum.value).collect();
/// job.run()?;
/// assert_eq!(threes.values(), [1 + 2 + 3, 4 + 5 + 6]);
/// assert_eq!(last.values(), [1 + 2, 1 + 2 + 3 + 4, 3 + 4 + 5 + 6]);
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CountWindows(u64);

/// Windows of the last records of a key, again and again.
#[derive(Clone, Copy, Debug)]
pub struct SlidingCountWindows {
    size: u64,
    slide: u64,
}

impl CountWindows {
    /// Windows of `size` records; at least 1.
    pub fn of(size: u64) -> CountWindows {
        CountWindows(size)
    }

    /// The last `size` records, after each `slide` records; both at least 1.
    pub fn sliding(size: u64, slide: u64) -> SlidingCountWindows {
        SlidingCountWindows { size, slide }
    }

    pub(in crate::window) fn trigger(self) -> Purging<CountTrigger> {
        Purging(CountTrigger::of(self.0))
    }
}

impl SlidingCountWindows {
    pub(in crate::window) fn size(self) -> u64 {
        self.size
    }

    pub(in crate::window) fn slide(self) -> u64 {
        self.slide
    }
}

fn check_count(count: u64) -> Result<()> {
    match count {
        0 => Err(Error::config("a window of no records is not possible: it needs at least 1")),
        _ => Ok(()),
    }
}

impl<T: Data> Assigner<T> for CountWindows {
    type Trigger = Never;

    #[inline]
    fn ends(&self) -> bool {
        false
    }

    fn assign(&self, _: &T, _: EventTime, windows: &mut Vec<Window>) {
        windows.push(Window::GLOBAL);
    }

    fn check(&self) -> Result<()> {
        check_count(self.0)
    }

    fn settings(&self) -> Option<String> {
        Some(format!("of {} records", self.0))
    }
}

impl<T: Data> Assigner<T> for SlidingCountWindows {
    type Trigger = Never;

    #[inline]
    fn ends(&self) -> bool {
        false
    }

    fn assign(&self, _: &T, _: EventTime, windows: &mut Vec<Window>) {
        windows.push(Window::GLOBAL);
    }

    fn check(&self) -> Result<()> {
        check_count(self.size).and_then(|()| check_count(self.slide))
    }

    fn settings(&self) -> Option<String> {
        Some(format!("of {} records after each {}", self.size, self.slide))
    }
}
