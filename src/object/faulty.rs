//! A store that fails as real ones do, by a seed: for the tests of stores and of their callers.
//!
//! Real stores fail before they do what they should, fail after they have done it, leave halves behind under
//! temporary names, give less than was asked for, list what was and not what is, and go away in the middle.
//! This one does each at a rate, and the same again under the same seed and the same calls.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::lock::lock;
use crate::object::{PutError, Store};

/// Any store, with faults.
///
/// ```
/// use std::sync::Arc;
/// use highwater::object::{Faults, Faulty, Memory, Store};
///
/// let memory = Memory::default();
/// let store = Faulty::new(Arc::new(memory.clone()), 7, Faults { after: 1.0, ..Faults::default() });
/// assert!(store.create("log/1", b"one").is_err(), "it says that it failed");
/// assert_eq!(memory.read("log/1")?.as_deref(), Some(&b"one"[..]), "and yet it is there");
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Debug)]
pub struct Faulty {
    store: Arc<dyn Store>,
    faults: Faults,
    state: Mutex<State>,
}

/// How often each thing goes wrong: rates from 0 to 1 for each call that it can happen to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// A call fails and does nothing.
    pub before: f64,
    /// A call that changes something does so and fails.
    pub after: f64,
    /// A put fails and leaves half of its object under another name, below `torn/`. A sweep removes it.
    pub torn: f64,
    /// A read fails since it gave less than was asked for.
    pub short: f64,
    /// A list shows what was there some changes ago.
    pub stale: f64,
    /// How many changes ago at most, of those made by way of this store.
    pub stale_by: usize,
    /// The number of the call, counted from 0, from which on all calls fail.
    pub crash: Option<u64>,
    /// The call that the crash comes in still does what it should.
    pub crash_after: bool,
}

#[derive(Debug)]
struct State {
    random: u64,
    calls: u64,
    torn: u64,
    /// The last changes, newest last: a name, and its length if it was deleted.
    changes: VecDeque<(String, Option<u64>)>,
}

/// What happens in a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Before,
    After,
}

impl Faulty {
    /// A store whose calls fail at some rates, drawn by a seed.
    pub fn new(store: Arc<dyn Store>, seed: u64, faults: Faults) -> Faulty {
        let state = State { random: seed, calls: 0, torn: 0, changes: VecDeque::new() };
        Faulty { store, faults, state: Mutex::new(state) }
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn fate(&self, state: &mut State, is_change: bool) -> Fate {
        let call = state.calls;
        state.calls += 1;
        let is_before = state.draw(self.faults.before);
        let is_after = state.draw(self.faults.after);
        match self.faults.crash {
            Some(crash) if call == crash && self.faults.crash_after => Fate::After,
            Some(crash) if call >= crash => Fate::Before,
            // A crash comes before any other fault, so that the run ends at the call that was asked for.
            _ if is_before => Fate::Before,
            _ if is_after && is_change => Fate::After,
            _ => Fate::Well,
        }
    }

    /// A call that reads.
    fn reading(&self, name: &str) -> Result<()> {
        let mut state = self.state();
        if self.fate(&mut state, false) != Fate::Well {
            return Err(failed("reading", name));
        }
        let is_short = state.draw(self.faults.short);
        if is_short { Err(failed("reading all of", name)) } else { Ok(()) }
    }
}

fn failed(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::Io, format!("{what} {name} failed, as this store was told to"))
}

impl State {
    /// True at a rate. By splitmix64, which passes the usual tests and is four lines.
    fn draw(&mut self, rate: f64) -> bool {
        ((self.next() >> 11) as f64) < rate * (1u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn remember(&mut self, name: &str, deleted: Option<u64>, at_most: usize) {
        self.changes.push_back((name.to_owned(), deleted));
        while self.changes.len() > at_most {
            self.changes.pop_front();
        }
    }
}

impl Store for Faulty {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), PutError> {
        let mut state = self.state();
        let fate = self.fate(&mut state, true);
        if fate == Fate::Before {
            if state.draw(self.faults.torn) {
                state.torn += 1;
                let torn = format!("torn/{}", state.torn);
                // Under another name, as real stores leave halves in temporary files.
                let _ = self.store.create(&torn, &bytes[..bytes.len() / 2]);
            }
            return Err(failed("creating", name).into());
        }
        let outcome = self.store.create(name, bytes);
        // Also if the call is about to fail: the object is there.
        if outcome.is_ok() {
            state.remember(name, None, self.faults.stale_by);
        }
        if fate == Fate::After { Err(failed("creating", name).into()) } else { outcome }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.reading(name)?;
        self.store.read(name)
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        self.reading(name)?;
        self.store.read_range(name, offset, len)
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let mut state = self.state();
        if self.fate(&mut state, false) != Fate::Well {
            return Err(failed("listing", prefix));
        }
        let mut listed = self.store.list(prefix)?;
        if state.draw(self.faults.stale) && !state.changes.is_empty() {
            let ago = 1 + (state.next() % state.changes.len() as u64) as usize;
            // Undoes changes from the last one back: what was created is not listed, and what was deleted is.
            for (name, deleted) in state.changes.iter().rev().take(ago) {
                listed.retain(|(listed, _)| listed != name);
                listed.extend(deleted.filter(|_| name.starts_with(prefix)).map(|len| (name.clone(), len)));
            }
            listed.sort();
        }
        Ok(listed)
    }

    fn directory(&self) -> Option<&Path> {
        self.store.directory()
    }

    fn is_near(&self) -> bool {
        self.store.is_near()
    }

    fn delete(&self, name: &str) -> Result<()> {
        let mut state = self.state();
        let fate = self.fate(&mut state, true);
        if fate == Fate::Before {
            return Err(failed("deleting", name));
        }
        // Before it is deleted: a stale list shows it with its length.
        let len = self.store.read(name)?.map(|bytes| bytes.len() as u64);
        self.store.delete(name)?;
        if len.is_some() {
            state.remember(name, len, self.faults.stale_by);
        }
        if fate == Fate::After { Err(failed("deleting", name)) } else { Ok(()) }
    }

    fn sweep(&self, age: Duration) -> Result<u64> {
        self.reading("torn")?;
        let torn = self.store.list("torn/")?;
        torn.iter().try_for_each(|(name, _)| self.store.delete(name))?;
        Ok(torn.len() as u64 + self.store.sweep(age)?)
    }
}
