//! The windows of cases.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::Deserialize;

use crate::data::Data;
use crate::error::Result;
use crate::process::TimeDomain;
use crate::time::EventTime;
use crate::window::{
    Aligned, Assigner, Fixed, Global, OnEventTime, PerRecord, Sessions, Sliding, Touching, Tumbling, Window,
};

/// The most windows that a record may fall into.
const MOST_WINDOWS: u64 = 1000;

/// An assigner as cases write it. Lengths are milliseconds, but those of `Count` are records.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Windows {
    Tumble {
        size: NonZeroU64,
        #[serde(default)]
        offset: i64,
    },
    Hop {
        size: NonZeroU64,
        slide: NonZeroU64,
        #[serde(default)]
        offset: i64,
    },
    Cumulate {
        size: NonZeroU64,
        step: NonZeroU64,
        #[serde(default)]
        offset: i64,
    },
    Session {
        gap: NonZeroU64,
    },
    /// The gap of a record is its value.
    DynamicSession {},
    Global {},
    Count {
        size: NonZeroU64,
        slide: Option<NonZeroU64>,
    },
}

impl Windows {
    /// Refuses lengths that make no sense.
    pub(super) fn check(self) -> std::result::Result<(), String> {
        let (Windows::Hop { size, slide: step, .. } | Windows::Cumulate { size, step, .. }) = self else {
            return Ok(());
        };
        if size.get() / step > MOST_WINDOWS {
            return Err(format!(
                "a record would fall into more than {MOST_WINDOWS} windows: slide less often"
            ));
        }
        match self {
            Windows::Cumulate { .. } if size.get() % step != 0 => {
                Err("the `size` of cumulating windows is a multiple of their `step`".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Windows of a size, each a slide after the one before. To move them back is to move them on to where the
/// next one would be.
pub(super) fn aligned(size: NonZeroU64, slide: NonZeroU64, offset: i64) -> Aligned {
    let windows = match size == slide {
        true => Tumbling::of(millis(size)),
        false => Sliding::of(millis(size), millis(slide)),
    };
    windows.offset(Duration::from_millis(offset.rem_euclid(signed(slide)).unsigned_abs()))
}

pub(super) fn millis(length: NonZeroU64) -> Duration {
    Duration::from_millis(length.get())
}

fn signed(length: NonZeroU64) -> i64 {
    i64::try_from(length.get()).unwrap_or(i64::MAX)
}

/// Windows that grow by a step until they have their size, and then begin anew.
#[derive(Clone, Copy)]
pub(super) struct Cumulating {
    size: i64,
    step: i64,
    offset: i64,
}

impl Cumulating {
    pub(super) fn new(size: NonZeroU64, step: NonZeroU64, offset: i64) -> Cumulating {
        Cumulating { size: signed(size), step: signed(step), offset }
    }
}

impl<T> Assigner<T> for Cumulating {
    type Trigger = OnEventTime;

    fn assign(&self, _: &T, time: EventTime, windows: &mut Vec<Window>) {
        let start = time.saturating_sub(time.saturating_sub(self.offset).rem_euclid(self.size));
        let first = (time.saturating_sub(start) / self.step).saturating_add(1).saturating_mul(self.step);
        let ends = (first..self.size).step_by(self.step as usize).chain([self.size]);
        windows.extend(ends.map(|length| Window { start, end: start.saturating_add(length) }));
    }
}

/// The gap of a record's session, in milliseconds.
type GapOf<T> = fn(&T) -> Duration;

/// The windows of a case as one type, so that their operator is compiled once for all of them.
#[derive(Clone)]
pub(super) struct CaseAssigner<T> {
    windows: Any<T>,
    clock: TimeDomain,
}

#[derive(Clone)]
enum Any<T> {
    Aligned(Aligned),
    Cumulating(Cumulating),
    /// Sessions that touch are one, as in Flink.
    Sessions(Touching<Fixed>),
    DynamicSessions(Touching<PerRecord<GapOf<T>>>),
    Global(Global),
}

/// Does the same with whichever windows they are.
macro_rules! with {
    ($assigner:expr, $windows:ident => $what:expr) => {
        match &$assigner.windows {
            Any::Aligned($windows) => $what,
            Any::Cumulating($windows) => $what,
            Any::Sessions($windows) => $what,
            Any::DynamicSessions($windows) => $what,
            Any::Global($windows) => $what,
        }
    };
}

impl<T: Data> CaseAssigner<T> {
    /// The windows of a case by this clock. `gap` tells the gaps of dynamic sessions.
    pub(super) fn new(windows: Windows, clock: TimeDomain, gap: GapOf<T>) -> CaseAssigner<T> {
        let windows = match windows {
            Windows::Tumble { size, offset } => Any::Aligned(aligned(size, size, offset)),
            Windows::Hop { size, slide, offset } => Any::Aligned(aligned(size, slide, offset)),
            Windows::Cumulate { size, step, offset } => Any::Cumulating(Cumulating::new(size, step, offset)),
            Windows::Session { gap } => Any::Sessions(Sessions::with_gap(millis(gap)).touching()),
            Windows::DynamicSession {} => Any::DynamicSessions(Sessions::with_gaps(gap).touching()),
            Windows::Global {} | Windows::Count { .. } => Any::Global(Global),
        };
        CaseAssigner { windows, clock }
    }
}

impl<T: Data> Assigner<T> for CaseAssigner<T> {
    type Trigger = OnEventTime;

    fn assign(&self, value: &T, time: EventTime, into: &mut Vec<Window>) {
        with!(self, windows => windows.assign(value, time, into));
    }

    fn merges(&self) -> bool {
        with!(self, windows => Assigner::<T>::merges(windows))
    }

    fn clock(&self) -> TimeDomain {
        self.clock
    }

    fn ends(&self) -> bool {
        with!(self, windows => Assigner::<T>::ends(windows))
    }

    fn touches(&self) -> bool {
        with!(self, windows => Assigner::<T>::touches(windows))
    }

    fn check(&self) -> Result<()> {
        with!(self, windows => Assigner::<T>::check(windows))
    }

    fn settings(&self) -> Option<String> {
        with!(self, windows => Assigner::<T>::settings(windows))
    }
}
