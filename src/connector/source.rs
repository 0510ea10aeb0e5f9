//! What a source is: splits, each of which can be read again from any position.
//!
//! A source lists its splits. Each split is read by one worker at a time, in an order that is the split's
//! own. While it is read it can tell its position, and a reader opened at that position goes on with exactly
//! the next record. So a source can be replayed from the end of any epoch: nothing that was emitted needs to
//! be kept.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::data::{Data, Exchange, Visit};
use crate::error::Result;

/// Where records come from. Users implement it for systems of their own.
pub trait Source: Clone + Send + Sync + 'static {
    /// What it gives.
    type Item: Data;
    /// A part that can be read by itself.
    type Split: Split;
    /// Reads a split.
    type Reader: Reader<Item = Self::Item>;

    /// What to call it in messages and graphs.
    fn name(&self) -> String;

    /// The splits there are now, in an order that does not change. Called before the job starts, and again
    /// each [`discovery interval`](Source::discovers_every).
    ///
    /// # Errors
    ///
    /// If the source is not there or cannot be read; the job then does not start.
    fn splits(&self) -> Result<Vec<Self::Split>>;

    /// Opens a split, at its beginning or at a position that an earlier reader has told.
    ///
    /// # Errors
    ///
    /// If the split cannot be read, or not from there.
    fn open(&self, split: &Self::Split, from: Option<Position<Self>>) -> Result<Self::Reader>;

    /// Told once what an earlier run has read, if the job goes on from a snapshot, and before any split is
    /// opened: `splits` is what [`splits`](Source::splits) gave. The answer takes its place, in which a split
    /// has the id of the earlier one that it is to go on from.
    ///
    /// # Errors
    ///
    /// If it cannot be told which split is which.
    fn resume(
        &self,
        splits: Vec<Self::Split>,
        _earlier: Vec<Earlier<Position<Self>>>,
    ) -> Result<Vec<Self::Split>> {
        Ok(splits)
    }

    /// Told by a worker when it leaves an epoch in which it has read something: where it stands in the splits
    /// that it read. A reader opened there gives exactly what comes after the epoch.
    fn epoch_left(&self, _worker: usize, _epoch: u64, _positions: &[(Self::Split, Position<Self>)]) {}

    /// Told by a worker when it learns that all epochs below `open` are complete, at all sinks of the job.
    fn epochs_completed(&self, _worker: usize, _open: u64) {}

    /// The files and directories that it reads, so that no sink of the job is told to write there.
    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// How many readers may be open at a time, on all workers together: the least of them that a worker opens
    /// is one. If it has more splits than its share, it drops the reader that was used least recently, and
    /// [opens](Source::open) the split where that stood when it is read again. For readers that hold what
    /// there is little of, such as files.
    fn max_open_readers(&self) -> usize {
        usize::MAX
    }

    /// How often to look for new splits; never, if `None`.
    fn discovers_every(&self) -> Option<Duration> {
        None
    }
}

/// The position type of a source's readers.
pub type Position<S> = <<S as Source>::Reader as Reader>::Position;

/// A split that an earlier run has read.
#[derive(Clone, Debug)]
pub struct Earlier<P> {
    /// Its [id](Split::id).
    pub split: String,
    /// Where its reader was.
    pub position: P,
    /// True if it was read to its end.
    pub is_done: bool,
}

/// A part of a source that can be read by itself.
pub trait Split: Exchange + fmt::Debug {
    /// Tells it from all other splits of the source.
    fn id(&self) -> String;
}

/// Reads a split.
pub trait Reader: 'static {
    /// What it gives.
    type Item: Data;
    /// Between which records it is.
    type Position: Exchange + fmt::Debug;

    /// Shows up to `limit` records to `visit`, without waiting for any. Inlined into the operator that reads,
    /// if it can be.
    ///
    /// # Errors
    ///
    /// If the split cannot be read any more; the job ends.
    fn read<V: Visit<Self::Item>>(&mut self, limit: usize, visit: &mut V) -> Result<Status>;

    /// The position after the last record given.
    fn position(&self) -> Self::Position;

    /// Takes what could not be read as a record since the last call.
    fn malformed(&mut self) -> Vec<Malformed> {
        Vec::new()
    }
}

/// What a reader has to say after giving some records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// There may be more at once.
    More,
    /// There is no more now; ask again after this long. It is asked sooner once if splits may fall
    /// [silent](crate::time::Watermarks::idle_after) in less time.
    Wait(Duration),
    /// There will be no more.
    Done,
}

/// A piece of input that is not a record.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Malformed {
    /// Where it is: the file and the line, say.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
    /// The input, or the beginning of it.
    pub input: String,
}

/// What to do with input that is not a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMalformed {
    /// End the job with an error that names the place.
    #[default]
    Fail,
    /// Skip it and count it, in the metric `malformed` of the source.
    Skip,
}
