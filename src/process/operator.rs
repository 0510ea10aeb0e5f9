//! The operator around a process function.

use std::marker::PhantomData;
use std::sync::Arc;

use super::context::Counters;
use super::core::Core;
use super::inspect;
use super::side_output::Sides;
use super::{Context, Process, States, Timer};
use crate::data::{Data, Exchange, Key, Stamp, hash64};
use crate::error::Result;
use crate::snapshot::RestoredOperator;
use crate::state::{Found, OperatorState, Share, TimeDomain, TimerQueue};
use crate::stream::{
    ByKey, Chain, Collector, Consumers, Edge, GivenSides, Keyed, KeyedStream, Lowering, Node, NodeInfo,
    Operator, OperatorLogic, Outputs, Reader, Routing, SidePorts, Step, Stream, Then, WorkerContext,
    epoch_driver,
};
use crate::time::{EventTime, Time};

/// A record that waits for its time.
type Waiting<K, T> = (EventTime, (K, T, Stamp));

/// Sorts records of one time.
pub(super) type Sort<K, T> = fn(&mut Vec<Waiting<K, T>>);

impl<K: Key, T: Exchange, C: Chain<Out = (K, T)>> KeyedStream<K, T, C> {
    /// Passes each record to a process function, in order of arrival.
    ///
    /// See [`process`](crate::process) for the guarantees on order, and [`Process`] for an example.
    pub fn process<P: Process<K, T>>(self, function: P) -> Stream<P::Out> {
        let graph = self.graph();
        let edge = self.pairs.attach(ByKey);
        build(&graph, vec![edge], function, None, "process")
    }

    /// Passes each record to a process function when the watermark has passed it, in order of event time,
    /// then of key and value. Records that are behind the watermark of their split are dropped and counted as
    /// `late_dropped`; see [`late`](KeyedStream::late).
    pub fn process_in_order<P: Process<K, T>>(self, function: P) -> Stream<P::Out>
    where
        T: Ord,
    {
        let graph = self.graph();
        let edge = self.pairs.attach(ByKey);
        build(&graph, vec![edge], function, Some(|records| records.sort()), "process in order")
    }

    /// The records that are behind the watermark of their split, which
    /// [`process_in_order`](KeyedStream::process_in_order) drops.
    pub fn late(&self) -> Stream<(K, T), Then<C, Behind>> {
        Stream::new(Then::new(self.pairs.chain.clone(), Behind))
    }
}

/// See [`KeyedStream::late`].
#[derive(Clone, Copy)]
pub struct Behind;

impl<T: Data> Step<T> for Behind {
    type Out = T;
    const NAME: &'static str = "late";

    #[inline]
    fn apply<N: Collector<T>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        if is_late(&stamp) {
            next.push(value, stamp);
        }
    }
}

fn is_late(stamp: &Stamp) -> bool {
    stamp.timestamp < stamp.watermark
}

/// Adds the operator of a process function to a graph.
pub(super) fn build<K: Key, T: Exchange, P: Process<K, T>>(
    graph: &crate::stream::Graph,
    edges: Vec<Edge<Keyed<K, T>>>,
    function: P,
    sort: Option<Sort<K, T>>,
    name: &'static str,
) -> Stream<P::Out> {
    let info = NodeInfo::new("process", name).stateful();
    let info = edges.iter().fold(info, |info, edge| info.input(*edge, Routing::ByKey));
    let consumers = Consumers::new();
    let operator =
        ProcessOperator { edges, function, sort, consumers: Arc::clone(&consumers), key: PhantomData };
    let id = graph.add(info, operator);
    Stream::new(Node::new(graph, id, &consumers))
}

struct ProcessOperator<K: Key, T, P: Process<K, T>> {
    edges: Vec<Edge<Keyed<K, T>>>,
    function: P,
    sort: Option<Sort<K, T>>,
    consumers: Arc<Consumers<P::Out>>,
    key: PhantomData<fn(K)>,
}

impl<K: Key, T: Exchange, P: Process<K, T>> Operator for ProcessOperator<K, T, P> {
    fn inspect(&self, readers: Vec<(&'static str, Reader)>) -> Result<GivenSides> {
        inspect(&self.function, readers)
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let (worker, readers) = (cx.worker.clone(), cx.readers());
        let mut builder = cx.operator(uid);
        let inputs = self.edges.iter().map(|edge| builder.by_key(*edge, |keyed| &keyed.key)).collect();
        let ports = self.consumers.open(&mut builder);
        let sides = self.consumers.open_sides(&mut builder);
        let logic = Processing::open(self.function.clone(), self.sort, sides, readers, (uid, &worker));
        epoch_driver::build(builder, worker, inputs, ports, logic);
    }
}

/// Inspects what a function registers.
pub(super) fn inspect<K: Key, T, P: Process<K, T>>(
    function: &P,
    readers: Vec<(&'static str, Reader)>,
) -> Result<GivenSides> {
    inspect::inspect(function, |function, trial| {
        let mut states = States::trial(trial, readers);
        function.open(&mut states);
        states.check();
    })
}

/// A process function at work on one worker.
pub(super) struct Processing<K: Key, T: Exchange, P> {
    pub(super) function: P,
    core: Core<K>,
    sides: Sides,
    counters: Counters,
    /// Records that wait for the watermark, if they are processed in order.
    waiting: Option<(Sort<K, T>, TimerQueue<(K, T, Stamp)>)>,
    worker: WorkerContext,
    /// The slots of a batch's keys.
    found: Vec<Found>,
}

impl<K: Key, T: Exchange, P: Process<K, T>> Processing<K, T, P> {
    /// Opens a function on a worker.
    pub(super) fn open(
        mut function: P,
        sort: Option<Sort<K, T>>,
        sides: Vec<(u64, Box<dyn SidePorts>)>,
        readers: Vec<(&'static str, Reader)>,
        (uid, worker): (&str, &WorkerContext),
    ) -> Processing<K, T, P> {
        let mut core = Core::new(hash64, uid, worker);
        let mut states = States::new(&mut core, worker, readers);
        function.open(&mut states);
        states.check();
        let quota = worker.quota(uid, "records_spilled");
        let waiting = sort.map(|sort| (sort, TimerQueue::of_records(quota)));
        let counters = Counters::new(worker.shared.metrics.clone(), uid);
        let sides = Sides(sides);
        let (worker, found) = (worker.clone(), Vec::new());
        let mut opened = Processing { function, core, sides, counters, waiting, worker, found };
        // Mistakes in registrations are reported before the first record.
        opened.report();
        opened
    }

    /// Processes a record, or adds it to the queue.
    #[inline]
    pub(super) fn take(&mut self, time: Time, key: K, value: T, stamp: Stamp, out: &mut Outputs<P::Out>) {
        self.core.epoch = time.epoch;
        match &mut self.waiting {
            None => self.process(&key, value, stamp, time, out),
            // By its own stamp, so the same records are dropped in every run.
            Some(_) if is_late(&stamp) => self.counters.add("late_dropped", 1),
            Some((_, queue)) => queue.add(stamp.timestamp, (key, value, stamp)),
        }
    }

    /// Passes a record to the function.
    #[inline]
    fn process(&mut self, key: &K, value: T, stamp: Stamp, from: Time, out: &mut Outputs<P::Out>) {
        let Processing { function, core, sides, counters, .. } = self;
        core.slot = core.store.slot(key);
        function.process(value, &mut Context { core, out, sides, counters, from, stamp });
    }

    /// Fires the timers before a time, or all.
    fn fire(&mut self, by: TimeDomain, until: Option<i64>, from: Time, out: &mut Outputs<P::Out>) {
        let Processing { function, core, sides, counters, waiting, .. } = self;
        core.begin(by, until);
        while let Some(time) = core.fire() {
            let wall = by == TimeDomain::ProcessingTime;
            // In order, a timer sees event time as of its own time, not the watermark, so that it does not
            // depend on how far the watermark leaps.
            if waiting.is_some() && !wall {
                core.reach(time);
            }
            // Output of a wall-clock timer has the current event time.
            let at = if wall { core.now.watermark } else { time };
            let stamp = Stamp { timestamp: at, watermark: at };
            function.timer(Timer { time, wall }, &mut Context { core, out, sides, counters, from, stamp });
        }
        let dropped = core.take_dropped();
        if dropped > 0 {
            counters.add("timers_dropped", dropped as i64);
        }
    }

    /// Fires all timers, of both clocks, at the end of the input.
    fn fire_all(&mut self, from: Time, out: &mut Outputs<P::Out>) {
        while self.core.ends_again() {
            self.fire(TimeDomain::EventTime, None, from, out);
            self.core.reach(EventTime::MAX);
            self.fire(TimeDomain::ProcessingTime, None, from, out);
        }
        let dropped = self.core.drop_timers();
        self.counters.add("timers_dropped", dropped as i64);
    }

    /// Processes the records that the watermark has passed, and the timers between them, in order. At the end
    /// of event time it has passed all.
    fn take_in_order(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<P::Out>) {
        let mut reached = EventTime::MIN;
        // Records at the very end of time are included only at the end of the input.
        let before = (watermark < EventTime::MAX).then_some(watermark);
        while let Some((sort, queue)) = &mut self.waiting {
            let Some(mut records) = queue.draw(before) else { return };
            sort(&mut records);
            for (time, (key, value, stamp)) in records {
                // Timers before the record fire first. For the next record at the same time there are none.
                if time > reached && self.core.event_timers.next().is_some_and(|next| next < time) {
                    self.fire(TimeDomain::EventTime, Some(time), from, out);
                }
                reached = time;
                self.core.reach(time);
                self.process(&key, value, stamp, from, out);
                self.core.relieve(1);
            }
        }
    }

    /// Reads the wall clock. Call it before the records of a batch are processed.
    pub(super) fn look_at_clock(&mut self) {
        self.core.look_at_clock();
    }

    /// True on the first worker.
    pub(super) fn is_first(&self) -> bool {
        self.worker.index == 0
    }

    /// Ends the job if the function has made a mistake.
    pub(super) fn report(&mut self) {
        if let Some(mistake) = self.core.mistake.take() {
            self.worker.shared.fail(mistake);
        }
    }
}

impl<K: Key, T: Exchange, P: Process<K, T>> OperatorLogic<Keyed<K, T>> for Processing<K, T, P> {
    type Out = P::Out;

    fn batch(&mut self, time: Time, batch: &mut Vec<Keyed<K, T>>, out: &mut Outputs<P::Out>) {
        self.core.look_at_clock();
        if self.waiting.is_some() {
            batch.drain(..).for_each(|Keyed { key, input, stamp }| self.take(time, key, input, stamp, out));
        } else {
            self.core.epoch = time.epoch;
            let mut found = std::mem::take(&mut self.found);
            // All keys of the batch are looked up together, which hides cache misses.
            self.core.store.slots(batch.iter().map(|keyed| &keyed.key), &mut found);
            let Processing { function, core, sides, counters, .. } = self;
            for (Keyed { input, stamp, .. }, found) in batch.drain(..).zip(found.drain(..)) {
                core.slot = found.slot;
                function.process(input, &mut Context { core, out, sides, counters, from: time, stamp });
            }
            self.found = found;
        }
        self.report();
    }

    fn advance(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<P::Out>) {
        self.core.epoch = from.epoch;
        self.core.look_at_clock();
        self.take_in_order(watermark, from, out);
        // In order of arrival, timers see the watermark; in order of event time, `take_in_order` has advanced
        // event time record by record.
        if self.waiting.is_none() {
            self.core.reach(watermark);
        }
        match watermark {
            EventTime::MAX => self.fire_all(from, out),
            _ => self.fire(TimeDomain::EventTime, Some(watermark), from, out),
        }
        self.core.reach(watermark);
        self.report();
    }

    fn close(&mut self, _: u64, since: Option<Time>, out: &mut Outputs<P::Out>) {
        self.core.look_at_clock();
        if let Some(since) = since {
            // Timers that were registered for a passed time: they fire at the latest here.
            match self.core.now.watermark {
                EventTime::MAX => {
                    self.take_in_order(EventTime::MAX, since, out);
                    self.fire_all(since, out);
                }
                watermark => self.fire(TimeDomain::EventTime, Some(watermark), since, out),
            }
        }
        self.core.tidy();
        self.counters.flush();
        self.report();
    }

    fn states(&mut self, visit: &mut dyn FnMut(&mut dyn OperatorState)) {
        if let Some((_, queue)) = &mut self.waiting {
            visit(&mut queue.as_state("waiting", |waiting| hash64(&waiting.0)));
        }
        visit(&mut self.core.as_state(""));
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.restore_states(from, share)?;
        self.function.restored(&mut self.core);
        Ok(())
    }

    fn owes(&self) -> Option<EventTime> {
        let waiting = self.waiting.as_ref().and_then(|(_, queue)| queue.next());
        let owed = waiting.into_iter().chain(self.core.event_timers.next()).min();
        // The queue returns the start of a bucket, which may be before its timers and before the watermark.
        let owed = owed.map(|owed| owed.max(self.core.now.watermark));
        owed.into_iter().chain(self.core.held.first_key_value().map(|(held, _)| *held)).min()
    }

    fn due(&self) -> Option<i64> {
        self.core.wall_timers.first()
    }

    fn tick(&mut self, millis: i64, from: Time, out: &mut Outputs<P::Out>) {
        self.core.epoch = from.epoch;
        self.core.now.millis = millis;
        match millis.checked_add(1) {
            // `fire` excludes `until`, and timers at `millis` are due.
            Some(until) => self.fire(TimeDomain::ProcessingTime, Some(until), from, out),
            // The end of the input: the frame passes the end of the wall clock.
            None => self.fire_all(from, out),
        }
        self.report();
    }

    fn flush(&mut self) {
        self.sides.flush();
    }
}
