//! One state of an operator, as the operator's driver handles it: when epochs close, and for snapshots.
//!
//! An operator shows its states, and the driver does the same with all of them: so none is forgotten by a cut
//! or left in memory by a limit. What is saved beside them is the operator's own.

use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::run::incoming::Share;

/// State that is sealed, saved, restored and evicted.
pub(crate) trait OperatorState {
    /// Writes what has changed since the last call into an arrangement, if there is one, because the state as
    /// of this epoch, which has just closed, was requested.
    fn seal(&mut self, epoch: u64);

    /// Shows readers from outside the state as of the end of this epoch, which has just closed, if they are
    /// to be shown it of each. It is the same up to `next`, the next epoch.
    fn publish(&mut self, _epoch: u64, _next: u64) {}

    /// Sets aside the changes of write-only state, up to and including this epoch, which has just closed and
    /// been sealed, for [`copy`](OperatorState::copy) to hand over.
    fn cut(&mut self, _epoch: u64) {}

    /// Copies up to `left` rows of what was set aside, and subtracts them from `left`. True if all is handed
    /// over.
    fn copy(&mut self, _left: &mut usize) -> bool {
        true
    }

    /// Adds what has just been sealed or set aside to a snapshot. Costs pointers to its pages.
    ///
    /// # Errors
    ///
    /// If something cannot be encoded.
    fn save(&self, saved: &mut SavedTables) -> Result<()>;

    /// Restores a worker's share from a snapshot, before anything else happens.
    ///
    /// # Errors
    ///
    /// If the snapshot cannot be read, or has other content than this state's.
    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()>;

    /// Evicts what exceeds the memory budget. The epoch has just closed, and is sealed if that was requested.
    fn evict(&mut self, _epoch: u64) {}
}
