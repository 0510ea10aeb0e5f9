//! The offsets of a source's splits, at each cut and after a restart.
//!
//! The offset of a split is its reader's position, its watermark and the state of its watermark generator at
//! the end of an epoch. With these the next run continues as if the job had not stopped. A split that was
//! read to its end is marked as done, so it is not read again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::source::{Earlier, Position, Source, Split};
use crate::error::{Error, Result};
use crate::snapshot::{OperatorState, RestoredOperator, SavedTables, decode_note, encode_note};
use crate::stream::Saving;
use crate::time::EventTime;

/// The offset of a split.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SplitOffset {
    pub(super) split: String,
    /// The position, encoded; empty if it is at the beginning and no reader was needed yet.
    position: Vec<u8>,
    pub(super) watermark: EventTime,
    /// The saved state of the watermark generator.
    pub(super) generator: Vec<u8>,
    /// True if the split was read to its end.
    pub(super) is_done: bool,
}

impl SplitOffset {
    /// The offset of a split, with its watermark and the state of its generator.
    pub(super) fn new<S: Source>(
        split: &S::Split,
        position: Option<&Position<S>>,
        (watermark, generator): (EventTime, Vec<u8>),
    ) -> Result<SplitOffset> {
        let position = position.map_or_else(|| Ok(Vec::new()), encode_note)?;
        let split = split.id();
        Ok(SplitOffset { split, position, watermark, generator, is_done: false })
    }

    /// The position, unless it is at the beginning and no reader was needed yet.
    pub(super) fn position<S: Source>(&self) -> Result<Option<Position<S>>> {
        match decode_note(&self.position, &self.split, "position") {
            // Empty bytes are either no position or one whose encoding is empty; only the type can tell.
            Err(_) if self.position.is_empty() => Ok(None),
            position => position.map(Some),
        }
    }
}

/// The offsets of one worker's instance of a source.
#[derive(Default)]
pub(super) struct SplitOffsets {
    saving: Option<Saving>,
    /// Offsets of the snapshot that the job is restored from, until their splits are opened.
    known: BTreeMap<String, SplitOffset>,
    /// Offsets of splits that did not exist at the start, and are opened on this worker when they appear.
    absent: BTreeMap<String, SplitOffset>,
    /// Offsets of splits that are not read any more.
    closed: Vec<SplitOffset>,
}

/// The start of reading a split.
pub(super) enum Start {
    Beginning,
    At(SplitOffset),
    /// Nowhere: it was read to its end.
    Done,
}

/// The name of the note.
const SPLITS: &str = "splits";

impl SplitOffsets {
    pub(super) fn new(saving: Option<Saving>, from: Option<&RestoredOperator>) -> Result<SplitOffsets> {
        let mut known = BTreeMap::new();
        for (_, marks) in
            from.map_or_else(|| Ok(Vec::new()), |from| from.notes::<Vec<SplitOffset>>(SPLITS))?
        {
            known.extend(marks.into_iter().map(|mark| (mark.split.clone(), mark)));
        }
        Ok(SplitOffsets { saving, known, absent: BTreeMap::new(), closed: Vec::new() })
    }

    /// True if no offsets were restored.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The positions of the earlier run, before a split is opened. Splits whose reader it had not needed yet
    /// have none.
    pub(super) fn earlier<S: Source>(&self) -> Result<Vec<Earlier<Position<S>>>> {
        let earlier = |mark: &SplitOffset| {
            let position = mark.position::<S>()?;
            Ok(position.map(|position| Earlier {
                split: mark.split.clone(),
                position,
                is_done: mark.is_done,
            }))
        };
        self.known.values().map(earlier).filter_map(Result::transpose).collect()
    }

    /// The start of a split that is opened now.
    pub(super) fn open(&mut self, split: &str) -> Start {
        match self.known.remove(split).or_else(|| self.absent.remove(split)) {
            None => Start::Beginning,
            Some(mark) if mark.is_done => {
                // The next snapshot must list it as done too.
                self.closed.push(mark);
                Start::Done
            }
            Some(mark) => Start::At(mark),
        }
    }

    /// Checks that the splits that were not read to their end still exist.
    ///
    /// # Errors
    ///
    /// If one does not, and the source does not discover splits.
    pub(super) fn check_there(&self, there: &BTreeSet<String>, source: &str, discovers: bool) -> Result<()> {
        let mut absent = self.known.values().filter(|mark| !mark.is_done && !there.contains(&mark.split));
        match absent.next().filter(|_| !discovers) {
            None => Ok(()),
            Some(SplitOffset { split, .. }) => Err(Error::config(format!(
                "{source} has no split {split:?} any more, of which the snapshot has read a part: bring it back, or begin anew"
            ))),
        }
    }

    /// Keeps the offsets of absent splits that this worker opens when they appear: each is kept by one
    /// worker, until the split is read again.
    pub(super) fn keep_absent(&mut self, there: &BTreeSet<String>, mine: impl Fn(&str) -> bool) {
        // The other workers must not save the same offsets again.
        let absent = self.known.extract_if(.., |split, _| !there.contains(split));
        self.absent.extend(absent.filter(|(split, _)| mine(split)));
    }

    /// The greatest watermark of splits that are not read any more.
    pub(super) fn greatest_closed(&self) -> Option<EventTime> {
        self.closed.iter().chain(self.absent.values()).map(|mark| mark.watermark).max()
    }

    /// Records the offset of a split that is not read any more.
    pub(super) fn close(&mut self, mark: Result<SplitOffset>, is_done: bool) -> Result<()> {
        if self.saving.is_some() {
            self.closed.push(SplitOffset { is_done, ..mark? });
        }
        Ok(())
    }

    /// The source leaves `epoch` for `next`: hands over its offsets if there are cuts between them. `open`
    /// yields those of the splits that it reads.
    pub(super) fn leave(&self, epoch: u64, next: u64, open: impl Iterator<Item = Result<SplitOffset>>) {
        let Some(saving) = &self.saving else { return };
        let cuts = saving.cuts(epoch, next);
        // `open` is lazy: no position is taken in an epoch without a cut.
        if !cuts.is_empty() {
            saving.hand_over(&cuts, self.mark(open));
        }
    }

    fn mark(&self, open: impl Iterator<Item = Result<SplitOffset>>) -> Result<SavedTables> {
        let mut marks: Vec<SplitOffset> = open.collect::<Result<_>>()?;
        marks.extend(self.closed.iter().chain(self.absent.values()).cloned());
        let mut saved = SavedTables::default();
        saved.note(SPLITS, &marks)?;
        Ok(saved)
    }
}

/// The state of one split of a source in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitState {
    /// The split, by its [id](Split::id).
    pub split: String,
    /// Its watermark, in milliseconds of event time.
    pub watermark: EventTime,
    /// True if it was read to its end.
    pub is_done: bool,
}

/// The splits of a source in a snapshot, by their ids; none if the operator is no source.
///
/// # Errors
///
/// If they were written by another version of the engine.
pub fn splits_of(source: &OperatorState) -> Result<Vec<SplitState>> {
    let mut splits = Vec::new();
    for note in source.notes.iter().filter(|note| note.name == SPLITS) {
        let marks: Vec<SplitOffset> = decode_note(&note.bytes, &source.uid, SPLITS)?;
        splits.extend(marks.into_iter().map(|SplitOffset { split, watermark, is_done, .. }| SplitState {
            split,
            watermark,
            is_done,
        }));
    }
    splits.sort_by(|one, other| one.split.cmp(&other.split));
    Ok(splits)
}
