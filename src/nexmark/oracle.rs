//! The answers to the Nexmark queries, computed as plainly as possible.
//!
//! Each function reads all events of a finite stream, keeps what it needs in ordered maps and returns all
//! rows, sorted. Nothing here knows about streams, windows of state or progress, and nothing is shared with
//! what answers the queries fast. That is the point: the tests, and `--verify`, compare the two.
//!
//! The specification is the SQL of the public Nexmark suite for Flink. What it leaves to the reader:
//!
//! * The ids of persons, and those of auctions, are unique.
//! * q3 compares states in upper case: this generator writes them in lower case.
//! * Averages of integers are truncated.
//! * Events may precede what they refer to: a bid joins an auction by the times of the two, also when it
//!   comes first in the stream.
//! * Windows are aligned to 1970. Those that reach beyond the ends of the stream count.
//! * q6 is not accepted by Flink. [`q6`] says what we take it to mean.
//! * Rows that are alike in what `ROW_NUMBER` orders them by: of two bids that win an auction alike (q9), or
//!   are alike in price (q19), the first to come is the first; of two last bids of a person (q18) it is the
//!   last to come. That is what Flink does with one reader.
//! * A bid that comes exactly ten seconds after another begins a new session (q11).
//! * Days and hours are those of UTC.

mod shared;
mod original;
mod added;

pub use added::{q9, q11, q12, q13, q14, q15, q16, q17, q18, q19, q20, q21, q22};
pub use original::{q0, q1, q2, q3, q4, q5, q6, q7, q8};

#[cfg(test)]
#[path = "oracle_tests.rs"]
mod tests;
