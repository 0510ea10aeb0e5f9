//! Operators as timely sees them: ports, and the times an operator holds.
//!
//! This is the interface between the engine and timely. An operator here has input ports, output ports with
//! exactly one consumer each, and one set of *holds*: the times at which it may still produce output, on all
//! its ports. Timely's general capabilities can do more, and count references for it; an operator of this
//! engine holds one or two times, and publishes them once at the end of each activation.
//!
//! # The protocol
//!
//! In one activation an operator may read messages, send messages and change its holds, in any order. Timely
//! sees only the sum of these changes at the end, which must be justified: each sent message's time and each
//! new hold must be at or above some time that was held at the beginning, or that a message read in this
//! activation had. The changes are published together, so no worker sees a moment at which neither a message
//! nor a hold covers pending output.
//!
//! # Edges without lifetimes
//!
//! A timely stream borrows the scope it was made in, so streams of different types cannot wait in one
//! collection for their consumer. The parts of a stream borrow nothing: the name of its source and its list
//! of pushers. An [`Edge`] is the typed number of such a pair, and [`Lowering`](super::Lowering) keeps the
//! pairs until the consumer is built.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use timely::communication::{Pull, Push};
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pact::{Exchange, ParallelizationContract, Pipeline};
use timely::dataflow::channels::pullers::Counter as PullCounter;
use timely::dataflow::channels::pushers::{Counter as PushCounter, Tee, TeeHelper};
use timely::dataflow::operators::generic::{OperatorInfo, builder_raw};
use timely::dataflow::{Scope, Stream as TimelyStream};
use timely::progress::frontier::{AntichainRef, MutableAntichain};
use timely::progress::operate::FrontierInterest;
use timely::progress::{Antichain, ChangeBatch, Source, Timestamp};
use timely::scheduling::{Activator, SyncActivator};

use crate::data::{self, Ownership, hash64};
use crate::stream::heap_sampler::{Heap, HeapSampler};
use crate::stream::operator_fault;
use crate::time::{Advance, EventTime, Progress, Time};

type Changes = Rc<RefCell<ChangeBatch<Time>>>;

/// The number of a connection between two operators, and the type of its elements.
pub struct Edge<E> {
    pub(crate) id: usize,
    element: PhantomData<fn() -> E>,
}

impl<E> Edge<E> {
    pub(crate) fn new(id: usize) -> Edge<E> {
        Edge { id, element: PhantomData }
    }
}

impl<E> Clone for Edge<E> {
    fn clone(&self) -> Edge<E> {
        *self
    }
}

impl<E> Copy for Edge<E> {}

/// The producing ends of edges whose consumer has not been built yet.
pub(crate) struct Edges {
    producers: BTreeMap<usize, Box<dyn Any>>,
    /// The uids of the operators that read them.
    consumers: BTreeMap<usize, Arc<str>>,
    /// The number of edges that there were when the job started.
    count: usize,
    ownership: Arc<Ownership>,
}

struct Producer<E> {
    source: Source,
    consumers: TeeHelper<Time, Vec<E>>,
    heap: Heap,
}

impl Edges {
    /// So many edges with the uids of their consumers. Keys are sent to whom they are owned by.
    pub(crate) fn new(
        count: usize,
        consumers: BTreeMap<usize, Arc<str>>,
        ownership: &Arc<Ownership>,
    ) -> Edges {
        Edges { producers: BTreeMap::new(), consumers, count, ownership: Arc::clone(ownership) }
    }

    /// What the elements of an edge point to.
    fn heap<E: 'static>(&self, edge: Edge<E>) -> Heap {
        let producer =
            self.producers.get(&edge.id).and_then(|producer| producer.downcast_ref::<Producer<E>>());
        producer.map(|producer| Rc::clone(&producer.heap)).unwrap_or_default()
    }

    /// Takes the stream of an edge, once.
    pub(crate) fn take<'s, E: 'static>(
        &mut self,
        edge: Edge<E>,
        scope: Scope<'s, Time>,
    ) -> TimelyStream<'s, Time, Vec<E>> {
        let producer =
            self.producers.remove(&edge.id).and_then(|producer| producer.downcast::<Producer<E>>().ok());
        match producer {
            Some(producer) => TimelyStream::new(producer.source, producer.consumers, scope),
            None => unreachable!("edge {} is lowered before it is used, and used once", edge.id),
        }
    }
}

/// Assembles one operator.
pub(crate) struct OperatorBuilder<'a, 's> {
    raw: builder_raw::OperatorBuilder<'s, Time>,
    scope: Scope<'s, Time>,
    edges: &'a mut Edges,
    consumed: Vec<Changes>,
    produced: Vec<Changes>,
    keeps_time: bool,
    uid: Arc<str>,
}

impl<'a, 's> OperatorBuilder<'a, 's> {
    pub(crate) fn new(name: &str, scope: Scope<'s, Time>, edges: &'a mut Edges) -> OperatorBuilder<'a, 's> {
        let raw = builder_raw::OperatorBuilder::new(name.to_owned(), scope);
        let (consumed, produced, uid) = (Vec::new(), Vec::new(), Arc::from(name));
        OperatorBuilder { raw, scope, edges, consumed, produced, keeps_time: false, uid }
    }

    /// Declares that the operator keeps a time of its own, as a source does: its outputs may have only the
    /// times that it holds, and its input frontiers do not bound them. Call it before the first port is made.
    ///
    /// Messages that it sends and times that it holds are then justified by what it held at the beginning of
    /// the activation, and by no message it has read.
    pub(crate) fn keep_time(&mut self) {
        self.keeps_time = true;
    }

    /// True if an edge was there when the job started.
    pub(crate) fn has_edge(&self, edge: usize) -> bool {
        edge < self.edges.count
    }

    /// The operator's uid.
    pub(crate) fn uid(&self) -> Arc<str> {
        Arc::clone(&self.uid)
    }

    /// An input port for elements that its own worker sends.
    pub(crate) fn pipeline<E: 'static>(&mut self, edge: Edge<E>) -> Input<E> {
        self.input(edge, Pipeline)
    }

    /// An input port to which each element is sent by the worker number that `route` gives for it.
    pub(crate) fn exchange<E: data::Exchange>(
        &mut self,
        edge: Edge<E>,
        mut route: impl FnMut(&E) -> usize + 'static,
    ) -> Input<E> {
        let mut heap = HeapSampler::new(self.edges.heap(edge));
        let route = move |element: &E| {
            heap.see(element);
            route(element) as u64
        };
        self.input(edge, Exchange::new(route))
    }

    /// An input port to which each element is sent to the owner of its key.
    pub(crate) fn by_key<E, K>(&mut self, edge: Edge<E>, key: impl Fn(&E) -> &K + 'static) -> Input<E>
    where
        E: data::Exchange,
        K: Hash,
    {
        let ownership = Arc::clone(&self.edges.ownership);
        self.exchange(edge, move |element| ownership.worker_of(hash64(key(element))))
    }

    /// An input port to which each element that has a key is sent to the key's owner; others stay.
    pub(crate) fn exchange_by<E, K>(
        &mut self,
        edge: Edge<E>,
        key: impl Fn(&E) -> Option<&K> + 'static,
    ) -> Input<E>
    where
        E: data::Exchange,
        K: Hash + 'static,
    {
        let (ownership, here) = (Arc::clone(&self.edges.ownership), self.scope.index());
        let owner = move |key: &K| ownership.worker_of(hash64(key));
        self.exchange(edge, move |element| key(element).map_or(here, &owner))
    }

    /// An input port like [`pipeline`](Self::pipeline), with `delay` as its path summary to each existing
    /// output port: timely assumes that input at a time causes output no earlier than that much later.
    ///
    /// With `None` timely assumes that the input causes no output. Then the operator must hold a time for
    /// each port at or below whatever it will send there, since no input covers it.
    pub(crate) fn delayed<E: 'static>(&mut self, edge: Edge<E>, delay: Option<Advance>) -> Input<E> {
        let outputs = 0..self.produced.len();
        let delays =
            outputs.filter_map(|port| Some((port, Antichain::from_elem(delay?)))).collect::<Vec<_>>();
        let stream = self.edges.take(edge, self.scope);
        let puller = self.raw.new_input_connection(stream, Pipeline, delays);
        self.counted(Box::new(puller))
    }

    fn input<E: 'static, P>(&mut self, edge: Edge<E>, pact: P) -> Input<E>
    where
        P: ParallelizationContract<Time, Vec<E>>,
    {
        let stream = self.edges.take(edge, self.scope);
        self.input_of(stream, pact)
    }

    fn input_of<E: 'static, P>(&mut self, stream: TimelyStream<'s, Time, Vec<E>>, pact: P) -> Input<E>
    where
        P: ParallelizationContract<Time, Vec<E>>,
    {
        let puller: Box<dyn Pull<Message<Time, Vec<E>>>> = match self.keeps_time {
            // Unconnected: otherwise the input frontier would hold back the output frontier, which an
            // operator that keeps time moves by its holds alone.
            true => Box::new(self.raw.new_input_connection(stream, pact, [])),
            false => Box::new(self.raw.new_input(stream, pact)),
        };
        self.counted(puller)
    }

    fn counted<E>(&mut self, puller: Box<dyn Pull<Message<Time, Vec<E>>>>) -> Input<E> {
        let input = PullCounter::new(puller);
        self.consumed.push(Rc::clone(input.consumed()));
        Input(input)
    }

    /// An output port, which becomes `edge`.
    pub(crate) fn output<E: 'static>(&mut self, edge: Edge<E>) -> Output<E>
    where
        Vec<E>: timely::Container,
    {
        let (mut output, source, consumers) = self.raw_output();
        // Combining on this port runs the aggregate of the consumer, so a fault in it names the consumer.
        if let Some(consumer) = self.edges.consumers.get(&edge.id) {
            output.filler = Arc::clone(consumer);
        }
        let heap = Rc::clone(&output.heap);
        self.edges.producers.insert(edge.id, Box::new(Producer { source, consumers, heap }));
        output
    }

    /// An output port as a stream of timely's.
    pub(crate) fn output_stream<E: 'static>(&mut self) -> (Output<E>, TimelyStream<'s, Time, Vec<E>>)
    where
        Vec<E>: timely::Container,
    {
        let (output, source, consumers) = self.raw_output();
        (output, TimelyStream::new(source, consumers, self.scope))
    }

    /// An input port that reads a stream of timely's, on the same worker.
    pub(crate) fn input_stream<E: 'static>(&mut self, stream: TimelyStream<'s, Time, Vec<E>>) -> Input<E> {
        self.input_of(stream, Pipeline)
    }

    /// An output port without data, whose frontier shows the operator's progress.
    pub(crate) fn progress_output(&mut self) -> TimelyStream<'s, Time, Vec<()>> {
        self.output_stream().1
    }

    fn raw_output<E: 'static>(&mut self) -> (Output<E>, Source, TeeHelper<Time, Vec<E>>)
    where
        Vec<E>: timely::Container,
    {
        // Timely's own stream of the port borrows the scope. This list of consumers does not, so it can wait
        // in `Edges`.
        let (_, port) = match self.keeps_time {
            true => self.raw.new_output_connection::<Vec<E>, _>([]),
            false => self.raw.new_output::<Vec<E>>(),
        };
        let (tee, consumers) = Tee::new();
        let pusher = PushCounter::new(tee);
        self.produced.push(Rc::clone(pusher.produced()));
        let filler = Arc::clone(&self.uid);
        (Output { pusher, dirty: false, sent: 0, heap: Heap::default(), filler }, *port.name(), consumers)
    }

    /// What timely knows of the operator.
    pub(crate) fn info(&self) -> OperatorInfo {
        self.raw.operator_info()
    }

    /// An activator of the operator.
    pub(crate) fn activator(&self) -> Activator {
        self.scope.activator_for(Rc::clone(&self.raw.operator_info().address))
    }

    /// An activator of the operator for any thread.
    pub(crate) fn sync_activator(&self) -> SyncActivator {
        self.scope.worker().sync_activator_for(self.raw.operator_info().address.to_vec())
    }

    /// Declares that a move of an input frontier alone need not activate the operator.
    pub(crate) fn ignore_frontiers(&mut self) {
        for input in 0..self.consumed.len() {
            self.ignore_frontier(input);
        }
    }

    /// Declares the same of one input, counted in the order in which they were made.
    pub(crate) fn ignore_frontier(&mut self, input: usize) {
        self.raw.set_notify_for(input, FrontierInterest::Never);
    }

    /// Puts the operator aside, unfinished, so that others can be built.
    pub(crate) fn set_aside(self) -> Unfinished<'s> {
        let OperatorBuilder { raw, scope, consumed, produced, uid, .. } = self;
        Unfinished { raw, scope, consumed, produced, uid }
    }

    /// Completes the operator. `logic` runs at each activation; it returns whether there is work left that no
    /// input and no hold covers.
    pub(crate) fn build(self, mut logic: impl FnMut(&Frontiers, &mut Capabilities) -> bool + 'static) {
        let OperatorBuilder { raw, consumed, produced, uid, .. } = self;
        let mut frontiers = Frontiers(vec![MutableAntichain::new(); consumed.len()]);
        // Timely lets each operator begin with a capability at the minimum on each port.
        let mut holds = Capabilities { published: vec![Time::minimum()], next: vec![Time::minimum()] };
        raw.build(move |progress| {
            for (frontier, changes) in frontiers.0.iter_mut().zip(&mut progress.frontiers) {
                frontier.update_iter(changes.drain());
            }
            let busy = logic(&frontiers, &mut holds);
            // Before progress is published: after a fault no other worker may see this one as having
            // completed anything.
            operator_fault::check(&uid);
            // Consumed messages, produced messages and holds are reported in one step. Reporting one without
            // the others would show a moment at which nothing covers pending output.
            for (consumed, changes) in consumed.iter().zip(&mut progress.consumeds) {
                consumed.borrow_mut().drain_into(changes);
            }
            for (produced, changes) in produced.iter().zip(&mut progress.produceds) {
                produced.borrow_mut().drain_into(changes);
            }
            holds.publish(&mut progress.internals);
            busy
        });
    }
}

/// An operator that was set aside.
pub(crate) struct Unfinished<'s> {
    raw: builder_raw::OperatorBuilder<'s, Time>,
    scope: Scope<'s, Time>,
    consumed: Vec<Changes>,
    produced: Vec<Changes>,
    uid: Arc<str>,
}

impl<'s> Unfinished<'s> {
    /// Continues building the operator.
    pub(crate) fn resume(self, edges: &mut Edges) -> OperatorBuilder<'_, 's> {
        let Unfinished { raw, scope, consumed, produced, uid } = self;
        OperatorBuilder { raw, scope, edges, consumed, produced, keeps_time: false, uid }
    }
}

/// The input frontiers of an operator.
pub(crate) struct Frontiers(Vec<MutableAntichain<Time>>);

impl Frontiers {
    /// The progress of all inputs together.
    pub(crate) fn progress(&self) -> Progress {
        self.0.iter().fold(Progress::END, |least, frontier| {
            frontier.frontier().iter().fold(least, |least, time| least.and(time))
        })
    }

    /// The frontier of an input, counted in the order in which they were made.
    pub(crate) fn of(&self, input: usize) -> AntichainRef<'_, Time> {
        self.0[input].frontier()
    }
}

/// The times at which an operator may still produce output.
pub(crate) struct Capabilities {
    published: Vec<Time>,
    next: Vec<Time>,
}

impl Capabilities {
    /// Replaces the holds from the end of this activation on.
    pub(crate) fn set(&mut self, times: impl IntoIterator<Item = Time>) {
        // A time above another adds nothing to the frontier and would cost progress updates.
        let minimal: Antichain<Time> = times.into_iter().collect();
        self.next.clear();
        self.next.extend(minimal);
        debug_assert!(
            self.next.iter().all(|time| time.event > Time::minimum().event || time.epoch < u64::MAX)
        );
    }

    /// The least event time held in an epoch up to this one.
    pub(crate) fn least(&self, epoch: u64) -> Option<EventTime> {
        self.next.iter().filter(|time| time.epoch <= epoch).map(|time| time.event).min()
    }

    /// True if nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    fn publish(&mut self, ports: &mut [ChangeBatch<Time>]) {
        // Most activations change nothing, and each update is broadcast to all workers.
        if self.published == self.next {
            return;
        }
        for port in ports {
            // All ports have the same holds.
            port.extend(self.next.iter().map(|time| (*time, 1)));
            port.extend(self.published.iter().map(|time| (*time, -1)));
        }
        self.published.clone_from(&self.next);
    }
}

/// An input port.
pub(crate) struct Input<E>(PullCounter<Time, Vec<E>, Box<dyn Pull<Message<Time, Vec<E>>>>>);

impl<E> Input<E> {
    /// The next batch and its time, if one has arrived.
    pub(crate) fn next(&mut self) -> Option<(Time, &mut Vec<E>)> {
        self.0.next().map(|message| (message.time, &mut message.data))
    }
}

/// An output port.
pub(crate) struct Output<E> {
    pusher: PushCounter<Time, Tee<Time, Vec<E>>>,
    dirty: bool,
    /// Bytes sent since the last [`take_sent`](Output::take_sent).
    sent: usize,
    /// What each element counts for beside its size in memory.
    heap: Heap,
    /// The uid of the consumer, for which elements are combined before they are sent.
    filler: Arc<str>,
}

impl<E: 'static> Output<E>
where
    Vec<E>: timely::Container,
{
    /// Sends a batch, and replaces it by an empty one of the same capacity.
    pub(crate) fn send(&mut self, time: Time, batch: &mut Vec<E>) {
        let len = batch.len();
        operator_fault::check(&self.filler);
        if len > 0 {
            Message::push_at(batch, time, &mut self.pusher);
            self.sent += len * (size_of::<E>() + self.heap.get());
            batch.clear();
            // Growing from zero to the same size again would copy each element about once more.
            batch.reserve(len);
            self.dirty = true;
        }
    }

    /// The bytes sent since the last call.
    pub(crate) fn take_sent(&mut self) -> usize {
        std::mem::take(&mut self.sent)
    }

    /// What an element points to beside its size in memory, in bytes, as far as that is known.
    pub(crate) fn heap(&self) -> usize {
        self.heap.get()
    }

    /// Flushes the channel's buffers for each receiver. Call it at the end of an activation.
    pub(crate) fn flush(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.pusher.done();
        }
    }
}
