//! Where the rows of a state go when the state as of an epoch is asked for: into an arrangement, or onto a
//! delta log.
//!
//! An arrangement is where rows can be read again: by whoever looks at the state from outside while the job
//! runs, and by the state itself, when it is larger than memory. It is sealed by the worker, in one piece. If
//! all that is wanted of a state is that snapshots have it, its rows go into a
//! [delta log](crate::state::backend::delta_log), in slices between which the worker does its work, and
//! sorting them is not the worker's business.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use timely::dataflow::operators::generic::OperatorInfo;

use crate::data::{Exchange, Key};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, TableSnapshot};
use crate::state::backend::compaction::sample;
use crate::state::backend::delta_log::{DeltaLog, Tombstones};
use crate::state::backend::snapshot_delta::SnapshotDelta;
use crate::state::run::arrangement::Arrangement;
use crate::state::run::item_rows::ItemRows;
use crate::state::run::item_rows::Row;
use crate::state::run::persist::{Incoming, ReadPage, Share};
use crate::state::run::rows::Rows;
use crate::state::run::saves::Saves;
use crate::state::spill::files::SharedBudget;
use crate::state::spill::spilling::Spilling;

/// Who asks for the state as of an epoch.
#[derive(Clone, Default)]
pub(crate) struct StateReaders {
    /// True if it is read from outside while the job runs.
    pub(crate) read: bool,
    /// What it may take of memory, if that is limited.
    pub(crate) memory: Option<Rc<SharedBudget>>,
    /// True if there are snapshots, and seals are for them or for readers alone.
    pub(crate) saved: bool,
    /// True if nobody asks for the state as of any epoch, but for readers of it.
    pub(crate) unasked: bool,
}

/// Where the rows of a state go.
pub(crate) enum StateBackend<K: Key, S: Key, V: Exchange> {
    /// They can be read again.
    Arranged(Box<Arrangement<Spilling<ItemRows<K, S, V>>>>),
    /// They are only saved.
    SnapshotOnly {
        log: Arc<DeltaLog<K, S, V>>,
        /// The number of the last delta.
        last: u64,
    },
}

impl<K: Key, S: Key, V: Exchange> StateBackend<K, S, V> {
    pub(crate) fn new(
        rows: &ItemRows<K, S, V>,
        state_readers: &StateReaders,
        operator: OperatorInfo,
    ) -> StateBackend<K, S, V> {
        if state_readers.saved && !state_readers.read && state_readers.memory.is_none() {
            return StateBackend::SnapshotOnly { log: Arc::new(DeltaLog::new(rows.owner())), last: 0 };
        }
        let spilling = Spilling::new(rows.clone(), state_readers.memory.as_ref(), |(key, _)| key.hash);
        StateBackend::Arranged(Box::new(Arrangement::new(spilling, operator)))
    }

    /// The arrangement, if it is one.
    pub(crate) fn arrangement(&mut self) -> Option<&mut Arrangement<Spilling<ItemRows<K, S, V>>>> {
        match self {
            StateBackend::Arranged(arrangement) => Some(arrangement),
            StateBackend::SnapshotOnly { .. } => None,
        }
    }

    /// Begins the next delta, of the tombstones and of about so many items, as of the end of
    /// `epoch`. `None`, and nothing is taken, if rows are not handed over.
    pub(crate) fn delta(
        &mut self,
        epoch: u64,
        rows: &ItemRows<K, S, V>,
        tombstones: &mut Tombstones<K, S>,
        items: usize,
    ) -> Option<SnapshotDelta<K, S, V>> {
        let StateBackend::SnapshotOnly { log, last } = self else { return None };
        *last += 1;
        Some(SnapshotDelta::new(epoch, rows, std::mem::take(tombstones), items, Arc::clone(&log.buffers)))
    }

    /// Hands over a delta.
    pub(crate) fn push_delta(&self, delta: SnapshotDelta<K, S, V>) {
        if let StateBackend::SnapshotOnly { log, .. } = self {
            delta.push_delta(log);
        }
    }

    /// What a snapshot needs of the state as of the last seal, or the last delta that has been begun.
    pub(crate) fn save(&self, name: &str, rows: &ItemRows<K, S, V>) -> TableSnapshot {
        match self {
            StateBackend::Arranged(arrangement) => arrangement.save(name),
            StateBackend::SnapshotOnly { log, last } => TableSnapshot {
                name: name.to_owned(),
                schema: ItemRows::<K, S, V>::schema(),
                clock: rows.clock(),
                runs: Vec::new(),
                coming: Some((Arc::clone(log) as _, *last)),
            },
        }
    }

    /// Takes in a worker's share of what a snapshot has, and gives `fill` the rows of its pages, older ones
    /// first, and about how many keys there are in all.
    pub(crate) fn restore(
        &mut self,
        rows: &ItemRows<K, S, V>,
        (name, from): (&str, &RestoredOperator),
        share: Share,
        fill: &mut dyn FnMut(Vec<Row<K, S, V>>, usize),
    ) -> Result<()> {
        match self {
            StateBackend::Arranged(arrangement) => {
                let incoming = Incoming::open(from, name, share)?;
                arrangement.take_in(&incoming)?;
                let runs = arrangement.runs();
                let pages = runs.iter().flat_map(|run| run.pages());
                let keys = incoming.keys();
                pages.for_each(|page| fill(page.read(), keys));
            }
            StateBackend::SnapshotOnly { log, .. } => {
                let incoming = Incoming::open(from, name, share)?;
                let (keys, origin) = (incoming.keys(), Arc::new(from.origin(name)));
                let first = RefCell::new(None);
                let mut page = |read: ReadPage<ItemRows<K, S, V>>| {
                    first.borrow_mut().get_or_insert_with(|| sample(&read.rows));
                    match (read.written, read.rows.last()) {
                        (Some(place), Some((last, _))) if origin.is_near() => {
                            let page = log.released((read.rows.len(), last.clone()), &origin, place);
                            fill(read.rows, keys);
                            page
                        }
                        (written, _) => {
                            fill(read.rows.clone(), keys);
                            ReadPage { written, ..read }.page(rows)
                        }
                    }
                };
                incoming.read((rows, &|| rows.page_rows()), &mut page, &mut |pages| {
                    log.adopt(pages, first.take().unwrap_or_default())
                })?;
            }
        }
        Ok(())
    }
}
