//! A pass over timers that are due, and the limit on timers at the end of the input.

use std::collections::BTreeMap;

use crate::state::{END, Slot, TimeDomain, TimerBound as Bound};

/// An entry in the queue of timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Register,
    Delete,
}

/// The limit on timers that may still fire when the input has ended.
pub(super) struct Ending {
    pub(super) left: usize,
    /// True while timers are fired that were registered before the end: they do not count.
    pub(super) is_first: bool,
}

/// Firing all timers of before a time, or all, in order, while they register and delete others.
pub(super) struct Pass {
    pub(super) by: TimeDomain,
    pub(super) until: Option<i64>,
    /// All calls before this, in order of times and hashes of keys, are in memory: all that are due, unless
    /// some were evicted.
    pub(super) bound: Bound,
    /// The time of the last timer that fired.
    pub(super) at: i64,
    /// The timers left to fire, the first one last.
    pub(super) due: Vec<(i64, Slot)>,
    /// Calls by firing timers for times before the bound. A timer for a time that has passed is not among
    /// them: it waits for the next pass, so that a pass always ends.
    pub(super) calls: BTreeMap<(i64, Slot), Call>,
    /// Calls for the next pass, kept aside while timers of this one are not all read back.
    pub(super) late: Vec<(i64, Slot, Call)>,
}

impl Pass {
    /// True if all timers that are due are in memory.
    pub(super) fn is_last(&self) -> bool {
        self.bound == self.until.map_or(END, |until| (until, 0))
    }
}
