//! The open sessions of a key.
//!
//! Most keys have one at a time. To join a piece to it costs a comparison; only where there are several they
//! are looked through.

use crate::stream::Aggregate;
use crate::time::EventTime;
use crate::window::Window;

/// A session: its stretch of time, and what its values add up to.
pub(super) type Session<Acc> = (Window, Acc);

/// The sessions of a key. Kept small: with many keys, what a piece costs is the memory that it waits for.
pub(super) struct Entry<Acc> {
    /// Most keys have one session at a time, which needs no list.
    pub(super) first: Session<Acc>,
    /// `None` if there is but one.
    pub(super) others: Option<Box<Others<Acc>>>,
    /// The time of the key's timer: not later than the last moment of the session that ends first.
    pub(super) alarm: EventTime,
    /// True if it has changed since the last seal.
    pub(super) changed: bool,
    /// True if the arrangement knows the key.
    pub(super) sealed: bool,
    /// True if it was touched since eviction last looked at it.
    pub(super) touched: bool,
}

/// The sessions of a key but one.
pub(super) struct Others<Acc>(Vec<Session<Acc>>);

impl<Acc> Entry<Acc> {
    /// An entry that is as the arrangement has it.
    pub(super) fn new(first: Session<Acc>, others: Vec<Session<Acc>>) -> Entry<Acc> {
        let others = (!others.is_empty()).then(|| Box::new(Others(others)));
        let entry = Entry { first, others, alarm: 0, changed: false, sealed: true, touched: true };
        Entry { alarm: entry.ends(), ..entry }
    }

    /// All sessions.
    pub(super) fn sessions(&self) -> Vec<Session<Acc>>
    where
        Acc: Clone,
    {
        let mut sessions = vec![self.first.clone()];
        sessions.extend_from_slice(self.others());
        sessions
    }

    /// The sessions but the first.
    pub(super) fn others(&self) -> &[Session<Acc>] {
        self.others.as_ref().map_or(&[], |others| &others.0)
    }

    /// Takes out those of the others for which `goes` holds.
    pub(super) fn extract(&mut self, goes: impl Fn(&Session<Acc>) -> bool) -> Vec<Session<Acc>> {
        let Some(Others(others)) = self.others.as_deref_mut() else { return Vec::new() };
        let extracted = others.extract_if(.., |session| goes(session)).collect();
        if others.is_empty() {
            self.others = None;
        }
        extracted
    }

    /// Takes one of the others out.
    pub(super) fn pop(&mut self) -> Option<Session<Acc>> {
        let Others(others) = self.others.as_deref_mut()?;
        let last = others.pop();
        if others.is_empty() {
            self.others = None;
        }
        last
    }

    /// The last moment of the session that ends first.
    pub(super) fn ends(&self) -> EventTime {
        self.others().iter().fold(self.first.0.last(), |least, (window, _)| least.min(window.last()))
    }

    /// Joins a piece to all sessions that it overlaps, or makes it one of its own unless it is late.
    pub(super) fn join<T, A: Aggregate<T, Acc = Acc>>(
        &mut self,
        aggregate: &A,
        mut reach: Window,
        mut acc: Acc,
        is_late: bool,
    ) -> bool {
        let piece = reach;
        // By the piece as it came: sessions of a key do not overlap, so what it grows to touches no others.
        let touched = self.extract(|(window, _)| window.overlaps(piece));
        let found = !touched.is_empty();
        for (window, other) in touched {
            reach = reach.span(window);
            aggregate.merge(&mut acc, other);
        }
        if self.first.0.overlaps(piece) {
            self.first.0 = self.first.0.span(reach);
            aggregate.merge(&mut self.first.1, acc);
        } else if found || !is_late {
            self.others.get_or_insert_with(|| Box::new(Others(Vec::new()))).0.push((reach, acc));
        } else {
            return false;
        }
        true
    }
}
