//! A store in memory, for tests. It records every change, and so can reproduce what a crash after any of them
//! would have left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::{Error, Result};
use crate::lock::lock;
use crate::object::name::{check_name, check_prefix};
use crate::object::{PutError, Store};

/// A store in memory. Cloning shares it. It keeps all that was ever put, so that every earlier state can be
/// reproduced.
///
/// ```
/// use highwater::object::{Memory, Store};
///
/// let store = Memory::default();
/// store.create("log/1", b"one")?;
/// store.create("log/2", b"two")?;
/// store.delete("log/1")?;
/// assert_eq!(store.changes().len(), 3);
/// assert_eq!(store.as_of(2).list("log/")?.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

/// What has changed in a [`Memory`] store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An object was created.
    Created(String, Arc<[u8]>),
    /// An object was deleted that was there.
    Deleted(String),
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Arc<[u8]>>,
    changes: Vec<Change>,
}

impl State {
    fn apply(&mut self, change: Change) {
        match &change {
            Change::Created(name, bytes) => drop(self.objects.insert(name.clone(), bytes.clone())),
            Change::Deleted(name) => drop(self.objects.remove(name)),
        }
        self.changes.push(change);
    }
}

impl Memory {
    /// All that has changed, oldest first.
    pub fn changes(&self) -> Vec<Change> {
        self.state().changes.clone()
    }

    /// A new store with what this one held after the first `changes` of its changes.
    pub fn as_of(&self, changes: usize) -> Memory {
        let mut state = State::default();
        self.state().changes.iter().take(changes).for_each(|change| state.apply(change.clone()));
        Memory(Arc::new(Mutex::new(state)))
    }

    /// Puts bytes under a name whatever was there, which no caller can: tests damage objects with it.
    pub fn spoil(&self, name: &str, bytes: &[u8]) {
        self.state().apply(Change::Created(name.to_owned(), bytes.into()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl Store for Memory {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), PutError> {
        check_name(name)?;
        let mut state = self.state();
        if state.objects.contains_key(name) {
            return Err(PutError::Exists);
        }
        state.apply(Change::Created(name.to_owned(), bytes.into()));
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        check_name(name)?;
        Ok(self.state().objects.get(name).map(|bytes| bytes.to_vec()))
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        check_name(name)?;
        let Some(bytes) = self.state().objects.get(name).cloned() else { return Ok(None) };
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| bytes.get(start..start.checked_add(len)?));
        let range = range.ok_or_else(|| {
            let ends = bytes.len();
            Error::data(format!("{name} has no {len} bytes at {offset}: it ends at {ends}"))
        })?;
        Ok(Some(range.to_vec()))
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        check_prefix(prefix)?;
        let state = self.state();
        let from = state.objects.range(prefix.to_owned()..);
        let begin_so = from.take_while(|(name, _)| name.starts_with(prefix));
        Ok(begin_so.map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
    }

    fn is_near(&self) -> bool {
        true
    }

    fn delete(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let mut state = self.state();
        if state.objects.contains_key(name) {
            state.apply(Change::Deleted(name.to_owned()));
        }
        Ok(())
    }
}
