//! Unions, exchanges and shared streams.
//!
//! All of these are one operator, which forwards whole batches at their times and keeps no state. They differ
//! in the number of inputs and in the routing.

use std::sync::Arc;

use super::chain::Chain;
use super::graph::{Lowering, NodeInfo, Operator, Routing};
use super::port::OperatorBuilder;
use super::{Edge, Input, Stream};
use crate::data::{Data, Exchange, Record};
use crate::stream::consumers::{Consumers, Node, Outputs};

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Computes the stream's records once, for all its consumers.
    ///
    /// Clones of a stream run its steps again for each reader; clones of a shared one do not. Costs a
    /// move of each record into memory and out.
    pub fn share(self) -> Stream<T> {
        let graph = self.graph();
        let edge = self.emit();
        let info = NodeInfo::new("share", "share").input(edge, Routing::Forward);
        forward(graph, info, vec![edge], |_, builder, edge| builder.pipeline(edge))
    }

    /// The records of both streams, in no particular order between them. The watermark is the lesser of the
    /// two.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// let all = job.collection([1, 2]).union(job.collection([3])).collect();
    /// job.run()?;
    /// assert_eq!(all.sorted(), [1, 2, 3]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn union<D: Chain<Out = T>>(self, other: Stream<T, D>) -> Stream<T> {
        let graph = self.graph();
        if !graph.is_same(&other.graph()) {
            graph.complain(
                "a union of streams of different jobs or loops is not possible: build both from one Job, and let \
                 streams enter a loop",
            );
        }
        let edges = vec![self.emit(), other.emit()];
        let info = NodeInfo::new("union", "union")
            .input(edges[0], Routing::Forward)
            .input(edges[1], Routing::Forward);
        forward(graph, info, edges, |_, builder, edge| builder.pipeline(edge))
    }

    /// Splits the stream by a condition: first the records of which `f` says true, then the others.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// let (even, odd) = job.collection(1..=5).branch(|n| n % 2 == 0);
    /// let (even, odd) = (even.collect(), odd.collect());
    /// job.run()?;
    /// assert_eq!((even.sorted(), odd.sorted()), (vec![2, 4], vec![1, 3, 5]));
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn branch<F>(self, f: F) -> (Stream<T, impl Chain<Out = T>>, Stream<T, impl Chain<Out = T>>)
    where
        F: Fn(&T) -> bool + Clone + Send + Sync + 'static,
    {
        self.split(move |value| if f(&value) { Ok(value) } else { Err(value) })
    }

    /// Splits the stream into two streams of different types: a main output and a side output. `f` runs once
    /// for each record.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// let (numbers, others) = job.collection(["1", "x"]).split(|s| s.parse::<i32>().map_err(|_| s));
    /// let (numbers, others) = (numbers.collect(), others.collect());
    /// job.run()?;
    /// assert_eq!((numbers.values(), others.values()), (vec![1], vec!["x"]));
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn split<A, B, F>(self, f: F) -> (Stream<A, impl Chain<Out = A>>, Stream<B, impl Chain<Out = B>>)
    where
        A: Data,
        B: Data,
        F: FnMut(T) -> Result<A, B> + Clone + Send + Sync + 'static,
    {
        let both = self.map(f).share();
        (both.clone().filter_map(Result::ok), both.filter_map(Result::err))
    }
}

impl<T: Exchange, C: Chain<Out = T>> Stream<T, C> {
    /// Sends the records to all workers in turn: evens out what a skewed source or filter gives.
    ///
    /// ```
    /// # use highwater::{stream::Job, config::Options};
    /// let job = Job::new();
    /// let all = job.collection(0..100).rebalance().map(|n| n + 1).collect();
    /// job.run_with(Options::default().workers(2))?;
    /// assert_eq!(all.values().len(), 100);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn rebalance(self) -> Stream<T> {
        let mut next = 0;
        self.exchange(Routing::Rebalance, move |_, workers| {
            next = (next + 1) % workers;
            next
        })
    }

    /// Sends each record to the worker that `f` names: given the record and the number of workers, it answers
    /// a number, of which the remainder counts. One worker has nothing to choose from: there it is not asked.
    ///
    /// ```
    /// # use highwater::{stream::Job, config::Options};
    /// let job = Job::new();
    /// let all = job.collection(0..100usize).partition_with(|n, _| n / 50).collect();
    /// job.run_with(Options::default().workers(2))?;
    /// assert_eq!(all.sorted(), (0..100).collect::<Vec<_>>());
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn partition_with<F>(self, f: F) -> Stream<T>
    where
        F: FnMut(&T, usize) -> usize + Clone + Send + Sync + 'static,
    {
        self.exchange(Routing::Custom, f)
    }

    /// Sends each record to every worker.
    ///
    /// ```
    /// # use highwater::{stream::Job, config::Options};
    /// let job = Job::new();
    /// let all = job.collection([1, 2]).broadcast().collect();
    /// job.run_with(Options::default().workers(3))?;
    /// assert_eq!(all.sorted(), [1, 1, 1, 2, 2, 2]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn broadcast(self) -> Stream<T, impl Chain<Out = T>> {
        let graph = self.graph();
        let edge = self.emit();
        let info = NodeInfo::new("copy", "a copy for each worker").input(edge, Routing::Forward);
        let consumers = Consumers::new();
        let id = graph.add(info, CopyOperator { edge, consumers: Arc::clone(&consumers) });
        let copies: Stream<(usize, T)> = Stream::new(Node::new(&graph, id, &consumers));
        copies.exchange(Routing::Broadcast, |(worker, _), _| *worker).map(|(_, value)| value)
    }

    fn exchange<F>(self, routing: Routing, route: F) -> Stream<T>
    where
        F: FnMut(&T, usize) -> usize + Clone + Send + Sync + 'static,
    {
        let graph = self.graph();
        let edge = self.emit();
        let info = NodeInfo::new("exchange", "exchange").input(edge, routing);
        forward(graph, info, vec![edge], move |workers, builder, edge| {
            let mut route = route.clone();
            builder.exchange(edge, move |record| route(&record.value, workers) % workers)
        })
    }
}

/// Adds an operator that passes on what comes in on its edges, each of which `connect` makes an input.
fn forward<T: Data, F>(
    graph: super::Graph,
    info: NodeInfo,
    edges: Vec<Edge<Record<T>>>,
    connect: F,
) -> Stream<T>
where
    F: Fn(usize, &mut OperatorBuilder<'_, '_>, Edge<Record<T>>) -> Input<Record<T>> + Send + Sync + 'static,
{
    let consumers = Consumers::new();
    let id = graph.add(info, ForwardOperator { edges, connect, consumers: Arc::clone(&consumers) });
    Stream::new(Node::new(&graph, id, &consumers))
}

struct ForwardOperator<T, F> {
    edges: Vec<Edge<Record<T>>>,
    connect: F,
    consumers: Arc<Consumers<T>>,
}

impl<T: Data, F> Operator for ForwardOperator<T, F>
where
    F: Fn(usize, &mut OperatorBuilder<'_, '_>, Edge<Record<T>>) -> Input<Record<T>> + Send + Sync,
{
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let workers = cx.worker.shared.workers;
        let mut builder = cx.operator(uid);
        let inputs = self.edges.iter().map(|edge| (self.connect)(workers, &mut builder, *edge)).collect();
        let ports = self.consumers.open(&mut builder);
        build(builder, inputs, ports);
    }
}

/// Makes a copy of each record for each worker, with the worker's number.
struct CopyOperator<T> {
    edge: Edge<Record<T>>,
    consumers: Arc<Consumers<(usize, T)>>,
}

impl<T: Exchange> Operator for CopyOperator<T> {
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let workers = cx.worker.shared.workers;
        let mut builder = cx.operator(uid);
        let mut input = builder.pipeline(self.edge);
        let mut ports = self.consumers.open(&mut builder);
        // It holds nothing, so timely carries the frontier from input to output without running it.
        builder.ignore_frontiers();
        builder.build(move |_, holds| {
            while let Some((time, batch)) = input.next() {
                for record in batch.drain(..) {
                    for worker in 0..workers {
                        ports.give(time, Record::new((worker, record.value.clone()), record.stamp));
                    }
                }
            }
            ports.flush();
            holds.set([]);
            false
        });
    }
}

fn build<T: Data>(
    mut builder: OperatorBuilder<'_, '_>,
    mut inputs: Vec<Input<Record<T>>>,
    mut ports: Outputs<T>,
) {
    // It holds nothing, so timely carries the frontier from input to output without running it.
    builder.ignore_frontiers();
    builder.build(move |_, holds| {
        for input in &mut inputs {
            while let Some((time, batch)) = input.next() {
                ports.give_batch(time, batch);
                batch.clear();
            }
        }
        ports.flush();
        holds.set([]);
        false
    });
}
