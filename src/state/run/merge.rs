//! Merging two adjacent runs, a piece at a time.
//!
//! The spine grants fuel, one unit for each row read, and the merger stops when it is used up: so no seal
//! pays for a whole merge. Pages that lie between the other run's rows are shared, not copied: windows are
//! arranged by their end, so most of what an older run holds is untouched by what follows. Of pages in files
//! it has one of each run in memory.

use std::mem;
use std::sync::Arc;

use differential_dataflow::trace::{Batch, BatchReader, Description, Merger};
use timely::progress::frontier::AntichainRef;
use timely::progress::{Antichain, Timestamp};

use crate::state::run::rows::Rows;
use crate::state::run::sorted_run::{Cursor, PageOf, SortedRun};

/// The fuel that sharing a page costs.
const SHARE_COST: isize = 8;

/// A merge in progress.
pub(crate) struct RunMerger<R: Rows> {
    description: Description<u64>,
    older: Cursor<R::Key, R::Value>,
    newer: Cursor<R::Key, R::Value>,
    /// What is merged. There is none if both runs are empty.
    merged: Option<Merged<R>>,
    begun: bool,
}

/// What has been merged.
struct Merged<R: Rows> {
    rows: R,
    pages: Vec<PageOf<R>>,
    open: Vec<(R::Key, R::Value)>,
    /// No earlier run lies below: rows that only undo something can go.
    oldest: bool,
}

impl<R: Rows> Merger<SortedRun<R>> for RunMerger<R> {
    fn new(older: &SortedRun<R>, newer: &SortedRun<R>, compaction: AntichainRef<'_, u64>) -> RunMerger<R> {
        let bounds = (older.lower().clone(), newer.upper().clone());
        let rows = older.rows.clone().or_else(|| newer.rows.clone());
        let oldest = older.lower().less_equal(&u64::minimum());
        RunMerger {
            description: Description::new(bounds.0, bounds.1, compaction.to_owned()),
            older: Cursor::default(),
            newer: Cursor::default(),
            merged: rows.map(|rows| Merged { rows, pages: Vec::new(), open: Vec::new(), oldest }),
            begun: false,
        }
    }

    fn work(&mut self, older: &SortedRun<R>, newer: &SortedRun<R>, fuel: &mut isize) {
        let RunMerger { older: a, newer: b, merged: Some(merged), begun, .. } = self else { return };
        if !mem::replace(begun, true) {
            let clock = merged.rows.clock();
            a.seek(older, |key| R::is_expired(key, clock));
            b.seek(newer, |key| R::is_expired(key, clock));
        }
        while *fuel > 0 {
            match (a.row(older), b.row(newer)) {
                (None, None) => return,
                (Some(first), Some(second)) if first.0 == second.0 => {
                    let (key, mut value) = first.clone();
                    merged.rows.absorb(&mut value, &second.1);
                    merged.push(key, value);
                    a.next(older);
                    b.next(newer);
                    *fuel -= 2;
                }
                (Some(first), second) if second.is_none_or(|second| first.0 < second.0) => {
                    merged.take(older, a, second, fuel);
                }
                (first, _) => merged.take(newer, b, first, fuel),
            }
        }
    }

    fn done(self) -> SortedRun<R> {
        match self.merged {
            Some(mut merged) => {
                merged.close_page();
                SortedRun::from_pages(Some(merged.rows), merged.pages, self.description)
            }
            None => SortedRun::from_pages(None, Vec::new(), self.description),
        }
    }
}

impl<R: Rows> Merged<R> {
    /// Takes the row here, which precedes the other run's next row, or the whole page if it does.
    #[inline]
    fn take(
        &mut self,
        from: &SortedRun<R>,
        cursor: &mut Cursor<R::Key, R::Value>,
        other: Option<&(R::Key, R::Value)>,
        fuel: &mut isize,
    ) {
        let half = self.rows.page_rows() / 2;
        let fits = self.open.is_empty() || self.open.len() >= half;
        let precedes = |page: &PageOf<R>| other.is_none_or(|other| page.is_below(|key| *key < other.0));
        if fits
            && let Some((page, rows)) = cursor.page(from)
            && page.len() >= half
            && precedes(page)
        {
            *fuel -= SHARE_COST;
            if !self.oldest || !rows.iter().any(|row| self.rows.is_vacant(&row.1, true)) {
                let page = Arc::clone(page);
                self.close_page();
                self.pages.push(page);
                return cursor.next_page(from);
            }
        }
        *fuel -= 1;
        if let Some((key, value)) = cursor.row(from) {
            self.push(key.clone(), value.clone());
        }
        cursor.next(from);
    }

    #[inline]
    fn push(&mut self, key: R::Key, value: R::Value) {
        if self.rows.is_vacant(&value, self.oldest) {
            return;
        }
        if self.open.capacity() == 0 {
            self.open.reserve_exact(self.rows.page_rows());
        }
        self.open.push((key, value));
        if self.open.len() >= self.rows.page_rows() {
            self.close_page();
        }
    }

    fn close_page(&mut self) {
        if !self.open.is_empty() {
            self.pages.push(Arc::new(self.rows.page(mem::take(&mut self.open))));
        }
    }
}

/// The frontier of one epoch.
pub(in crate::state) fn at(epoch: u64) -> Antichain<u64> {
    Antichain::from_elem(epoch)
}
impl<R: Rows> Batch for SortedRun<R> {
    type Merger = RunMerger<R>;

    fn empty(lower: Antichain<u64>, upper: Antichain<u64>) -> SortedRun<R> {
        let since = Antichain::from_elem(u64::minimum());
        SortedRun {
            rows: None,
            pages: Vec::new(),
            len: 0,
            description: Description::new(lower, upper, since),
        }
    }
}
