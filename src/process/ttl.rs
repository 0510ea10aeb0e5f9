//! The time to live of state: how long, by which clock, and what restarts it.
//!
//! Each item holds its expiry, and reads compare it with the clock. So an expired item is never read,
//! whenever it is removed.

use std::time::Duration;

use crate::state::{FARTHEST, NEVER, Now, TimeDomain, UNBEGUN};
use crate::stream::operator_fault;

/// A time to live for the items of a state: Flink's `StateTtlConfig`. An expired item is never read.
///
/// ```
/// use highwater::process::{TimeDomain, Refresh, Ttl};
/// use std::time::Duration;
/// let hour = Ttl::of(Duration::from_secs(3600)).by(TimeDomain::ProcessingTime).refresh(Refresh::OnReadAndWrite);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    pub(super) millis: i64,
    pub(super) clock: TimeDomain,
    pub(super) refresh: Refresh,
}

/// What restarts the time to live of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refresh {
    /// Each write.
    #[default]
    OnWrite,
    /// Each write and each read through `&mut` context.
    OnReadAndWrite,
}

impl Ttl {
    /// Items live for this long after their last write, by the watermark. It must be at least 1 millisecond,
    /// or the job ends with an error. An item that is written before the first watermark is known lives for
    /// this long after that.
    ///
    /// If all sources of an operator's input are read with
    /// [`Watermarks::none`](crate::time::Watermarks::none), the operator has no event time and its items
    /// would live for ever: it ends the job with an error when it starts. There, use a time to live
    /// [by](Ttl::by) the wall clock.
    pub fn of(duration: Duration) -> Ttl {
        Ttl::millis(i64::try_from(duration.as_millis()).unwrap_or(NEVER))
    }

    pub(super) fn millis(millis: i64) -> Ttl {
        Ttl { millis, clock: TimeDomain::EventTime, refresh: Refresh::OnWrite }
    }

    /// Sets the clock by which items expire.
    pub fn by(mut self, clock: TimeDomain) -> Ttl {
        self.clock = clock;
        self
    }

    /// Sets what restarts the time to live of an item.
    pub fn refresh(mut self, refresh: Refresh) -> Ttl {
        self.refresh = refresh;
        self
    }

    /// True if items would expire at once.
    pub(super) fn is_nothing(self) -> bool {
        self.millis == 0
    }

    /// True if items live by the wall clock.
    pub(super) fn is_by_wall_clock(self) -> bool {
        self.clock == TimeDomain::ProcessingTime
    }

    /// True if items live by event time, and not for ever.
    pub(super) fn needs_event_time(self) -> bool {
        self.clock == TimeDomain::EventTime && self.millis < NEVER
    }

    /// The expiry of an item that is written now. Before the first watermark event time has not begun, and
    /// the time to live counts from that watermark.
    pub(super) fn expiry(self, now: Now) -> i64 {
        match now.by(self.clock) {
            _ if self.millis == NEVER => NEVER,
            i64::MIN => UNBEGUN,
            now => {
                let expires = now.saturating_add(self.millis);
                // An item has fewer than 64 bits for its expiry, so times beyond these cannot be told apart.
                if expires >= FARTHEST || now <= -FARTHEST {
                    self.note(now);
                }
                expires
            }
        }
    }

    /// Reports an item that cannot expire because its clock is too far from 1970.
    #[cold]
    fn note(self, now: i64) {
        // Timers that fire when the input ends run near the end of time, where nothing needs to expire any
        // more.
        let is_end = now >= i64::MAX / 2;
        if self.millis < FARTHEST && !is_end {
            operator_fault::note(&format!(
                "a state with a time to live is written when event time is {now}, which is too far from 1970 to tell when it is over: event times are milliseconds; read them in that unit"
            ));
        }
    }
}
