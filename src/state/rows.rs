//! What the rows of an arrangement mean: how values of one key in successive epochs combine.

use std::marker::PhantomData;

use differential_dataflow::difference::Semigroup;

use super::page::{PAGE_ROWS, Page};

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

    /// True if no one will ask for the key again. Expired keys must come before all others in key order.
    fn is_expired(&self, _key: &Self::Key) -> bool {
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

/// Rows whose latest value counts; `None` is the absence of the key.
pub(crate) struct Latest<K, V>(PhantomData<(K, V)>);

impl<K, V> Latest<K, V> {
    pub(crate) const fn new() -> Latest<K, V> {
        Latest(PhantomData)
    }
}

impl<K, V> Clone for Latest<K, V> {
    fn clone(&self) -> Self {
        Latest(PhantomData)
    }
}

impl<K: Ord + Clone + 'static, V: Clone + 'static> Rows for Latest<K, V> {
    type Key = K;
    type Value = Option<V>;

    fn absorb(&self, older: &mut Option<V>, newer: &Option<V>) {
        older.clone_from(newer);
    }

    fn is_vacant(&self, value: &Option<V>, oldest: bool) -> bool {
        oldest && value.is_none()
    }
}

/// Rows whose values add up.
pub(crate) struct Sums<K, R>(PhantomData<(K, R)>);

impl<K, R> Sums<K, R> {
    pub(crate) const fn new() -> Sums<K, R> {
        Sums(PhantomData)
    }
}

impl<K, R> Clone for Sums<K, R> {
    fn clone(&self) -> Self {
        Sums(PhantomData)
    }
}

impl<K: Ord + Clone + 'static, R: Semigroup + 'static> Rows for Sums<K, R> {
    type Key = K;
    type Value = R;

    fn absorb(&self, older: &mut R, newer: &R) {
        older.plus_equals(newer);
    }

    fn is_vacant(&self, value: &R, _oldest: bool) -> bool {
        value.is_zero()
    }
}
