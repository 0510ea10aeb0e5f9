//! What a strategy and a policy make of a recording, measured against the recomputation.

use std::collections::{BTreeMap, BTreeSet};

use super::Policy;
use super::report::{Latency, Row};
use super::tally::{Head, Late, Mark, Oracle, Place, Tally};
use crate::lock::lock;
use crate::time::EventTime;

/// The rows of a strategy, one for each policy.
pub(super) fn rows(head: &Head, oracle: &Oracle) -> Vec<Row> {
    let marks = lock(&head.marks);
    let results: BTreeMap<Place, Tally> = head
        .results
        .values()
        .into_iter()
        .map(|result| ((result.window.end, result.key), result.value))
        .collect();
    let late = head.late.sorted();
    let policies = head.policies.iter();
    let rows = policies.map(|(policy, corrected)| {
        let accepted: Vec<&Late> =
            late.iter().filter(|late| policy.corrects(&late.stamp, late.place.0)).collect();
        let said = Said::of(&results, &accepted, &marks);
        let corrected = corrected.as_ref().map(|corrected| corrected.sorted().into_iter().collect());
        let last = corrected.as_ref().unwrap_or(&results);
        let wrong = oracle.results.iter().filter(|(place, tally)| last.get(place) != Some(tally));
        let wrong: Vec<EventTime> = wrong.map(|((end, _), _)| *end).collect();
        let missing = (late.len() - accepted.len()) as u64;
        let is_aside = *policy == Policy::Side;
        Row {
            strategy: head.strategy.to_string(),
            policy: policy.to_string(),
            emitted: said.places.len() as u64 + said.restated,
            restated: said.restated,
            at_end: said.at_end(),
            first: Latency::of(said.places.values().flatten().map(|latency| latency.first)),
            settled: Latency::of(said.places.values().flatten().map(|latency| latency.last)),
            late: late.len() as u64,
            corrected: accepted.len() as u64,
            aside: if is_aside { missing } else { 0 },
            dropped: if is_aside { 0 } else { missing },
            wrong_results: wrong.len() as u64,
            wrong_windows: wrong.into_iter().collect::<BTreeSet<_>>().len() as u64,
            completeness: 1.0 - missing as f64 / oracle.records.max(1) as f64,
        }
    });
    rows.collect()
}

/// When results were emitted.
struct Said {
    /// `None` for those that came with the end of the recording.
    places: BTreeMap<Place, Option<Emitted>>,
    restated: u64,
}

/// How long after the end of its window a result was first emitted, and last.
#[derive(Clone, Copy)]
struct Emitted {
    first: i64,
    last: i64,
}

impl Said {
    /// `accepted` are the late records that correct results, in the order of arrival.
    fn of(results: &BTreeMap<Place, Tally>, accepted: &[&Late], marks: &[Mark]) -> Said {
        let at = |moment: EventTime, place: &Place| {
            let latency = moment.saturating_sub(place.0);
            Emitted { first: latency, last: latency }
        };
        let closed = |place: &Place| closed(place.0, marks);
        let first = |place: &Place| closed(place).map(|mark| at(mark.moment, place));
        let mut said =
            Said { places: results.keys().map(|place| (*place, first(place))).collect(), restated: 0 };
        for late in accepted {
            let place = late.place;
            if closed(&place).is_none_or(|mark| late.number.cast_signed() <= mark.number) {
                // The window is still open, and the record will be part of its first result.
                said.places.entry(place).or_insert_with(|| first(&place));
            } else if let Some(known) = said.places.get_mut(&place) {
                said.restated += 1;
                if let Some(emitted) = known {
                    emitted.last = late.arrival.saturating_sub(place.0);
                }
            } else {
                said.places.insert(place, Some(at(late.arrival, &place)));
            }
        }
        said
    }

    fn at_end(&self) -> u64 {
        self.places.values().filter(|emitted| emitted.is_none()).count() as u64
    }
}

/// The move of the watermark that closed the window that ends at `end`, if it was one and not the end of the
/// recording.
fn closed(end: EventTime, marks: &[Mark]) -> Option<Mark> {
    marks.get(marks.partition_point(|mark| mark.watermark < end)).copied()
}
