//! The readers of one worker's splits, within the source's limit on open readers.
//!
//! A source may limit how many of its readers can be open at a time. At the limit, a reader is dropped when
//! another is needed, and its position is kept; when its split is read again, the source opens it there. A
//! reader opened at a position continues exactly after it, so this changes only the cost: one opening each
//! time that a split without a reader is read. A split that has not been read yet may have no reader at all.
//!
//! The least recently used reader is dropped. The readers are ordered by use, so the choice costs the
//! logarithm of their number, and nothing if all may be open.

use std::collections::BTreeSet;

use super::source::{Position, Reader, Source, Split};
use crate::connector::split_offsets::SplitOffset;
use crate::error::Result;
use crate::time::{EventTime, SplitWatermark};

/// A split that a worker reads.
pub(super) struct OpenSplit<S: Source> {
    pub(super) split: S::Split,
    /// True if it was read in the current epoch.
    pub(super) read: bool,
    pub(super) watermark: SplitWatermark<S::Item>,
    reader: Option<S::Reader>,
    /// The position at which to open it if it has no reader; `None`, for the beginning, if it had no reader
    /// yet.
    parked: Option<Position<S>>,
    /// When it was last read, in uses of readers.
    used: u64,
}

impl<S: Source> OpenSplit<S> {
    /// Its position; `None` if it had no reader yet and is at the beginning.
    pub(super) fn position(&self) -> Option<Position<S>> {
        self.reader.as_ref().map(Reader::position).or_else(|| self.parked.clone())
    }

    /// Its offset, with a watermark of at least `least`.
    pub(super) fn mark(&self, least: EventTime) -> Result<SplitOffset> {
        let (watermark, generator) = self.watermark.save();
        SplitOffset::new::<S>(&self.split, self.position().as_ref(), (watermark.max(least), generator))
    }

    /// Its reader and its watermark.
    pub(super) fn parts(&mut self) -> (&mut S::Reader, &mut SplitWatermark<S::Item>) {
        match &mut self.reader {
            Some(reader) => (reader, &mut self.watermark),
            None => unreachable!("split {} is read without a reader", self.split.id()),
        }
    }
}

/// The splits of a worker by their slots.
pub(super) struct Readers<S: Source> {
    slots: Vec<Option<OpenSplit<S>>>,
    /// How many readers may be open.
    most: usize,
    /// Splits that have a reader, by their last use.
    open: BTreeSet<(u64, usize)>,
    uses: u64,
}

impl<S: Source> Readers<S> {
    /// No splits, and how many readers may be open.
    pub(super) fn new(most: usize) -> Readers<S> {
        Readers { slots: Vec::new(), most: most.max(1), open: BTreeSet::new(), uses: 0 }
    }

    /// Adds a split, with a reader if one more may be open.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub(super) fn add(
        &mut self,
        source: &S,
        slot: usize,
        split: &S::Split,
        from: Option<Position<S>>,
        watermark: SplitWatermark<S::Item>,
    ) -> Result<()> {
        let (split, parked) = (split.clone(), from);
        let added = OpenSplit { split, read: false, watermark, reader: None, parked, used: 0 };
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(added);
        if self.open.len() < self.most {
            self.open(source, slot)?;
        }
        Ok(())
    }

    /// Ensures that a split has a reader; returns true if one had to be opened.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub(super) fn open(&mut self, source: &S, slot: usize) -> Result<bool> {
        let (most, uses) = (self.most, self.uses + 1);
        let Some(split) = &mut self.slots[slot] else { return Ok(false) };
        if split.reader.is_some() {
            // The order of use matters only when the next opening must drop a reader.
            if self.open.len() >= most {
                self.open.remove(&(split.used, slot));
                self.open.insert((uses, slot));
                (split.used, self.uses) = (uses, uses);
            }
            return Ok(false);
        }
        while self.open.len() >= most
            && let Some((_, last)) = self.open.pop_first()
        {
            let parking = self.slots[last].as_mut();
            parking.into_iter().for_each(|split| {
                // Before the reader is dropped: only it knows the position.
                split.parked = split.position();
                split.reader = None;
            });
        }
        let Some(split) = &mut self.slots[slot] else { return Ok(false) };
        split.reader = Some(source.open(&split.split, split.parked.take())?);
        (split.used, self.uses) = (uses, uses);
        self.open.insert((uses, slot));
        Ok(true)
    }

    /// The split in a slot that has one.
    pub(super) fn split(&mut self, slot: usize) -> &mut OpenSplit<S> {
        match &mut self.slots[slot] {
            Some(split) => split,
            None => unreachable!("slot {slot} has no split"),
        }
    }

    /// A split, if its slot has one.
    pub(super) fn get(&mut self, slot: usize) -> Option<&mut OpenSplit<S>> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Removes a split.
    pub(super) fn remove(&mut self, slot: usize) -> Option<OpenSplit<S>> {
        let split = self.slots[slot].take()?;
        self.open.remove(&(split.used, slot));
        Some(split)
    }

    /// Removes all splits.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (usize, OpenSplit<S>)> + use<S> {
        self.open.clear();
        let slots = std::mem::take(&mut self.slots);
        slots.into_iter().enumerate().filter_map(|(slot, split)| Some((slot, split?)))
    }

    /// All splits with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &OpenSplit<S>)> {
        self.slots.iter().enumerate().filter_map(|(slot, split)| Some((slot, split.as_ref()?)))
    }
}
