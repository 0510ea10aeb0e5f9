//! What a comparison writes down of each strategy while it runs, and what is right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::recording::Recording;
use super::strategy::Strategy;
use crate::connector::{Collected, Materialized};
use crate::data::Stamp;
use crate::time::EventTime;
use crate::window::{Aligned, Windowed};

/// The end of a window, and a key.
pub(super) type Place = (EventTime, u32);

/// The result of a window for a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) count: u64,
    /// Wide enough for any: fewer than 2^64 values of less than 2^63 each.
    pub(super) sum: i128,
}

impl Tally {
    pub(super) fn of(value: i64) -> Tally {
        Tally { count: 1, sum: value.into() }
    }

    pub(super) fn and(self, other: Tally) -> Tally {
        Tally { count: self.count + other.count, sum: self.sum + other.sum }
    }
}

/// A record that is late for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Late {
    /// The record's number.
    pub(super) number: u64,
    /// The window's end, and the record's key.
    pub(super) place: Place,
    pub(super) arrival: EventTime,
    pub(super) value: i64,
    pub(super) stamp: Stamp,
}

/// A move of a stream's watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The number of the last record that had been read.
    pub(super) number: i64,
    /// When it was, on the arrival clock.
    pub(super) moment: EventTime,
    pub(super) watermark: EventTime,
}

/// What one strategy gives.
pub(super) struct Head {
    pub(super) strategy: Strategy,
    /// The moves of its watermark, in order.
    pub(super) marks: Arc<Mutex<Vec<Mark>>>,
    /// What its windows say.
    pub(super) results: Collected<Windowed<u32, Tally>>,
    /// The records that are late for windows.
    pub(super) late: Collected<Late>,
    /// For each policy, the results after corrections, if it makes any.
    pub(super) policies: Vec<(Policy, Option<Materialized<(Place, Tally)>>)>,
}

/// What is right: every record in every window that it falls into.
pub(super) struct Oracle {
    pub(super) results: BTreeMap<Place, Tally>,
    /// The ends of windows that have anything in them.
    pub(super) windows: BTreeSet<EventTime>,
    /// Records, once for each window.
    pub(super) records: u64,
}

impl Oracle {
    pub(super) fn of(recording: &Recording, windows: &Aligned) -> Oracle {
        let mut results = BTreeMap::<Place, Tally>::new();
        for event in recording.events() {
            for window in windows.of_timestamp(event.event) {
                let tally = results.entry((window.end, event.key)).or_default();
                *tally = tally.and(Tally::of(event.value));
            }
        }
        let windows = results.keys().map(|(end, _)| *end).collect();
        let records = results.values().map(|tally| tally.count).sum();
        Oracle { results, windows, records }
    }
}
