//! The snapshot that a job restores, as its operators look it up.
//!
//! Operators look up tables by their current names, and rows of their current types. The job's
//! [migrations](Migrations) map former names to current ones, and convert rows of former types. A table with
//! rows that no operator asks for would be lost: so that is an error, unless it may be
//! [forgotten](Migrations::forget_state).

use std::any::type_name;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::lock::lock;
use crate::snapshot::log::generation::Generation;
use crate::snapshot::log::manifest::{Manifest, OperatorState, PageRef, RunState, Schema, TableState};
use crate::snapshot::log::repository::Repository;
use crate::snapshot::page::codec::{Codec, decode_note};
use crate::snapshot::restore::page_source::PageSource;
use crate::snapshot::schema::convert::Conversion;
use crate::snapshot::schema::migrate::Migrations;

/// A snapshot that a job goes on from.
pub(crate) struct Restored {
    repository: Repository,
    manifest: Manifest,
    migrations: Migrations,
    /// True if state that no operator asks for may be dropped.
    drops_state: bool,
}

/// The state of an operator in it.
#[derive(Clone)]
pub(crate) struct RestoredOperator {
    restored: Arc<Restored>,
    /// Its number in the manifest.
    number: usize,
    /// What it is called now.
    uid: Arc<str>,
    /// The tables that it has asked for, as they were called when they were written.
    asked: Arc<Mutex<BTreeSet<String>>>,
}

/// A worker's share of a table, as it was written.
pub(crate) struct RestoredShard {
    /// The hashes that the worker owned.
    pub(crate) hashes: Vec<(u64, u64)>,
    /// The time up to which rows were over there.
    pub(crate) clock: i64,
    /// The pages, run by run, oldest first.
    pub(crate) runs: Vec<Vec<PageRef>>,
}

/// A table, as its operator reads it. `P` is the part of its rows that can be converted.
pub(crate) struct RestoredTable<P> {
    pub(crate) shards: Vec<RestoredShard>,
    /// The conversion of the part, if it was of another type.
    pub(crate) conversion: Option<Arc<Conversion<P>>>,
    /// True if its pages are what the next snapshot would write, so that it can name them.
    pub(crate) is_as_written: bool,
}

impl Restored {
    pub(crate) fn new(repository: Repository, manifest: Manifest) -> Restored {
        Restored { repository, manifest, migrations: Migrations::default(), drops_state: false }
    }

    /// The same for a job that has changed since. `drops_state` drops state that no operator asks for.
    pub(crate) fn migrating(self, migrations: Migrations, drops_state: bool) -> Restored {
        Restored { migrations, drops_state, ..self }
    }

    /// Checks that the job has all operators whose state is in the snapshot. `kind` returns the kind of an
    /// operator of the job.
    pub(crate) fn check<'a>(&self, kind: impl Fn(&str) -> Option<&'a str>) -> Result<()> {
        for (uid, was) in self.operators() {
            // As in `operator`: state under the new name comes before state that is renamed to it.
            let now = self.migrations.now(uid);
            let is_taken = now != uid && self.operators().any(|(other, _)| other == now);
            let now = if is_taken { uid } else { now };
            match kind(now) {
                Some(found) if found == was || self.drops_state => {}
                Some(found) => {
                    return Err(Error::data(format!(
                        "the operator {now:?} is a {was} in the snapshot and a {found} in the job: give the new one a uid of its own"
                    )));
                }
                None if self.drops_state || self.migrations.forgets(uid) => {}
                None => {
                    return Err(Error::data(format!(
                        "the snapshot has state of the {was} {uid:?}, and the job has no such operator: \
                         give the one that it belongs to this uid, or say that state may be dropped; \
                         `Migrations::rename` and `Migrations::forget` say so of one operator"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The run that wrote it, and its epoch: no two snapshots of a store have both in common.
    pub(crate) fn identity(&self) -> (Generation, u64) {
        let Manifest { generation, nonce, epoch, .. } = self.manifest;
        (Generation { number: generation, nonce }, epoch)
    }

    /// The uids and kinds of the operators in it that have tables or notes.
    pub(crate) fn operators(&self) -> impl Iterator<Item = (&str, &str)> {
        let operators = self.manifest.operators.iter();
        let operators =
            operators.filter(|operator| !operator.tables.is_empty() || !operator.notes.is_empty());
        operators.map(|operator| (operator.uid.as_str(), operator.kind.as_str()))
    }

    /// The state of the operator of this uid, if there is any.
    pub(crate) fn operator(self: &Arc<Restored>, uid: &str) -> Option<RestoredOperator> {
        let find = |uid: &str| self.manifest.operators.iter().position(|operator| operator.uid == uid);
        let number = find(uid).or_else(|| self.migrations.before(uid).find_map(find))?;
        Some(RestoredOperator { restored: Arc::clone(self), number, uid: uid.into(), asked: Arc::default() })
    }
}

/// True if there are no rows in a table.
fn is_empty(table: &TableState) -> bool {
    table.shards.iter().all(|shard| shard.runs.iter().all(|run| run.pages.is_empty()))
}

/// The name of the note that a table's clock is in.
pub(crate) fn clock_of(table: &str) -> String {
    format!("clock of {table}")
}

impl RestoredOperator {
    fn state(&self) -> &OperatorState {
        &self.restored.manifest.operators[self.number]
    }

    /// What an operator that was called so in the snapshot is called now.
    pub(crate) fn name_now<'a>(&'a self, uid: &'a str) -> &'a str {
        self.restored.migrations.now(uid)
    }

    /// Its uid.
    pub(crate) fn uid(&self) -> &str {
        &self.state().uid
    }

    /// The names of its tables.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &str> {
        self.state().tables.iter().map(|table| table.name.as_str())
    }

    /// The table of this name, or of what it was called before.
    fn table(&self, name: &str) -> Option<&TableState> {
        let find = |name: &str| self.state().tables.iter().find(|table| table.name == name);
        // The current name first: a table that has it is not one that was renamed to it.
        let mut before = self.restored.migrations.tables_before(&self.uid, name);
        find(name).or_else(|| before.find_map(|name| find(&name)))
    }

    /// What each worker noted under a name, in order of the workers.
    pub(crate) fn notes<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<(u32, T)>> {
        let uid = &self.state().uid;
        let mut notes: Vec<_> = self.state().notes.iter().filter(|note| note.name == name).collect();
        notes.sort_by_key(|note| note.worker);
        let read = |note: &crate::snapshot::log::manifest::Note| {
            Ok((note.worker, decode_note(&note.bytes, uid, name)?))
        };
        notes.into_iter().map(read).collect()
    }

    /// The greatest of what the workers noted under a name.
    pub(crate) fn latest<T: DeserializeOwned + Ord>(&self, name: &str) -> Result<Option<T>> {
        Ok(self.notes(name)?.into_iter().map(|(_, value)| value).max())
    }

    /// What the workers noted under a name, by the ranges of hashes that they owned.
    pub(crate) fn notes_of_owners<T: DeserializeOwned + Clone>(
        &self,
        name: &str,
    ) -> Result<Vec<((u64, u64), T)>> {
        let mut owned = Vec::new();
        for (worker, note) in self.notes::<T>(name)? {
            let ranges = self.restored.manifest.ownership.ranges_of(worker as usize);
            owned.extend(ranges.map(|hashes| (hashes, note.clone())));
        }
        Ok(owned)
    }

    /// True if there is a table of this name.
    pub(crate) fn has_table(&self, name: &str) -> bool {
        self.table(name).is_some()
    }

    /// True if there are rows in the table of this name.
    pub(crate) fn has_rows(&self, name: &str) -> bool {
        self.table(name).is_some_and(|table| !is_empty(table))
    }

    /// Marks tables as asked for whose content the operator knows otherwise.
    pub(crate) fn ignore(&self, names: &[&str]) {
        let mut asked = lock(&self.asked);
        asked.extend(names.iter().filter_map(|name| self.table(name)).map(|table| table.name.clone()));
    }

    /// The clocks of a table, by the ranges of hashes that workers owned.
    pub(crate) fn clocks(&self, table: &str) -> Result<Vec<((u64, u64), i64)>> {
        let Some(table) = self.table(table) else { return Ok(Vec::new()) };
        self.notes_of_owners(&clock_of(&table.name))
    }

    /// The shards of a table, whose rows must be of this schema. None, if the snapshot does not know the
    /// table.
    pub(crate) fn shards(&self, name: &str, schema: &Schema) -> Result<Vec<RestoredShard>> {
        match self.table(name) {
            None => Ok(Vec::new()),
            Some(table) if table.schema.fingerprint == schema.fingerprint => self.shards_of(table),
            Some(table) => Err(self.is_other(table, schema, "")),
        }
    }

    /// The table of this name as its operator reads it, whose rows are of the schema `own`. `with` tells the
    /// schema of rows with a [`Foreign`](crate::snapshot::Foreign) for the part. Nothing is in it if the
    /// snapshot does not know the table.
    pub(crate) fn open<P: 'static>(
        &self,
        name: &str,
        own: &Schema,
        with: fn() -> Schema,
    ) -> Result<RestoredTable<P>> {
        let Some(table) = self.table(name) else {
            return Ok(RestoredTable { shards: Vec::new(), conversion: None, is_as_written: true });
        };
        lock(&self.asked).insert(table.name.clone());
        let shards = self.shards_of(table)?;
        // Pages carry the uid and the table that they were written for, so the next snapshot cannot name
        // those of a former name.
        let is_as_written = table.name == name && self.state().uid == *self.uid;
        // A table without rows is of any type.
        if table.schema.fingerprint == own.fingerprint || is_empty(table) {
            return Ok(RestoredTable { shards, conversion: None, is_as_written });
        }
        let mut others = Vec::new();
        for some in self.restored.migrations.conversions(&self.uid, name) {
            let schema = some.old.hold(with);
            if schema.fingerprint != table.schema.fingerprint {
                // A conversion from a type that this snapshot does not have; it may be for another snapshot.
                others.push(schema.text);
            } else if let Some(conversion) = some.making::<P>() {
                return Ok(RestoredTable { shards, conversion: Some(conversion), is_as_written: false });
            } else {
                let (made, wanted) = (some.new, type_name::<P>());
                let more = format!(", and what is given to convert it makes {made} where {wanted} is wanted");
                return Err(self.is_other(table, own, &more));
            }
        }
        let others = match others.is_empty() {
            true => String::new(),
            false => format!(", and what is given to convert it is for {}", others.join(" and for ")),
        };
        Err(self.is_other(table, own, &others))
    }

    /// True if there are rows in the table of this name, and they are of the schema `own` or can be converted
    /// to it. `with` is that of [`open`](RestoredOperator::open).
    pub(crate) fn is_saved_as<P: 'static>(&self, name: &str, own: &Schema, with: fn() -> Schema) -> bool {
        let Some(table) = self.table(name).filter(|table| !is_empty(table)) else { return false };
        let is = |schema: &Schema| schema.fingerprint == table.schema.fingerprint;
        let mut conversions = self.restored.migrations.conversions(&self.uid, name);
        is(own) || conversions.any(|some| is(&some.old.hold(with)) && some.making::<P>().is_some())
    }

    fn is_other(&self, table: &TableState, own: &Schema, more: &str) -> Error {
        Error::data(format!(
            "the state {:?} of operator {:?} is {} in the snapshot and {} in the program{more}: convert it by `Migrations::convert` in the program, \
             go on with the program that wrote it, or give the operator another uid to begin anew",
            table.name, self.uid, table.schema.text, own.text,
        ))
    }

    /// The error if rows of a table cannot be converted.
    pub(crate) fn is_not_converted(&self, name: &str, codec: Codec, error: Error) -> Error {
        let plain = match codec {
            Codec::Abomonation => {
                "; what was written as plain data cannot be converted: go on with the program that wrote it and another codec, until its state has been written anew"
            }
            _ => "",
        };
        Error::data(format!(
            "the state {name:?} of operator {:?} cannot be converted: {error}{plain}",
            self.uid
        ))
    }

    /// Checks that all tables with rows have been asked for.
    pub(crate) fn check_asked(&self) -> Result<()> {
        let asked = lock(&self.asked);
        let migrations = &self.restored.migrations;
        // A table without rows loses nothing.
        let may_go = |table: &TableState| is_empty(table) || migrations.forgets_table(&self.uid, &table.name);
        let left = self.state().tables.iter().find(|table| !asked.contains(&table.name) && !may_go(table));
        match left.filter(|_| !self.restored.drops_state) {
            None => Ok(()),
            Some(table) => Err(Error::data(format!(
                "the snapshot has the state {:?} of operator {:?}, which has none of that name in the program: give it back its name, or say in the program what \
                 it is called now or that it may go, by `Migrations::rename_state` or `Migrations::forget_state`",
                table.name, self.uid,
            ))),
        }
    }

    /// Checks settings against those that were noted under a name, if both are known.
    pub(crate) fn check_settings(&self, name: &str, now: Option<String>) -> Result<()> {
        let Some(now) = now else { return Ok(()) };
        let found = self.notes::<String>(name)?;
        match found.into_iter().find(|(_, before)| *before != now) {
            None => Ok(()),
            Some((_, before)) => Err(Error::data(format!(
                "the {name} of operator {:?}: {before} in the snapshot, {now} in the program. What has begun by the one cannot go on by the other: \
                 keep it, or give the operator another uid to begin anew",
                self.uid,
            ))),
        }
    }

    fn shards_of(&self, table: &TableState) -> Result<Vec<RestoredShard>> {
        let name = &table.name;
        let ownership = &self.restored.manifest.ownership;
        let clocks: Vec<(u32, i64)> = self.notes(&clock_of(name))?;
        let pages = |run: &RunState| run.pages.clone();
        let shards = table.shards.iter().map(|shard| RestoredShard {
            hashes: ownership.ranges_of(shard.worker as usize).collect(),
            clock: clocks
                .iter()
                .find(|(worker, _)| *worker == shard.worker)
                .map_or(i64::MIN, |clock| clock.1),
            runs: shard.runs.iter().map(pages).collect(),
        });
        Ok(shards.collect())
    }

    /// Where the pages of a table are read from.
    pub(crate) fn origin(&self, table: &str) -> PageSource {
        let (table, fingerprint) = match self.table(table) {
            Some(table) => (table.name.as_str(), table.schema.fingerprint),
            None => (table, 0),
        };
        PageSource::new(&self.restored.repository, self.uid(), table, fingerprint)
    }

    /// The body of a page of a table, and how it is encoded.
    pub(crate) fn page(&self, table: &str, page: &PageRef) -> Result<(Vec<u8>, Codec)> {
        self.origin(table).page(page)
    }
}
