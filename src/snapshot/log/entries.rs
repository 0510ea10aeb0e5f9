//! The log, as it is read by numbers from the top.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::object::{PutError, Store};
use crate::snapshot::log::envelope::checksum;
use crate::snapshot::log::manifest::{Entry, Manifest};
use crate::snapshot::log::names::{LOG, number_of, numbered};
use crate::snapshot::log::protocol::{Seen, What, first_free};

/// How often a put is tried whose outcome stays unknown.
pub(in crate::snapshot) const TRIES: usize = 4;

/// The log of a store.
#[derive(Clone, Debug)]
pub(in crate::snapshot) struct Log(pub(in crate::snapshot) Arc<dyn Store>);

/// A manifest with its place.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::snapshot) struct Placed {
    pub(in crate::snapshot) number: u64,
    pub(in crate::snapshot) checksum: u32,
    pub(in crate::snapshot) manifest: Manifest,
}

/// What is known of the log below a number.
#[derive(Debug, Default)]
pub(in crate::snapshot) struct Below {
    /// The greatest generation.
    pub(in crate::snapshot) generation: u64,
    /// The last manifest.
    pub(in crate::snapshot) latest: Option<Placed>,
}

impl Log {
    /// The numbers in the log, ascending, as a list shows them.
    pub(in crate::snapshot) fn numbers(&self) -> Result<Vec<u64>> {
        Ok(self.0.list(LOG)?.iter().filter_map(|(name, _)| number_of(LOG, name)).collect())
    }

    /// The entry of a number, with its checksum.
    pub(in crate::snapshot) fn entry(&self, number: u64) -> Result<Option<(Entry, u32)>> {
        let name = numbered(LOG, number);
        let Some(bytes) = self.0.read(&name)? else { return Ok(None) };
        Ok(Some((Entry::decode(number, &bytes, &name)?, checksum(&bytes))))
    }

    /// The manifest of a number, if there is one.
    pub(in crate::snapshot) fn manifest(&self, number: u64) -> Result<Option<Placed>> {
        Ok(match self.entry(number)? {
            Some((Entry::Manifest(manifest), checksum)) => Some(Placed { number, checksum, manifest }),
            _ => None,
        })
    }

    /// What is below a number: read downwards to the last manifest, or to `lowest`. `None` if the number just
    /// below holds nothing, and so this is not the top of the log.
    ///
    /// Costs a read for each claim since the last manifest, and one for that. What cannot be decoded is an
    /// error: it may be the latest snapshot.
    pub(in crate::snapshot) fn below(&self, number: u64, lowest: u64) -> Result<Option<Below>> {
        let mut below = Below::default();
        for place in (lowest..number).rev() {
            let entry = self.entry(place)?;
            // The numbers ever used have no holes, so an entry was there and was collected: the list was out
            // of date.
            if entry.is_none() && place + 1 == number {
                return Ok(None);
            }
            // Further down a gap is a manifest that was collected.
            let Some((entry, checksum)) = entry else { continue };
            below.generation = below.generation.max(entry.generation());
            if let Entry::Manifest(manifest) = entry {
                below.latest = Some(Placed { number: place, checksum, manifest });
                break;
            }
        }
        Ok(Some(below))
    }

    /// Puts an object that no other run may put, and reads it if the outcome is unknown.
    pub(in crate::snapshot) fn put_own(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut last = None;
        for _ in 0..TRIES {
            match self.0.create(name, bytes) {
                Ok(()) => return Ok(()),
                Err(PutError::Failed(error)) => last = Some(error),
                // Most likely taken by an earlier try of this call, whose reply was lost.
                Err(PutError::Exists) => {}
            }
            match self.read_again(name)? {
                Some(found) if found == bytes => return Ok(()),
                Some(_) => {
                    return Err(Error::data(format!(
                        "{name} holds something else, which no other run may write"
                    )));
                }
                None => {}
            }
        }
        let error = Error::new(ErrorKind::Io, format!("{name} cannot be written"));
        Err(match last {
            Some(last) => error.because(last),
            None => error,
        })
    }

    /// Reads an object, and repeats a read that fails.
    pub(in crate::snapshot) fn read_again(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let mut tries = (1..TRIES).map(|_| self.0.read(name));
        tries.find(Result::is_ok).unwrap_or_else(|| self.0.read(name))
    }

    /// The last manifest, by a list and what has been added since.
    pub(in crate::snapshot) fn latest(&self) -> Result<Option<Placed>> {
        for _ in 0..ATTEMPTS {
            let listed = self.numbers()?;
            let mut number = first_free(&listed);
            // The list may lack the newest entries; they follow it without holes.
            while self.entry(number)?.is_some() {
                number += 1;
            }
            // The entry below may have been collected since the list was made.
            if let Some(below) = self.below(number, listed.first().copied().unwrap_or(1))? {
                return Ok(below.latest);
            }
        }
        Err(stale())
    }

    /// All entries, as a collector sees them. Costs a read for each.
    pub(in crate::snapshot) fn seen(&self) -> Result<Vec<Seen>> {
        let mut entries = Vec::new();
        for number in self.numbers()? {
            entries.extend(self.entry(number)?.map(|(entry, _)| see(number, &entry)));
        }
        Ok(entries)
    }
}

/// What a collector sees of an entry.
pub(in crate::snapshot) fn see(number: u64, entry: &Entry) -> Seen {
    let (at, what) = match entry {
        Entry::Claim(claim) => (claim.at, What::Claim { from: claim.from }),
        Entry::Manifest(manifest) => {
            let segments = manifest.pages().map(|page| page.segment.clone()).collect();
            (manifest.at, What::Manifest { epoch: manifest.epoch, segments })
        }
    };
    Seen { number, generation: entry.generation(), at, what }
}

/// How often a stale list is asked for again.
pub(in crate::snapshot) const ATTEMPTS: usize = 50;

/// The error for a list that does not catch up.
pub(in crate::snapshot) fn stale() -> Error {
    let message =
        "the snapshot store's lists stay behind what was written: use a store whose lists are up to date";
    Error::new(ErrorKind::Io, message)
}
