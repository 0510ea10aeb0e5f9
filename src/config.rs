//! The options of a job: how many workers, when epochs end, how much memory; each with its meaning and limit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Clock;
use crate::data::Ownership;
use crate::error::{Error, Result};
use crate::snapshot::Snapshots;
use crate::time::Epochs;

/// The most workers that one process runs.
pub const MAX_WORKERS: usize = 256;

/// The options with which a job runs.
///
/// ```
/// use highwater::config::Options;
/// use highwater::time::Epochs;
/// let options = Options::default().workers(4).epochs(Epochs::records(100_000));
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) workers: usize,
    ownership: Option<Ownership>,
    pub(crate) epochs: Epochs,
    pub(crate) limits: Limits,
    pub(crate) history: u64,
    pub(crate) seals: Seals,
    pub(crate) memory: Option<StateMemory>,
    pub(crate) clock: Clock,
    pub(crate) snapshots: Option<Snapshots>,
}

/// The memory budget of state, and the directory that the rest spills to.
#[derive(Clone, Debug)]
pub(crate) struct StateMemory {
    pub(crate) bytes: usize,
    pub(crate) directory: PathBuf,
}

/// When operators seal the changes of epochs into their arrangements.
///
/// Between two seals state lies in hash tables, where a change costs no more than in any hash map. A seal
/// sorts what has changed since the last one and writes it as immutable pages: the state as of that epoch,
/// for a snapshot or a reader. State that nobody reads is never sealed.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seals {
    /// When a snapshot or a reader needs the state as of an epoch.
    #[default]
    OnDemand,
    /// At the end of each epoch.
    EachEpoch,
}

/// How far a source may run ahead of the sinks.
///
/// This is the backpressure. Queues between operators are unbounded, so memory is bounded by admission: a
/// source that has reached a limit waits until the probe at the sinks advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Epochs that a source has finished and the sinks have not.
    pub(crate) epochs: usize,
    /// Bytes that a worker's source has sent in these epochs and the current one, after its fused steps.
    pub(crate) bytes: usize,
}

impl Default for Options {
    /// One worker, epochs of 10 milliseconds, at most 4 epochs and 64 MiB for each source and worker in
    /// flight.
    fn default() -> Options {
        let limits = Limits { epochs: 4, bytes: 64 << 20 };
        Options {
            workers: 1,
            ownership: None,
            epochs: Epochs::default(),
            limits,
            history: 0,
            seals: Seals::default(),
            memory: None,
            clock: Clock::system(),
            snapshots: None,
        }
    }
}

impl Options {
    /// The number of worker threads, 1 to [`MAX_WORKERS`]. Each runs the whole dataflow on its share of the
    /// keys and splits.
    pub fn workers(mut self, workers: usize) -> Options {
        self.workers = workers;
        self
    }

    /// Which worker owns which keys, and so how many workers there are; ranges of one length for each of
    /// [`workers`](Options::workers) unless said otherwise. A snapshot that was taken under one map is
    /// restored under any other.
    ///
    /// ```
    /// use highwater::config::Options;
    /// use highwater::data::Ownership;
    ///
    /// // The first worker has a slow core.
    /// let options = Options::default().ownership(Ownership::weighted(&[1, 2, 2])?);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn ownership(mut self, ownership: Ownership) -> Options {
        self.workers = ownership.workers();
        self.ownership = Some(ownership);
        self
    }

    /// Which worker owns which keys.
    pub(crate) fn owners(&self) -> Ownership {
        self.ownership.clone().unwrap_or_else(|| Ownership::uniform(self.workers as u32))
    }

    /// When an epoch ends.
    pub fn epochs(mut self, epochs: Epochs) -> Options {
        self.epochs = epochs;
        self
    }

    /// How many epochs a source may run ahead of the sinks; at least 1.
    pub fn max_epochs_in_flight(mut self, epochs: usize) -> Options {
        self.limits.epochs = epochs;
        self
    }

    /// How many bytes each worker's source may run ahead of the sinks; at least 1. A record counts as its
    /// size in memory; and if what the source sends goes to the owners of keys on several workers, with what
    /// it points to, as one record in 64 tells.
    pub fn max_bytes_in_flight(mut self, bytes: usize) -> Options {
        self.limits.bytes = bytes;
        self
    }

    /// As of how many of the last epochs [readers](crate::process::StateReader) can ask for state; none
    /// unless said otherwise, and then only for that of the next one.
    ///
    /// State that has a reader is sealed at the end of each epoch then: it costs a sort of what the epoch has
    /// changed. Pages that merges have replaced stay as long as an epoch that is kept has them, in memory or
    /// in local files: up to as much again as the state takes, and in memory beside what
    /// [`state_memory`](Options::state_memory) allows. The metric `history_bytes` of the operator shows it.
    pub fn state_history(mut self, epochs: u64) -> Options {
        self.history = epochs;
        self
    }

    /// When state is sealed: for tests and measurements.
    #[doc(hidden)]
    pub fn seals(mut self, seals: Seals) -> Options {
        self.seals = seals;
        self
    }

    /// The bytes of memory that the state of process functions, timers, windows, rolling aggregates, joins
    /// and patterns may take, on all workers together; at least 1 MiB. Without it all state is in memory.
    ///
    /// What exceeds this budget spills to files in `directory`, which should be on a fast local disk. The
    /// files have no names and disappear with the process, however it ends. The budget is enforced when an
    /// epoch ends: what one epoch touches stays in memory until then, so the limits on data in flight matter
    /// here too. It covers state alone: records in flight come on top, and so do some sixty bytes for each
    /// key with an open session or a partial match. An evicted key costs one read or a few when it is
    /// touched; a key in memory costs nothing extra.
    ///
    /// ```
    /// use highwater::config::Options;
    /// let options = Options::default().state_memory(256 << 20, std::env::temp_dir());
    /// ```
    pub fn state_memory(mut self, bytes: usize, directory: impl AsRef<Path>) -> Options {
        self.memory = Some(StateMemory { bytes, directory: directory.as_ref().to_owned() });
        self
    }

    /// Takes snapshots, and restores one at the start.
    pub fn snapshots(mut self, snapshots: Snapshots) -> Options {
        self.snapshots = Some(snapshots);
        self
    }

    /// The clock for epochs and timeouts.
    pub fn clock(mut self, clock: Clock) -> Options {
        self.clock = clock;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.workers == 0 || self.workers > MAX_WORKERS {
            return Err(Error::config(format!(
                "a job cannot run on {} workers: choose 1 to {MAX_WORKERS}",
                self.workers
            )));
        }
        if let Some(owners) = self.ownership.as_ref().map(Ownership::workers).filter(|n| *n != self.workers) {
            return Err(Error::config(format!(
                "keys are owned by {owners} workers, and the job is to run on {}: leave one of the two out",
                self.workers
            )));
        }
        if self.limits.epochs == 0 || self.limits.bytes == 0 {
            return Err(Error::config("a source must be allowed at least 1 epoch and 1 byte in flight"));
        }
        if let Some(StateMemory { bytes, directory }) = &self.memory {
            if *bytes < 1 << 20 {
                return Err(Error::config("state needs at least 1 MiB of memory"));
            }
            if !directory.is_dir() {
                let directory = directory.display();
                return Err(Error::config(format!(
                    "{directory} is no directory, so state cannot be written there: make it, or name another"
                )));
            }
        }
        self.snapshots.as_ref().map_or(Ok(()), Snapshots::check)?;
        match self.epochs.0 {
            crate::time::Policy::Every(interval) if interval < Duration::from_millis(1) => Err(
                Error::config(format!("an epoch cannot be as short as {interval:?}: choose 1 ms or more")),
            ),
            crate::time::Policy::Records(0) => Err(Error::config("an epoch needs at least 1 record")),
            _ => Ok(()),
        }
    }
}
