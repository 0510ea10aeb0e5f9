//! The trait of an object store: immutable objects under names, each created once.

use std::fmt::{self, Debug};
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

/// A place for immutable objects.
///
/// A name is parts of letters, digits, `-`, `_` and `.` with slashes between them. No part consists of dots
/// alone, and the first does not begin with one. Other names are refused with
/// [`ErrorKind::Config`](crate::ErrorKind::Config).
pub trait Store: Send + Sync + Debug {
    /// Creates an object, if there is none of this name. Once this returns `Ok`, the object outlives a loss
    /// of power.
    ///
    /// Costs a round trip to the place, and two or three syncs on a local disk.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), PutError>;

    /// A whole object; `None` if there is none.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// `len` bytes of an object from `offset` on; `None` if there is none. An object that ends before is an
    /// error.
    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Option<Vec<u8>>>;

    /// The objects whose names begin so, with their lengths in bytes, by name. It may be out of date.
    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>>;

    /// Deletes an object. It is no error if there is none.
    fn delete(&self, name: &str) -> Result<()>;

    /// The file that an object is, if it is a file of its own that never changes; `None` if it is not, or
    /// there is no such object.
    fn file(&self, name: &str) -> Result<Option<PathBuf>> {
        let _ = name;
        Ok(None)
    }

    /// The directory that it keeps its objects in, if it is one of a file system.
    fn directory(&self) -> Option<&Path> {
        None
    }

    /// True if reading an object again costs little more than keeping it in memory would, as with local
    /// files: then write-only states drop from memory what a snapshot has of them, until runs of it are
    /// merged.
    fn is_near(&self) -> bool {
        false
    }

    /// Creates an object as another store has it, if this can be done without a copy and there is none of
    /// this name; `false` if it cannot, and then nothing has changed.
    ///
    /// Local stores do it by hard links, if both lie on one file system: then neither can be told from the
    /// one that was first, and to delete one leaves the other.
    fn link(&self, name: &str, from: &dyn Store) -> Result<bool> {
        let _ = (name, from);
        Ok(false)
    }

    /// Removes what puts that were interrupted longer than `age` ago have left behind, and returns how many
    /// leftovers that were.
    fn sweep(&self, age: Duration) -> Result<u64> {
        let _ = age;
        Ok(0)
    }
}

/// Why an object was not created, as far as is known.
#[derive(Debug)]
pub enum PutError {
    /// There is one of this name. It may be the caller's own, put by a call that seemed to fail: read it.
    Exists,
    /// It is unknown whether it is there, or will be in a while.
    Failed(Error),
}

impl From<Error> for PutError {
    fn from(error: Error) -> PutError {
        PutError::Failed(error)
    }
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutError::Exists => f.write_str("there is an object of this name already"),
            PutError::Failed(error) => write!(f, "the object may not have been created: {error}"),
        }
    }
}

impl std::error::Error for PutError {}

/// Checks that a store creates each name only once, and refuses it otherwise. Costs two puts, a read and a
/// delete.
///
/// On a store that lets the second put win, two runs of a job would both commit and neither would know.
pub fn check(store: &dyn Store) -> Result<()> {
    let name = format!("probe/{:016x}", nonce());
    let outcome = probe(store, &name);
    // Also if the check has failed, so that no probe stays in the store.
    let deleted = store.delete(&name);
    outcome.and(deleted)
}

fn probe(store: &dyn Store, name: &str) -> Result<()> {
    let refused = |what: &str| {
        Err(Error::config(format!(
            "the snapshot store {what}, so it cannot keep two runs of a job apart: use one with conditional puts"
        )))
    };
    let first = store.create(name, b"first");
    if let Err(PutError::Failed(error)) = first {
        return Err(error);
    }
    match store.create(name, b"second") {
        Ok(()) => return refused("creates one name twice"),
        Err(PutError::Failed(error)) => return Err(error),
        Err(PutError::Exists) => {}
    }
    match (store.read(name)?.as_deref(), first) {
        // If the first was told that the name is taken, then by itself: by a try whose answer was lost.
        (Some(b"first"), _) => Ok(()),
        (_, Ok(())) => refused("does not give back what was put"),
        (_, Err(_)) => refused("says that a new name exists already"),
    }
}

/// A number that no other run draws. It is random by the seeds of the standard library's hash maps, which the
/// operating system gives.
pub(crate) fn nonce() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
