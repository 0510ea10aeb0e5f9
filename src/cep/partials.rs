//! The partial matches of a key, and what becomes of them.
//!
//! A [`Run`] is a partial match: its last take, which leads to all before, and what can come next. What the
//! [automaton](super::Automaton) makes of runs goes to an [`Outcome`].

use std::mem::size_of;

use serde::{Deserialize, Serialize};

use super::buffer::{Buffer, LinkId, Taken};
use crate::state::Held;
use crate::time::EventTime;

/// Room for so many runs is not worth giving back.
const SPARE: usize = 16;

/// The time that an event is taken at: its own, but for the last there is, when the input has ended.
pub(super) fn clamped(timestamp: EventTime) -> EventTime {
    timestamp.min(EventTime::MAX - 1)
}

/// A partial match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Its last take.
    pub(super) link: LinkId,
    /// How many events the stage of the last take has taken; no more than make a difference.
    pub(super) count: u32,
    /// What can come next.
    pub(super) waits: u64,
    /// The number of its first event, and its time.
    pub(super) first: u64,
    pub(super) began: EventTime,
    pub(super) stage: u8,
    /// True until an event has been skipped.
    pub(super) fresh: bool,
    /// True if an event has ended the loop of a greedy stage, which has no more claims.
    pub(super) released: bool,
}

/// The partial matches of one key, and the matches that wait for some of these.
///
/// Its size is that of what is live, and up to as much again. Cloning and serializing cost that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partials<T> {
    pub(super) buffer: Buffer<T>,
    /// In the order of their first events.
    pub(super) runs: Vec<Run>,
    /// Matches that an earlier partial match could still discard: the last take and the number of the first
    /// event. In the order of the latter, then of completion.
    pub(super) withheld: Vec<(LinkId, u64)>,
}

/// What events and time have led to. It is only added to: take out what you have seen.
pub struct Outcome<T> {
    /// Matches, each with the event time of what completed or released it.
    pub matches: Vec<(EventTime, Taken<T>)>,
    /// Partial matches that have timed out, each with the time at which it did.
    pub timed_out: Vec<(EventTime, Taken<T>)>,
    /// False if no one wants to know of time-outs.
    pub(super) wants_timed_out: bool,
    /// Matches of the event at hand: their last takes and the numbers of their first events.
    pub(super) fresh: Vec<(LinkId, u64)>,
    /// Memory for the runs of the next event.
    pub(super) runs: Vec<Run>,
}

impl<T> Default for Partials<T> {
    fn default() -> Partials<T> {
        Partials { buffer: Buffer::default(), runs: Vec::new(), withheld: Vec::new() }
    }
}

impl<T> Default for Outcome<T> {
    fn default() -> Outcome<T> {
        let (matches, timed_out) = (Vec::new(), Vec::new());
        Outcome { matches, timed_out, wants_timed_out: true, fresh: Vec::new(), runs: Vec::new() }
    }
}

impl<T> Outcome<T> {
    /// An outcome that leaves `timed_out` empty.
    pub fn of_matches() -> Outcome<T> {
        Outcome { wants_timed_out: false, ..Outcome::default() }
    }
}

impl<T> Partials<T> {
    /// The number of partial matches.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// True if there is nothing: no partial match, and so no match that waits for one.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.withheld.is_empty()
    }

    /// Forgets what no run and no match needs, if that is much.
    pub(super) fn prune(&mut self) {
        let Partials { buffer, runs, withheld } = self;
        if runs.is_empty() && withheld.is_empty() {
            buffer.clear();
        } else if buffer.is_full() {
            let needed = runs.iter().map(|run| run.link).chain(withheld.iter().map(|(link, _)| *link));
            let places = buffer.sweep(needed);
            runs.iter_mut().for_each(|run| run.link = places[run.link as usize]);
            withheld.iter_mut().for_each(|(link, _)| *link = places[*link as usize]);
        }
        if runs.capacity() > 4 * runs.len() + SPARE {
            runs.shrink_to(2 * runs.len());
        }
    }

    /// The event that was taken last.
    pub(super) fn newest(&self) -> Option<&T> {
        self.buffer.newest()
    }

    /// What they take of memory, beside their own places.
    #[inline]
    pub(super) fn size(&self) -> Held {
        let Held { bytes, values } = self.buffer.size();
        let lists =
            self.runs.capacity() * size_of::<Run>() + self.withheld.capacity() * size_of::<(LinkId, u64)>();
        Held { bytes: bytes + lists, values }
    }

    /// The number of takes and of events that are held.
    #[cfg(test)]
    pub(super) fn takes_and_events(&self) -> (usize, usize) {
        self.buffer.len()
    }
}
