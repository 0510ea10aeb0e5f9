//! Highwater is a stream processor: Flink's programming model on timely and differential dataflow.
//!
//! A program is a [`Job`](stream::Job): typed streams with event time, keyed state, windows and joins,
//! between sources that can be replayed and sinks that commit. Each worker thread runs the whole job as one
//! timely dataflow on its share of the keys and splits.
//!
//! ```
//! use highwater::prelude::*;
//!
//! let job = Job::new();
//! let words = job.collection(["to be", "or not to be"]).flat_map(|line| line.split(' ').collect::<Vec<_>>());
//! let counts = words.key_by(|word| word.to_string()).count().materialize();
//! job.run_with(Options::default().workers(2))?;
//! let counts: Vec<String> = counts.sorted().iter().map(|(word, n)| format!("{word} {n}")).collect();
//! assert_eq!(counts, ["be 2", "not 1", "or 1", "to 2"]);
//! # Ok::<(), highwater::Error>(())
//! ```
//!
//! Beside this documentation there are pages on [snapshots], the [laboratory] and [operations], and all
//! [figures].
//!
//! [snapshots]: https://github.com/highwater-rs/highwater/blob/main/docs/snapshots.md
//! [laboratory]: https://github.com/highwater-rs/highwater/blob/main/docs/laboratory.md
//! [operations]: https://github.com/highwater-rs/highwater/blob/main/docs/operations.md
//! [figures]: https://github.com/highwater-rs/highwater/blob/main/BENCHMARKS.md
//!
//! # Two clocks
//!
//! Every record travels under a [`Time`](time::Time): an epoch and an event time. The epoch is the system's
//! clock: results, commits and the state of all operators are consistent at its ticks. Event time is the
//! data's clock: windows close by it. Timely's frontier tracks both at once, exactly, so the streams carry no
//! barriers and no watermark records.
//!
//! # Layers
//!
//! The order of the modules is the order of dependency: a module may use those above it in this list and no
//! others. `tests/tidy.rs` reads the order from this file and checks it.
//!
//! | module | what it is |
//! |---|---|
//! | `allocator` | an allocator for programs, in which large blocks grow without being copied; feature `allocator` |
//! | [`error`] | errors, by what the caller should do next |
//! | `lock` | locks of what a panic cannot have left half changed |
//! | [`clock`] | the only wall clock, which tests move by hand |
//! | [`metric`] | counters and gauges that all workers share |
//! | [`notice`] | messages for the user of a running job that are no errors |
//! | [`data`] | records with their stamps, changes with their signs, hashes, text |
//! | [`time`] | the two clocks, frontiers read as watermarks, watermark strategies |
//! | [`object`] | object stores: directories, memory, buckets of S3 |
//! | [`snapshot`] | snapshots: the coordinator, pages and schemas, the log that commits and fences |
//! | [`config`] | the options of a job |
//! | `state` | keyed state: hash tables for the open epoch, log-structured merge trees behind them, timer queues, spilling |
//! | [`stream`] | streams as a user builds them, and their lowering to timely's operators |
//! | [`process`] | process functions: a user's logic with keyed state, timers and side outputs |
//! | [`window`] | windows: aligned, sessions, and general ones with triggers and evictors |
//! | [`join`] | joins in event time: interval, window, temporal |
//! | [`cep`] | patterns of events |
//! | [`export`] | the state in a snapshot as rows of tables, for programs that do not have its types |
//! | [`connector`] | sources and sinks: the traits, and those that are included |
//! | [`runtime`] | workers: how they start, step, fail together and end |
//! | [`harness`] | for tests: operators driven by hand, whole jobs simulated |
//! | [`lab`] | the event-time laboratory: one stream under several watermark strategies and late policies; feature `lab` |
//! | `nexmark` | the Nexmark events and queries, written as a user would; feature `nexmark` |
//! | `program` | a job as a program: command line, Ctrl-C, exit codes; feature `cli` |
//! | [`prelude`] | what most jobs import |
//!
//! The `highwater` program is a crate of its own over the public interface. Streams do not know connectors,
//! and neither knows how a job is run. The runtime sees a job as a graph to lower, and does not know what its
//! operators do.
//!
//! # Invariants
//!
//! * **A frontier has at most one element for each worker.** A source operator holds one capability, at its
//!   epoch and the least watermark of its splits, however many splits it reads.
//! * **An operator holds all its capabilities in one set, and publishes changes to it once for each
//!   activation.** What it sends is justified by a capability that it held or by input that it read.
//! * **Epochs close in order.** An operator finishes one epoch before it touches the next, so its state when
//!   an epoch closes is the state as of that epoch.
//! * **The state as of an epoch is a list of immutable pages.** The changes of an epoch are sealed into a
//!   run that is never written again; merging makes new runs. Holding a state means holding pointers.
//! * **A snapshot is a list of such pages and of offsets, as of one epoch.** It costs a worker a copy of what
//!   has changed, in slices, or pointers; pages that an earlier snapshot has written are named again. One
//!   conditional put commits it, and the same put fences every earlier run.
//! * **Lateness is decided by a record's own [stamp](data::Stamp)**: by the progress of its split when the
//!   record was read. It does not depend on the number of workers, on timing, or on other splits.
//! * **Every edge has one producer and one consumer.** The steps before a branch are compiled into each of
//!   its branches, so nothing is copied to be shared, unless [`share`](stream::Stream::share) or
//!   [`arrange`](stream::Stream::arrange) asks for it.
//! * **Sources are admitted no further than the job has room for.** Queues between operators are unbounded;
//!   epochs and bytes in flight are bounded.
//! * **A fault ends the job.** A panic or an error on one worker is seen by all others within milliseconds.
//!   Nothing is caught and stepped over, and no worker waits for one that is gone.
//! * **No clock, random number or iteration order** enters a result, except through the user's functions.
//!
//! # Glossary
//!
//! What a user touches has Flink's word where there is one. The mechanism has timely's and differential's
//! words, storage has those of databases. These are the terms of file names, metrics, the output of
//! `highwater snapshot`, and the documentation.
//!
//! Time and progress:
//!
//! | term | meaning |
//! |---|---|
//! | epoch | an interval of the input by which results are committed and snapshots are cut; numbered from 0 |
//! | event time | when a record happened, in milliseconds since 1970, as its data says |
//! | stamp | the event time of a record, with the watermark of its split when it was read |
//! | split | an independently readable part of a source, such as a file or a partition, with an offset |
//! | watermark | the event time before which nothing more is expected |
//! | late | of a record: behind the watermark of its own split |
//! | idle | of a split: silent for so long that it no longer holds back the watermark |
//! | frontier | the times at which records may still arrive at an operator |
//! | capability | the right of an operator to send records at a time; holding one holds back the frontier |
//! | activation | one call of an operator by its worker |
//!
//! Windows:
//!
//! | term | meaning |
//! |---|---|
//! | slice | the part of event time between two neighbouring starts or ends of aligned windows |
//! | pane | the aggregate of one key in one slice, which overlapping windows share |
//! | trigger | decides when a window fires |
//! | evictor | drops records of a window before or after its function |
//! | correction | a result that replaces an earlier one: its retraction and its insertion |
//!
//! State:
//!
//! | term | meaning |
//! |---|---|
//! | entry | what a state holds for one key |
//! | time to live | how long an entry is kept after it was written or read; then it is expired |
//! | table | one named state of an operator, as snapshots and exports list it |
//! | backend | how a state is kept behind its hash table: as an arrangement, or as deltas for snapshots alone |
//! | arrangement | a sorted, versioned index of a state: a list of sorted runs, which are merged; an [`ArrangedStream`](stream::ArrangedStream) is one that is shared |
//! | batch, trace | what differential's operators read of it: what an epoch has changed, and all batches so far |
//! | since | the first epoch as of which a reader of a trace can still see the state: what it holds |
//! | attach | to build a computation over an arrangement while the job runs |
//! | seal | to write what epochs have changed as a sorted run of an arrangement |
//! | block, fence | some rows as bytes, the unit that is read to find a key; what is known of a block without reading it |
//! | delta | the entries that were changed since the last snapshot |
//! | sorted run | immutable pages of rows sorted by key, from one seal, one delta or a compaction |
//! | ownership | which worker has the keys of which hashes |
//! | compaction | the merge of several sorted runs into one, which drops replaced rows and tombstones |
//! | tombstone | a row that says that a key was deleted |
//! | timer queue | the timers of an operator in the order in which they are due |
//! | memory budget | how many bytes state may take in memory: [`Options::state_memory`](config::Options::state_memory) |
//! | eviction | the removal of an entry from memory whose value lies in a page on disk |
//! | spill | to write pages of state to local files to keep the memory budget |
//! | state reader | reads a state from outside while the job runs |
//!
//! Snapshots:
//!
//! | term | meaning |
//! |---|---|
//! | cut | the choice of an epoch whose end is to be a snapshot, and that instant for an operator |
//! | coordinator | decides when a snapshot is cut, collects the operators' parts, and commits |
//! | acknowledgement | an operator instance's part of a snapshot, handed to the coordinator |
//! | page | encoded and compressed rows of one table, with a checksum; the unit that snapshots share |
//! | segment | an object of a snapshot store: pages, one after the other |
//! | manifest | the object that names all that a snapshot consists of; its put is the commit |
//! | note | a small value in a manifest, such as the offset of a split or an operator's clock |
//! | shard | a worker's share of a table in a manifest |
//! | schema, fingerprint | what the rows of a table are made of, and its hash |
//! | log | the numbered manifests and claims of a store, in order |
//! | claim | the entry of the log with which a run takes a store over |
//! | fence | to keep an earlier run from committing: its next number in the log is taken |
//! | lease | a run's right to commit, from its claim to the next one |
//! | generation | the number of a claim: counts the runs on a store |
//! | head | a marker of how far the log has come, by which lost entries are noticed |
//! | retain, keep | to spare the newest snapshots from collection; to spare one by a name |
//! | garbage collection | the deletion of manifests and segments that nobody needs |
//! | fork | a second job that begins with a snapshot of a first, in a store of its own |
//! | migration | what became of a state whose type, name or operator has changed |
//! | suspend, restore | to stop a job with a last snapshot; to continue from a snapshot |
//! | durable | of a snapshot: committed, so that it outlives a crash |
//!
//! The dataflow:
//!
//! | term | meaning |
//! |---|---|
//! | uid | the name by which an operator's state is found again |
//! | operator, instance | a node of the graph; its copy on one worker |
//! | change, diff | a record with a sign: `+1` inserts it, `-1` retracts it |
//! | exchange | the routing of records to the workers that own their keys |
//! | fused | of steps: compiled into one operator |
//! | side output | a further output of an operator, such as for late records |
//! | prepare, commit | a transactional sink makes output durable; then visible, when the snapshot is committed |
//!
//! # Flink's words
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
//! | keyed state, state backend | state, backend: an arrangement, or a log of deltas |
//! | `ProcessFunction`, `ValueState`, `OutputTag` | [`Process`](process::Process), [`Value`](process::Value), [`SideOutput`](process::SideOutput) |
//! | `AggregateFunction` | [`Aggregate`](stream::Aggregate) |
//! | `assignTimestampsAndWatermarks` | [`with_watermarks`](stream::Stream::with_watermarks) |
//! | window assigner | [`Tumbling`](window::Tumbling), [`Sliding`](window::Sliding), [`Sessions`](window::Sessions), [`Assigner`](window::Assigner) |
//! | `Trigger`, `Evictor`, `ProcessWindowFunction` | [`Trigger`](window::Trigger), [`Evictor`](window::Evictor), [`WindowProcess`](window::WindowProcess) |
//! | side output of late data | [`late_output`](window::WindowedStream::late_output), [`late`](window::WindowedStream::late) |
//! | operator test harness, `MiniCluster` | [`Driver`](harness::Driver), [`Simulation`](harness::Simulation) |
//! | async I/O, `AsyncFunction` | [`call`](stream::Stream::call), [`call_async`](stream::Stream::call_async) |
//! | CEP `Pattern`, `PatternStream` | [`Pattern`](cep::Pattern), [`PatternStream`](cep::PatternStream) |
//! | source, split, reader | [`Source`](connector::Source), [`Split`](connector::Split), [`Reader`](connector::Reader) |
//! | sink, committer | [`Sink`](connector::Sink), [`Writer`](connector::Writer) |
//! | job | [`Job`](stream::Job) |
//! | task, subtask, slot | operator, its instance on a worker |
//! | operator chain | fused steps: a [`Chain`](stream::Chain) |
//! | parallelism | [workers](config::Options::workers) |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "allocator")]
mod allocator;
pub mod error;
mod lock;
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
pub mod export;
pub mod connector;
pub mod runtime;
pub mod harness;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "nexmark")]
pub mod nexmark;
#[cfg(feature = "cli")]
pub mod program;
pub mod prelude;
#[doc(hidden)]
pub mod fuzz;

#[cfg(feature = "allocator")]
pub use allocator::Allocator;
pub use error::{Error, ErrorKind, Result};

/// Differential dataflow, in which the computations of
/// [`Stream::differential`](stream::Stream::differential) are written.
pub use differential_dataflow as differential;

/// The programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs in the page on snapshots.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../docs/snapshots.md")]
struct SnapshotsPage;

/// The programs in the page on the event-time laboratory.
#[cfg(all(doctest, feature = "lab"))]
#[doc = include_str!("../docs/laboratory.md")]
struct LaboratoryPage;
