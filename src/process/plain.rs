//! Process functions without keys: they emit any number of records and give to side outputs, and remember
//! nothing.

use std::sync::Arc;

use super::SideOutput;
use super::context::Counters;
use super::side_output::Sides;
use crate::data::{Data, Record, Stamp};
use crate::error::Result;
use crate::stream::{
    Chain, Consumers, Edge, Emit, GivenSides, Lowering, Node, NodeInfo, Operator, OperatorLogic, Outputs,
    Reader, Routing, Stream, epoch_driver,
};
use crate::time::{EventTime, Time};

/// What a function without keys has at hand.
pub struct PlainContext<'a, O: Data> {
    out: &'a mut Outputs<O>,
    sides: &'a mut Sides,
    counters: &'a mut Counters,
    from: Time,
    stamp: Stamp,
    watermark: EventTime,
}

impl<O: Data> PlainContext<'_, O> {
    /// The event time of the record at hand.
    pub fn timestamp(&self) -> EventTime {
        self.stamp.timestamp
    }

    /// The stamp of the record at hand: also how far its split had come.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The watermark: nothing older than this will come to this worker any more.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.from.epoch
    }

    /// Emits a record at the time of the one at hand.
    pub fn emit(&mut self, value: O) {
        self.out.give(self.from, Record::new(value, self.stamp));
    }

    /// Emits a record at another event time. If that is behind the watermark of the record at hand, it is a
    /// late one.
    pub fn emit_at(&mut self, value: O, timestamp: EventTime) {
        self.out.give(self.from, Record::new(value, Stamp { timestamp, ..self.stamp }));
    }

    /// Gives a record to a side output, at the time of the one at hand.
    pub fn side<S: Data>(&mut self, side: &SideOutput<S>, value: S) {
        self.sides.give(side, self.from, Record::new(value, self.stamp));
    }

    /// Adds to a counter of the operator's metrics. Seen by others when the epoch closes.
    pub fn count(&mut self, name: &'static str, by: i64) {
        self.counters.add(name, by);
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Gives each record to a function that emits any number of records and may give some to side outputs:
    /// Flink's `ProcessFunction`.
    ///
    /// Each worker has a clone of the function. For state and timers, see
    /// [`KeyedStream::process`](crate::stream::KeyedStream::process).
    ///
    /// ```
    /// use highwater::process::SideOutput;
    /// use highwater::stream::Job;
    ///
    /// let job = Job::new();
    /// let wrong = SideOutput::<String>::new();
    /// let numbers = job.collection(["1", "x", "3"]).process(move |text, cx| match text.parse::<i64>() {
    ///     Ok(number) => cx.emit(number),
    ///     Err(_) => cx.side(&wrong, text.to_string()),
    /// });
    /// let wrong = numbers.side(&wrong).collect();
    /// let numbers = numbers.collect();
    /// job.run()?;
    /// assert_eq!((numbers.values(), wrong.values()), (vec![1, 3], vec!["x".to_string()]));
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn process<O, F>(self, function: F) -> Stream<O>
    where
        O: Data,
        F: FnMut(T, &mut PlainContext<'_, O>) + Clone + Send + Sync + 'static,
    {
        let graph = self.graph();
        let edge = self.attach(Emit);
        let info = NodeInfo::new("process", "process").input(edge, Routing::Forward);
        let consumers = Consumers::new();
        let id = graph.add(info, PlainOperator { edge, function, consumers: Arc::clone(&consumers) });
        Stream::new(Node::new(&graph, id, &consumers))
    }
}

struct PlainOperator<T, O, F> {
    edge: Edge<Record<T>>,
    function: F,
    consumers: Arc<Consumers<O>>,
}

impl<T, O, F> Operator for PlainOperator<T, O, F>
where
    T: Data,
    O: Data,
    F: FnMut(T, &mut PlainContext<'_, O>) + Clone + Send + Sync + 'static,
{
    fn inspect(&self, _: Vec<(&'static str, Reader)>) -> Result<GivenSides> {
        Ok(GivenSides::Any)
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let input = builder.pipeline(self.edge);
        let ports = self.consumers.open(&mut builder);
        let sides = Sides(self.consumers.open_sides(&mut builder));
        let counters = Counters::new(worker.shared.metrics.clone(), uid);
        let logic = Plain { function: self.function.clone(), sides, counters, watermark: EventTime::MIN };
        epoch_driver::build(builder, worker, vec![input], ports, Showing(logic, std::marker::PhantomData));
    }
}

struct Plain<F> {
    function: F,
    sides: Sides,
    counters: Counters,
    watermark: EventTime,
}

/// A function at work, and what it emits.
struct Showing<F, O>(Plain<F>, std::marker::PhantomData<fn() -> O>);

impl<T, O, F> OperatorLogic<Record<T>> for Showing<F, O>
where
    T: Data,
    O: Data,
    F: FnMut(T, &mut PlainContext<'_, O>) + 'static,
{
    type Out = O;

    fn batch(&mut self, from: Time, batch: &mut Vec<Record<T>>, out: &mut Outputs<O>) {
        let Plain { function, sides, counters, watermark } = &mut self.0;
        for Record { value, stamp } in batch.drain(..) {
            function(value, &mut PlainContext { out, sides, counters, from, stamp, watermark: *watermark });
        }
    }

    fn advance(&mut self, watermark: EventTime, _: Time, _: &mut Outputs<O>) {
        self.0.watermark = watermark;
    }

    fn close(&mut self, _: u64, _: Option<Time>, _: &mut Outputs<O>) {
        self.0.counters.flush();
    }

    fn flush(&mut self) {
        self.0.sides.flush();
    }
}
