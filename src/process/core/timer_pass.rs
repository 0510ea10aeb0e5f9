//! A pass over timers that are to fire, and the end of all timers.

use std::collections::BTreeMap;

use crate::state::{END, Slot, TimeDomain, TimerBound as Bound};

/// An entry in the queue of timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Register,
    Delete,
}

/// What may still fire when the input has ended.
pub(super) struct Ending {
    pub(super) left: usize,
    /// True while timers are taken that were there before: they do not count.
    pub(super) is_first: bool,
}

/// Firing all timers of before a time, or all, in order, while they register and delete others.
pub(super) struct Pass {
    pub(super) by: TimeDomain,
    pub(super) until: Option<i64>,
    /// What is before this in order of times and hashes of keys is at hand: all that is to fire, unless some
    /// of it has left memory.
    pub(super) bound: Bound,
    /// The time of the timer that fires.
    pub(super) at: i64,
    /// What is left to fire, the first one last.
    pub(super) due: Vec<(i64, Slot)>,
    /// What timers have registered and deleted that is to fire, or would have, before the bound. A timer for
    /// a time that has been is not among them: it waits for the next pass, so that a pass always ends.
    pub(super) calls: BTreeMap<(i64, Slot), Call>,
    /// What waits for the next pass, while others have yet to be read back for this one.
    pub(super) late: Vec<(i64, Slot, Call)>,
}

impl Pass {
    /// True if all timers are at hand that are to fire.
    pub(super) fn is_last(&self) -> bool {
        self.bound == self.until.map_or(END, |until| (until, 0))
    }
}
