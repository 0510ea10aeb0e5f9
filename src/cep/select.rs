//! Streams in which a pattern is looked for: what a user gets.

use std::sync::Arc;

use super::matched::Match;
use super::operator::Detector;
use super::partials::clamped;
use super::{Automaton, Pattern};
use crate::data::{Data, Exchange, Key, Record, Stamp};
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::stream::{
    Chain, Collector, Consumers, Edge, KeyedStream, Lowering, Map, Node, NodeInfo, Operator, Routing, Step,
    Stream, Then, epoch_driver,
};

/// A keyed stream in which a pattern is looked for: Flink's `PatternStream`.
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct PatternStream<K, T, C> {
    pairs: Stream<(K, T), C>,
    matches: Node<Match<K, T>>,
    timed_out: Node<Match<K, T>>,
}

impl<K: Key, T: Exchange + Ord, C: Chain<Out = (K, T)>> KeyedStream<K, T, C> {
    /// Looks for a pattern among the records of each key, in the order of their event times; see
    /// [`cep`](crate::cep).
    ///
    /// A pattern that makes no sense is an error when the job is started.
    ///
    /// ```
    /// use highwater::cep::Pattern;
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    /// use std::time::Duration;
    ///
    /// let job = Job::new();
    /// // Who, degrees, when. They come a bit out of order.
    /// let readings = [("kiln", 90, 2), ("oven", 20, 1), ("kiln", 95, 4), ("oven", 99, 6), ("kiln", 99, 3)];
    /// let rising = Pattern::begin("warm", |r: &(String, i32, i64)| r.1 >= 90)
    ///     .next("hot", |r| r.1 >= 95)
    ///     .iterative(|hot, earlier| earlier.last().is_some_and(|warm| warm.1 < hot.1))
    ///     .within(Duration::from_millis(10));
    /// let alerts = job
    ///     .timed_collection(
    ///         readings.map(|(who, degrees, at)| (who.to_string(), degrees, at)),
    ///         Watermarks::bounded(Duration::from_millis(5), |r: &(String, i32, i64)| r.2),
    ///     )
    ///     .key_by(|reading| reading.0.clone())
    ///     .detect(rising)
    ///     .select(|found| (found.key, found.timestamp, found.events.of("hot")[0].1))
    ///     .collect();
    /// job.run()?;
    /// assert_eq!(alerts.values(), [("kiln".to_string(), 3, 99)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn detect(self, pattern: Pattern<T>) -> PatternStream<K, T, C> {
        let pairs = self.pairs;
        let graph = pairs.graph();
        let late = Metric::default();
        let on_time = Stream::new(Then::new(pairs.chain.clone(), OnTime(late.clone())));
        let edge = on_time.emit();
        let info = NodeInfo::new("pattern", pattern.to_string()).input(edge, Routing::ByKey).stateful();
        let (matches, timed_out) = (Consumers::new(), Consumers::new());
        let text = pattern.to_string();
        let automaton = pattern.compile().map(Arc::new).map_err(|error| error.to_string());
        let (found, over) = (Arc::clone(&matches), Arc::clone(&timed_out));
        let id =
            graph.add(info, PatternOperator { edge, text, automaton, late, matches: found, timed_out: over });
        let (matches, timed_out) = (Node::new(&graph, id, &matches), Node::new(&graph, id, &timed_out));
        PatternStream { pairs, matches, timed_out }
    }
}

impl<K: Key, T: Exchange + Ord, C: Chain<Out = (K, T)>> PatternStream<K, T, C> {
    /// The matches. The event time of each is its timestamp.
    pub fn matches(&self) -> Stream<Match<K, T>> {
        Stream::new(self.matches.clone())
    }

    /// What `f` makes of each match.
    pub fn select<U, F>(&self, f: F) -> Stream<U, Then<Node<Match<K, T>>, Map<F>>>
    where
        U: Data,
        F: FnMut(Match<K, T>) -> U + Clone + Send + Sync + 'static,
    {
        self.matches().map(f)
    }

    /// The partial matches that have timed out, with the events that they had: a side output.
    ///
    /// The event time of each is that of its first event and the pattern's bound. A list of events is told
    /// once, though several stages could have come next. What could have become a longer match is told too,
    /// though it was a match as it stands; what becomes a match by timing out is not.
    ///
    /// ```
    /// use highwater::cep::Pattern;
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    /// use std::time::Duration;
    ///
    /// let job = Job::new();
    /// let orders = [(7, "placed", 10), (8, "placed", 20), (7, "paid", 25)];
    /// let paid = Pattern::begin("placed", |o: &(u32, String, i64)| o.1 == "placed")
    ///     .followed_by("paid", |o| o.1 == "paid")
    ///     .within(Duration::from_millis(100));
    /// let orders = job
    ///     .timed_collection(
    ///         orders.map(|(id, what, at)| (id, what.to_string(), at)),
    ///         Watermarks::monotone(|order: &(u32, String, i64)| order.2),
    ///     )
    ///     .key_by(|order| order.0)
    ///     .detect(paid);
    /// let unpaid = orders.timed_out().map(|order| (order.key, order.timestamp)).collect();
    /// job.run()?;
    /// assert_eq!(unpaid.values(), [(8, 120)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn timed_out(&self) -> Stream<Match<K, T>> {
        Stream::new(self.timed_out.clone())
    }

    /// The records that came too late to be taken in order, and so are in no match: a side output.
    ///
    /// ```
    /// use highwater::cep::Pattern;
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    ///
    /// let job = Job::new();
    /// let times = job.timed_collection([1, 12, 3, 13], Watermarks::monotone(|t: &i64| *t)).key_by(|_| ());
    /// let pairs = times.detect(Pattern::begin("one", |_: &i64| true).next("two", |_| true));
    /// let late = pairs.late().map(|((), time)| time).collect();
    /// let pairs = pairs.select(|pair| (pair.events.of("one")[0], pair.events.of("two")[0])).collect();
    /// job.run()?;
    /// assert_eq!((late.values(), pairs.sorted()), (vec![3], vec![(1, 12), (12, 13)]));
    /// assert_eq!(job.metrics().sum("late_dropped"), 1);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn late(&self) -> Stream<(K, T), Then<C, Late>> {
        Stream::new(Then::new(self.pairs.chain.clone(), Late))
    }
}

/// True if a record comes when its split had promised that nothing as old would.
fn is_late(stamp: &Stamp) -> bool {
    stamp.is_late_for(clamped(stamp.timestamp) + 1)
}

/// See [`PatternStream::late`].
#[derive(Clone, Copy)]
pub struct Late;

impl<T: Data> Step<T> for Late {
    type Out = T;
    const NAME: &'static str = "late";

    #[inline]
    fn apply<N: Collector<T>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        if is_late(&stamp) {
            next.push(value, stamp);
        }
    }
}

/// Lets through what is not late, and counts the rest.
#[derive(Clone)]
pub struct OnTime(Metric);

impl<T: Data> Step<T> for OnTime {
    type Out = T;
    const NAME: &'static str = "on_time";

    #[inline]
    fn apply<N: Collector<T>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        if is_late(&stamp) {
            self.0.add(1);
        } else {
            next.push(value, stamp);
        }
    }
}

struct PatternOperator<K, T> {
    edge: Edge<Record<(K, T)>>,
    /// The pattern, as it is shown.
    text: String,
    /// Or what is wrong with the pattern.
    automaton: Result<Arc<Automaton<T>>, String>,
    late: Metric,
    matches: Arc<Consumers<Match<K, T>>>,
    timed_out: Arc<Consumers<Match<K, T>>>,
}

impl<K: Key, T: Exchange + Ord> Operator for PatternOperator<K, T> {
    fn prepare(&self, _: usize) -> Result<()> {
        self.automaton.as_ref().map(drop).map_err(Error::config)
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let Ok(automaton) = &self.automaton else { unreachable!("a job with such a pattern is not started") };
        cx.worker.shared.metrics.register(uid, "late_dropped", &self.late);
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let input = builder.by_key(self.edge, |record| &record.value.0);
        let matches = self.matches.open(&mut builder);
        let timed_out = self.timed_out.open(&mut builder);
        let limits = worker.limit(uid).zip(worker.quota(uid, "records_spilled"));
        let logic = Detector::new(Arc::clone(automaton), timed_out, &worker.state_readers(), limits);
        let logic = logic.of(self.text.clone());
        epoch_driver::build(builder, worker, vec![input], matches, logic);
    }
}
