//! Segment writing: collects pages into segments.
//!
//! A part is handed over before its cut is complete, and its pages are written early: each as soon as it is
//! made, while its rows are in the processor's cache, and not when memory holds all of them. So there is an
//! open segment for each cut in progress. It is finished when it is large, or when the cut is complete; only
//! then are its pages marked as written.
//!
//! A page that is written early is named by the snapshot that it is for, or by a later one if that is given
//! up: it belongs to the state, whose runs go on. A page that cannot be written early is not marked, and is
//! written with the snapshot.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::snapshot::log::lease::{Lease, SegmentWriter};
use crate::snapshot::log::manifest::PageRef;
use crate::snapshot::page::codec::Codec;
use crate::snapshot::page::compression::Compression;
use crate::snapshot::page::format::PageHead;
use crate::snapshot::restore::page_source::PageSource;

/// The bytes of a segment that is full.
const SEGMENT: u64 = 32 << 20;

/// A page of state, as the coordinator writes it.
pub(crate) trait SavedPage: Send + Sync {
    /// The number of rows.
    fn rows(&self) -> usize;

    /// The least hash that a row's key is owned by, and the greatest.
    fn hashes(&self) -> (u64, u64);

    /// The rows as bytes.
    fn encode(&self, codec: Codec) -> Result<Cow<'_, [u8]>>;

    /// Where it has been written, once it has been.
    fn written(&self) -> &OnceLock<PageRef>;
}

/// The operator, the table and the type that pages belong to.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) uid: &'a str,
    pub(crate) table: &'a str,
    pub(crate) fingerprint: u64,
}

/// The segments that are being written.
pub(crate) struct SegmentWriting {
    codec: Codec,
    compression: Compression,
    /// A segment is finished when it has this many bytes.
    enough: u64,
    /// By the epoch of the snapshot that they are for.
    open: BTreeMap<u64, Open>,
    /// The bytes of the segments that are finished.
    bytes: u64,
    /// True if an early write has failed. Then there are none until a snapshot is complete.
    fails: bool,
}

/// A segment, and the pages in it.
struct Open {
    segment: SegmentWriter,
    pages: Vec<(Arc<dyn SavedPage>, PageRef)>,
}

impl SegmentWriting {
    /// For pages that are encoded and compressed like this.
    pub(crate) fn new(codec: Codec, compression: Compression) -> SegmentWriting {
        SegmentWriting::in_segments(SEGMENT, codec, compression)
    }

    /// The same, in segments of about `enough` bytes.
    pub(crate) fn in_segments(enough: u64, codec: Codec, compression: Compression) -> SegmentWriting {
        SegmentWriting { codec, compression, enough, open: BTreeMap::new(), bytes: 0, fails: false }
    }

    /// Adds a page of a run of these epochs to what is written for a snapshot.
    ///
    /// # Errors
    ///
    /// If the page cannot be encoded, or a segment not be written. Its pages are not known to be written
    /// then.
    pub(crate) fn add(
        &mut self,
        (lease, epoch): (&Lease, u64),
        owner: Owner<'_>,
        epochs: (u64, u64),
        page: &Arc<dyn SavedPage>,
    ) -> Result<()> {
        let head = self.head(owner, epochs, &**page)?;
        let open = match self.open.entry(epoch) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                place.insert(Open { segment: lease.segment(epoch, 0)?, pages: Vec::new() })
            }
        };
        let body = page.encode(head.codec)?;
        let place = open.segment.add(&head, &body)?;
        open.pages.push((Arc::clone(page), place));
        if open.segment.bytes() > self.enough {
            // Taken out before the put: if that fails, its pages are not marked, and go into another segment.
            let full = self.open.remove(&epoch);
            full.into_iter().try_for_each(|full| self.put(full))?;
        }
        Ok(())
    }

    /// Finishes the segments for snapshots up to an epoch.
    ///
    /// # Errors
    ///
    /// If one cannot be written. Its pages are not known to be written then.
    pub(crate) fn finish(&mut self, epoch: u64) -> Result<()> {
        self.fails = false;
        // Segments of earlier cuts that were given up are finished as well: their pages belong to the state.
        // Those of later cuts stay open.
        let later = match epoch.checked_add(1) {
            Some(next) => self.open.split_off(&next),
            None => BTreeMap::new(),
        };
        let finished = std::mem::replace(&mut self.open, later);
        // All are put even if one fails, so that the pages of the others are marked.
        finished.into_values().map(|open| self.put(open)).fold(Ok(()), Result::and)
    }

    /// The bytes that have been written since this was asked last.
    pub(in crate::snapshot) fn take_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }

    fn head(&self, owner: Owner<'_>, epochs: (u64, u64), page: &dyn SavedPage) -> Result<PageHead> {
        let rows = u32::try_from(page.rows())
            .map_err(|_| Error::data("a page of state has more than 4 billion rows"))?;
        Ok(PageHead {
            codec: self.codec,
            compression: self.compression,
            uid: owner.uid.to_owned(),
            table: owner.table.to_owned(),
            fingerprint: owner.fingerprint,
            hashes: page.hashes(),
            epochs: (epochs.0, epochs.1.saturating_sub(1)),
            rows,
        })
    }

    fn put(&mut self, Open { segment, pages }: Open) -> Result<()> {
        let bytes = segment.bytes();
        // Pages are marked only after the put has succeeded: a manifest must not name others.
        segment.finish()?;
        self.bytes += bytes;
        for (page, place) in pages {
            // A page that two cuts have written is marked already; either copy serves.
            let _ = page.written().set(place);
        }
        Ok(())
    }
}

/// Writes the pages of a table as they are made, as far as that works.
pub(crate) struct EagerWriter<'a> {
    pub(crate) writing: &'a mut SegmentWriting,
    /// The lease that writes them, and the epoch of their snapshot.
    pub(crate) lease: (&'a Lease, u64),
    pub(crate) owner: Owner<'a>,
    /// Where pages can be read again at little cost, if they can.
    pub(crate) origin: Option<Arc<PageSource>>,
}

impl EagerWriter<'_> {
    /// Writes a page of a run of these epochs.
    pub(crate) fn write(&mut self, epochs: (u64, u64), page: &Arc<dyn SavedPage>) {
        if !self.writing.fails {
            // A failure is not reported here: the page is tried again, and the error returned, when all parts
            // are there.
            self.writing.fails = self.writing.add(self.lease, self.owner, epochs, page).is_err();
        }
    }
}
