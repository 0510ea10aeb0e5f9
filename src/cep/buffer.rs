//! The events that partial matches have taken, those with a common beginning sharing it.
//!
//! Each take is a [`Link`]: an event, the stage that took it, and the take before. So a partial match is its
//! last link, the links form a forest, and going on in two ways from one beginning costs one link for each.
//! This is the versioned shared buffer of SASE+ (Agrawal et al., SIGMOD 2008) without versions: a take that
//! follows two others is two links, as it would be two versioned edges there.
//!
//! # What goes
//!
//! Links are only added at the end, so a link's predecessor lies before it. When there are twice as many as
//! were live the last time, all that no partial match leads to are dropped in one pass, and the others move
//! up in their order. So the buffer holds at most about twice what is live, and a take pays for its removal
//! in advance.

use std::mem::size_of;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::state::Held;

/// The events of one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Buffer<T> {
    links: Vec<Link>,
    /// In the order of their numbers.
    events: Vec<(u64, T)>,
    /// The number of the next event.
    next: u64,
    /// The number of links at which to look for those that are not needed.
    limit: u32,
}

/// A take. Its number is its place in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Link {
    before: LinkId,
    /// The place of the event.
    event: u32,
    stage: u8,
}

/// The place of a link, or none.
pub(super) type LinkId = u32;

/// The link before the first.
pub(super) const NONE: LinkId = LinkId::MAX;

/// The least number of links at which it pays to look for what can go.
const LIMIT: u32 = 32;

impl<T> Default for Buffer<T> {
    fn default() -> Buffer<T> {
        Buffer { links: Vec::new(), events: Vec::new(), next: 0, limit: LIMIT }
    }
}

impl<T> Buffer<T> {
    /// The number that the next event will have.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Adds a take of the event that [`keep`](Buffer::keep) will add.
    pub(super) fn take(&mut self, before: LinkId, stage: u8) -> LinkId {
        self.links.push(Link { before, event: self.events.len() as u32, stage });
        self.links.len() as LinkId - 1
    }

    /// Adds the event of the last takes.
    pub(super) fn keep(&mut self, event: T) {
        self.events.push((self.next, event));
        self.next += 1;
    }

    /// The takes up to a link, last one first.
    fn back_from(&self, link: LinkId) -> impl Iterator<Item = &Link> {
        std::iter::successors(self.links.get(link as usize), |link| self.links.get(link.before as usize))
    }

    /// The stages and the numbers of the events up to a link, in order.
    pub(super) fn takes(&self, link: LinkId) -> Vec<(u8, u64)> {
        let takes = self.back_from(link).map(|link| (link.stage, self.events[link.event as usize].0));
        let mut takes: Vec<_> = takes.collect();
        takes.reverse();
        takes
    }

    /// The events up to a link, in order, under the names of their stages.
    pub(super) fn taken(&self, link: LinkId, names: &[Arc<str>]) -> Taken<T>
    where
        T: Clone,
    {
        let mut links: Vec<&Link> = self.back_from(link).collect();
        links.reverse();
        // A stage takes all its events before the next takes any.
        let stages = links.chunk_by(|one, other| one.stage == other.stage).map(|links| {
            let events = links.iter().map(|link| self.events[link.event as usize].1.clone());
            (Arc::clone(&names[links[0].stage as usize]), events.collect())
        });
        Taken(stages.collect())
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        self.links.clear();
        self.events.clear();
        self.links.shrink_to(LIMIT as usize);
        self.events.shrink_to(LIMIT as usize);
        (self.next, self.limit) = (0, LIMIT);
    }

    /// True if it is time to look for what can go.
    pub(super) fn is_full(&self) -> bool {
        self.links.len() >= self.limit as usize
    }

    /// Drops all that none of the links named by `roots` leads to, and tells the new place of each link.
    pub(super) fn sweep(&mut self, roots: impl Iterator<Item = LinkId>) -> Vec<LinkId> {
        let mut places = vec![NONE; self.links.len()];
        let mut needed = vec![false; self.events.len()];
        for root in roots {
            let mut at = root;
            // What is marked has marked what lies before it.
            while at != NONE && places[at as usize] == NONE {
                places[at as usize] = at;
                let link = self.links[at as usize];
                needed[link.event as usize] = true;
                at = link.before;
            }
        }
        let events = places_of(&needed);
        let mut kept = 0;
        for at in 0..self.links.len() {
            if places[at] != NONE {
                let Link { before, event, stage } = self.links[at];
                let before = if before == NONE { NONE } else { places[before as usize] };
                self.links[kept] = Link { before, event: events[event as usize], stage };
                places[at] = kept as LinkId;
                kept += 1;
            }
        }
        self.links.truncate(kept);
        let mut needed = needed.into_iter();
        self.events.retain(|_| needed.next().unwrap_or_default());
        self.limit = LIMIT.max(2 * kept as u32);
        self.links.shrink_to(self.limit as usize);
        self.events.shrink_to(self.limit as usize);
        places
    }

    /// The event that was kept last.
    pub(super) fn newest(&self) -> Option<&T> {
        self.events.last().map(|(_, event)| event)
    }

    /// What it takes of memory, beside what its events point to.
    #[inline]
    pub(super) fn size(&self) -> Held {
        let bytes =
            self.links.capacity() * size_of::<Link>() + self.events.capacity() * size_of::<(u64, T)>();
        Held { bytes, values: self.events.len() }
    }

    /// The number of takes and of events that are held.
    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.links.len(), self.events.len())
    }
}

/// The place of each entry among those that are needed.
fn places_of(needed: &[bool]) -> Vec<u32> {
    let places = needed.iter().scan(0, |place, needed| {
        let own = *place;
        *place += u32::from(*needed);
        Some(own)
    });
    places.collect()
}

/// What an iterative condition sees of a partial match: the events that it has taken so far.
pub struct Earlier<'a, T> {
    pub(super) buffer: &'a Buffer<T>,
    pub(super) link: LinkId,
    pub(super) names: &'a [Arc<str>],
}

impl<'a, T> Earlier<'a, T> {
    /// The events that a stage has taken so far, in order; none if there is no such stage. Costs a walk over
    /// all events taken.
    pub fn of(&self, stage: &str) -> Vec<&'a T> {
        let links = self.buffer.back_from(self.link);
        let links = links.filter(|link| *self.names[link.stage as usize] == *stage);
        let mut events: Vec<&'a T> = links.map(|link| &self.buffer.events[link.event as usize].1).collect();
        events.reverse();
        events
    }

    /// The event that was taken last; none before the first.
    pub fn last(&self) -> Option<&'a T> {
        self.buffer.back_from(self.link).next().map(|link| &self.buffer.events[link.event as usize].1)
    }
}

/// The events of a whole or partial match: for each stage that took any, its name and its events, in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Taken<T>(Vec<(Arc<str>, Vec<T>)>);

impl<T> Taken<T> {
    /// The events that a stage took, in order; none if it was left out or does not exist.
    pub fn of(&self, stage: &str) -> &[T] {
        self.0.iter().find(|(name, _)| **name == *stage).map_or(&[], |(_, events)| events)
    }

    /// The first event that a stage took.
    pub fn first(&self, stage: &str) -> Option<&T> {
        self.of(stage).first()
    }

    /// The last event that a stage took.
    pub fn last(&self, stage: &str) -> Option<&T> {
        self.of(stage).last()
    }

    /// The stages that took events, with these.
    pub fn stages(&self) -> impl Iterator<Item = (&str, &[T])> {
        self.0.iter().map(|(name, events)| (&**name, &events[..]))
    }

    /// All events in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|(_, events)| events)
    }
}
