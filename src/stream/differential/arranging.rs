//! The operator that keeps a collection for those who share it.
//!
//! The changes of an epoch are exchanged to the owners of their keys, and sealed as one run when the epoch
//! closes. The run goes to all readers as a [batch](crate::state::StateTrace), by a pointer, and into the
//! trace that they share. What the operator itself needs of the past is nothing: its own reader of the trace
//! lets `since` go on at once.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use differential_dataflow::operators::arrange::{TraceAgent, TraceWriter};
use differential_dataflow::trace::{Trace, TraceReader};
use timely::progress::{Antichain, Timestamp};

use super::kept::Kept;
use crate::data::{Change, Exchange, Hashed, Key, Record, Stamp};
use crate::error::Result;
use crate::snapshot::RestoredOperator;
use crate::state::{
    Counted, OperatorState, SealedBatch, Share, SortedRun, StateBatch, StateSpine, epoch_time,
};
use crate::stream::Edge;
use crate::stream::consumers::{Consumers, Outputs};
use crate::stream::epoch_driver::{self, OperatorLogic};
use crate::stream::graph::{Lowering, Operator};
use crate::stream::traces::SharedTrace;
use crate::time::{EventTime, Time};

/// A change of a collection of records with keys.
type Entry<K, V> = Record<Change<(K, V)>>;

/// The name of its table in snapshots.
const TABLE: &str = "arrangement";

/// Its recipe.
pub(super) struct ArrangeOperator<K, V> {
    pub(super) edge: Edge<Entry<K, V>>,
    pub(super) consumers: Arc<Consumers<Arc<SealedBatch>>>,
}

impl<K: Key, V: Exchange + Ord> Operator for ArrangeOperator<K, V> {
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let (worker, node) = (cx.worker.clone(), cx.node());
        let mut builder = cx.operator(uid);
        let input = builder.by_key(self.edge, |entry: &Entry<K, V>| &entry.value.record.0);
        let ports = self.consumers.open(&mut builder);
        let mut kept = Kept::new(TABLE, Counted::new(), &worker);
        // Readers find what cannot be read, and nobody else would tell of it.
        let shared = Arc::downgrade(&worker.shared);
        kept.arrangement.fail_by(Arc::new(move |error| {
            if let Some(shared) = shared.upgrade() {
                shared.fail(error);
            }
        }));
        let spine = StateSpine::new(builder.info(), None, None);
        let (trace, writer) = TraceAgent::new(spine, builder.info(), None);
        let trace: SharedTrace<K, V> = Rc::new(RefCell::new(trace));
        worker.traces.keep(node, uid, Rc::clone(&trace));
        let upper = Antichain::from_elem(Time::minimum());
        let logic = Arranging { kept, writer, trace, upper, first: worker.first_epoch() };
        epoch_driver::build(builder, worker, vec![input], ports, logic);
    }
}

/// One worker's instance.
struct Arranging<K: Key, V: Exchange + Ord> {
    kept: Kept<Counted<K, V>>,
    writer: TraceWriter<StateSpine<K, V>>,
    trace: SharedTrace<K, V>,
    /// The end of the last batch.
    upper: Antichain<Time>,
    first: u64,
}

impl<K: Key, V: Exchange + Ord> Arranging<K, V> {
    /// Gives the trace what an epoch has changed.
    fn insert(&mut self, epoch: u64, runs: Vec<Arc<SortedRun>>) -> Arc<SealedBatch> {
        let arrangement = &self.kept.arrangement;
        let lower = std::mem::take(&mut self.upper);
        let batch = SealedBatch::new(lower, epoch, runs, arrangement.runs(), arrangement.failures());
        self.upper = batch.upper().clone();
        let batch = Arc::new(batch);
        self.writer.insert(StateBatch::of(Arc::clone(&batch)), Some(epoch_time(epoch)));
        self.let_go();
        batch
    }

    /// Holds nothing of the past.
    fn let_go(&mut self) {
        let mut trace = self.trace.borrow_mut();
        trace.set_logical_compaction(self.upper.borrow());
        trace.set_physical_compaction(self.upper.borrow());
    }
}

impl<K: Key, V: Exchange + Ord> OperatorLogic<Entry<K, V>> for Arranging<K, V> {
    type Out = Arc<SealedBatch>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Entry<K, V>>, _: &mut Outputs<Self::Out>) {
        for Record { value: Change { record: (key, value), diff }, .. } in batch.drain(..) {
            self.kept.add((Hashed::new(key), value), diff);
        }
    }

    fn advance(&mut self, _: EventTime, _: Time, _: &mut Outputs<Self::Out>) {}

    fn close(&mut self, epoch: u64, since: Option<Time>, out: &mut Outputs<Self::Out>) {
        let Some(run) = self.kept.close(epoch) else { return };
        let batch = self.insert(epoch, vec![run]);
        if let Some(since) = since {
            let stamp = Stamp { timestamp: since.event, watermark: since.event };
            out.give(since, Record::new(batch, stamp));
        }
    }

    fn passed(&mut self, next: u64) {
        // Also where nothing has changed: what is attached knows that an epoch is over when all workers say
        // so.
        self.upper = match next {
            u64::MAX => Antichain::new(),
            next => Antichain::from_elem(epoch_time(next)),
        };
        self.writer.seal(self.upper.clone());
        self.let_go();
    }

    fn states(&mut self, visit: &mut dyn FnMut(&mut dyn OperatorState)) {
        visit(&mut self.kept);
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.restore_states(from, share)?;
        let runs = self.kept.arrangement.runs().to_vec();
        if !runs.is_empty() {
            // The state as of the cut, which readers take from the trace when they begin.
            self.insert(self.first.saturating_sub(1), runs);
        }
        Ok(())
    }
}
