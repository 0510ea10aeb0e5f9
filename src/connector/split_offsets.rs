//! Where a source stands in its splits, at each cut and after a restart.
//!
//! At the end of an epoch a reader's position, the split's watermark and what its generator knows are all
//! that is needed to go on as if nothing had happened. A split that was read to its end is noted as such, so
//! that it is not read again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::source::{Earlier, Position, Source, Split};
use crate::error::{Error, Result};
use crate::snapshot::{OperatorState, RestoredOperator, SavedTables, decode_note, encode_note};
use crate::stream::Saving;
use crate::time::EventTime;

/// Where a split stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SplitOffset {
    pub(super) split: String,
    /// The position, encoded; nothing if it is at the beginning and no reader was needed yet.
    position: Vec<u8>,
    pub(super) watermark: EventTime,
    /// What the watermark generator knows.
    pub(super) generator: Vec<u8>,
    /// True if the split was read to its end.
    pub(super) is_done: bool,
}

impl SplitOffset {
    /// A split's bookmark, with its watermark and what its generator knows.
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
            // There are positions that take no bytes.
            Err(_) if self.position.is_empty() => Ok(None),
            position => position.map(Some),
        }
    }
}

/// The bookmarks of one worker's instance of a source.
#[derive(Default)]
pub(super) struct SplitOffsets {
    saving: Option<Saving>,
    /// Those of the snapshot that the job goes on from, until their splits are opened.
    known: BTreeMap<String, SplitOffset>,
    /// Those of splits that were not there at the start, and are opened here when they come.
    absent: BTreeMap<String, SplitOffset>,
    /// Those of splits that are not read any more.
    closed: Vec<SplitOffset>,
}

/// Where a split is to be read from.
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

    /// True if the job does not go on from a snapshot in which the source had read something.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What the earlier run has read, before a split is opened. Of splits whose reader it had not needed yet
    /// there is nothing to tell.
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

    /// Where a split is to be read from, now that it is opened.
    pub(super) fn open(&mut self, split: &str) -> Start {
        match self.known.remove(split).or_else(|| self.absent.remove(split)) {
            None => Start::Beginning,
            Some(mark) if mark.is_done => {
                self.closed.push(mark);
                Start::Done
            }
            Some(mark) => Start::At(mark),
        }
    }

    /// Checks that the splits are there that were not read to their end.
    ///
    /// # Errors
    ///
    /// If one is not, and new ones are not looked for.
    pub(super) fn check_there(&self, there: &BTreeSet<String>, source: &str, discovers: bool) -> Result<()> {
        let mut absent = self.known.values().filter(|mark| !mark.is_done && !there.contains(&mark.split));
        match absent.next().filter(|_| !discovers) {
            None => Ok(()),
            Some(SplitOffset { split, .. }) => Err(Error::config(format!(
                "{source} has no split {split:?} any more, of which the snapshot has read a part: bring it back, or begin anew"
            ))),
        }
    }

    /// Keeps the bookmarks of splits that are not among those there are, if they are opened here when they
    /// come: each is kept by one worker, which forgets it when the split is read again.
    pub(super) fn keep_absent(&mut self, there: &BTreeSet<String>, mine: impl Fn(&str) -> bool) {
        let absent = self.known.extract_if(.., |split, _| !there.contains(split));
        self.absent.extend(absent.filter(|(split, _)| mine(split)));
    }

    /// The greatest watermark of splits that are not read any more.
    pub(super) fn greatest_closed(&self) -> Option<EventTime> {
        self.closed.iter().chain(self.absent.values()).map(|mark| mark.watermark).max()
    }

    /// A split is not read any more.
    pub(super) fn close(&mut self, mark: Result<SplitOffset>, is_done: bool) -> Result<()> {
        if self.saving.is_some() {
            self.closed.push(SplitOffset { is_done, ..mark? });
        }
        Ok(())
    }

    /// The source leaves `epoch` for `next`: if there are cuts between them, it hands over where it stands.
    /// `open` tells that of the splits that it reads.
    pub(super) fn leave(&self, epoch: u64, next: u64, open: impl Iterator<Item = Result<SplitOffset>>) {
        let Some(saving) = &self.saving else { return };
        let cuts = saving.cuts(epoch, next);
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

/// How far a source had come in one of its splits when a snapshot was taken.
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
