//! What a job goes on from: the snapshot it was given, as its operators ask for it.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::codec::{Codec, decode_note};
use super::manifest::{Manifest, OperatorState, PageRef, RunState, Schema, TableState};
use super::repository::{Expected, Repository};
use crate::error::{Error, Result};

/// A snapshot that a job goes on from.
pub(crate) struct Restored {
    repository: Repository,
    manifest: Manifest,
}

/// The state of an operator in it.
#[derive(Clone)]
pub(crate) struct RestoredOperator {
    restored: Arc<Restored>,
    /// Its number in the manifest.
    number: usize,
}

/// A worker's share of a table, as it was written.
pub(crate) struct RestoredShard {
    /// The hashes that the worker owned.
    pub(crate) hashes: (u64, u64),
    /// The time up to which rows were over there.
    pub(crate) clock: i64,
    /// The pages, run by run, oldest first.
    pub(crate) runs: Vec<Vec<PageRef>>,
}

impl Restored {
    pub(crate) fn new(repository: Repository, manifest: Manifest) -> Restored {
        Restored { repository, manifest }
    }

    /// The uids of the operators in it that have something to say, and what they are.
    pub(crate) fn operators(&self) -> impl Iterator<Item = (&str, &str)> {
        let operators = self.manifest.operators.iter();
        let operators =
            operators.filter(|operator| !operator.tables.is_empty() || !operator.notes.is_empty());
        operators.map(|operator| (operator.uid.as_str(), operator.kind.as_str()))
    }

    /// The state of the operator of this uid, if there is any.
    pub(crate) fn operator(self: &Arc<Restored>, uid: &str) -> Option<RestoredOperator> {
        let number = self.manifest.operators.iter().position(|operator| operator.uid == uid)?;
        Some(RestoredOperator { restored: Arc::clone(self), number })
    }
}

/// The name of the note that a table's clock is in.
pub(crate) fn clock_of(table: &str) -> String {
    format!("clock of {table}")
}

/// The least and the greatest hash that a worker owns.
fn hashes_of(worker: u64, workers: u64) -> (u64, u64) {
    let begin = |worker: u64| (u128::from(worker) << 64).div_ceil(u128::from(workers.max(1)));
    (begin(worker) as u64, (begin(worker + 1) - 1) as u64)
}

impl RestoredOperator {
    fn state(&self) -> &OperatorState {
        &self.restored.manifest.operators[self.number]
    }

    /// Its uid.
    pub(crate) fn uid(&self) -> &str {
        &self.state().uid
    }

    /// The names of its tables.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &str> {
        self.state().tables.iter().map(|table| table.name.as_str())
    }

    fn table(&self, name: &str) -> Option<&TableState> {
        self.state().tables.iter().find(|table| table.name == name)
    }

    /// What each worker noted under a name, in order of the workers.
    pub(crate) fn notes<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<(u32, T)>> {
        let uid = &self.state().uid;
        let mut notes: Vec<_> = self.state().notes.iter().filter(|note| note.name == name).collect();
        notes.sort_by_key(|note| note.worker);
        let read = |note: &super::manifest::Note| Ok((note.worker, decode_note(&note.bytes, uid, name)?));
        notes.into_iter().map(read).collect()
    }

    /// The greatest of what the workers noted under a name.
    pub(crate) fn latest<T: DeserializeOwned + Ord>(&self, name: &str) -> Result<Option<T>> {
        Ok(self.notes(name)?.into_iter().map(|(_, value)| value).max())
    }

    /// The clocks of a table, by the ranges of hashes that workers owned.
    pub(crate) fn clocks(&self, table: &str) -> Result<Vec<((u64, u64), i64)>> {
        let workers = u64::from(self.restored.manifest.workers);
        let clocks = self.notes(&clock_of(table))?.into_iter();
        Ok(clocks.map(|(worker, clock)| (hashes_of(u64::from(worker), workers), clock)).collect())
    }

    /// The shards of a table, whose rows must be of this schema. None, if the snapshot does not know the table.
    pub(crate) fn shards(&self, name: &str, schema: &Schema) -> Result<Vec<RestoredShard>> {
        let Some(table) = self.table(name) else { return Ok(Vec::new()) };
        if table.schema.fingerprint != schema.fingerprint {
            return Err(Error::data(format!(
                "the state {name:?} of operator {:?} is {} in the snapshot and {} in the program: \
                 go on with the program that wrote it, or give the operator another uid to begin anew",
                self.state().uid,
                table.schema.text,
                schema.text,
            )));
        }
        let workers = u64::from(self.restored.manifest.workers);
        let clocks: Vec<(u32, i64)> = self.notes(&clock_of(name))?;
        let pages = |run: &RunState| run.pages.clone();
        let shards = table.shards.iter().map(|shard| RestoredShard {
            hashes: hashes_of(u64::from(shard.worker), workers),
            clock: clocks
                .iter()
                .find(|(worker, _)| *worker == shard.worker)
                .map_or(i64::MIN, |clock| clock.1),
            runs: shard.runs.iter().map(pages).collect(),
        });
        Ok(shards.collect())
    }

    /// The body of a page of a table, and how it is encoded.
    pub(crate) fn page(&self, table: &str, page: &PageRef) -> Result<(Vec<u8>, Codec)> {
        let fingerprint = self.table(table).map_or(0, |table| table.schema.fingerprint);
        let expected = Expected { uid: &self.state().uid, table, fingerprint };
        let (head, body) = self.restored.repository.page(page, expected)?;
        Ok((body, head.codec))
    }
}

#[cfg(test)]
mod tests {
    use super::hashes_of;
    use crate::data::worker_of;

    #[test]
    fn a_worker_owns_what_lies_between_its_hashes() {
        for workers in [1, 2, 3, 5, 7, 64, 1000] {
            let mut next = 0u128;
            for worker in 0..workers {
                let (first, last) = hashes_of(worker, workers);
                assert_eq!(u128::from(first), next);
                let owners = (worker_of(first, workers as usize), worker_of(last, workers as usize));
                assert_eq!(owners, (worker as usize, worker as usize));
                next = u128::from(last) + 1;
            }
            assert_eq!(next, 1 << 64);
        }
    }
}
