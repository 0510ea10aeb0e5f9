//! Which windows a record falls into.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data::Stamp;
use crate::error::{Error, Result};
use crate::time::EventTime;

/// A stretch of event time: from `start` to just before `end`, in milliseconds.
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
        self.start < other.end && other.start < self.end
    }

    /// The least window that contains both.
    #[inline]
    pub fn span(&self, other: Window) -> Window {
        Window { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// The name of the note in which snapshots have what windows are.
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
    /// Windows of length `size`, one beginning each `slide`, aligned with 1970-01-01 UTC. If `slide` is longer than `size`, what
    /// lies between two windows belongs to none.
    pub fn of(size: Duration, slide: Duration) -> Aligned {
        Aligned { size: millis(size), slide: millis(slide), offset: 0 }
    }
}

fn millis(duration: Duration) -> i64 {
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
        let untimed = Stamp { timestamp, watermark: EventTime::MIN };
        let Some(pane) = self.slice(timestamp).pane.for_stamp(&untimed, self) else { return Vec::new() };
        let mut windows = Vec::new();
        let mut end = Some(pane.first);
        while let Some(e) = end.filter(|e| *e <= pane.last) {
            windows.push(self.ending_at(e));
            end = e.checked_add(self.slide);
        }
        windows
    }

    /// The same windows for any time at all, at the price of wider arithmetic; they end at the end of time.
    pub(crate) fn push_windows(&self, time: EventTime, windows: &mut Vec<Window>) {
        let (size, slide) = (i128::from(self.size.max(1)), i128::from(self.slide.max(1)));
        let time = i128::from(time);
        let last = time - (time - i128::from(self.offset)).rem_euclid(slide);
        let limit =
            |time: i128| time.clamp(i128::from(EventTime::MIN), i128::from(EventTime::MAX)) as EventTime;
        let reaching = (last - time + size + slide - 1).div_euclid(slide).max(0);
        let starts = (0..reaching).rev().map(|back| last - back * slide);
        windows.extend(starts.map(|start| Window { start: limit(start), end: limit(start + size) }));
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.size <= 0 || self.slide <= 0 {
            return Err(Error::config(format!(
                "a window of {} ms each {} ms is not possible: both must be at least 1 ms",
                self.size, self.slide
            )));
        }
        // Ends are computed by adding a size to a time; this keeps all of them far from overflow.
        if self.size > MAX_SIZE || self.slide > MAX_SIZE || self.offset.abs() > MAX_SIZE {
            return Err(Error::config("a window cannot be longer than two million years"));
        }
        Ok(())
    }

    /// What tells them from others.
    pub(crate) fn settings(&self) -> String {
        match self.offset {
            0 => self.to_string(),
            offset => format!("{self}, {offset} ms off"),
        }
    }

    /// The window that ends at `end`.
    pub(crate) fn ending_at(&self, end: EventTime) -> Window {
        Window { start: end.saturating_sub(self.size), end }
    }

    /// The least end of a window that is at least `time`.
    pub(crate) fn end_from(&self, time: EventTime) -> EventTime {
        let time = clamp(time);
        let past = (time - self.offset - self.size).rem_euclid(self.slide);
        if past == 0 { time } else { time - past + self.slide }
    }

    /// The end of the window that begins one slide after the one that ends at `end`.
    pub(crate) fn next_end(&self, end: EventTime) -> EventTime {
        end.saturating_add(self.slide)
    }

    /// The slice around a moment.
    pub(crate) fn slice(&self, timestamp: EventTime) -> Slice {
        let time = clamp(timestamp);
        // Within each slide there is a cut where a window begins and, unless sizes divide, one where a window ends.
        let begins = time - (time - self.offset).rem_euclid(self.slide);
        let ends = begins + self.size.rem_euclid(self.slide);
        let (start, end) = if time < ends { (begins, ends) } else { (ends, begins + self.slide) };
        let first = self.end_from(end);
        // The last window that still contains the slice begins at or before its start.
        let last = begins + self.size;
        Slice { start, length: (end - start) as u64, pane: Pane { last, first } }
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

/// Keeps times so far from the limits that windows around them can be computed.
fn clamp(time: EventTime) -> EventTime {
    time.clamp(-(1 << 60), 1 << 60)
}

/// A stretch between two cuts, and the pane of the records in it that are on time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    start: EventTime,
    length: u64,
    pane: Pane,
}

impl Slice {
    /// A slice that contains nothing.
    pub(crate) const EMPTY: Slice = Slice { start: 0, length: 0, pane: Pane { last: 0, first: 1 } };

    /// True if a record belongs to the slice and is late for none of its windows.
    #[inline(always)]
    pub(crate) fn takes(&self, stamp: &Stamp) -> bool {
        let into = stamp.timestamp.wrapping_sub(self.start) as u64;
        into < self.length && !stamp.is_late_for(self.pane.first)
    }

    /// The pane of a record in the slice, or none if it counts for no window: it lies in a gap, or is late for all.
    pub(crate) fn pane(&self, stamp: &Stamp, windows: &Aligned) -> Option<Pane> {
        self.pane.for_stamp(stamp, windows)
    }

    /// True if no window contains the slice.
    pub(crate) fn is_gap(&self) -> bool {
        self.pane.first > self.pane.last
    }
}

impl Pane {
    fn for_stamp(self, stamp: &Stamp, windows: &Aligned) -> Option<Pane> {
        let first = match stamp.is_late_for(self.first) {
            true => windows.end_from(stamp.watermark.saturating_add(1)),
            false => self.first,
        };
        (first <= self.last).then_some(Pane { last: self.last, first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn windows(size: i64, slide: i64, offset: i64) -> Aligned {
        Aligned { size, slide, offset }
    }

    proptest! {
        /// The definition: a window begins at each offset + n * slide.
        #[test]
        fn panes_follow_from_the_definition(
            size in 1..30i64, slide in 1..30i64, offset in 0..40i64, time in -100..100i64, watermark in -100..150i64,
        ) {
            let aligned = windows(size, slide, offset);
            let starts = (-400..400).map(|n| offset + n * slide);
            let containing: Vec<Window> = starts
                .map(|start| Window { start, end: start + size })
                .filter(|window| window.start <= time && time < window.end)
                .collect();
            prop_assert_eq!(aligned.of_timestamp(time), containing.clone());
            let mut pushed = Vec::new();
            aligned.push_windows(time, &mut pushed);
            prop_assert_eq!(pushed, containing.clone());

            let stamp = Stamp { timestamp: time, watermark };
            let counts: Vec<_> = containing.iter().filter(|window| window.end > watermark).collect();
            let pane = aligned.slice(time).pane(&stamp, &aligned);
            prop_assert_eq!(pane.map(|pane| pane.first), counts.first().map(|window| window.end));
            prop_assert_eq!(pane.map(|pane| pane.last), counts.last().map(|window| window.end));
            let takes = aligned.slice(time).takes(&stamp);
            prop_assert_eq!(takes && !containing.is_empty(), counts.len() == containing.len() && !containing.is_empty());
        }
    }

    #[test]
    fn times_at_the_limits_do_not_overflow() {
        let aligned = Sliding::of(Duration::from_secs(10), Duration::from_secs(3));
        for time in [EventTime::MIN, EventTime::MIN + 1, EventTime::MAX - 1, EventTime::MAX] {
            let _ = aligned.slice(time).pane(&Stamp { timestamp: time, watermark: time }, &aligned);
        }
        assert!(Tumbling::of(Duration::ZERO).check().is_err());
        assert!(Tumbling::of(Duration::MAX).check().is_err());
    }
}
