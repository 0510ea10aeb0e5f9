//! What an operator hands over for a snapshot, before it is written.
//!
//! A part is what one worker's instance of an operator knows at the end of an epoch: the pages of its
//! arrangements, which never change, and notes of things that are small. Making one copies pointers.
//! Write-only states have no arrangements; their deltas are handed over, the part names the last one, and the
//! coordinator makes the runs. The coordinator also encodes the pages, on a thread of its own, except for
//! those that an earlier snapshot has written.

use std::sync::Arc;

use crate::error::Result;
use crate::snapshot::coordinator::segments::{EagerWriter, SavedPage};
use crate::snapshot::log::manifest::Schema;
use crate::snapshot::restore::page_source::PageSource;

/// The cut at the end of all input.
pub(crate) const END: u64 = u64::MAX;

/// What an instance of an operator knows at the end of an epoch.
#[derive(Clone)]
pub(crate) struct OperatorSnapshot {
    pub(crate) uid: Arc<str>,
    pub(crate) worker: usize,
    /// The epoch, or [`END`].
    pub(crate) cut: u64,
    pub(crate) state: SavedTables,
}

/// The state of an instance.
#[derive(Clone, Default)]
pub(crate) struct SavedTables {
    pub(crate) tables: Vec<TableSnapshot>,
    /// Small things by their names.
    pub(crate) notes: Vec<(String, Vec<u8>)>,
}

impl SavedTables {
    /// Notes the settings that open state depends on, if they are known.
    pub(crate) fn note_settings(&mut self, name: &str, settings: Option<String>) -> Result<()> {
        settings.iter().try_for_each(|settings| self.note(name, settings))
    }

    /// Adds a note, as postcard encodes it.
    pub(crate) fn note<T: serde::Serialize>(&mut self, name: &str, value: &T) -> Result<()> {
        self.notes.push((name.to_owned(), crate::snapshot::page::codec::encode_note(value)?));
        Ok(())
    }
}

/// The rows of a state, in runs.
#[derive(Clone)]
pub(crate) struct TableSnapshot {
    pub(crate) name: String,
    pub(crate) schema: Schema,
    /// The time up to which its rows are over, by the clock that they expire by.
    pub(crate) clock: i64,
    /// The runs, oldest first.
    pub(crate) runs: Vec<RunSnapshot>,
    /// Makes the runs when the table is received, if the operator has not made them; and the number of the
    /// last delta that they are to include.
    pub(crate) coming: Option<(Arc<dyn DeferredRuns>, u64)>,
}

/// Runs that the coordinator makes of the deltas that an operator has handed over.
pub(crate) trait DeferredRuns: Send + Sync {
    /// The runs as of a delta. Asked for in order of the deltas, by one thread. Their pages may be
    /// written as they are made.
    ///
    /// # Errors
    ///
    /// If there was no such delta.
    fn runs(&self, delivery: u64, early: Option<EagerWriter<'_>>) -> Result<BuiltRuns>;

    /// Drops from memory the rows of all pages that a committed snapshot has written: they can be read from
    /// `origin`.
    fn release(&self, origin: &Arc<PageSource>);
}

/// Runs as of a delta.
pub(crate) struct BuiltRuns {
    pub(crate) runs: Vec<RunSnapshot>,
    /// How many compactions were deferred because their input could not be read.
    pub(crate) put_off: u64,
}

/// A run of an arrangement.
#[derive(Clone)]
pub(crate) struct RunSnapshot {
    /// The first epoch that it is about, and the first that it is not.
    pub(crate) epochs: (u64, u64),
    pub(crate) pages: Vec<Arc<dyn SavedPage>>,
}
