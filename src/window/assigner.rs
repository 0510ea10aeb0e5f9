//! Which windows a record falls into.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data::Stamp;
use crate::error::{Error, Result};
use crate::time::EventTime;

/// A stretch of event time: from `start` to just before `end`, in milliseconds.
///
/// One that ends at the end of time, `i64::MAX`, never ends, and the last moment belongs to it: so there is a
/// window for every time. A window that would begin before the first moment there is begins with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first moment that belongs to it.
    pub start: EventTime,
    /// The first moment that no longer does.
    pub end: EventTime,
}

impl Window {
    /// The last moment that belongs to it: the event time of its results.
    #[inline]
    pub fn last(&self) -> EventTime {
        self.end.saturating_sub(1)
    }

    /// True if a moment belongs to both.
    #[inline]
    pub fn overlaps(&self, other: Window) -> bool {
        self.is_begun_by(other.start, self.end) && self.is_begun_by(self.start, other.end)
    }

    /// True if something that starts then does so before something ends that ends then.
    #[inline]
    fn is_begun_by(&self, start: EventTime, end: EventTime) -> bool {
        start < end || end == EventTime::MAX
    }

    /// The least window that contains both.
    #[inline]
    pub fn span(&self, other: Window) -> Window {
        Window { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// The name of the note in which snapshots keep the settings of windows.
pub(crate) const WINDOWS: &str = "windows";

/// Windows that follow each other without overlap.
pub struct Tumbling;

/// Windows that overlap, or leave gaps.
pub struct Sliding;

impl Tumbling {
    /// Windows of this length, aligned with 1970-01-01 UTC.
    pub fn of(size: Duration) -> Aligned {
        Aligned { size: millis(size), slide: millis(size), offset: 0 }
    }
}

impl Sliding {
    /// Windows of length `size`, one beginning each `slide`, aligned with 1970-01-01 UTC. If `slide` is
    /// longer than `size`, what lies between two windows belongs to none.
    pub fn of(size: Duration, slide: Duration) -> Aligned {
        Aligned { size: millis(size), slide: millis(slide), offset: 0 }
    }
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Windows of one length that begin at regular distances.
///
/// ```
/// use highwater::window::{Sliding, Tumbling, Window};
/// use std::time::Duration;
///
/// let hours = Tumbling::of(Duration::from_secs(3600)).offset(Duration::from_secs(900));
/// assert_eq!(hours.of_timestamp(0), [Window { start: -2_700_000, end: 900_000 }]);
///
/// let sliding = Sliding::of(Duration::from_millis(10), Duration::from_millis(4));
/// assert_eq!(sliding.of_timestamp(9), [
///     Window { start: 0, end: 10 }, Window { start: 4, end: 14 }, Window { start: 8, end: 18 },
/// ]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aligned {
    size: i64,
    slide: i64,
    offset: i64,
}

/// The windows that a record counts for, told by the ends of the first and the last.
///
/// Ordered by the last, so that panes that no window will ask for any more come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Pane {
    pub(crate) last: EventTime,
    pub(crate) first: EventTime,
}

impl Aligned {
    /// Moves the beginnings of all windows.
    pub fn offset(mut self, offset: Duration) -> Aligned {
        self.offset = millis(offset);
        self
    }

    /// The windows that a moment belongs to, in order.
    pub fn of_timestamp(&self, timestamp: EventTime) -> Vec<Window> {
        let mut windows = Vec::new();
        self.push_windows(timestamp, &mut windows);
        windows
    }

    /// Adds the windows that a moment belongs to, in order.
    pub(crate) fn push_windows(&self, time: EventTime, windows: &mut Vec<Window>) {
        let (size, slide) = (self.size.max(1), self.slide.max(1));
        let past = self.past(time);
        // The number of windows that begin less than a size before the moment, and so contain it.
        let reaching = (size - past + slide - 1).div_euclid(slide).max(0);
        windows.extend((0..reaching).rev().map(|back| self.window(time, -past - back * slide)));
    }

    /// How long before a moment the last window begins that begins by then.
    #[inline]
    fn past(&self, time: EventTime) -> i64 {
        let slide = self.slide.max(1);
        (time.rem_euclid(slide) - self.offset.rem_euclid(slide)).rem_euclid(slide)
    }

    /// The window that begins so much after a moment.
    fn window(&self, time: EventTime, later: i64) -> Window {
        let start = i128::from(time) + i128::from(later);
        Window { start: limited(start), end: limited(start + i128::from(self.size.max(1))) }
    }

    /// An error if a moment lies in windows that are not the only ones to end with time, and so cannot be
    /// told apart by their ends.
    pub(crate) fn check_time(&self, time: EventTime) -> Result<()> {
        match self.slice(time).is_beyond {
            true => Err(Error::data(self.beyond(time))),
            false => Ok(()),
        }
    }

    /// The message for such a moment.
    pub(crate) fn beyond(&self, time: EventTime) -> String {
        format!(
            "a record has the event time {time}, and the windows ({self}) there end after the last time there is, {}, and cannot be told apart: event times are milliseconds \
             since 1970; read them in that unit, or leave out records without a time",
            EventTime::MAX
        )
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.size <= 0 || self.slide <= 0 {
            return Err(Error::config(format!(
                "a window of {} ms each {} ms is not possible: both must be at least 1 ms",
                self.size, self.slide
            )));
        }
        // Sums of a few of them must not overflow.
        if self.size > MAX_SIZE || self.slide > MAX_SIZE || self.offset.abs() > MAX_SIZE {
            return Err(Error::config("a window cannot be longer than two million years"));
        }
        Ok(())
    }

    /// The settings that distinguish them from other windows.
    pub(crate) fn settings(&self) -> String {
        match self.offset {
            0 => self.to_string(),
            offset => format!("{self}, {offset} ms off"),
        }
    }

    /// The window that ends at `end`; if that is the end of time, the one that would end then or later.
    pub(crate) fn ending_at(&self, end: EventTime) -> Window {
        match end {
            EventTime::MAX => self.window(end, self.until_end(end) - self.size),
            _ => Window { start: end.saturating_sub(self.size), end },
        }
    }

    /// How long after a moment the next window ends, if none ends just then.
    fn until_end(&self, time: EventTime) -> i64 {
        (self.size.rem_euclid(self.slide) - self.past(time)).rem_euclid(self.slide)
    }

    /// The least end of a window that is at least `time`.
    pub(crate) fn end_from(&self, time: EventTime) -> EventTime {
        time.saturating_add(self.until_end(time))
    }

    /// The end of the window that begins one slide after the one that ends at `end`.
    pub(crate) fn next_end(&self, end: EventTime) -> EventTime {
        end.saturating_add(self.slide)
    }

    /// The slice around a moment.
    pub(crate) fn slice(&self, time: EventTime) -> Slice {
        // All but the beginning of the last window by then is computed as a distance from that: so nothing
        // overflows.
        let past = self.past(time);
        let begins = i128::from(time) - i128::from(past);
        // Within each slide there is a cut where a window begins and, unless sizes divide, one where a window
        // ends.
        let cut = self.size.rem_euclid(self.slide);
        let (start, end) = if past < cut { (0, cut) } else { (cut, self.slide) };
        let first = end + (self.size - end).rem_euclid(self.slide);
        // The last window that still contains the slice begins at or before its start.
        let last = self.size;
        let at = |later: i64| begins + i128::from(later);
        let from = at(start).max(i128::from(EventTime::MIN));
        let until = at(end).min(i128::from(EventTime::MAX) + 1);
        let is_beyond = first <= last && at(last - self.slide) >= i128::from(EventTime::MAX);
        let pane = match first <= last {
            true => Pane { last: limited(at(last)), first: limited(at(first)) },
            // Ends that are beyond time are the same, and yet no window has the slice.
            false => Slice::EMPTY.pane,
        };
        Slice { start: limited(from), length: (until - from) as u64, pane, is_beyond }
    }
}

impl fmt::Display for Aligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size == self.slide {
            true => write!(f, "tumbling {} ms", self.size),
            false => write!(f, "sliding {} ms each {} ms", self.size, self.slide),
        }
    }
}

/// Some two million years in milliseconds.
const MAX_SIZE: i64 = 1 << 56;

/// The time, if it is one, or the nearest.
fn limited(time: i128) -> EventTime {
    time.clamp(i128::from(EventTime::MIN), i128::from(EventTime::MAX)) as EventTime
}

/// A stretch between two cuts, and the pane of the records in it that are on time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    start: EventTime,
    length: u64,
    pane: Pane,
    /// True if the last of its windows is not the first one that ends with time.
    is_beyond: bool,
}

impl Slice {
    /// A slice that contains nothing.
    pub(crate) const EMPTY: Slice =
        Slice { start: 0, length: 0, pane: Pane { last: 0, first: 1 }, is_beyond: false };

    /// True if a record belongs to the slice and is late for none of its windows.
    #[inline(always)]
    pub(crate) fn takes(&self, stamp: &Stamp) -> bool {
        let into = stamp.timestamp.wrapping_sub(self.start) as u64;
        into < self.length && !stamp.is_late_for(self.pane.first)
    }

    /// The pane of a record in the slice, or none if it counts for no window: it lies in a gap, or is late
    /// for all.
    pub(crate) fn pane(&self, stamp: &Stamp, windows: &Aligned) -> Option<Pane> {
        self.pane.for_stamp(stamp, windows)
    }

    /// True if windows that contain the slice end with time, and others with them: they could not be told
    /// apart.
    pub(crate) fn is_beyond(&self) -> bool {
        self.is_beyond
    }

    /// True if a record in the slice belongs to windows, and is late for all of them though they take records
    /// for so much longer.
    pub(crate) fn is_late(&self, stamp: &Stamp, lateness: i64) -> bool {
        !self.is_gap() && stamp.is_late_for(self.pane.last.saturating_add(lateness))
    }

    /// True if no window contains the slice.
    pub(crate) fn is_gap(&self) -> bool {
        self.pane.first > self.pane.last
    }
}

impl Pane {
    fn for_stamp(self, stamp: &Stamp, windows: &Aligned) -> Option<Pane> {
        let first = match stamp.is_late_for(self.first) {
            // When event time has ended, all is late.
            true => windows.end_from(stamp.watermark.checked_add(1)?),
            false => self.first,
        };
        (first <= self.last).then_some(Pane { last: self.last, first })
    }
}

#[cfg(test)]
#[path = "assigner_tests.rs"]
mod tests;
