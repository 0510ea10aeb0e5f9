//! What the rows of an arrangement mean: how values of one key in successive epochs combine.

use crate::state::run::page::{PAGE_ROWS, Page};

/// The meaning of an arrangement's rows.
///
/// `absorb` must be associative: batches are merged in whatever grouping the spine chooses, though
/// always older with newer.
pub(crate) trait Rows: Clone + 'static {
    type Key: Ord + Clone + 'static;
    type Value: Clone + 'static;

    /// Joins the value of a later epoch to that of an earlier one.
    fn absorb(&self, older: &mut Self::Value, newer: &Self::Value);

    /// True if the row says nothing. `oldest` tells that there is no earlier batch whose row it might undo.
    fn is_vacant(&self, value: &Self::Value, oldest: bool) -> bool;

    /// True if no one will ask for the key again once the rows' clock has come so far. Expired keys must come
    /// before all others in key order.
    fn is_expired(_key: &Self::Key, _clock: i64) -> bool {
        false
    }

    /// The time up to which rows are over, by the clock that they expire by, if they do.
    fn clock(&self) -> i64 {
        i64::MIN
    }

    /// Lets that clock come this far.
    fn reach(&self, _time: i64) {}

    /// Makes a page of rows, at least one.
    fn page(&self, rows: Vec<(Self::Key, Self::Value)>) -> Page<Self::Key, Self::Value> {
        Page::resident(rows)
    }

    /// The number of rows that a full page has.
    fn page_rows(&self) -> usize {
        PAGE_ROWS
    }
}
