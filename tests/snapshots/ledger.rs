//! A transactional sink in memory, which outlives the jobs that write to it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use highwater::connector::{Recovery, Sink, Writer};
use highwater::data::{Data, Record};
use highwater::{Error, Result};

/// What is visible, and what is prepared and may become so.
pub(crate) struct Ledger<T>(Arc<Mutex<Book<T>>>);

struct Book<T> {
    /// By transactions, so that one that is committed twice shows once.
    visible: BTreeMap<u64, Vec<T>>,
    prepared: BTreeMap<u64, Vec<T>>,
    next: u64,
}

impl<T> Clone for Ledger<T> {
    fn clone(&self) -> Self {
        Ledger(Arc::clone(&self.0))
    }
}

impl<T: Data + Ord + Debug> Ledger<T> {
    pub(crate) fn new() -> Ledger<T> {
        Ledger(Arc::new(Mutex::new(Book { visible: BTreeMap::new(), prepared: BTreeMap::new(), next: 0 })))
    }

    /// All that is visible, transaction by transaction, as it was written.
    pub(crate) fn written(&self) -> Vec<T> {
        self.0.lock().unwrap().visible.values().flatten().cloned().collect()
    }

    /// All that is visible, sorted.
    pub(crate) fn visible(&self) -> Vec<T> {
        let mut all = self.written();
        all.sort();
        all
    }
}

/// Writes for one worker.
pub(crate) struct LedgerWriter<T> {
    ledger: Ledger<T>,
    open: Vec<T>,
}

impl<T: Data> Sink<T> for Ledger<T> {
    type Writer = LedgerWriter<T>;

    fn name(&self) -> String {
        "ledger".to_owned()
    }

    fn recover(&self, recovery: Recovery<u64>) -> Result<()> {
        let prepared = recovery.from.into_iter().flat_map(|from| from.prepared);
        prepared.into_iter().try_for_each(|number| self.commit(number))?;
        self.0.lock().unwrap().prepared.clear();
        Ok(())
    }

    fn open(&self, _: usize, _: usize) -> Result<LedgerWriter<T>> {
        Ok(LedgerWriter { ledger: self.clone(), open: Vec::new() })
    }
}

impl<T: Data> Ledger<T> {
    fn commit(&self, number: u64) -> Result<()> {
        let mut book = self.0.lock().unwrap();
        match book.prepared.remove(&number) {
            Some(records) => drop(book.visible.insert(number, records)),
            None if book.visible.contains_key(&number) => {}
            None => {
                return Err(Error::data(format!("transaction {number} is neither prepared nor committed")));
            }
        }
        Ok(())
    }
}

impl<T: Data> Writer<T> for LedgerWriter<T> {
    type Prepared = u64;
    const TRANSACTIONAL: bool = true;

    fn write(&mut self, _: u64, batch: &mut Vec<Record<T>>) -> Result<()> {
        self.open.extend(batch.drain(..).map(|record| record.value));
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<u64> {
        let mut book = self.ledger.0.lock().unwrap();
        book.next += 1;
        let number = book.next;
        book.prepared.insert(number, std::mem::take(&mut self.open));
        Ok(number)
    }

    fn commit(&mut self, _: u64, number: u64) -> Result<()> {
        self.ledger.commit(number)
    }
}

/// A sink that shows what it is given at once, and outlives the jobs that write to it.
pub(crate) struct Stage<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Stage<T> {
    fn clone(&self) -> Self {
        Stage(Arc::clone(&self.0))
    }
}

impl<T: Data + Ord> Stage<T> {
    pub(crate) fn new() -> Stage<T> {
        Stage(Arc::default())
    }

    /// All that was shown, each once, sorted.
    pub(crate) fn shown(&self) -> Vec<T> {
        let mut shown = self.0.lock().unwrap().clone();
        shown.sort();
        shown.dedup();
        shown
    }
}

impl<T: Data> Sink<T> for Stage<T> {
    type Writer = Stage<T>;

    fn name(&self) -> String {
        "stage".to_owned()
    }

    fn open(&self, _: usize, _: usize) -> Result<Stage<T>> {
        Ok(self.clone())
    }
}

impl<T: Data> Writer<T> for Stage<T> {
    type Prepared = ();

    fn write(&mut self, _: u64, batch: &mut Vec<Record<T>>) -> Result<()> {
        self.0.lock().unwrap().extend(batch.drain(..).map(|record| record.value));
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self, _: u64, (): ()) -> Result<()> {
        Ok(())
    }
}
