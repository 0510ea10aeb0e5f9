//! Changes: records with a sign, of which results that can be corrected are made.

use serde::{Deserialize, Serialize};

/// By how much the multiplicity of a record grows or, if negative, shrinks.
pub type Diff = i64;

/// An insertion or a retraction of a record.
///
/// A stream of changes describes a collection: the multiset of records whose diffs do not sum to zero. An
/// aggregate that rises from 3 to 4 is a retraction (`-1`) of the row with 3 and an insertion (`+1`) of the
/// row with 4.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change<T> {
    /// The record.
    pub record: T,
    /// The change of its multiplicity.
    pub diff: Diff,
}

impl<T> Change<T> {
    /// Inserts `record` once.
    pub fn insert(record: T) -> Change<T> {
        Change { record, diff: 1 }
    }

    /// Retracts `record` once.
    pub fn retract(record: T) -> Change<T> {
        Change { record, diff: -1 }
    }

    /// The same change of what `f` makes of the record.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Change<U> {
        Change { record: f(self.record), diff: self.diff }
    }

    /// The same change of what `f` makes of the record, if anything.
    pub fn filter_map<U>(self, f: impl FnOnce(T) -> Option<U>) -> Option<Change<U>> {
        f(self.record).map(|record| Change { record, diff: self.diff })
    }
}

/// The collection that changes add up to: each record that is left with its multiplicity, in order.
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
