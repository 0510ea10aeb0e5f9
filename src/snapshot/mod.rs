//! Snapshots: the state of a job at the end of an epoch, written while the job runs on, to go on from after a
//! crash, on another number of workers, or on another day.
//!
//! # What a snapshot is
//!
//! The state of a job at the end of an epoch: the rows of all keyed state and timers, the offsets of each
//! source in its splits, and what transactional sinks have prepared. The epoch is over when the frontier has
//! passed it, so no record is in flight that belongs to it; nothing is injected into the streams, nothing is
//! aligned, and no worker waits for another.
//!
//! # How one is taken
//!
//! * The epoch clock turns, and a cut is decided for the epoch that it leaves, if one is due.
//! * When an operator closes that epoch, each instance for itself, it sets aside the list of what has
//!   changed, and copies a [slice](Snapshots::slice) of it in each activation from then on; what is about to
//!   change is copied first. If its state is read elsewhere too, or limited in memory, it seals what has
//!   changed into its arrangements instead, and hands over pointers to their pages. This is all that a worker
//!   does for a snapshot; the longest time that it does so at once is the metric `longest_pause_micros` of
//!   `snapshots`. Sources hand over their positions, sinks what they have prepared.
//! * The coordinator's thread receives the parts as they come, sorts the copies into pages, merges runs of
//!   them where that pays, and encodes the pages that no snapshot has yet. It writes them as segments, and
//!   when all parts are there it commits a manifest. Pages never change, so the job goes on meanwhile, and
//!   the next cut may come before this one is done.
//! * Sinks that learn of the commit finish theirs.
//!
//! A snapshot writes the rows that have changed since the last one, and those that compactions have
//! rewritten. Runs are merged where many of their rows would be dropped, so a row that has changed is written
//! again about twice while it stays, and a new one seldom; if its state is sealed, some `log2(rows / rows
//! changed each time)` times.
//!
//! Pages in a store that is [near](crate::object::Store::is_near) are not kept in memory for compactions, but
//! read again. If they cannot be read, the compaction is deferred, which the metric `compactions_deferred` of
//! `snapshots` counts, and the runs are named as they are.
//!
//! # How a job goes on from one
//!
//! Workers own ranges of the hashes of keys, as the manifest [says](crate::data::Ownership), and pages say
//! which hashes they have. Each worker of the new run, of whatever number and whatever they own, reads the
//! pages that touch its ranges, and takes over runs as they are. Sources open their splits where they stood.
//! An operator is known by its [uid](crate::stream::Stream::uid), a state by its name, and rows by what their
//! type's `Deserialize` says that it reads.
//!
//! A job that has changed goes on if no state is lost or misread by it. Changes that cannot be recognized are
//! declared by [`Migrations`], in the program.
//!
//! | what has changed | then |
//! |---|---|
//! | the type of a value, an accumulator, a record | an error that shows both, or [`convert`](Migrations::convert) by a function from the old one to the new |
//! | the type of a key, or of the keys of a map | an error that shows both |
//! | the uid of an operator, the name of a state | an error, or [`rename`](Migrations::rename), [`rename_state`](Migrations::rename_state) |
//! | an operator is gone, or a state of it | an error, or [`forget`](Migrations::forget), [`forget_state`](Migrations::forget_state); [`dropping_state`](Snapshots::dropping_state) lets go all |
//! | an operator is new, or a state | it begins empty |
//! | an operator is of another kind | an error |
//! | the size, slide, offset or number of windows, or their kind | an error that shows both |
//! | a pattern | an error that shows both; of conditions nothing can be seen |
//! | the gap of sessions | records that come have the new one; sessions that are open stay as long as their records said |
//! | lateness, a late output, corrections of windows, be they asked for or no longer | windows that have not fired go on and end when they were to, also where another operator takes them. What has fired and was kept for late records goes with the lateness |
//! | lateness that aligned windows no longer have, while records wait as late ones | an error that names the way: a lateness of zero by [`allowed_lateness`](crate::window::WindowedStream::allowed_lateness) |
//! | triggers | the same; what a trigger keeps is a state as others are, and a trigger that is new learns of what is in a window when the next record comes, but for the end of the window |
//! | an evictor, or a function of all records, where there was an aggregate, or the other way round | an error: sums do not become records, nor records sums. Another evictor for the same windows is nothing |
//! | a time to live, the bounds of an interval join | what is written has the new ones; what was there is kept for as long as it was to be |
//! | the codec, the compression, the number of workers | nothing: pages are read as they were written, and what is written is written in the new way |
//! | the number of splits of a source | an error |
//!
//! State that has been converted or renamed is written anew by the next snapshot, all of it; until that is
//! committed, the earlier program can still go on from the store.
//!
//! A second job goes on from a snapshot of a first in a store of its own, which [`fork`](Repository::fork)
//! makes.
//!
//! # What is in one
//!
//! Every operator with state that outlives an epoch takes part, and what is in progress within an epoch does
//! not exist at its end. So [calls](crate::stream::Stream::call) and [loops](crate::stream::Stream::iterate)
//! have nothing to save but what operators in a loop keep; of a [differential
//! computation](crate::stream::Stream::differential) there are the collections that it was given, from which
//! it is made again; and of watermarks, at a source or [given anew](crate::stream::Stream::with_watermarks),
//! what is known of each split. What a user's function keeps to itself, such as a counter in a closure, is
//! not in a snapshot.
//!
//! # The store
//!
//! The rest of this page is about what is stored, and how a run commits what no other run can undo. There
//! pages are bytes with a head, segments are lists of pages, and a manifest lists segments.
//!
//! ```
//! use std::sync::Arc;
//! use highwater::object::Memory;
//! use highwater::snapshot::{Cause, Repository, Selector};
//!
//! let repository = Repository::open(Arc::new(Memory::default()));
//! let mut lease = repository.claim("job")?;
//! lease.commit(lease.manifest(1, Cause::Interval, 2))?;
//! // A later run takes over, and goes on from there.
//! let mut next = repository.claim("job")?;
//! assert_eq!(next.from().map(|(_, manifest)| manifest.epoch), Some(1));
//! assert!(lease.commit(lease.manifest(2, Cause::Interval, 2)).is_err());
//! next.commit(next.manifest(2, Cause::Interval, 2))?;
//! assert_eq!(repository.find(&Selector::Latest)?.map(|(_, manifest)| manifest.epoch), Some(2));
//! # Ok::<(), highwater::Error>(())
//! ```
//!
//! ## What a store holds
//!
//! Objects with names, which never change. All are put by calls that fail if there is one of the name.
//!
//! | name | what |
//! |---|---|
//! | `log/<number>` | the log: an entry is a [`Claim`] or a [`Manifest`] |
//! | `head/<number>` | nothing; the log has come to that number, so one that ends before has [lost entries](Repository::verify) |
//! | `pages/<generation>/<epoch>-<worker>-<n>` | a segment: [pages](PageHead), one after the other |
//! | `names/<name>` | a snapshot that is kept: the number, epoch and checksum of its manifest |
//! | `gc/<number>` | what a garbage collection is about to delete |
//!
//! ## The protocol
//!
//! A run claims by creating the first free entry of the log. From then on it appends a manifest for each
//! snapshot under its next number, and no other. If its put reports that the number is taken, or its outcome
//! is unknown, it reads the entry: if that is what it has put, it is committed; else a later run's claim is
//! there, and it never writes again. Claims are never deleted.
//!
//! So one conditional put both commits and fences. There is no lock, no object that names the current run and
//! none that names the last snapshot: the last snapshot is the manifest with the greatest number.
//! [`protocol`] has the decisions as functions, and why they are right; `tests/commit_model` tries them in
//! all orders.
//!
//! ## What holds
//!
//! * **A manifest's pages are there** (I2): a lease commits only what names segments whose puts have
//!   succeeded, and those of manifests that are still kept. [`verify`](Repository::verify) checks it.
//! * **A snapshot is there or not** (I3): it is one object, and what it names never changes, for no name is
//!   used twice: segments carry the generation of the run that wrote them, and there is one claim of each
//!   generation that is not void.
//! * **The last snapshot never goes back** (I4): epochs ascend with numbers, the last manifest is never
//!   deleted, and one that is damaged is an error and is not passed over.
//! * **One run writes** (I5): whoever was before the last claim finds that claim, or one before it, under its
//!   own next number.
//! * **Nothing that is needed is deleted** (I8): what a run will name is in its last manifest, in the one
//!   that it went on from, or newer than both. A collector keeps all three, writes down what it will delete,
//!   looks again, and deletes manifests before segments. It does not have to hold the lease, for what was
//!   garbage once is garbage for ever.
//!
//! ## Why not a fence beside the manifests
//!
//! It is common to keep the right to write in one object, and manifests in others, named by epoch. Then a run
//! must see that it still holds the right and commit in one step, which stores do not offer: between the look
//! and the put it may sleep. The put fails only if there is a manifest of that epoch already; and since
//! epochs are cut by the clock, the next run's next epoch may be another number. With one log there is one
//! next number.
//!
//! ## What is assumed
//!
//! * A put of a name that exists fails, and a read gives what was put: [`check`](crate::object::check) looks
//!   at that whenever a run claims.
//! * A list shows all that was there at some moment, perhaps one in the past. Names given to snapshots
//!   meanwhile are only safe from a collector if its `grace` is longer than lists are out of date.
//! * Whoever writes into the store means well: checksums find damage and mistakes, not forgery.

mod page;
mod log;
mod schema;
mod restore;
mod coordinator;
pub(crate) mod fuzz_entry;
#[cfg(test)]
mod tests;

pub use coordinator::options::{Restore, Snapshots};
pub use log::gc::Reclaimed;
pub use log::generation::{Generation, Generations};
pub use log::lease::{CommitError, Committed, Lease, SegmentWriter};
pub use log::manifest::{
    Cause, Claim, Entry, Manifest, Note, OperatorState, PageRef, RunState, Schema, Shard, TableState,
};
pub use log::repository::{Expected, Kept, Repository, Selector};
pub use log::verify::{Finding, Report};
#[doc(hidden)]
pub use log::{names, protocol};
pub use page::codec::Codec;
pub use page::compression::Compression;
pub use page::format::{MAX_PAGE, PageHead};
#[cfg(feature = "abomonation")]
pub use page::plain::{Plain, plain};
pub use schema::migrate::Migrations;

pub(crate) use coordinator::acks::{CoordinatorMessage, PendingSnapshots};
pub(crate) use coordinator::operator_snapshot::{
    BuiltRuns, DeferredRuns, OperatorSnapshot, RunSnapshot, SavedTables, TableSnapshot,
};
#[cfg(test)]
pub(crate) use coordinator::segments::Owner;
pub(crate) use coordinator::segments::{EagerWriter, SavedPage, SegmentWriting};
pub(crate) use coordinator::thread::{Coordinator, CoordinatorHandle};
pub(crate) use coordinator::trigger::SnapshotTrigger;
pub(crate) use page::block;
pub(crate) use page::codec::{BY_COLUMNS, decode_note, encode_note};
pub(crate) use restore::page_source::PageSource;
pub(crate) use restore::restored::{Restored, RestoredOperator, RestoredShard, RestoredTable};
pub(crate) use schema::convert::Converted;
pub(crate) use schema::infer::foreign::Foreign;
pub(crate) use schema::migrate::STATE;
