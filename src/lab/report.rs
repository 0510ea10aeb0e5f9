//! What a comparison has found, and how programs read it.

use serde::Serialize;

use super::Windows;
use super::recording::Recording;
use super::tally::Oracle;
use crate::error::{Error, Result};

/// What a comparison has found. It depends on the recording and on what was compared, and on nothing else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Where the recording comes from.
    pub recording: String,
    /// How many records it has.
    pub records: u64,
    /// How many splits.
    pub splits: u64,
    /// How many keys.
    pub keys: u64,
    /// The windows, as they are written.
    pub window: String,
    /// How many windows have records.
    pub windows: u64,
    /// How many results there are in them, one for each key.
    pub results: u64,
    /// How many records count, once for each window they fall into.
    pub window_records: u64,
    /// A row for each policy of each strategy.
    pub rows: Vec<Row>,
}

/// What one strategy and one policy have given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The strategy, as it is written.
    pub strategy: String,
    /// The policy, as it is written.
    pub policy: String,
    /// Results that were emitted, restatements included.
    pub emitted: u64,
    /// How many of them restate an earlier one.
    pub restated: u64,
    /// Results that came only with the end of the recording: their latency is not known.
    pub at_end: u64,
    /// From the end of a window to its first result, for each key.
    pub first: Latency,
    /// From the end of a window to the last statement of its result, for each key.
    pub settled: Latency,
    /// Records that were late, once for each window they were late for.
    pub late: u64,
    /// Those of them that results were corrected by.
    pub corrected: u64,
    /// Those that went to a side output.
    pub aside: u64,
    /// Those that were dropped.
    pub dropped: u64,
    /// Results that are missing or not those of the recomputation, in the end.
    pub wrong_results: u64,
    /// Windows with such results.
    pub wrong_windows: u64,
    /// The share of records that are in the results, in the end: 0 to 1.
    pub completeness: f64,
}

/// Milliseconds on the arrival clock, of which some are negative if clocks are fast; `None` if there are no
/// results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half of the results took no longer.
    pub p50: Option<i64>,
    /// 99 of 100 took no longer.
    pub p99: Option<i64>,
    /// The longest.
    pub max: Option<i64>,
}

impl Latency {
    pub(super) fn of(latencies: impl Iterator<Item = i64>) -> Latency {
        let mut sorted: Vec<i64> = latencies.collect();
        sorted.sort_unstable();
        // The least that so many percent do not exceed.
        let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied();
        Latency { p50: at(50), p99: at(99), max: at(100) }
    }
}

impl Report {
    pub(super) fn new(recording: &Recording, windows: &Windows, oracle: &Oracle, rows: Vec<Row>) -> Report {
        Report {
            recording: recording.origin().to_owned(),
            records: recording.events().len() as u64,
            splits: recording.splits().len() as u64,
            keys: recording.keys().len() as u64,
            window: windows.to_string(),
            windows: oracle.windows.len() as u64,
            results: oracle.results.len() as u64,
            window_records: oracle.records,
            rows,
        }
    }

    /// The report as one JSON object.
    ///
    /// # Errors
    ///
    /// None that can be made to happen.
    pub fn json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::data("a report that is no JSON").because(error))
    }

    /// The rows as CSV, with the names of the columns in the first line. Latencies are in milliseconds, and
    /// empty if not known.
    ///
    /// # Errors
    ///
    /// None that can be made to happen.
    pub fn csv(&self) -> Result<String> {
        let mut out = csv::Writer::from_writer(Vec::new());
        let failed = |error| Error::data("a report that is no CSV").because(error);
        for row in &self.rows {
            out.serialize(Line::of(row)).map_err(failed)?;
        }
        let bytes = out.into_inner().map_err(|error| Error::io("cannot write CSV", error.into_error()))?;
        String::from_utf8(bytes).map_err(|error| Error::data("a report that is no text").because(error))
    }
}

/// A row without parts.
#[derive(Serialize)]
struct Line<'a> {
    strategy: &'a str,
    policy: &'a str,
    emitted: u64,
    restated: u64,
    at_end: u64,
    first_p50_ms: Option<i64>,
    first_p99_ms: Option<i64>,
    first_max_ms: Option<i64>,
    settled_p50_ms: Option<i64>,
    settled_p99_ms: Option<i64>,
    settled_max_ms: Option<i64>,
    late: u64,
    corrected: u64,
    aside: u64,
    dropped: u64,
    wrong_results: u64,
    wrong_windows: u64,
    completeness: f64,
}

impl<'a> Line<'a> {
    fn of(row: &'a Row) -> Line<'a> {
        Line {
            strategy: &row.strategy,
            policy: &row.policy,
            emitted: row.emitted,
            restated: row.restated,
            at_end: row.at_end,
            first_p50_ms: row.first.p50,
            first_p99_ms: row.first.p99,
            first_max_ms: row.first.max,
            settled_p50_ms: row.settled.p50,
            settled_p99_ms: row.settled.p99,
            settled_max_ms: row.settled.max,
            late: row.late,
            corrected: row.corrected,
            aside: row.aside,
            dropped: row.dropped,
            wrong_results: row.wrong_results,
            wrong_windows: row.wrong_windows,
            completeness: row.completeness,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_of_the_nearest_rank() {
        let latency = |values: &[i64]| {
            let latency = Latency::of(values.iter().copied());
            (latency.p50, latency.p99, latency.max)
        };
        assert_eq!(latency(&[]), (None, None, None));
        assert_eq!(latency(&[7]), (Some(7), Some(7), Some(7)));
        assert_eq!(latency(&[3, -1]), (Some(-1), Some(3), Some(3)));
        let hundred: Vec<i64> = (1..=200).rev().collect();
        assert_eq!(latency(&hundred), (Some(100), Some(198), Some(200)));
    }
}
