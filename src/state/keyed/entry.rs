//! What one key has in a [keyed table](crate::state::keyed::keyed_state): an operator's own type, which says
//! what is saved of it, when the operator must look at it again, and what it takes.

use crate::data::Exchange;
use crate::state::lsm::expiry::NEVER;
use crate::state::spill::footprint::Footprint;
use crate::time::EventTime;

/// What a key has. It is written whole: state of which parts change alone has
/// [columns](crate::state::keyed::column) of items.
pub(crate) trait Entry: Sized + 'static {
    /// What is saved of it.
    type Row: Exchange;

    /// What its deadline depends on beside it.
    type Context: 'static;

    /// The table that its rows are saved in.
    const TABLE: &'static str;

    /// True if an evicted key must be back in memory by its deadline, whether or not anything comes for it.
    /// Then the table knows which keys are evicted, in some sixty bytes each, and looks for no other. If not,
    /// evicted keys cost no memory, and each key that is not in memory is looked for.
    const IS_RECALLED: bool;

    /// True if there are snapshots whose rows of the table have no expiry.
    const HAD_NO_EXPIRY: bool = false;

    /// The row.
    fn row(&self) -> Self::Row;

    /// The row of an entry that is evicted.
    fn into_row(self) -> Self::Row {
        self.row()
    }

    /// The entry of a row, which expires at `expires`. `None` if there is nothing in it.
    fn from_row(row: Self::Row, expires: EventTime) -> Option<Self>;

    /// True if the key needs no entry. It may have one until the epoch closes, and is not saved.
    fn is_vacant(&self) -> bool {
        false
    }

    /// When the operator must look at it, at the latest.
    fn deadline(&self, context: &Self::Context) -> Option<EventTime>;

    /// When its row is nothing any more, for whoever reads it. `NEVER` unless the operator does nothing but
    /// forget the key at its deadline.
    fn expires(&self) -> EventTime {
        NEVER
    }

    /// What it takes beside its place, if that is known and not sampled: bytes, and the number of values that
    /// [`sample`](Entry::sample) looks at one of.
    #[inline]
    fn held(&self) -> Held {
        Held { bytes: 0, values: 1 }
    }

    /// Looks at a value of it, as long as it has any.
    fn sample(&self, footprint: &mut Footprint);
}

/// Memory beside the places of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) bytes: usize,
    /// Values, which point to as much as those that are sampled.
    pub(crate) values: usize,
}

impl Held {
    /// Takes note that something is held as `after` that was held as `before`.
    #[inline]
    pub(crate) fn account(&mut self, before: Held, after: Held) {
        self.bytes = self.bytes + after.bytes - before.bytes;
        self.values = self.values + after.values - before.values;
    }
}
