//! How long state lives.

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

/// What gives an item its whole time to live again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refresh {
    /// Each write.
    #[default]
    OnWrite,
    /// Each write and each read through `&mut` context.
    OnReadAndWrite,
}

impl Ttl {
    /// Items live this long, by the watermark, from when they were last written; at least 1 millisecond, or
    /// the job ends with an error. What is written before the first watermark is known lives this long from
    /// then on.
    ///
    /// An operator whose input never has any event time, because all sources that it comes from are read with
    /// [`Watermarks::none`](crate::time::Watermarks::none), ends the job with an error when it starts: there
    /// items would live for ever. They can live [by](Ttl::by) the wall clock.
    pub fn of(duration: Duration) -> Ttl {
        Ttl::millis(i64::try_from(duration.as_millis()).unwrap_or(NEVER))
    }

    pub(super) fn millis(millis: i64) -> Ttl {
        Ttl { millis, clock: TimeDomain::EventTime, refresh: Refresh::OnWrite }
    }

    /// The clock that items expire by.
    pub fn by(mut self, clock: TimeDomain) -> Ttl {
        self.clock = clock;
        self
    }

    /// What gives an item its whole time again.
    pub fn refresh(mut self, refresh: Refresh) -> Ttl {
        self.refresh = refresh;
        self
    }

    /// True if nothing would live at all.
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

    /// When an item expires that is written now. Before the first watermark event time has not begun, and the
    /// item's time is counted from that.
    pub(super) fn expiry(self, now: Now) -> i64 {
        match now.by(self.clock) {
            _ if self.millis == NEVER => NEVER,
            i64::MIN => UNBEGUN,
            now => {
                let expires = now.saturating_add(self.millis);
                if expires >= FARTHEST || now <= -FARTHEST {
                    self.note(now);
                }
                expires
            }
        }
    }

    /// Takes note that an item cannot expire for what its clock shows.
    #[cold]
    fn note(self, now: i64) {
        // Near the end of time, where timers are that act when the input ends, nothing has to be over any
        // more.
        let is_end = now >= i64::MAX / 2;
        if self.millis < FARTHEST && !is_end {
            operator_fault::note(&format!(
                "a state with a time to live is written when event time is {now}, which is too far from 1970 to tell when it is over: event times are milliseconds; read them in that unit"
            ));
        }
    }
}
