//! Where the rows of a state go when the state as of an epoch is asked for: into an arrangement, or onto a
//! delta log.
//!
//! An arrangement is where rows can be read again: by whoever looks at the state from outside while the job
//! runs, and by the state itself, when it is larger than memory. It is sealed by the worker, in one piece. If
//! all that is wanted of a state is that snapshots have it, its rows go into a
//! [delta log](crate::state::lsm::delta_log), in slices between which the worker does its work, and
//! sorting them is not the worker's business.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::data::{Exchange, Key};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, TableSnapshot};
use crate::state::backend::snapshot_delta::{SnapshotDelta, Tombstones};
use crate::state::lsm::delta_log::DeltaLog;
use crate::state::run::arrangement::Arrangement;
use crate::state::run::incoming::{Incoming, Share};
use crate::state::run::item_rows::{ItemRows, Row};
use crate::state::run::rows::Rows;
use crate::state::spill::files::SharedBudget;

/// Who asks for the state as of an epoch.
#[derive(Clone, Default)]
pub(crate) struct StateReaders {
    /// True if it is read from outside while the job runs.
    pub(crate) read: bool,
    /// What it may take of memory, if that is limited.
    pub(crate) memory: Option<Rc<SharedBudget>>,
    /// True if it is read as of each epoch.
    pub(crate) history: bool,
    /// True if there are snapshots, and seals are for them or for readers alone.
    pub(crate) saved: bool,
    /// True if nobody asks for the state as of any epoch, but for readers of it.
    pub(crate) unasked: bool,
}

/// Where the rows of a state go.
pub(crate) enum StateBackend<K: Key, S: Key, V: Exchange> {
    /// They can be read again.
    Arranged(Box<Arrangement<ItemRows<K, S, V>>>),
    /// They are only saved.
    SnapshotOnly {
        log: Arc<DeltaLog>,
        /// The number of the last delta.
        last: u64,
    },
}

impl<K: Key, S: Key, V: Exchange> StateBackend<K, S, V> {
    /// No rows, which expire by `clock`.
    pub(crate) fn new(
        rows: &ItemRows<K, S, V>,
        clock: &Rc<Cell<i64>>,
        state_readers: &StateReaders,
    ) -> StateBackend<K, S, V> {
        let StateReaders { saved, read, memory, .. } = state_readers;
        if *saved && !read && memory.is_none() {
            return StateBackend::SnapshotOnly {
                log: Arc::new(DeltaLog::new(Arc::new(rows.clone()))),
                last: 0,
            };
        }
        let arrangement = Arrangement::new(rows.clone(), Rc::clone(clock), memory.as_ref());
        StateBackend::Arranged(Box::new(arrangement))
    }

    /// The arrangement, if it is one.
    pub(crate) fn arrangement(&mut self) -> Option<&mut Arrangement<ItemRows<K, S, V>>> {
        match self {
            StateBackend::Arranged(arrangement) => Some(arrangement),
            StateBackend::SnapshotOnly { .. } => None,
        }
    }

    /// Begins the next delta, of the tombstones and of items, as of the end of `epoch`. `None`, and nothing
    /// is taken, if rows are not handed over.
    pub(crate) fn delta(
        &mut self,
        epoch: u64,
        clock: i64,
        tombstones: &mut Tombstones<K, S>,
    ) -> Option<SnapshotDelta<K, S>> {
        let StateBackend::SnapshotOnly { log, last } = self else { return None };
        *last += 1;
        Some(SnapshotDelta::new(log.delta(epoch, clock), std::mem::take(tombstones)))
    }

    /// Hands over a delta.
    pub(crate) fn push_delta(&self, delta: SnapshotDelta<K, S>) {
        if let StateBackend::SnapshotOnly { log, .. } = self {
            delta.push_delta(log);
        }
    }

    /// What a snapshot needs of the state as of the last seal, or the last delta that has been begun.
    ///
    /// # Errors
    ///
    /// If something could not be encoded.
    pub(crate) fn save(&self, name: &str, clock: i64) -> Result<TableSnapshot> {
        match self {
            StateBackend::Arranged(arrangement) => arrangement.save(name),
            StateBackend::SnapshotOnly { log, last } => Ok(TableSnapshot {
                name: name.to_owned(),
                schema: ItemRows::<K, S, V>::schema(),
                clock,
                runs: Vec::new(),
                coming: Some((Arc::clone(log) as _, *last)),
            }),
        }
    }

    /// Takes in a worker's share of what a snapshot has, and gives `fill` the rows of its pages, older ones
    /// first, and about how many keys there are in all.
    pub(crate) fn restore(
        &mut self,
        (rows, clock): (&ItemRows<K, S, V>, &Cell<i64>),
        (name, from): (&str, &RestoredOperator),
        share: &Share,
        fill: &mut dyn FnMut(Vec<Row<K, S, V>>, usize),
    ) -> Result<()> {
        let incoming = Incoming::open(from, name, share)?;
        let keys = incoming.keys();
        let log = match self {
            StateBackend::Arranged(arrangement) => {
                return arrangement.take_in(&incoming, &mut |read| fill(read, keys));
            }
            StateBackend::SnapshotOnly { log, .. } => log,
        };
        let origin = Arc::new(from.origin(name));
        let mut run = log.build_page();
        incoming.read((rows, clock), &mut |read| {
            let Some(read) = read else {
                log.adopt(std::mem::replace(&mut run, log.build_page()));
                return Ok(());
            };
            read.add_to(rows, &mut run)?;
            if let Some(page) = run.pages.last_mut().filter(|_| origin.is_near())
                && let Some(released) = page.released(&origin)
            {
                *page = Arc::new(released);
            }
            fill(read.rows, keys);
            Ok(())
        })
    }
}
