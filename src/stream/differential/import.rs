//! The input of a computation that reads arrangements: an operator that takes part in snapshots, and hands
//! batches on.
//!
//! Inside the computation there is no event time: all times are [epochs](crate::state::epoch_time) with the
//! least one, so an arrangement can forget the past however far apart its readers are in event time. The
//! operator holds the open epoch, and hands on what comes in it at once. Event time goes round the
//! computation, from the arrangements to its [output](super::leave).
//!
//! # Restore
//!
//! What the traces have when the operator is built is the state as of the cut, at a time before the first
//! epoch, and is handed on first.

use std::sync::Arc;

use differential_dataflow::operators::arrange::Arranged;
use differential_dataflow::trace::TraceReader;

use crate::data::{Exchange, Key, Record};
use crate::error::{Error, Result};
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{SealedBatch, Share, StateBatch, StateTrace, epoch_time};
use crate::stream::consumers::{Consumers, Outputs};
use crate::stream::epoch_driver::{self, OperatorLogic};
use crate::stream::graph::Lowering;
use crate::stream::port::Output;
use crate::stream::{Edge, OperatorBuilder, WorkerContext};
use crate::time::{EventTime, Time};

/// The name of the note in snapshots of what is read.
const READS: &str = "reads";

/// A batch of the arrangement of a number.
pub(super) type Numbered = Record<(usize, Arc<SealedBatch>)>;

/// The builder of such an operator.
pub(super) struct Import<'a, 's> {
    builder: OperatorBuilder<'a, 's>,
    ports: Vec<Box<dyn ImportPort>>,
}

impl<'a, 's> Import<'a, 's> {
    pub(super) fn new(uid: &str, cx: &'a mut Lowering<'s>) -> Import<'a, 's> {
        let mut builder = cx.operator(uid);
        builder.keep_time();
        Import { builder, ports: Vec::new() }
    }

    /// The next arrangement, as the computation reads it.
    pub(super) fn arranged<K: Key, V: Exchange + Ord>(
        &mut self,
        trace: StateTrace<K, V>,
    ) -> Arranged<'s, StateTrace<K, V>> {
        let (output, stream) = self.builder.output_stream();
        let mut batches = Vec::new();
        trace.map_batches(|batch| batches.push(batch.clone()));
        self.ports.push(Box::new(Port { output, batches }));
        Arranged { stream, trace }
    }

    /// Completes the operator, whose arrangements are given on these edges, by their numbers.
    /// `reads` says what the computation is.
    pub(super) fn build(self, edges: &[Edge<Numbered>], reads: (String, Vec<String>), worker: WorkerContext) {
        let Import { mut builder, ports } = self;
        let inputs = edges.iter().map(|edge| builder.pipeline(*edge)).collect();
        let start = epoch_time(worker.first_epoch().saturating_sub(1));
        let logic = Importing { ports, reads, start: Some(start) };
        let none = Consumers::new().open(&mut builder);
        epoch_driver::build(builder, worker, inputs, none, logic);
    }
}

/// Where the batches of one arrangement go.
trait ImportPort {
    fn take(&mut self, batch: Arc<SealedBatch>);
    fn send(&mut self, time: Time);
    fn flush(&mut self);
}

struct Port<K: Key, V: Exchange + Ord> {
    output: Output<StateBatch<K, V>>,
    batches: Vec<StateBatch<K, V>>,
}

impl<K: Key, V: Exchange + Ord> ImportPort for Port<K, V> {
    fn take(&mut self, batch: Arc<SealedBatch>) {
        self.batches.push(StateBatch::of(batch));
    }

    fn send(&mut self, time: Time) {
        self.output.send(time, &mut self.batches);
    }

    fn flush(&mut self) {
        self.output.flush();
    }
}

/// One worker's instance.
struct Importing {
    ports: Vec<Box<dyn ImportPort>>,
    /// The kind of the computation, and the arrangements that it reads. Snapshots have it: what another
    /// computation has told is not what this one has.
    reads: (String, Vec<String>),
    /// The time of what the traces had, until it has been handed on.
    start: Option<Time>,
}

impl OperatorLogic<Numbered> for Importing {
    /// None: batches go to the computation through outputs of their own.
    type Out = ();

    const KEEPS_TIME: bool = true;

    fn batch(&mut self, time: Time, batch: &mut Vec<Numbered>, _: &mut Outputs<()>) {
        self.send_initial();
        for Record { value: (number, batch), .. } in batch.drain(..) {
            self.ports[number].take(batch);
        }
        self.ports.iter_mut().for_each(|port| port.send(epoch_time(time.epoch)));
    }

    fn advance(&mut self, _: EventTime, _: Time, _: &mut Outputs<()>) {}

    fn close(&mut self, _: u64, _: Option<Time>, _: &mut Outputs<()>) {
        self.send_initial();
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.note(READS, &self.reads)
    }

    fn restore(&mut self, from: &RestoredOperator, _: &Share) -> Result<()> {
        let now = |(kind, uids): (String, Vec<String>)| {
            (kind, uids.iter().map(|uid| from.name_now(uid).to_owned()).collect::<Vec<_>>())
        };
        let before = from.latest::<(String, Vec<String>)>(READS)?.map(now);
        if before.as_ref() == Some(&self.reads) {
            return Ok(());
        }
        let told = |(kind, uids): &(String, Vec<String>)| format!("{kind} of {}", uids.join(" and "));
        let before = before.as_ref().map_or_else(|| "another operator".to_owned(), told);
        Err(Error::data(format!(
            "{:?} is {before} in the snapshot, and {} in the program, which cannot go on from what that has told: give \
             it another uid to begin anew",
            from.uid(),
            told(&self.reads),
        )))
    }

    fn owes(&self) -> Option<EventTime> {
        Some(EventTime::MIN)
    }

    fn flush(&mut self) {
        self.send_initial();
        self.ports.iter_mut().for_each(|port| port.flush());
    }
}

impl Importing {
    /// Hands on what the traces had, in the first activation: only then is the time of it still held.
    fn send_initial(&mut self) {
        if let Some(start) = self.start.take() {
            self.ports.iter_mut().for_each(|port| port.send(start));
        }
    }
}
