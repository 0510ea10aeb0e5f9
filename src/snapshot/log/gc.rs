//! Garbage collection: deletes manifests and segments that are not needed any more.
//!
//! [`garbage`] decides from the log, the names and the segments what may be deleted. Then the intent is
//! written, the store is read once more, and only what may still go is deleted: manifests first, so that no
//! manifest is ever there without its pages. A collection that was interrupted leaves garbage, which the next
//! one finds by itself. Its intent is read by callers that are about to give one of these snapshots a name.
//! It stays until all manifests that it lists are gone, for nothing tells an interrupted collection from one
//! that is slow: until then these snapshots cannot be given names.
//!
//! Collecting needs no lease. Several may collect at once, and one that slept for a day deletes nothing but
//! what was garbage a day ago: garbage stays garbage, and names of objects are never used twice.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::object::PutError;
use crate::snapshot::log::envelope::{self, Kind};
use crate::snapshot::log::lease::millis;
use crate::snapshot::log::names::{INTENTS, LOG, NAMES, PAGES, SegmentName, number_of, numbered};
use crate::snapshot::log::protocol::{Garbage, View, garbage};
use crate::snapshot::log::repository::{Repository, Selector};

/// What a garbage collection has deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Manifests.
    pub manifests: u64,
    /// Segments.
    pub segments: u64,
    /// The bytes of these segments.
    pub bytes: u64,
    /// Leftovers of interrupted puts and collections.
    pub leftovers: u64,
}

impl Repository {
    /// Deletes all snapshots but the last `retain`, those with names, and the one that the newest run went on
    /// from; and the segments that only the others need. What was of use less than `grace` ago stays.
    ///
    /// The grace is for readers who are slower than the writer; it should be longer than any lasts, and than
    /// lists may be out of date. The last snapshot is never deleted. Costs a read for each entry of the log,
    /// twice, and a call for each object that is deleted.
    pub fn gc(&self, retain: usize, grace: Duration) -> Result<Reclaimed> {
        let grace_millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        // No horizon: nothing is as old as that.
        let horizon = millis(&self.clock).checked_sub(grace_millis);
        // Listed before this collection writes an intent of its own.
        let interrupted = self.intents()?;
        let choose = |view: &View| horizon.map(|horizon| garbage(view, retain, horizon)).unwrap_or_default();
        let mut collected = self.remove(&choose)?;
        let present: BTreeSet<String> = self.log.0.list(LOG)?.into_iter().map(|(name, _)| name).collect();
        for (name, _) in interrupted {
            if self.is_over(&name, &present)? {
                self.log.0.delete(&name)?;
                collected.leftovers += 1;
            }
        }
        collected.leftovers += self.log.0.sweep(grace)?;
        Ok(collected)
    }

    /// Deletes a name, or the snapshot of an epoch. Its segments go with the next [`gc`](Repository::gc).
    ///
    /// The last snapshot, one that has a name and the one that the newest run went on from are refused.
    pub fn delete(&self, selector: &Selector) -> Result<()> {
        let refused = |what: &str| Err(Error::config(format!("the snapshot cannot be deleted: {what}")));
        let epoch = match selector {
            Selector::Latest => return refused("it is the last"),
            Selector::Epoch(epoch) => *epoch,
            Selector::Name(name) => {
                self.placed(selector)?.ok_or_else(|| selector.missing())?;
                return self.log.0.delete(&format!("{NAMES}{name}"));
            }
        };
        let number = self.placed(selector)?.ok_or_else(|| selector.missing())?.number;
        // As if it were the only one that is not retained.
        let choose = |view: &View| {
            let mut all = garbage(view, 1, u64::MAX);
            all.manifests.retain(|manifest| *manifest == number);
            Garbage { manifests: all.manifests, segments: Vec::new() }
        };
        if self.remove(&choose)?.manifests == 0 {
            return refused(&format!(
                "epoch {epoch} is the last, has a name, or is what the newest run went on from"
            ));
        }
        Ok(())
    }

    /// Deletes what is chosen, and chosen again after the intent was written.
    fn remove(&self, choose: &dyn Fn(&View) -> Garbage) -> Result<Reclaimed> {
        let (view, _) = self.view()?;
        let first = choose(&view);
        if first == Garbage::default() {
            return Ok(Reclaimed::default());
        }
        let intent = self.intend(&first)?;
        // After the intent: a name that was put before it is seen now, and one that is put later finds the
        // intent.
        let (view, lengths) = self.view()?;
        let mut still = choose(&view);
        // Nothing but what the intent lists: only that is visible to a caller that gives a name.
        still.manifests.retain(|manifest| first.manifests.contains(manifest));
        // The view's segments are sorted, and `garbage` keeps their order.
        still.segments.retain(|segment| first.segments.binary_search(segment).is_ok());
        let mut collected = Reclaimed::default();
        // Manifests before segments, so that no manifest is ever there without its pages.
        for number in still.manifests {
            self.log.0.delete(&numbered(LOG, number))?;
            collected.manifests += 1;
        }
        for segment in still.segments {
            self.log.0.delete(&segment.to_string())?;
            collected.segments += 1;
            let place = lengths.binary_search_by_key(&segment, |(segment, _)| *segment);
            collected.bytes += place.map_or(0, |place| lengths[place].1);
        }
        // Last, so that a name that is put meanwhile still finds it.
        self.log.0.delete(&intent)?;
        Ok(collected)
    }

    /// What there is; and the lengths of the segments, by their names.
    fn view(&self) -> Result<(View, Vec<(SegmentName, u64)>)> {
        // The log before the segments, as `View` requires.
        let entries = self.log.seen()?;
        let named = self.names()?.into_iter().map(|kept| kept.number).collect();
        let listed = self.log.0.list(PAGES)?;
        let lengths = listed.iter().filter_map(|(name, len)| Some((SegmentName::parse(name)?, *len)));
        let mut lengths: Vec<(SegmentName, u64)> = lengths.collect();
        lengths.sort();
        let segments = lengths.iter().map(|(segment, _)| *segment).collect();
        Ok((View { entries, named, segments }, lengths))
    }

    /// Writes an intent: what is about to be deleted. Returns its name.
    fn intend(&self, garbage: &Garbage) -> Result<String> {
        let manifests = garbage.manifests.iter().map(|number| numbered(LOG, *number));
        let names: Vec<String> =
            manifests.chain(garbage.segments.iter().map(SegmentName::to_string)).collect();
        let last = self.intents()?.iter().filter_map(|(name, _)| number_of(INTENTS, name)).max();
        let mut number = last.map_or(1, |last| last.saturating_add(1));
        loop {
            let name = numbered(INTENTS, number);
            let bytes = envelope::seal(Kind::Intent, number, &names, "the intent of a garbage collection")?;
            match self.log.0.create(&name, &bytes) {
                Ok(()) => return Ok(name),
                Err(PutError::Exists) => number += 1,
                // If it is there after all, it is removed with the leftovers of the next collection.
                Err(PutError::Failed(error)) => return Err(error),
            }
        }
    }

    fn intents(&self) -> Result<Vec<(String, u64)>> {
        self.log.0.list(INTENTS)
    }

    /// True if no manifest is there that an intent of another collection lists, or it cannot be read.
    ///
    /// The other collection may be asleep between its intent and its deletions, and nothing tells that from
    /// one that has ended. Without its intent a snapshot that it is about to delete could be given a name.
    fn is_over(&self, intent: &str, present: &BTreeSet<String>) -> Result<bool> {
        let (Some(number), Some(bytes)) = (number_of(INTENTS, intent), self.log.0.read(intent)?) else {
            return Ok(true);
        };
        let names = envelope::open::<Vec<String>>(Kind::Intent, number, &bytes, intent);
        Ok(names.map_or(true, |names| !names.iter().any(|name| present.contains(name))))
    }

    /// True if an intent lists this manifest.
    pub(in crate::snapshot) fn is_doomed(&self, number: u64) -> Result<bool> {
        let doomed = numbered(LOG, number);
        for (name, _) in self.intents()? {
            let Some(intent) = number_of(INTENTS, &name) else { continue };
            let Some(bytes) = self.log.0.read(&name)? else { continue };
            let names: Vec<String> = envelope::open(Kind::Intent, intent, &bytes, &name)?;
            if names.contains(&doomed) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
