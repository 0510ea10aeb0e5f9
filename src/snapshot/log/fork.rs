//! A second job from a snapshot of a first: a store of its own, which begins with that snapshot.
//!
//! The new store has the segments that the snapshot names, under their names, then a claim, then the
//! manifest. The claim has the generation of the manifest, so every run that follows has a later one, and no
//! name of a segment is used twice; its nonce is its own, so an output of the first job is not taken for one
//! of the second. A fork that was interrupted before its manifest was put leaves a store without snapshots,
//! which cannot be forked into again and is to be removed.
//!
//! Neither store knows of the other: each collects what its own log does not need. Segments of local stores
//! are hard links where that is possible, and a link stays when another is deleted. They never change, so to
//! share them is safe; but what damages the one on the disk damages both.
//!
//! What sinks had prepared for the snapshot is left out: the first job commits it, and the second must not
//! commit it a second time, nor wait for files that are not its own. So the output of the second job is what
//! comes after the snapshot, and belongs in a location of its own.
//!
//! Costs a link for each segment, or a read and a put of it, with one segment in memory at a time.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::object::{Store, check, nonce};
use crate::snapshot::log::entries::Log;
use crate::snapshot::log::lease::{millis, segments_of};
use crate::snapshot::log::manifest::{Claim, Entry, Manifest};
use crate::snapshot::log::names::{LOG, numbered};
use crate::snapshot::log::repository::{Repository, Selector};

impl Repository {
    /// Makes an empty store begin with a snapshot of this one, for another job to go on from: with other
    /// workers, another watermark strategy, another late policy. Returns the manifest of the new store. This
    /// store stays as it is.
    ///
    /// The new job's sinks begin with what comes after the snapshot, and need places of their own. No
    /// collection may delete the snapshot meanwhile: [keep](Repository::keep) it, or fork the latest.
    ///
    /// # Errors
    ///
    /// If there is no such snapshot, or it is not whole, or `into` holds anything.
    pub fn fork(&self, selector: &Selector, into: Arc<dyn Store>) -> Result<Manifest> {
        let mut manifest = self.placed(selector)?.ok_or_else(|| selector.missing())?.manifest;
        check(&*into)?;
        if let Some((name, _)) = into.list("")?.first() {
            return Err(Error::config(format!(
                "the store that the snapshot is to begin is not empty, it has {name}: choose a new one"
            )));
        }
        let into = Log(into);
        // Segments before the manifest: a fork that is interrupted leaves no snapshot with missing pages.
        for segment in segments_of(&manifest) {
            self.take_over(&segment, &into)?;
        }
        // The claim has the manifest's generation, so later runs have later ones and no segment name is used
        // twice. The nonce is new, so an output of the first job is not taken for one of the second.
        let generation = manifest.generation;
        manifest.nonce = nonce();
        let nonce = manifest.nonce;
        let claim =
            Claim { generation, nonce, job: manifest.job.clone(), at: millis(&self.clock), from: None };
        // The manifest before it is not in the new store.
        manifest.previous = None;
        // Prepared output belongs to the first job, which commits it.
        let sinks = manifest.operators.iter_mut().filter(|operator| operator.kind == "sink");
        sinks.for_each(|sink| sink.notes.clear());
        for (number, entry) in [(1, Entry::Claim(claim)), (2, Entry::Manifest(manifest.clone()))] {
            into.put_own(&numbered(LOG, number), &entry.encode(number)?)?;
        }
        Ok(manifest)
    }

    /// Links or copies a segment into another store.
    fn take_over(&self, segment: &str, into: &Log) -> Result<()> {
        // Whatever prevented the link, a copy may succeed.
        if into.0.link(segment, &**self.store()).unwrap_or(false) {
            return Ok(());
        }
        let bytes = self.log.read_again(segment)?;
        let bytes = bytes.ok_or_else(|| {
            Error::data(format!("{segment} is missing, and the snapshot needs it: fork another one"))
        })?;
        into.put_own(segment, &bytes)
    }
}
