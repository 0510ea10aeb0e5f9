//! The two clocks that items of a state may expire by.

/// The clock that items expire by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeDomain {
    /// The watermark.
    #[default]
    EventTime,
    /// The wall clock.
    ProcessingTime,
}

/// The time by both clocks, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) watermark: i64,
    pub(crate) millis: i64,
}

impl Now {
    /// The time by one of them.
    #[inline]
    pub(crate) fn by(self, clock: TimeDomain) -> i64 {
        match clock {
            TimeDomain::EventTime => self.watermark,
            TimeDomain::ProcessingTime => self.millis,
        }
    }
}
