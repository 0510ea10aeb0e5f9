//! A transactional sink of one's own: rows of a database, each once, though the connection is lost at the
//! worst moment.
//!
//! A writer inserts the rows of an epoch in a transaction, and *prepares* it when a snapshot is taken: then
//! the transaction outlives the connection, and its number is part of the snapshot. When the snapshot is safe
//! the writer *commits*. Here the database does commit, but its answer is lost, and so is the job. The second
//! run goes on from the snapshot: it commits what that names, for the second time perhaps, rolls back all
//! else that the first run has left, and writes what comes after.
//!
//! ```text
//! $ cargo run --example 14_custom_sink
//! first run: cannot commit transaction 2: the connection was lost
//! second run: 1000 orders of 1000, each once
//! ```

#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use highwater::connector::{Recovery, Writer};
use highwater::data::Record;
use highwater::object::Memory;
use highwater::prelude::*;

/// A database with a table of orders, which knows transactions in two phases.
#[derive(Clone, Default)]
struct Database(Arc<Mutex<Tables>>);

#[derive(Default)]
struct Tables {
    /// The rows that all can see, and the transactions that have been committed.
    orders: Vec<u64>,
    committed: BTreeSet<u64>,
    prepared: BTreeMap<u64, Vec<u64>>,
    transactions: u64,
    /// The transaction with whose commit the connection is lost.
    loses: Option<u64>,
}

impl Database {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `PREPARE TRANSACTION`.
    fn prepare(&self, orders: Vec<u64>) -> u64 {
        let mut tables = self.tables();
        tables.transactions += 1;
        let transaction = tables.transactions;
        tables.prepared.insert(transaction, orders);
        transaction
    }

    /// `COMMIT PREPARED`. Committing what has been committed changes nothing: the sink depends on that.
    fn commit(&self, transaction: u64) -> Result<()> {
        let mut tables = self.tables();
        if let Some(orders) = tables.prepared.remove(&transaction) {
            tables.orders.extend(orders);
            tables.committed.insert(transaction);
        }
        if !tables.committed.contains(&transaction) {
            return Err(Error::data(format!("there is no transaction {transaction} to commit")));
        }
        match tables.loses.take_if(|loses| *loses == transaction) {
            Some(_) => Err(Error::new(
                ErrorKind::Io,
                format!("cannot commit transaction {transaction}: the connection was lost"),
            )),
            None => Ok(()),
        }
    }

    /// `ROLLBACK PREPARED`, of all there are.
    fn roll_back(&self) {
        self.tables().prepared.clear();
    }
}

impl Sink<u64> for Database {
    type Writer = DatabaseWriter;

    fn name(&self) -> String {
        "orders".to_owned()
    }

    /// Called before a run with snapshots begins.
    fn recover(&self, recovery: Recovery<u64>) -> Result<()> {
        let prepared = recovery.from.into_iter().flat_map(|from| from.prepared);
        prepared.into_iter().try_for_each(|transaction| self.commit(transaction))?;
        // No snapshot knows of the others.
        self.roll_back();
        Ok(())
    }

    fn open(&self, _worker: usize, _workers: usize) -> Result<DatabaseWriter> {
        Ok(DatabaseWriter { database: self.clone(), orders: Vec::new() })
    }
}

/// The rows that one worker has written since the last snapshot.
struct DatabaseWriter {
    database: Database,
    orders: Vec<u64>,
}

impl Writer<u64> for DatabaseWriter {
    /// The number of the transaction: what snapshots keep of it.
    type Prepared = u64;
    const TRANSACTIONAL: bool = true;

    fn write(&mut self, _epoch: u64, batch: &mut Vec<Record<u64>>) -> Result<()> {
        self.orders.extend(batch.drain(..).map(|record| record.value));
        Ok(())
    }

    fn prepare(&mut self, _epoch: u64) -> Result<u64> {
        Ok(self.database.prepare(std::mem::take(&mut self.orders)))
    }

    fn commit(&mut self, _epoch: u64, transaction: u64) -> Result<()> {
        self.database.commit(transaction)
    }
}

const ORDERS: u64 = 1_000;

fn run(database: &Database, options: &Options) -> Result<()> {
    let job = Job::new();
    let orders = job.collection(1..=ORDERS).uid("orders");
    orders.rebalance().sink(database.clone()).uid("database");
    job.run_with(options.clone()).map(drop)
}

fn main() -> Result<()> {
    // In memory; `Snapshots::in_directory` outlives the program.
    let snapshots = Snapshots::in_store(Arc::new(Memory::default()));
    let snapshots = snapshots.every_epochs(1).restore(Restore::Latest);
    let options = Options::default().workers(2).epochs(Epochs::records(50)).snapshots(snapshots);

    let database = Database::default();
    database.tables().loses = Some(2);
    if let Err(error) = run(&database, &options) {
        println!("first run: {error}");
    }
    run(&database, &options)?;
    let orders = database.tables().orders.clone();
    let different = orders.iter().collect::<BTreeSet<_>>().len();
    let each = if different == orders.len() { "once" } else { "not once" };
    println!("second run: {different} orders of {ORDERS}, each {each}");
    Ok(())
}
