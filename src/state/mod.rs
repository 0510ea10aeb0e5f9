//! Keyed state: log-structured merge trees, and the hash tables in front of them.
//!
//! The state of an operator as of the end of an epoch is a list of immutable [sorted runs](lsm), each of
//! which has the rows that some epochs have changed: shared pages of encoded rows, which lie in memory, in
//! local files or in snapshots. So holding on to a state costs a few pointers, and a snapshot names the pages
//! that the one before it has written.
//!
//! What a row means is its [`Rows`]: where it lies, how a newer value of a key joins an older one (it
//! replaces it, or is added to it), and when it is over. Aggregates of windows are added: merging runs is
//! aggregating. Values that are kept replace each other.
//!
//! # Why the runs are our own
//!
//! Differential's batches hold `(key, value, time, diff)` and answer for each update at which times it holds.
//! Here time is an epoch, epochs are totally ordered, and each run covers an interval of epochs: the run's
//! own bounds say all there is to say, and a row is a key and a value. Rows are bytes: a type costs its
//! encoding and no code for pages, merges, files and snapshots, which are compiled once for all types.
//!
//! # The front
//!
//! Runs need what has changed combined by key. That is a hash [table](KeyTable): records meet their key
//! there, and only distinct keys are sorted. There are two ways to use one:
//!
//! * *what was added*: the table holds what came since the last seal and is emptied by it; reading the state
//!   means reading the runs too. Windows do this: they are read once, by a range scan, when they close.
//! * *current values*: the table holds the value of every key and a list of those that have changed; reading
//!   is a look-up, and runs are only written. Rolling aggregates and process functions do this, since they
//!   read at each touch. A [`Store`] is such a table with a column for each of several states.
//!
//! # Sealing on demand
//!
//! Sealing in every epoch costs a sort and merges for each key that an epoch touches, and most epochs' states
//! are never asked for. So operators seal when someone asks (a snapshot, a reader from outside), and in
//! between a change costs a look-up. With a key's changes since the last seal combined, hot keys cost one row
//! for each seal. The column *engine* below seals in each epoch.
//!
//! # Two ways to make runs
//!
//! What can be read again, by whoever looks at the state from outside or by the operator itself if its state
//! is larger than memory, is an [`Arrangement`]: the worker seals what has changed, in one piece, and each
//! seal pays for a piece of merging.
//!
//! What is only saved is copied. At a cut the list of what has changed is set aside (a `SnapshotDelta`), and
//! encoded a slice at a time while the operator goes on; what is about to change before its turn is encoded
//! then. The bytes lie on a `DeltaLog`, unsorted, until the thread of snapshots sorts them into runs, merges
//! these, and writes what is new. What it has written to a store that is near it lets go of, and reads again
//! what it merges: so a state that is saved lies in memory once. A worker never pauses for longer than a
//! slice takes. Process functions, rolling aggregates, sessions, patterns and joins without windows do this.
//! Panes of aligned windows and timers are sealed in one piece. What differential computations were given is
//! sealed at the end of each epoch, and so a piece is no longer than what an epoch has changed.
//!
//! # Who reads an arrangement
//!
//! The operator itself; readers from outside, as of the epochs that are kept; snapshots; and, of a collection
//! that is [arranged to be shared](crate::stream::ArrangedStream), differential's operators, for which its
//! runs are batches of a [trace](StateTrace). All of them hold pointers to runs, which nobody changes.
//!
//! # State larger than memory
//!
//! With a [limit](crate::config::Options::state_memory), pages of more than some kilobytes are written to
//! local files as they are made, and keys that have not been touched for a while leave the tables. The
//! arrangement is the truth then and the table a cache. To look a key up that is not in the table, the pages
//! that may hold it are found by the hashes that they end with and a filter, which are in memory; of such a
//! page the one block is read and searched that may have the key. This holds for what process functions keep,
//! and so for windows with triggers and for joins in event time; for rolling aggregates; for joins without
//! windows; and for sessions and the partial matches of patterns, of whose keys some sixty bytes stay. The
//! panes of aligned windows are written and read once, in order, so all of them leave together. Timers, and
//! records that wait for their time, are written once and read once, in order, too: those that are due last
//! leave first, and are read back before their time comes. A key with timers leaves wholly when they have.
//!
//! # What it costs
//!
//! A read or a write of a key in memory is a look-up in the index, one in the entry and one in the cell:
//! three places in memory. A batch's look-ups are done together, pass by pass, so that the processor waits
//! for several at once; a million records of a million keys take some 0.2 s on one core, of a thousand keys
//! 0.05 s, source and channels included. An expiry costs an entry in an [`TimerQueue`] when it is written and
//! a look at the cell when it is due. A key takes its own size, 8 bytes in the index and as many in the
//! entry, and what its cells take. A key that is read back from files costs some 15 microseconds, with what
//! must leave for it, if its pages are in the system's cache.
//!
//! # Measured
//!
//! `ROUNDS=1 cargo bench --bench state`, on 2 cores of a Xeon at 2.5 GHz; one thread, one round. Sums for a
//! thousand keys (few) and for three million (uniform, zipf), and the last bid with its text for each of
//! three hundred thousand pairs (strings). Each way knows every key's value at the end of each epoch and
//! tells what changed: differential's `count_total` (stock); the epoch's records sorted, one pass over a
//! stock spine, one run written (sorted); records combined by hash, then rows of a stock spine retracted and
//! inserted (hashed); a rolling aggregate, with its source, channels and progress (engine). A hash table
//! alone (table) tells nothing. A cell ends after two seconds, so slow ways have come less far: their state
//! is smaller than that of the others.
//!
//! Million records per second:
//!
//! | keys | epoch | stock | sorted | hashed | engine | table |
//! |---|---:|---:|---:|---:|---:|---:|
//! | few | 1000 | 5.36 | 7.93 | 5.50 | 10.28 | 202.57 |
//! | few | 10000 | 11.25 | 20.11 | 31.83 | 30.73 | 210.00 |
//! | few | 100000 | 13.81 | 40.72 | 127.51 | 39.22 | 209.98 |
//! | uniform | 1000 | 0.97 | 1.09 | 0.92 | 1.78 | 17.62 |
//! | uniform | 10000 | 1.49 | 1.86 | 1.35 | 2.17 | 18.06 |
//! | uniform | 100000 | 2.43 | 3.54 | 2.62 | 2.40 | 16.60 |
//! | zipf | 1000 | 1.50 | 1.73 | 1.25 | 3.56 | 46.90 |
//! | zipf | 10000 | 2.67 | 3.64 | 2.41 | 4.59 | 48.81 |
//! | zipf | 100000 | 4.46 | 6.35 | 5.60 | 5.75 | 47.56 |
//! | strings | 1000 | 0.44 | 0.51 | 0.45 | 0.65 | 4.68 |
//! | strings | 10000 | 0.68 | 0.75 | 0.56 | 0.72 | 4.49 |
//! | strings | 100000 | 0.87 | 0.99 | 0.94 | 0.94 | 4.64 |
//!
//! The longest epoch in milliseconds, and the megabytes gained:
//!
//! | keys | epoch | stock | sorted | hashed | engine | table |
//! |---|---:|---:|---:|---:|---:|---:|
//! | few | 1000 | 3, 2 | 1, 2 | 3, 5 | 4, 8 | 0, 0 |
//! | few | 10000 | 2, 2 | 2, 5 | 1, 5 | 3, 8 | 0, 0 |
//! | few | 100000 | 9, 8 | 3, 7 | 1, 5 | 11, 10 | 1, 0 |
//! | uniform | 1000 | 7, 97 | 3, 97 | 8, 126 | 75, 292 | 30, 153 |
//! | uniform | 10000 | 20, 149 | 20, 130 | 27, 178 | 79, 269 | 31, 153 |
//! | uniform | 100000 | 124, 109 | 108, 124 | 197, 130 | 103, 283 | 38, 153 |
//! | zipf | 1000 | 2, 57 | 2, 70 | 8, 98 | 13, 138 | 8, 42 |
//! | zipf | 10000 | 12, 48 | 10, 68 | 23, 80 | 28, 136 | 8, 42 |
//! | zipf | 100000 | 57, 86 | 61, 80 | 57, 89 | 46, 140 | 9, 42 |
//! | strings | 1000 | 8, 120 | 8, 84 | 11, 117 | 30, 163 | 10, 74 |
//! | strings | 10000 | 70, 128 | 65, 128 | 104, 131 | 48, 165 | 11, 73 |
//! | strings | 100000 | 237, 171 | 244, 152 | 184, 185 | 183, 196 | 30, 74 |
//!
//! Rolling aggregates keep a table of current values. In epochs of a thousand records, as low latency needs
//! them, that is the fastest of the ways that keep runs, for all four streams, by up to twice; in epochs of
//! ten thousand it is the fastest or close to it. It is not free. With a hundred thousand records in an epoch
//! sorting is faster by up to half; with a thousand keys and large epochs combining by hash and keeping no
//! table is three times as fast; the table costs its memory beside the arrangement; and while it grows to
//! millions of keys an epoch can take 75 ms, where a sorted pass takes 3.

mod table;
mod spill;
mod lsm;
mod run;
mod trace;
mod operator_state;
mod timer;
mod backend;
mod keyed;

pub(crate) use backend::state_backend::StateReaders;
pub(crate) use keyed::by_time::{At, Timed};
pub(crate) use keyed::column::{Cells, Publish};
pub(crate) use keyed::entry::{Entry, Held};
pub(crate) use keyed::items::{Items, Many, Mapped, One, Shape};
pub(crate) use keyed::keyed_snapshots::each_row;
pub(crate) use keyed::keyed_state::KeyedState;
pub(crate) use keyed::meta::FARTHEST;
pub(crate) use keyed::multiset::{Multiset, is_added_up, read_added_up};
pub(crate) use keyed::pins::WARM;
pub(crate) use keyed::published_state::PublishedState;
pub(crate) use keyed::store::{INDEXED, Store};
pub(crate) use keyed::time_domain::Now;
pub use keyed::time_domain::TimeDomain;
pub use keyed::view::StateView;
pub(crate) use lsm::delta::encode;
pub(crate) use lsm::expiry::{NEVER, UNBEGUN, is_over};
pub(crate) use lsm::row_type::{Encoded, Prefix, prefix_of_time};
pub(crate) use lsm::sorted_run::SortedRun;
pub(crate) use operator_state::OperatorState;
pub(crate) use run::arrangement::Arrangement;
pub(crate) use run::cursor::Cursor;
pub(crate) use run::incoming::{Share, read_rows};
pub(crate) use run::item_rows::ItemRows;
pub(crate) use run::latest_and_sums::{Latest, Sums};
pub(crate) use run::rows::{LATEST, Rows, SUMS, decode};
pub(crate) use run::run_builder::RunBuilder;
pub(crate) use spill::budget::{MemoryBudget, SpillBudget};
pub(crate) use spill::files::SharedBudget;
pub(crate) use spill::footprint::{Footprint, heap_of};
pub(crate) use table::key_table::{Found, KeyTable, Slot};
pub(crate) use timer::migratable::Migratable;
pub(crate) use timer::queue::TimerQueue;
pub(crate) use timer::rows::{DATED, read_entries};
pub(crate) use timer::spilled::{END, TimerBound};
pub use trace::StateTrace;
pub(crate) use trace::batch::{SealedBatch, StateBatch, epoch_time};
pub(crate) use trace::cursor::Counted;
pub(crate) use trace::spine::StateSpine;
