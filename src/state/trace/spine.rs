//! The batches of a state, oldest first, and what its readers need of them.

use std::marker::PhantomData;
use std::sync::Arc;

use differential_dataflow::logging::Logger;
use differential_dataflow::trace::{ExertionLogic, Trace, TraceReader};
use timely::PartialOrder;
use timely::dataflow::operators::generic::OperatorInfo;
use timely::progress::frontier::AntichainRef;
use timely::progress::{Antichain, Timestamp};
use timely::scheduling::activate::Activator;

use crate::data::{Exchange, Key};
use crate::state::trace::batch::{SealedBatch, StateBatch};
use crate::time::Time;

/// The batches of a state, of which the first are the state as of an epoch, and each other what a later
/// epoch has changed.
pub struct StateSpine<K, V> {
    batches: Vec<Arc<SealedBatch>>,
    /// No reader tells times apart that are before it.
    since: Antichain<Time>,
    /// No reader asks for less than all that is before it.
    physical: Antichain<Time>,
    row: PhantomData<fn() -> (K, V)>,
}

impl<K, V> StateSpine<K, V> {
    /// Puts the state as of an epoch in the place of the batches up to it, if readers let it.
    fn compact(&mut self) {
        // The times of batches do not go back, and those of rows in one are before its end.
        let is_seen = |time: Time| self.since.iter().all(|since| time.less_equal(since));
        let is_past = |batch: &&Arc<SealedBatch>| {
            PartialOrder::less_equal(batch.upper(), &self.physical) && batch.last().is_none_or(is_seen)
        };
        let past = self.batches.iter().take_while(is_past).count();
        if past > 1 {
            let some = &self.batches[..past];
            let time = some.iter().rev().find_map(|batch| batch.last()).unwrap_or_else(Time::minimum);
            let state = SealedBatch::state_after(some, time, &self.since);
            self.batches.splice(..past, state.map(Arc::new));
        }
    }
}

impl<K: Key, V: Exchange + Ord> TraceReader for StateSpine<K, V> {
    type Time = Time;
    type Batch = StateBatch<K, V>;

    fn batches_through(&mut self, upper: AntichainRef<'_, Time>) -> Option<Vec<StateBatch<K, V>>> {
        let is_through = |batch: &Arc<SealedBatch>| PartialOrder::less_equal(&batch.upper().borrow(), &upper);
        let (through, others) = self.batches.split_at(self.batches.partition_point(is_through));
        // The next one may begin before it only if it has nothing.
        let is_cut = others
            .first()
            .is_none_or(|next| next.is_empty() || PartialOrder::less_equal(&upper, &next.lower().borrow()));
        let through = through.iter().filter(|batch| !batch.is_empty());
        is_cut.then(|| through.map(|batch| StateBatch::of(Arc::clone(batch))).collect())
    }

    fn set_logical_compaction(&mut self, frontier: AntichainRef<'_, Time>) {
        self.since = frontier.to_owned();
        self.compact();
    }

    fn get_logical_compaction(&mut self) -> AntichainRef<'_, Time> {
        self.since.borrow()
    }

    fn set_physical_compaction(&mut self, frontier: AntichainRef<'_, Time>) {
        self.physical = frontier.to_owned();
        self.compact();
    }

    fn get_physical_compaction(&mut self) -> AntichainRef<'_, Time> {
        self.physical.borrow()
    }

    fn map_batches<F: FnMut(&StateBatch<K, V>)>(&self, mut f: F) {
        self.batches.iter().for_each(|batch| f(&StateBatch::of(Arc::clone(batch))));
    }
}

impl<K: Key, V: Exchange + Ord> Trace for StateSpine<K, V> {
    fn new(_: OperatorInfo, _: Option<Logger>, _: Option<Activator>) -> StateSpine<K, V> {
        let least = Antichain::from_elem(Time::minimum());
        StateSpine { batches: Vec::new(), since: least.clone(), physical: least, row: PhantomData }
    }

    /// Nothing is left to be done: runs are merged where they are sealed.
    fn exert(&mut self) {}

    fn set_exert_logic(&mut self, _: ExertionLogic) {}

    fn insert(&mut self, batch: StateBatch<K, V>) {
        self.batches.push(batch.sealed);
        self.compact();
    }

    fn close(&mut self) {
        let lower = self.batches.last().map(|batch| batch.upper().clone());
        let lower = lower.unwrap_or_else(|| Antichain::from_elem(Time::minimum()));
        if !lower.is_empty() {
            self.insert(differential_dataflow::trace::Batch::empty(lower, Antichain::new()));
        }
    }
}
