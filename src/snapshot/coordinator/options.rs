//! The options of snapshots.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::object::{Local, Store, store_at};
use crate::snapshot::coordinator::trigger::SnapshotPolicy;
use crate::snapshot::page::codec::Codec;
use crate::snapshot::page::compression::Compression;
#[cfg(feature = "abomonation")]
use crate::snapshot::page::plain::Plain;

/// Where a job's snapshots go, how often they are taken, and what the job goes on from.
///
/// ```no_run
/// use highwater::config::Options;
/// use highwater::snapshot::{Restore, Snapshots};
/// use std::time::Duration;
///
/// let snapshots = Snapshots::in_directory("snapshots")?.every(Duration::from_secs(1)).restore(Restore::Latest);
/// let options = Options::default().snapshots(snapshots);
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Snapshots {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) job: String,
    pub(crate) often: SnapshotPolicy,
    pub(crate) retain: usize,
    pub(crate) codec: Codec,
    pub(crate) slice: usize,
    pub(crate) compression: Compression,
    pub(crate) restore: Restore,
    pub(crate) drops_state: bool,
}

/// How many rows a worker copies at a time.
const SLICE: usize = 4096;

/// What a job goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Restore {
    /// It begins at the beginning, and the store must have no snapshots: a forgotten option must not lose
    /// what was done.
    #[default]
    Nothing,
    /// It begins at the beginning, whatever the store has. The store is this run's from now on, and outputs
    /// that runs on it have written begin anew too.
    Anew,
    /// The latest snapshot, or the beginning if there is none.
    Latest,
    /// The snapshot of the end of an epoch.
    Epoch(u64),
    /// The snapshot that was [kept](crate::snapshot::Repository::keep) by a name.
    Named(String),
}

impl Snapshots {
    /// Snapshots in a store. No snapshot is taken until a policy or a request asks for one:
    /// [`every`](Snapshots::every), or [`snapshot`](crate::runtime::Running::snapshot) while the job runs;
    /// and one at the end of all input.
    pub fn in_store(store: Arc<dyn Store>) -> Snapshots {
        Snapshots {
            store,
            job: String::from("job"),
            often: SnapshotPolicy::default(),
            retain: 3,
            codec: Codec::default(),
            slice: SLICE,
            compression: Compression::default(),
            restore: Restore::default(),
            drops_state: false,
        }
    }

    /// Snapshots in a local directory, which is made if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn in_directory(directory: impl AsRef<Path>) -> Result<Snapshots> {
        Ok(Snapshots::in_store(Arc::new(Local::open(directory)?)))
    }

    /// Snapshots in a directory, or below an address such as `s3://bucket/prefix`: see [`store_at`].
    ///
    /// # Errors
    ///
    /// If the directory cannot be made, or if the address is none that this program can reach.
    pub fn at(place: impl AsRef<Path>) -> Result<Snapshots> {
        Ok(Snapshots::in_store(store_at(place)?))
    }

    /// Takes one each time that so much wall-clock time has passed, when an epoch ends.
    pub fn every(mut self, interval: Duration) -> Snapshots {
        self.often.every = Some(interval);
        self
    }

    /// Takes one each time that so many epochs have ended; at least 1.
    pub fn every_epochs(mut self, epochs: u64) -> Snapshots {
        self.often.epochs = Some(epochs.max(1));
        self
    }

    /// How many of the latest ones stay; 3 unless said otherwise, and at least 1. Those that are kept by name
    /// stay as well.
    pub fn retain(mut self, snapshots: usize) -> Snapshots {
        self.retain = snapshots.max(1);
        self
    }

    /// How pages are encoded; in blocks unless said otherwise, which costs least. By columns they are up to a
    /// third smaller. Pages that were written otherwise are read all the same.
    ///
    /// A job that is to use [`Codec::Abomonation`] does not start if the crate was built without its feature
    /// `abomonation`.
    pub fn codec(mut self, codec: Codec) -> Snapshots {
        self.codec = codec;
        self
    }

    /// How many rows of changed state a worker copies for a snapshot before it does other work again; 4,096
    /// unless said otherwise, and at least 1. A row costs from 50 ns to 2 us, most of it for memory, so this
    /// bounds how long a worker pauses; and the copies of a snapshot wait for each other, one for each
    /// activation of an operator.
    pub fn slice(mut self, rows: usize) -> Snapshots {
        self.slice = rows.max(1);
        self
    }

    /// Registers state with these keys, sub-keys and values as plain data, for [`Codec::Abomonation`]: see
    /// [`plain`](crate::snapshot::plain()).
    ///
    /// ```
    /// use highwater::object::Memory;
    /// use highwater::snapshot::{Codec, Snapshots};
    /// use std::sync::Arc;
    ///
    /// let snapshots = Snapshots::in_store(Arc::new(Memory::default()));
    /// // Values of numbers by numbers, and a map of numbers.
    /// let snapshots = snapshots.codec(Codec::Abomonation).plain::<u64, (), [u64; 8]>().plain::<u64, u32, i64>();
    /// ```
    #[cfg(feature = "abomonation")]
    pub fn plain<K: Plain, S: Plain, V: Plain>(self) -> Snapshots {
        crate::snapshot::page::plain::plain::<K, S, V>();
        self
    }

    /// How pages are compressed; by LZ4 unless said otherwise. Pages that were written otherwise are read all
    /// the same.
    ///
    /// A job that is to use [`Compression::Zstd`] does not start if the crate was built without its feature
    /// `zstd`.
    pub fn compression(mut self, compression: Compression) -> Snapshots {
        self.compression = compression;
        self
    }

    /// What the job goes on from.
    pub fn restore(mut self, restore: Restore) -> Snapshots {
        self.restore = restore;
        self
    }

    /// What to call the job in the store.
    pub fn job(mut self, name: impl Into<String>) -> Snapshots {
        self.job = name.into();
        self
    }

    /// Drops state that no operator of the job asks for: without this, a job that misses an operator or a
    /// state of the snapshot does not start. [`Migrations::forget`](crate::snapshot::Migrations::forget) lets
    /// go that of one operator.
    pub fn dropping_state(mut self) -> Snapshots {
        self.drops_state = true;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.compression.check()?;
        self.codec.check()?;
        match self.often.every {
            Some(every) if every < Duration::from_millis(1) => {
                Err(Error::config(format!("snapshots cannot be {every:?} apart: choose 1 ms or more")))
            }
            _ => Ok(()),
        }
    }
}
