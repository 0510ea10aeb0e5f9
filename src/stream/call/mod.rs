//! Asynchronous calls: a function of the user's answers a record later, and the worker goes on meanwhile.
//!
//! This is Flink's async I/O. A record's time is held until the record ends, which defines event time and
//! epochs while a call is in flight. So the output of an epoch is complete when all calls for it are
//! answered, the watermark downstream is never ahead of a record that is not answered, and a slow service
//! causes backpressure without further mechanism, because sources run no more than some epochs ahead of the
//! sinks.
//!
//! # In snapshots
//!
//! No state of calls is saved, because at a cut none is in flight: an epoch ends when all calls for its
//! records have ended, and a snapshot is taken at the end of an epoch. It is durable only when all operators
//! after this one have seen that end. So a snapshot has the result of each call for a record up to its epoch,
//! and calls for records after it are made again when a job is restored from it.
//!
//! * The **result** of a call counts exactly once: earlier results of calls that are made again are neither
//!   in the snapshot nor in the output of transactional sinks.
//! * Its **external effect** happens at least once: a service may see a record again, and should be able to
//!   detect that, as by a key in the request.
//! * A call that is made again has all its attempts and its whole timeout again. Its outcome may differ, as a
//!   service may answer differently; but it ends once, with an answer, a failure or a timeout, and none is
//!   lost.
//! * Order needs no state: it holds within an epoch, and epochs are read again from their beginning.
//!
//! The cost is that a snapshot takes as long as the slowest call of its epoch, retries included. Saving the
//! records in flight instead would gain nothing: as their epoch holds all results back, the job would not
//! advance any sooner. A [timeout](CallOptions::timeout) bounds it.
//!
//! # How they are made
//!
//! Calls are made [by threads](Stream::call), if the function blocks, or [as futures](Stream::call_async),
//! which the worker polls itself. There is no runtime: the few lines that poll need none, and the futures of
//! a user's own runtime can be awaited from here like any others.

use std::sync::Arc;

mod failure;
mod caller;
mod held;
mod mailbox;
mod futures;
mod retry;
mod options;
mod release;
mod operator;
mod threads;

pub use failure::{CallError, Failed};
pub use options::CallOptions;
pub use retry::Retry;

use caller::Caller;
use futures::Futures;
use mailbox::Mailbox;
use operator::{CallOutlets, Calling, Counts, Flight, Queue};
use release::Release;
use threads::Threads;

use super::graph::{Lowering, NodeInfo, Operator, Routing};
use super::port::OperatorBuilder;
use super::{Chain, Edge, Stream, WorkerContext};
use crate::data::{Data, Record};
use crate::error::Result as Outcome;
use crate::stream::consumers::{Consumers, Node};

/// Calls: a stream of answers, and what becomes of records that have none.
///
/// A record is never lost. One that times out or fails for good is in the stream of these if that leads to a
/// consumer, and otherwise it ends the job with an error.
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct Calls<T, U, E> {
    answers: Node<U>,
    timed_out: Node<T>,
    failed: Node<Failed<T, E>>,
}

impl<T: Data, U: Data, E: CallError> Calls<T, U, E> {
    /// The answers, each with the event time of its record.
    pub fn answers(self) -> Stream<U> {
        Stream::new(self.answers)
    }

    /// The records that were in flight for as long as they may, a side output. An answer that comes later is
    /// counted in the metric `answered_late`, and dropped.
    ///
    /// ```
    /// # use highwater::stream::{CallOptions, Job};
    /// use std::time::Duration;
    ///
    /// let job = Job::new();
    /// let slow = |n: u64| -> Result<u64, String> {
    ///     std::thread::sleep(Duration::from_millis(if n == 2 { 300 } else { 0 }));
    ///     Ok(n * n)
    /// };
    /// let calls = job.collection([1, 2, 3]).call(slow, CallOptions::ordered().timeout(Duration::from_millis(100)));
    /// let timed_out = calls.timed_out().collect();
    /// let squares = calls.answers().collect();
    /// job.run()?;
    /// assert_eq!((squares.values(), timed_out.values()), (vec![1, 9], vec![2]));
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn timed_out(&self) -> Stream<T> {
        Stream::new(self.timed_out.clone())
    }

    /// The records whose last attempt failed, with the error, a side output.
    ///
    /// ```
    /// # use highwater::stream::{CallOptions, Job};
    /// let job = Job::new();
    /// let calls = job.collection(["1", "x", "3"]).call(|text| text.parse::<u64>(), CallOptions::ordered());
    /// let failed = calls.failed().map(|failed| failed.record).collect();
    /// let numbers = calls.answers().collect();
    /// job.run()?;
    /// assert_eq!((numbers.values(), failed.values()), (vec![1, 3], vec!["x"]));
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn failed(&self) -> Stream<Failed<T, E>> {
        Stream::new(self.failed.clone())
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Calls a blocking function for each record, on threads of its own, and gives what it answers.
    ///
    /// Each worker calls for the records that it has, on as many threads as it needs and at most as many as
    /// the [capacity](CallOptions::capacity). A record is held until it is answered: its epoch stays open and
    /// the watermark stays behind it. The function should give up by itself at some time: with a
    /// [timeout](CallOptions::timeout) the job does not wait for it, but its thread does, and if all threads
    /// of a worker hang, records time out without having been called for.
    ///
    /// A panic ends the job, and so does an error after the last attempt if no one reads
    /// [`failed`](Calls::failed).
    ///
    /// ```
    /// # use highwater::stream::{CallOptions, Job, Retry};
    /// use std::time::Duration;
    ///
    /// fn name_of(user: u64) -> std::io::Result<String> {
    ///     Ok(format!("user {user}")) // asks a service, perhaps
    /// }
    ///
    /// let job = Job::new();
    /// let retry = Retry::times(3).after(Duration::from_millis(10));
    /// let options = CallOptions::unordered().capacity(8).timeout(Duration::from_secs(5)).retry(retry);
    /// let names = job.collection([7, 8]).call(name_of, options).answers().collect();
    /// job.run()?;
    /// assert_eq!(names.sorted(), ["user 7", "user 8"]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn call<U, E, F>(self, f: F, options: CallOptions<E>) -> Calls<T, U, E>
    where
        U: Data,
        E: CallError,
        F: Fn(T) -> Result<U, E> + Send + Sync + 'static,
    {
        let f: Arc<dyn Fn(T) -> Result<U, E> + Send + Sync> = Arc::new(f);
        self.call_by("threads", options, move |uid, options, builder, worker| {
            let answers = Mailbox::new(builder.sync_activator());
            Threads::new(uid, Arc::clone(&f), options.capacity, answers, &worker.shared)
        })
    }

    /// Calls a function that returns a future for each record, and gives what the future answers.
    ///
    /// The worker polls the futures, so they must not block, and it takes no threads for them: capacities of
    /// thousands are fine. A future that times out is dropped, and so cancelled. A future that needs the
    /// runtime of a library belongs on that runtime; what its `spawn` returns is a future that can be awaited
    /// here: `move |id| { let task = handle.spawn(fetch(id)); async { task.await? } }`.
    ///
    /// ```
    /// # use highwater::stream::{CallOptions, Job};
    /// let job = Job::new();
    /// let square = |n: u64| async move { Ok::<u64, String>(n * n) };
    /// let squares = job.collection([1, 2, 3]).call_async(square, CallOptions::ordered()).answers().collect();
    /// job.run()?;
    /// assert_eq!(squares.values(), [1, 4, 9]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn call_async<U, E, F, R>(self, f: F, options: CallOptions<E>) -> Calls<T, U, E>
    where
        U: Data,
        E: CallError,
        F: Fn(T) -> R + Send + Sync + 'static,
        R: Future<Output = Result<U, E>> + 'static,
    {
        let f = Arc::new(f);
        self.call_by("futures", options, move |_, _, builder, _| {
            let f = Arc::clone(&f);
            Futures::new(move |value| f(value), Mailbox::new(builder.sync_activator()))
        })
    }

    fn call_by<U, E, M, B>(self, by: &'static str, options: CallOptions<E>, make: M) -> Calls<T, U, E>
    where
        U: Data,
        E: CallError,
        M: Fn(&str, &CallOptions<E>, &OperatorBuilder<'_, '_>, &WorkerContext) -> B + Send + Sync + 'static,
        B: Caller<T, U, E>,
    {
        let graph = self.graph();
        let edge = self.emit();
        let info = NodeInfo::new("call", format!("call by {by}")).input(edge, Routing::Forward);
        let (answers, timed_out, failed) = (Consumers::new(), Consumers::new(), Consumers::new());
        let consumers = CallTaps {
            answers: Arc::clone(&answers),
            timed_out: Arc::clone(&timed_out),
            failed: Arc::clone(&failed),
        };
        let id = graph.add(info, CallOperator { edge, options, make, consumers });
        Calls {
            answers: Node::new(&graph, id, &answers),
            timed_out: Node::new(&graph, id, &timed_out),
            failed: Node::new(&graph, id, &failed),
        }
    }
}

struct CallTaps<T, U, E> {
    answers: Arc<Consumers<U>>,
    timed_out: Arc<Consumers<T>>,
    failed: Arc<Consumers<Failed<T, E>>>,
}

struct CallOperator<T, U, E, M> {
    edge: Edge<Record<T>>,
    options: CallOptions<E>,
    make: M,
    consumers: CallTaps<T, U, E>,
}

impl<T, U, E, M, B> Operator for CallOperator<T, U, E, M>
where
    T: Data,
    U: Data,
    E: CallError,
    M: Fn(&str, &CallOptions<E>, &OperatorBuilder<'_, '_>, &WorkerContext) -> B + Send + Sync,
    B: Caller<T, U, E>,
{
    fn prepare(&self, _: usize) -> Outcome<()> {
        self.options.check()
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let input = builder.pipeline(self.edge);
        let ports = CallOutlets {
            answers: self.consumers.answers.open(&mut builder),
            timed_out: self.consumers.timed_out.open(&mut builder),
            failed: self.consumers.failed.open(&mut builder),
        };
        let metric = |name| worker.shared.metrics.metric(uid, name);
        let counts = Counts {
            calls: metric("calls"),
            retries: metric("retries"),
            timed_out: metric("timed_out"),
            failed: metric("failed"),
        };
        let mut calling = Calling {
            uid: uid.to_owned(),
            caller: (self.make)(uid, &self.options, &builder, &worker),
            options: self.options.clone(),
            input,
            ports,
            alarm: worker.alarm(builder.activator()),
            counts,
            queue: Queue::default(),
            release: Release::new(self.options.order),
            flight: Flight::default(),
            worker,
        };
        // All its holds are times of records, which arrive with messages, so a move of the frontier alone
        // changes nothing.
        builder.ignore_frontiers();
        builder.build(move |_, holds| {
            calling.activate_or_fail(holds);
            false
        });
    }
}
