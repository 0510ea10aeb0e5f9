//! The open sessions of a key.
//!
//! Most keys have one at a time. To join a piece to it costs a comparison; only where there are several they
//! are looked through.

use crate::data::Exchange;
use crate::state::{Entry, Footprint};
use crate::stream::Aggregate;
use crate::time::EventTime;
use crate::window::Window;

/// The table of the sessions of each key.
pub(in crate::window) const SESSIONS: &str = "sessions";

/// A session: its stretch of time, and what its values add up to.
pub(super) type Session<Acc> = (Window, Acc);

/// The sessions of a key. Kept small: with many keys, what a piece costs is the memory that it waits for.
pub(super) struct Open<Acc> {
    /// Most keys have one session at a time, which needs no list.
    pub(super) first: Session<Acc>,
    /// `None` if there is but one.
    pub(super) others: Option<Box<Others<Acc>>>,
}

/// The sessions of a key but one.
pub(super) struct Others<Acc>(Vec<Session<Acc>>);

impl<Acc: Exchange> Entry for Open<Acc> {
    type Row = Vec<Session<Acc>>;
    type Context = ();
    const TABLE: &'static str = SESSIONS;
    const IS_RECALLED: bool = true;
    const HAD_NO_EXPIRY: bool = true;

    fn row(&self) -> Vec<Session<Acc>> {
        let mut sessions = vec![self.first.clone()];
        sessions.extend_from_slice(self.others());
        sessions
    }

    fn into_row(self) -> Vec<Session<Acc>> {
        let mut sessions = vec![self.first];
        sessions.extend(self.others.into_iter().flat_map(|others| others.0));
        sessions
    }

    fn from_row(mut row: Vec<Session<Acc>>, _: EventTime) -> Option<Open<Acc>> {
        let first = (!row.is_empty()).then(|| row.swap_remove(0))?;
        Some(Open { first, others: (!row.is_empty()).then(|| Box::new(Others(row))) })
    }

    /// The last moment of the session that ends first.
    fn deadline(&self, (): &()) -> Option<EventTime> {
        Some(self.others().iter().fold(self.first.0.last(), |least, (window, _)| least.min(window.last())))
    }

    fn sample(&self, footprint: &mut Footprint) {
        footprint.see(&self.first.1);
    }
}

impl<Acc> Open<Acc> {
    /// One session.
    pub(super) fn new(first: Session<Acc>) -> Open<Acc> {
        Open { first, others: None }
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
