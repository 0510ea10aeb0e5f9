//! The origin of a chain at a source: the chain is compiled into the loop that reads.
//!
//! The output of other operators is walked batch by batch, but the records of a source need not be gathered
//! in a batch first. If one consumer is attached, each record goes from the reader straight into its chain.
//! If there are several, records are read into a small batch, which each of them walks.

use std::sync::{Arc, Mutex, Weak};

use super::OnMalformed;
use super::source::{Reader, Source, Status};
use crate::data::{Record, Visit};
use crate::error::Result;
use crate::lock::lock;
use crate::stream::{
    Chain, ChainConsumer, ChainPort, ChainSink, Collector, ConsumerPort, Edge, Ends, Graph, NodeId,
    OperatorBuilder, Origin, SendBuffer, WeakGraph, batch_of, edge_of,
};
use crate::time::{EventTime, SplitWatermark, Stamps, Time, WatermarkBoard, Watermarks};

/// A source and how its records get event times.
pub struct Timed<S: Source, F> {
    pub(super) source: S,
    pub(super) watermarks: Watermarks<S::Item, F>,
    pub(super) on_malformed: OnMalformed,
    consumers: Mutex<Vec<Arc<dyn SourceTap<S, F>>>>,
    pub(super) plan: Mutex<Plan<S::Split>>,
}

impl<S: Source, F> Timed<S, F> {
    pub(super) fn new(
        source: S,
        watermarks: Watermarks<S::Item, F>,
        on_malformed: OnMalformed,
    ) -> Timed<S, F> {
        let plan = Mutex::new(Plan { splits: Vec::new(), board: Arc::new(WatermarkBoard::new(0, 0)) });
        Timed { source, watermarks, on_malformed, consumers: Mutex::default(), plan }
    }

    /// Opens an output port of the operator for each consumer.
    pub(super) fn ports(&self, builder: &mut OperatorBuilder<'_, '_>) -> Vec<Box<dyn SourceOutlet<S, F>>> {
        let consumers = lock(&self.consumers);
        // Those that were there when the job started.
        let taps: Vec<_> = consumers.iter().filter(|tap| builder.has_edge(tap.edge())).collect();
        taps.into_iter().map(|tap| tap.open(builder)).collect()
    }
}

/// What the main thread has prepared for the workers.
pub(super) struct Plan<P> {
    pub(super) splits: Vec<P>,
    /// The progress of each worker, which all workers read.
    pub(super) board: Arc<WatermarkBoard>,
}

/// The origin of a chain at a source: the chain is compiled into the loop that reads.
///
/// Like [`Node`](crate::stream::Node), it does not keep the job alive.
pub struct AtSource<S: Source, F> {
    graph: WeakGraph,
    id: NodeId,
    timed: Weak<Timed<S, F>>,
}

impl<S: Source, F> Clone for AtSource<S, F> {
    fn clone(&self) -> Self {
        AtSource { graph: self.graph.clone(), id: self.id, timed: Weak::clone(&self.timed) }
    }
}

impl<S: Source, F> AtSource<S, F> {
    pub(super) fn new(graph: &Graph, id: NodeId, timed: &Arc<Timed<S, F>>) -> AtSource<S, F> {
        AtSource { graph: graph.downgrade(), id, timed: Arc::downgrade(timed) }
    }
}

/// Extracts the event time of a record of a source.
pub trait Timestamps<T>: Fn(&T) -> EventTime + Clone + Send + Sync + 'static {}
impl<T, F: Fn(&T) -> EventTime + Clone + Send + Sync + 'static> Timestamps<T> for F {}

impl<S: Source, F: Timestamps<S::Item>> Origin for AtSource<S, F> {
    type Item = S::Item;

    fn graph(&self) -> Graph {
        self.graph.upgrade()
    }

    fn id(&self) -> NodeId {
        self.id
    }

    fn attach<C, N>(chain: C, terminal: N) -> Edge<N::Element>
    where
        C: Chain<From = AtSource<S, F>>,
        N: ChainSink<C::Out>,
    {
        let timed = chain.origin().timed.upgrade();
        let edge = edge_of(&chain);
        if let Some(timed) = timed {
            lock(&timed.consumers).push(Arc::new(ChainConsumer { chain, terminal, edge }));
        }
        edge
    }
}

impl<S: Source, F: Timestamps<S::Item>> Chain for AtSource<S, F> {
    type From = AtSource<S, F>;
    type Out = S::Item;

    fn origin(&self) -> &AtSource<S, F> {
        self
    }

    fn steps(&self, _: &mut Vec<&'static str>) {}

    fn collector<E: Collector<S::Item>>(self, end: E) -> impl Collector<S::Item, End = E::End> {
        end
    }
}

/// A tap on a source, before the operator is built.
trait SourceTap<S: Source, F>: Send + Sync {
    /// The number of the edge that it feeds.
    fn edge(&self) -> usize;

    fn open(&self, builder: &mut OperatorBuilder<'_, '_>) -> Box<dyn SourceOutlet<S, F>>;
}

/// An outlet that can also be the body of the reading loop.
pub(super) trait SourceOutlet<S: Source, F>: ConsumerPort<S::Item> {
    /// Reads records into the chain, which may be sent from `time` on; returns how many.
    fn read(&mut self, time: Time, from: Reads<'_, S, F>, limit: usize) -> Result<(usize, Status)>;
}

/// What a piece of reading needs.
pub(super) struct Reads<'a, S: Source, F> {
    pub(super) reader: &'a mut S::Reader,
    pub(super) watermark: &'a mut SplitWatermark<S::Item>,
    pub(super) timestamp: &'a F,
}

impl<S, F, C, N> SourceTap<S, F> for ChainConsumer<C, N>
where
    S: Source,
    F: Timestamps<S::Item>,
    C: Chain<From = AtSource<S, F>>,
    N: ChainSink<C::Out>,
{
    fn edge(&self) -> usize {
        self.edge.id
    }

    fn open(&self, builder: &mut OperatorBuilder<'_, '_>) -> Box<dyn SourceOutlet<S, F>> {
        Box::new(self.outlet(builder))
    }
}

impl<S, F, C> SourceOutlet<S, F> for ChainPort<C>
where
    S: Source,
    F: Timestamps<S::Item>,
    C: Collector<S::Item, End: SendBuffer>,
{
    fn read(&mut self, time: Time, from: Reads<'_, S, F>, limit: usize) -> Result<(usize, Status)> {
        self.begin(time);
        let Reads { reader, watermark, timestamp } = from;
        match watermark.behind() {
            Some(mut behind) => {
                let read = self.read_pieces(reader, &mut behind, timestamp, limit);
                watermark.raise(behind.current);
                read
            }
            None => self.read_pieces(reader, watermark, timestamp, limit),
        }
    }
}

impl<C: Ends<End: SendBuffer>> ChainPort<C> {
    /// Reads no more at a time than what can be gathered before it should be sent.
    #[inline]
    fn read_pieces<R, W, F>(
        &mut self,
        reader: &mut R,
        stamps: &mut W,
        timestamp: &F,
        limit: usize,
    ) -> Result<(usize, Status)>
    where
        R: Reader,
        W: Stamps<R::Item>,
        F: Timestamps<R::Item>,
        C: Collector<R::Item>,
    {
        let mut total = 0;
        loop {
            let most = batch_of::<<C::End as SendBuffer>::Element>().min(limit - total);
            let mut stamping = Stamping { count: 0, timestamp, stamps, collector: &mut self.collector };
            let status = reader.read(most, &mut stamping)?;
            let count = stamping.count;
            total += count;
            self.relieve();
            if !matches!(status, Status::More) || count == 0 || total >= limit {
                return Ok((total, status));
            }
        }
    }
}

/// The body of the reading loop: gives each record its stamp and pushes it into a chain.
struct Stamping<'a, F, W, C> {
    count: usize,
    timestamp: &'a F,
    stamps: &'a mut W,
    collector: &'a mut C,
}

impl<T, F: Timestamps<T>, W: Stamps<T>, C: Collector<T>> Visit<T> for Stamping<'_, F, W, C> {
    #[inline(always)]
    fn visit(&mut self, value: T) {
        self.count += 1;
        let stamp = self.stamps.stamp(&value, (self.timestamp)(&value));
        self.collector.push(value, stamp);
    }
}

/// Reads records into a batch, and has each of several outlets walk it.
pub(super) fn read_for_all<S: Source, F: Timestamps<S::Item>>(
    ports: &mut [Box<dyn SourceOutlet<S, F>>],
    batch: &mut Vec<Record<S::Item>>,
    time: Time,
    from: Reads<'_, S, F>,
    limit: usize,
) -> Result<(usize, Status)> {
    let Reads { reader, watermark, timestamp } = from;
    let status = reader.read(limit, &mut |item| {
        let stamp = watermark.stamp(&item, timestamp(&item));
        batch.push(Record::new(item, stamp));
    })?;
    let count = batch.len();
    // The last outlet consumes the records, so only the others clone them.
    if let Some((last, others)) = ports.split_last_mut() {
        others.iter_mut().for_each(|outlet| outlet.walk(time, batch, false));
        last.walk(time, batch, true);
    }
    batch.clear();
    Ok((count, status))
}
