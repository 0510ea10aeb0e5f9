//! Merging two adjacent runs, a piece at a time.
//!
//! The spine grants fuel, one unit for each row read, and the merger stops when it is used up: so no
//! seal pays for a whole merge. Pages that lie between the other run's rows are shared, not copied: windows are arranged by
//! their end, so most of what an older run holds is untouched by what follows.

use std::mem;
use std::sync::Arc;

use differential_dataflow::trace::{BatchReader, Description, Merger};
use timely::progress::frontier::AntichainRef;
use timely::progress::{Antichain, Timestamp};

use super::Rows;
use super::run::{PAGE_ROWS, Page, Position, Run};

/// The fuel that sharing a page costs.
const SHARE_COST: isize = 8;

/// A merge in progress.
pub(crate) struct RunMerger<R: Rows> {
    rows: Option<R>,
    description: Description<u64>,
    older: Position,
    newer: Position,
    pages: Vec<Page<R>>,
    open: Vec<(R::Key, R::Value)>,
    /// No earlier run lies below: rows that only undo something can go.
    oldest: bool,
}

impl<R: Rows> Merger<Run<R>> for RunMerger<R> {
    fn new(older: &Run<R>, newer: &Run<R>, compaction: AntichainRef<'_, u64>) -> RunMerger<R> {
        let bounds = (older.lower().clone(), newer.upper().clone());
        RunMerger {
            oldest: older.lower().less_equal(&u64::minimum()),
            rows: older.rows.clone().or_else(|| newer.rows.clone()),
            description: Description::new(bounds.0, bounds.1, compaction.to_owned()),
            older: Position::default(),
            newer: Position::default(),
            pages: Vec::new(),
            open: Vec::new(),
        }
    }

    fn work(&mut self, older: &Run<R>, newer: &Run<R>, fuel: &mut isize) {
        let Some(rows) = self.rows.clone() else { return };
        if self.older == Position::default() && self.newer == Position::default() {
            self.older = older.seek(self.older, |key| rows.is_expired(key));
            self.newer = newer.seek(self.newer, |key| rows.is_expired(key));
        }
        while *fuel > 0 {
            match (older.row(self.older), newer.row(self.newer)) {
                (None, None) => return,
                (Some(a), Some(b)) if a.0 == b.0 => {
                    let mut value = a.1.clone();
                    rows.absorb(&mut value, &b.1);
                    self.push(&rows, a.0.clone(), value);
                    self.older = older.next(self.older);
                    self.newer = newer.next(self.newer);
                    *fuel -= 2;
                }
                (Some(a), b) if b.is_none_or(|b| a.0 < b.0) => {
                    self.older = self.take(&rows, older, self.older, b, fuel);
                }
                (a, Some(_)) => {
                    self.newer = self.take(&rows, newer, self.newer, a, fuel);
                }
                (Some(_), None) => unreachable!("a row without an opponent is taken above"),
            }
        }
    }

    fn done(mut self) -> Run<R> {
        self.close_page();
        Run::from_pages(self.rows, self.pages, self.description)
    }
}

impl<R: Rows> RunMerger<R> {
    /// Takes the row at `position`, which precedes the other run's next row, or the whole page if it does.
    fn take(
        &mut self,
        rows: &R,
        from: &Run<R>,
        position: Position,
        other: Option<&(R::Key, R::Value)>,
        fuel: &mut isize,
    ) -> Position {
        let page = &from.pages[position.page];
        let fits = self.open.is_empty() || self.open.len() >= PAGE_ROWS / 2;
        let precedes = |page: &Page<R>| match (page.last(), other) {
            (Some(last), Some(other)) => last.0 < other.0,
            _ => true,
        };
        if position.row == 0 && fits && page.len() >= PAGE_ROWS / 2 && precedes(page) {
            *fuel -= SHARE_COST;
            if !self.oldest || !page.iter().any(|row| rows.is_vacant(&row.1, true)) {
                self.close_page();
                self.pages.push(Arc::clone(page));
                return Position { page: position.page + 1, row: 0 };
            }
        }
        *fuel -= 1;
        let (key, value) = &page[position.row];
        self.push(rows, key.clone(), value.clone());
        from.next(position)
    }

    fn push(&mut self, rows: &R, key: R::Key, value: R::Value) {
        if rows.is_vacant(&value, self.oldest) {
            return;
        }
        if self.open.capacity() == 0 {
            self.open.reserve_exact(PAGE_ROWS);
        }
        self.open.push((key, value));
        if self.open.len() == PAGE_ROWS {
            self.close_page();
        }
    }

    fn close_page(&mut self) {
        if !self.open.is_empty() {
            self.pages.push(Arc::new(mem::take(&mut self.open)));
        }
    }
}

/// The frontier of one epoch.
pub(super) fn at(epoch: u64) -> Antichain<u64> {
    Antichain::from_elem(epoch)
}
