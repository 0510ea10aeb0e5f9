//! Changes: how a result that can be corrected is spoken of.

use serde::{Deserialize, Serialize};

/// How many times more (or, negative, fewer) a record is there.
pub type Diff = i64;

/// A record that came or went.
///
/// A stream of changes describes a collection: the multiset of records whose diffs do not sum to zero. An
/// aggregate that rises from 3 to 4 is spoken of as `-1` of the row with 3 and `+1` of the row with 4.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change<T> {
    /// What came or went.
    pub record: T,
    /// How many times.
    pub diff: Diff,
}

impl<T> Change<T> {
    /// One more `record`.
    pub fn insert(record: T) -> Change<T> {
        Change { record, diff: 1 }
    }

    /// One `record` fewer.
    pub fn retract(record: T) -> Change<T> {
        Change { record, diff: -1 }
    }

    /// The same change of something made from the record.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Change<U> {
        Change { record: f(self.record), diff: self.diff }
    }

    /// The same change of what `f` makes from the record, or none.
    pub fn filter_map<U>(self, f: impl FnOnce(T) -> Option<U>) -> Option<Change<U>> {
        f(self.record).map(|record| Change { record, diff: self.diff })
    }
}

/// The collection that changes describe: each record that is left, with how often it is there, in order.
///
/// ```
/// use highwater::data::{Change, consolidate};
/// let changes = [Change::insert("a"), Change::insert("b"), Change::retract("a")];
/// assert_eq!(consolidate(changes), [("b", 1)]);
/// ```
pub fn consolidate<T: Ord>(changes: impl IntoIterator<Item = Change<T>>) -> Vec<(T, Diff)> {
    let mut rows: Vec<(T, Diff)> = changes.into_iter().map(|c| (c.record, c.diff)).collect();
    differential_dataflow::consolidation::consolidate(&mut rows);
    rows
}
