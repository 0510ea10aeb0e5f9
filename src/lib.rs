//! Highwater runs Flink's programming model on timely and differential dataflow.
//!
//! A program is a [`Job`](stream::Job): typed streams with event time, keyed state, windows and joins,
//! between sources that can be replayed and sinks that commit. It runs as one timely dataflow on each of some
//! worker threads.
//!
//! ```
//! use highwater::config::Options;
//! use highwater::stream::Job;
//!
//! let job = Job::new();
//! let words = job.collection(["to be", "or not to be"]).flat_map(|line| line.split(' ').collect::<Vec<_>>());
//! let counts = words.key_by(|word| word.to_string()).count().current();
//! job.run_with(Options::default().workers(2))?;
//! let counts: Vec<String> = counts.sorted().iter().map(|(word, n)| format!("{word} {n}")).collect();
//! assert_eq!(counts, ["be 2", "not 1", "or 1", "to 2"]);
//! # Ok::<(), highwater::Error>(())
//! ```
//!
//! # Two clocks
//!
//! Every record travels under a [`Time`](time::Time), which is an epoch and an event time. The epoch is the
//! system's clock: results, commits and the state of all operators are consistent at its ticks. Event time is
//! the data's clock: windows close by it. Timely's frontier speaks of both at once, exactly, and so there are
//! no barriers and no watermark records in the streams.
//!
//! # Layers
//!
//! The order of the modules is the order of dependency: each may use those above it in this list and no
//! others. `tests/tidy.rs` reads the order off this file and checks it.
//!
//! | module | what it is |
//! |---|---|
//! | `allocator` | memory for programs, which grows without being copied; feature `allocator` |
//! | [`error`] | what can go wrong, told by what to do next |
//! | [`clock`] | the only wall clock, which tests move by hand |
//! | [`metric`] | counters and gauges that all workers share |
//! | [`data`] | records with their stamps, changes with their signs, hashes, text |
//! | [`time`] | the two clocks, frontiers read as watermarks, how watermarks are made |
//! | [`object`] | object stores: directories, memory, buckets of S3 |
//! | [`snapshot`] | snapshots: when they are taken, what they hold, the log that commits them and fences |
//! | [`config`] | how a job runs |
//! | `state` | keyed state: tables of the open epoch, in front of arrangements of sealed ones |
//! | [`stream`] | what a user builds, and how it is lowered to timely's operators |
//! | [`process`] | process functions: a user's logic with keyed state, timers and side outputs |
//! | [`window`] | windows: aligned, sessions, and any other kind, over streams and state |
//! | [`join`] | joins in event time: interval, window, temporal |
//! | [`cep`] | patterns of events, over streams and state |
//! | [`connector`] | sources and sinks; the traits, and those that come along |
//! | [`runtime`] | workers: how they start, step, fail together and end |
//! | [`harness`] | for tests: operators driven by hand, whole jobs simulated |
//! | [`lab`] | the event-time laboratory: one stream under several watermark strategies and late policies; feature `lab` |
//! | `nexmark` | the Nexmark events and queries, written with the above as a user would; feature `nexmark` |
//! | `program` | a job as a program: its command line, Ctrl-C, exit codes; feature `cli` |
//!
//! The `highwater` program is a crate of its own over the public interface. Streams know nothing of
//! connectors, and neither know how a job is run; the runtime knows a job as a graph to lower and nothing of
//! what its operators do.
//!
//! # Invariants
//!
//! * **A frontier has at most one element for each worker.** A source holds one time on a worker, however
//!   many splits it reads there: its epoch, and the least watermark of the splits.
//! * **An operator holds times in one set, and publishes its account once for each activation.** What it
//!   sends is justified by what it held or read.
//! * **Epochs close in order.** An operator does what one epoch asks of it before anything of the next, so
//!   what it knows when an epoch closes is the state as of that epoch.
//! * **The state as of an epoch is a list of immutable pages.** An epoch's changes are sealed into a batch
//!   that no one writes again; merging makes new batches. To hold on to a state is to hold pointers.
//! * **A snapshot is a list of such pages and of positions, as of one epoch.** Taking one costs a worker a
//!   copy of what has changed, in slices, or pointers; what has been written once is named again. One put
//!   commits it, and the same put keeps every earlier run from committing.
//! * **Lateness is decided by a record's own [stamp](data::Stamp)**: by how far its split had come when the
//!   record was read. What is late does not depend on the number of workers, on timing, or on other splits.
//! * **Every edge has one producer and one consumer.** A stream that is read twice is walked twice where it
//!   is made, so nothing is copied to be shared, unless [`share`](stream::Stream::share) asks for it.
//! * **A source is admitted no more than the job has room for.** Queues are unbounded; epochs and bytes in
//!   flight are not.
//! * **A fault ends the job.** A panic or an error on one worker is seen by all others within milliseconds;
//!   nothing is caught and stepped over, and no worker waits for one that is gone.
//! * **No clock, random number or iteration order** enters a result, except by way of the user's functions.
//!
//! # Words
//!
//! What a user touches has Flink's word where there is one; the mechanism has timely's or differential's.
//!
//! | Flink | here |
//! |---|---|
//! | `DataStream`, `KeyedStream` | [`Stream`](stream::Stream), [`KeyedStream`](stream::KeyedStream) |
//! | changelog stream, `RowKind` | stream of [`Change`](data::Change)s, the sign of its diff |
//! | timestamp | [`EventTime`](time::EventTime) in a [`Stamp`](data::Stamp) |
//! | watermark, `WatermarkStrategy` | the event time of a frontier, [`Watermarks`](time::Watermarks) |
//! | checkpoint barrier | epoch |
//! | checkpoint, savepoint | [`snapshot`], one that is [kept](snapshot::Repository::keep) by a name |
//! | restore, rescale | [`Restore`](snapshot::Restore), on any number of workers |
//! | keyed state, state backend | state, arrangement |
//! | `ProcessFunction`, `ValueState`, `OutputTag` | [`Process`](process::Process), [`Value`](process::Value), [`Side`](process::Side) |
//! | `AggregateFunction` | [`Aggregate`](stream::Aggregate) |
//! | `assignTimestampsAndWatermarks` | [`with_watermarks`](stream::Stream::with_watermarks) |
//! | window assigner | [`Tumbling`](window::Tumbling), [`Sliding`](window::Sliding), [`Sessions`](window::Sessions), [`Assigner`](window::Assigner) |
//! | `Trigger`, `Evictor`, `ProcessWindowFunction` | [`Trigger`](window::Trigger), [`Evictor`](window::Evictor), [`WindowProcess`](window::WindowProcess) |
//! | side output of late data | [`late`](window::WindowedStream::late), [`LatePolicy`](window::LatePolicy) |
//! | operator test harness, `MiniCluster` | [`Driver`](harness::Driver), [`Simulation`](harness::Simulation) |
//! | async I/O, `AsyncFunction` | [`call`](stream::Stream::call), [`call_async`](stream::Stream::call_async) |
//! | CEP `Pattern`, `PatternStream` | [`Pattern`](cep::Pattern), [`PatternStream`](cep::PatternStream) |
//! | source, split, reader | [`Source`](connector::Source), [`Split`](connector::Split), [`Reader`](connector::Reader) |
//! | sink, committer | [`Sink`](connector::Sink), [`Writer`](connector::Writer) |
//! | job | [`Job`](stream::Job) |
//! | task, subtask, slot | operator, its instance on a worker |
//! | operator chain | fused steps |
//! | parallelism | [workers](config::Options::workers) |

#[cfg(feature = "allocator")]
mod allocator;
pub mod error;
pub mod clock;
pub mod metric;
pub mod notice;
pub mod data;
pub mod time;
pub mod object;
pub mod snapshot;
pub mod config;
mod state;
pub mod stream;
pub mod process;
pub mod window;
pub mod join;
pub mod cep;
pub mod connector;
pub mod runtime;
pub mod harness;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "nexmark")]
pub mod nexmark;
#[cfg(feature = "cli")]
pub mod program;
#[doc(hidden)]
pub mod fuzz;

#[cfg(feature = "allocator")]
pub use allocator::Allocator;
pub use error::{Error, ErrorKind, Result};

/// Differential dataflow, which computations that streams go [`through`](stream::Stream::through) are written
/// with.
pub use differential_dataflow as differential;

/// The programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
