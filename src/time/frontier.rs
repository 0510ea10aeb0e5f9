//! A frontier read as the two numbers that operators act on.

use timely::progress::frontier::AntichainRef;

use super::{EventTime, Time};

/// The progress of an input: the first epoch that is still open, and the watermark.
///
/// An input frontier is an antichain of [`Time`]s, one for each worker at most. Its least epoch and its least
/// event time need not lie in the same element. Reading each coordinate by itself is sound: nothing can
/// arrive in an epoch below the least one, nor below the least event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Every epoch below this one is complete.
    pub(crate) epoch: u64,
    /// Nothing older than this can come any more.
    pub(crate) watermark: EventTime,
}

impl Progress {
    /// The input has ended.
    pub(crate) const END: Progress = Progress { epoch: u64::MAX, watermark: EventTime::MAX };

    pub(crate) fn of(frontier: AntichainRef<'_, Time>) -> Progress {
        frontier.iter().fold(Progress::END, |least, time| least.and(time))
    }

    /// The progress if records at `time` may still come, too.
    pub(crate) fn and(self, time: &Time) -> Progress {
        Progress { epoch: self.epoch.min(time.epoch), watermark: self.watermark.min(time.event) }
    }

    pub(crate) fn is_end(self) -> bool {
        self == Progress::END
    }
}
