//! A queue of records that wait, as a state of its operator.

use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::operator_state::OperatorState;
use crate::state::run::incoming::Share;
use crate::state::timer::migratable::Migratable;
use crate::state::timer::queue::TimerQueue;

/// A queue whose entries are their rows, the name of its table, and the hash that an entry is owned by.
struct RecordsState<'a, E: Migratable> {
    queue: &'a mut TimerQueue<E>,
    table: &'static str,
    owner: fn(&E) -> u64,
}

impl<E: Migratable> TimerQueue<E> {
    /// The queue as a state: in a table of this name, entries being owned by a hash.
    pub(crate) fn as_state<'a>(
        &'a mut self,
        table: &'static str,
        owner: fn(&E) -> u64,
    ) -> impl OperatorState + use<'a, E> {
        RecordsState { queue: self, table, owner }
    }
}

impl<E: Migratable> OperatorState for RecordsState<'_, E> {
    fn seal(&mut self, epoch: u64) {
        self.queue.seal(epoch, |entry| ((self.owner)(entry), entry.clone()));
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.tables.extend(self.queue.save(self.table)?);
        Ok(())
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.queue.restore(self.table, from, share, Clone::clone)
    }

    fn evict(&mut self, epoch: u64) {
        self.queue.evict(epoch, self.owner, Clone::clone);
    }
}
