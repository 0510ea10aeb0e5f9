//! The interface of sources: splits, each of which can be read again from any position.
//!
//! A source lists its splits. A split is read by one worker at a time, in an order of its own. Its reader
//! reports its position, and a reader that is opened at that position continues with exactly the next record.
//! So a source can be replayed from the end of any epoch, and emitted records need not be kept.
//!
//! The interface does not make input replayable: a source whose input is gone once it was read, such as a
//! socket, loses records in a restart.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::data::{Data, Exchange, Visit};
use crate::error::Result;

/// Where records come from. Users implement it for systems of their own.
pub trait Source: Clone + Send + Sync + 'static {
    /// The records.
    type Item: Data;
    /// A part of the source that can be read independently of others.
    type Split: Split;
    /// The reader of a split.
    type Reader: Reader<Item = Self::Item>;

    /// Its name in messages and graphs.
    fn name(&self) -> String;

    /// The splits that exist now, in a stable order. Called before the job starts, and again after each
    /// [discovery interval](Source::discovers_every).
    ///
    /// # Errors
    ///
    /// If the source does not exist or cannot be read; the job then does not start.
    fn splits(&self) -> Result<Vec<Self::Split>>;

    /// Opens a split, at its beginning or at a position that an earlier reader has reported.
    ///
    /// # Errors
    ///
    /// If the split cannot be read, or not from there.
    fn open(&self, split: &Self::Split, from: Option<Position<Self>>) -> Result<Self::Reader>;

    /// Matches the splits with those that an earlier run has read. Called once, before any split is opened,
    /// if the job is restored from a snapshot. `splits` is the result of [`splits`](Source::splits), and the
    /// returned splits replace it: a split that continues an earlier one has the id of that one.
    ///
    /// # Errors
    ///
    /// If the splits cannot be matched with the earlier ones.
    fn resume(
        &self,
        splits: Vec<Self::Split>,
        _earlier: Vec<Earlier<Position<Self>>>,
    ) -> Result<Vec<Self::Split>> {
        Ok(splits)
    }

    /// Called by a worker when it leaves an epoch in which it has read something, with its positions in the
    /// splits that it read. A reader opened there reads exactly what comes after the epoch.
    fn epoch_left(&self, _worker: usize, _epoch: u64, _positions: &[(Self::Split, Position<Self>)]) {}

    /// Called by a worker when it learns that all epochs below `open` are complete, at all sinks of the job.
    /// A source can then acknowledge the input of these epochs.
    fn epochs_completed(&self, _worker: usize, _open: u64) {}

    /// The files and directories that it reads. A job with a sink that writes there is rejected.
    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// How many readers may be open at a time, on all workers together; each worker may open one in any case.
    /// A worker with more splits than its share drops the least recently used reader, and
    /// [opens](Source::open) the split again at the reader's position when it reads it next. For readers that
    /// hold scarce resources, such as open files.
    fn max_open_readers(&self) -> usize {
        usize::MAX
    }

    /// The interval at which to look for new splits; `None` for never.
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
    /// The position of its reader.
    pub position: P,
    /// True if it was read to its end.
    pub is_done: bool,
}

/// A part of a source that can be read independently of others.
pub trait Split: Exchange + fmt::Debug {
    /// Its identity, which no other split of the source has. Snapshots refer to the split by it.
    fn id(&self) -> String;
}

/// The reader of a split.
pub trait Reader: 'static {
    /// The records.
    type Item: Data;
    /// A place between two records.
    type Position: Exchange + fmt::Debug;

    /// Passes up to `limit` records to `visit`, without waiting for any. Inlined into the operator that
    /// reads, if possible.
    ///
    /// # Errors
    ///
    /// If the split cannot be read any more; the job ends.
    fn read<V: Visit<Self::Item>>(&mut self, limit: usize, visit: &mut V) -> Result<Status>;

    /// The position after the last record read.
    fn position(&self) -> Self::Position;

    /// Returns the malformed input since the last call.
    fn malformed(&mut self) -> Vec<Malformed> {
        Vec::new()
    }
}

/// What a reader reports after reading some records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// More records may be available at once.
    More,
    /// No record is available now; poll again after this long. The reader is polled once before that if
    /// splits may become [silent](crate::time::Watermarks::idle_after) in less time.
    Wait(Duration),
    /// The split has been read to its end.
    Done,
}

/// A piece of input that is not a record.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Malformed {
    /// Its place, such as the file and the line.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
    /// The input, or the beginning of it.
    pub input: String,
}

/// The policy for input that is not a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMalformed {
    /// End the job with an error that names the place.
    #[default]
    Fail,
    /// Skip it and count it, in the metric `malformed` of the source.
    Skip,
}
