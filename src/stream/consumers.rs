//! Taps: how the records of an operator reach its consumers.
//!
//! Each consumer of an operator's output has a tap of its own: the fused chain of stateless steps that leads
//! to it, and a terminal, which buffers the output of the chain and sends it. The operator walks each batch
//! that it produces once for each tap, while the batch is in the cache. So an output is never copied for a
//! second consumer; only records that pass the chain are sent, and each tap is an output port with one
//! consumer.

use std::any::Any;
use std::mem;
use std::sync::{Arc, Mutex, Weak};

use super::chain::{Chain, ChainSink, Collector, Ends, Origin, SendBuffer, edge_of};
use super::graph::WeakGraph;
use super::port::{OperatorBuilder, Output};
use super::{Edge, Graph, NodeId};
use crate::data::{Data, Record, Stamp};
use crate::lock::lock;
use crate::stream::operator_fault;
use crate::time::Time;

/// How many elements are gathered before they are sent: few enough to leave room for other data in a core's
/// L1 cache, and enough to make sending cheap.
pub(crate) const fn batch_of<E>() -> usize {
    let fit = BATCH_BYTES / if size_of::<E>() == 0 { 1 } else { size_of::<E>() };
    if fit < 64 {
        64
    } else if fit > 1024 {
        1024
    } else {
        fit
    }
}

const BATCH_BYTES: usize = 16 << 10;

/// The terminal that sends each record as it is.
#[derive(Clone, Copy)]
pub(crate) struct Emit;

impl<T: Data> ChainSink<T> for Emit {
    type Element = Record<T>;
    type Gather = Emitted<T>;

    fn open(&self) -> Emitted<T> {
        Emitted(Vec::new())
    }
}

/// Records on their way.
pub(crate) struct Emitted<T>(Vec<Record<T>>);

impl<T: Data> Ends for Emitted<T> {
    type End = Self;

    #[inline]
    fn end(&mut self) -> &mut Self {
        self
    }
}

impl<T: Data> Collector<T> for Emitted<T> {
    #[inline(always)]
    fn push(&mut self, value: T, stamp: Stamp) {
        self.0.push(Record { value, stamp });
    }
}

impl<T: Data> SendBuffer for Emitted<T> {
    type Element = Record<T>;

    #[inline]
    fn is_full(&self) -> bool {
        self.0.len() >= batch_of::<Record<T>>()
    }

    fn drain(&mut self, _: bool, send: &mut dyn FnMut(&mut Vec<Record<T>>)) {
        send(&mut self.0);
    }
}

/// A tap on records of type `T`, before the operator that gives them is built.
pub(crate) trait Consumer<T>: Send + Sync {
    /// The number of the edge that it feeds.
    fn edge(&self) -> usize;

    /// Adds the tap's output port to the operator.
    fn open(&self, builder: &mut OperatorBuilder<'_, '_>) -> Box<dyn ConsumerPort<T>>;
}

/// A tap while the operator runs.
pub(crate) trait ConsumerPort<T> {
    /// Walks a batch, whose records may be sent from `time` on. Consumes the records if `take` is set.
    fn walk(&mut self, time: Time, batch: &mut Vec<Record<T>>, take: bool);

    /// Sends what is gathered, and lets the channel pass it on.
    fn flush(&mut self);

    /// The bytes sent since the last call.
    fn take_sent(&mut self) -> usize;

    /// What an element that is sent points to beside its size in memory, in bytes, as far as that is known.
    fn heap(&self) -> usize;
}

/// A chain, the terminal it ends in, and the edge it feeds.
pub(crate) struct ChainConsumer<C: Chain, N: ChainSink<C::Out>> {
    pub(crate) chain: C,
    pub(crate) terminal: N,
    pub(crate) edge: Edge<N::Element>,
}

impl<C: Chain, N: ChainSink<C::Out>> ChainConsumer<C, N> {
    /// The tap's collector and port, as part of an operator.
    pub(crate) fn outlet(
        &self,
        builder: &mut OperatorBuilder<'_, '_>,
    ) -> ChainPort<impl Collector<<C::From as Origin>::Item, End = N::Gather> + use<C, N>> {
        let collector = self.chain.clone().collector(self.terminal.open());
        ChainPort { collector, output: builder.output(self.edge), since: None }
    }
}

impl<C: Chain, N: ChainSink<C::Out>> Consumer<<C::From as Origin>::Item> for ChainConsumer<C, N> {
    fn edge(&self) -> usize {
        self.edge.id
    }

    fn open(
        &self,
        builder: &mut OperatorBuilder<'_, '_>,
    ) -> Box<dyn ConsumerPort<<C::From as Origin>::Item>> {
        Box::new(self.outlet(builder))
    }
}

/// A collector and the port that what it gathers is sent on.
pub(crate) struct ChainPort<C: Ends<End: SendBuffer>> {
    pub(crate) collector: C,
    output: Output<<C::End as SendBuffer>::Element>,
    /// The time that everything gathered may be sent at; `None` if nothing is.
    since: Option<Time>,
}

impl<C: Ends<End: SendBuffer>> ChainPort<C> {
    /// Prepares for records that may be sent from `time` on.
    ///
    /// What is gathered is sent as one batch at a time that all of it may have: the least event time, as long
    /// as the epoch is the same.
    #[inline]
    pub(crate) fn begin(&mut self, time: Time) {
        match self.since {
            Some(since) if since.epoch == time.epoch => {
                self.since = Some(Time::new(since.epoch, since.event.min(time.event)));
            }
            Some(_) => {
                // A batch has one time, and elements of two epochs have no common one.
                self.send();
                self.since = Some(time);
            }
            None => self.since = Some(time),
        }
    }

    /// Sends gathered elements once a batch is full.
    #[inline]
    pub(crate) fn relieve(&mut self) {
        if self.collector.end().is_full()
            && let Some(time) = self.since
        {
            let output = &mut self.output;
            // `since` stays: elements that the buffer keeps, such as accumulators, are sent at it later.
            self.collector.end().drain(false, &mut |batch| output.send(time, batch));
        }
    }

    fn send(&mut self) {
        if let Some(time) = self.since.take() {
            let output = &mut self.output;
            self.collector.end().drain(true, &mut |batch| output.send(time, batch));
        }
    }

    /// Sends what is gathered, and lets the channel pass it on.
    pub(crate) fn flush(&mut self) {
        self.send();
        self.output.flush();
    }
}

impl<T: Data, C: Collector<T, End: SendBuffer>> ConsumerPort<T> for ChainPort<C> {
    fn walk(&mut self, time: Time, batch: &mut Vec<Record<T>>, take: bool) {
        self.begin(time);
        if take {
            for Record { value, stamp } in batch.drain(..) {
                self.collector.push(value, stamp);
            }
        } else {
            for Record { value, stamp } in batch.iter() {
                self.collector.push(value.clone(), *stamp);
            }
        }
        self.relieve();
    }

    fn flush(&mut self) {
        ChainPort::flush(self);
    }

    fn take_sent(&mut self) -> usize {
        self.output.take_sent()
    }

    fn heap(&self) -> usize {
        self.output.heap()
    }
}

/// The taps on one output of an operator, while the job is built.
pub(crate) struct Consumers<T> {
    consumers: Mutex<Vec<Arc<dyn Consumer<T>>>>,
    /// Side outputs of the operator, by their ids.
    sides: Mutex<Vec<(u64, Arc<dyn SideConsumers>)>>,
}

impl<T: Data> Consumers<T> {
    pub(crate) fn new() -> Arc<Consumers<T>> {
        Arc::new(Consumers { consumers: Mutex::default(), sides: Mutex::default() })
    }

    pub(crate) fn add(&self, tap: Arc<dyn Consumer<T>>) {
        lock(&self.consumers).push(tap);
    }

    /// Adds a side output.
    pub(crate) fn add_side<S: Data>(&self, id: u64, consumers: &Arc<Consumers<S>>) {
        lock(&self.sides).push((id, Arc::clone(consumers) as Arc<dyn SideConsumers>));
    }

    /// Gives the operator an output port for each tap on its side outputs.
    pub(crate) fn open_sides(&self, builder: &mut OperatorBuilder<'_, '_>) -> Vec<(u64, Box<dyn SidePorts>)> {
        lock(&self.sides).iter().map(|(id, consumers)| (*id, consumers.open_side(builder))).collect()
    }

    /// Gives the operator an output port for each tap that was there when the job started.
    pub(crate) fn open(&self, builder: &mut OperatorBuilder<'_, '_>) -> Outputs<T> {
        let consumers = lock(&self.consumers);
        let mut ports = Vec::with_capacity(consumers.len());
        for tap in consumers.iter().filter(|tap| builder.has_edge(tap.edge())).collect::<Vec<_>>() {
            ports.push(tap.open(builder));
        }
        Outputs { ports, batch: Vec::new(), time: Time::new(0, 0), uid: builder.uid() }
    }
}

/// The taps on a side output, of whatever type.
pub(crate) trait SideConsumers: Send + Sync {
    fn open_side(&self, builder: &mut OperatorBuilder<'_, '_>) -> Box<dyn SidePorts>;
}

impl<T: Data> SideConsumers for Consumers<T> {
    fn open_side(&self, builder: &mut OperatorBuilder<'_, '_>) -> Box<dyn SidePorts> {
        Box::new(self.open(builder))
    }
}

/// The taps on a side output of a running operator.
pub(crate) trait SidePorts: Any {
    /// Sends everything. To be called at the end of an activation.
    fn flush(&mut self);

    /// The outlets, to be downcast to their type.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<T: Data> SidePorts for Outputs<T> {
    fn flush(&mut self) {
        Outputs::flush(self);
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// The taps on one output of a running operator.
pub(crate) struct Outputs<T> {
    ports: Vec<Box<dyn ConsumerPort<T>>>,
    batch: Vec<Record<T>>,
    time: Time,
    /// The operator's uid.
    uid: Arc<str>,
}

impl<T: Data> Outputs<T> {
    /// An output to these ports, for tests of an operator's logic alone.
    #[cfg(test)]
    pub(crate) fn to(ports: Vec<Box<dyn ConsumerPort<T>>>) -> Outputs<T> {
        Outputs { ports, batch: Vec::new(), time: Time::new(0, 0), uid: Arc::from("") }
    }

    /// True if the output has no consumer.
    pub(crate) fn is_unread(&self) -> bool {
        self.ports.is_empty()
    }

    /// Emits a record that may be sent from `time` on.
    pub(crate) fn give(&mut self, time: Time, record: Record<T>) {
        // A batch has one time.
        if self.batch.len() >= batch_of::<Record<T>>() || (time != self.time && !self.batch.is_empty()) {
            self.walk();
        }
        self.time = time;
        self.batch.push(record);
    }

    /// Emits a batch.
    pub(crate) fn give_batch(&mut self, time: Time, batch: &mut Vec<Record<T>>) {
        if !self.batch.is_empty() {
            self.walk();
        }
        self.time = time;
        // The caller's batch is walked where it lies, without a copy of its records.
        mem::swap(&mut self.batch, batch);
        self.walk();
        mem::swap(&mut self.batch, batch);
    }

    fn walk(&mut self) {
        // Records that were computed after a fault must not leave the operator.
        operator_fault::check(&self.uid);
        if let Some((last, others)) = self.ports.split_last_mut() {
            for outlet in others {
                outlet.walk(self.time, &mut self.batch, false);
            }
            // The last tap may consume the records, so an output with one consumer clones nothing.
            last.walk(self.time, &mut self.batch, true);
        }
        self.batch.clear();
    }

    /// Sends everything. To be called at the end of an activation.
    pub(crate) fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.walk();
        }
        for outlet in &mut self.ports {
            outlet.flush();
        }
    }
}

/// The origin of a chain at an operator's output.
///
/// It does not keep the job alive: the operator holds its taps, the taps their chains, and the chains their
/// origins, so a strong reference would be a cycle. A stream built on an origin after the job is dropped has
/// no effect.
pub struct Node<T> {
    pub(super) graph: WeakGraph,
    pub(super) id: NodeId,
    pub(super) consumers: Weak<Consumers<T>>,
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Node<T> {
        Node { graph: self.graph.clone(), id: self.id, consumers: Weak::clone(&self.consumers) }
    }
}

impl<T: Data> Node<T> {
    /// The output of an operator.
    pub(crate) fn new(graph: &Graph, id: NodeId, consumers: &Arc<Consumers<T>>) -> Node<T> {
        Node { graph: graph.downgrade(), id, consumers: Arc::downgrade(consumers) }
    }
}

impl<T: Data> Origin for Node<T> {
    type Item = T;

    fn graph(&self) -> Graph {
        self.graph.upgrade()
    }

    fn id(&self) -> NodeId {
        self.id
    }

    fn attach<C, N>(chain: C, terminal: N) -> Edge<N::Element>
    where
        C: Chain<From = Node<T>>,
        N: ChainSink<C::Out>,
    {
        let consumers = chain.origin().consumers.upgrade();
        let edge = edge_of(&chain);
        if let Some(consumers) = consumers {
            consumers.add(Arc::new(ChainConsumer { chain, terminal, edge }));
        }
        edge
    }
}

impl<T: Data> Chain for Node<T> {
    type From = Node<T>;
    type Out = T;

    fn origin(&self) -> &Node<T> {
        self
    }

    fn steps(&self, _: &mut Vec<&'static str>) {}

    fn collector<E: Collector<T>>(self, end: E) -> impl Collector<T, End = E::End> {
        end
    }
}
