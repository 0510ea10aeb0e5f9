//! How long state lives.

use std::time::Duration;

use crate::state::{LivesBy, NEVER, Now};

/// A time to live for the items of a state: Flink's `StateTtlConfig`. An expired item is never read.
///
/// ```
/// use highwater::process::{LivesBy, Refresh, Ttl};
/// use std::time::Duration;
/// let hour = Ttl::of(Duration::from_secs(3600)).by(LivesBy::ProcessingTime).refresh(Refresh::OnReadAndWrite);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    pub(super) millis: i64,
    pub(super) clock: LivesBy,
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
    /// Items live this long, by the watermark, from when they were last written; at least 1 millisecond, or the job ends with an error.
    pub fn of(duration: Duration) -> Ttl {
        Ttl::millis(i64::try_from(duration.as_millis()).unwrap_or(NEVER))
    }

    pub(super) fn millis(millis: i64) -> Ttl {
        Ttl { millis, clock: LivesBy::EventTime, refresh: Refresh::OnWrite }
    }

    /// The clock that items expire by.
    pub fn by(mut self, clock: LivesBy) -> Ttl {
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

    /// When an item expires that is written now. Before the first watermark event time has not begun, and the item waits for it.
    pub(super) fn expiry(self, now: Now) -> i64 {
        match now.by(self.clock) {
            i64::MIN => NEVER - 1,
            now => now.saturating_add(self.millis),
        }
    }
}
