//! A run: the immutable, sorted rows that an interval of epochs changed, in shared pages.

use std::sync::Arc;

use differential_dataflow::trace::{Batch, BatchReader, Description};
use timely::progress::{Antichain, Timestamp};

use super::Rows;
use super::merge::RunMerger;

/// Rows in a full page. Large enough that its costs vanish in the rows', small enough to be written, read or skipped in
/// well under a millisecond.
pub(crate) const PAGE_ROWS: usize = 1024;

/// Sorted rows that never change: what runs share, and what a snapshot writes once.
pub(crate) type Page<R> = Arc<Vec<(<R as Rows>::Key, <R as Rows>::Value)>>;

/// A batch of a spine: pages whose rows are sorted, each key once, with the epochs they cover.
pub(crate) struct Run<R: Rows> {
    /// `None` only for the empty run that a spine makes of itself.
    pub(super) rows: Option<R>,
    pub(super) pages: Vec<Page<R>>,
    pub(super) len: usize,
    description: Description<u64>,
}

impl<R: Rows> Run<R> {
    /// A run of sorted rows with distinct keys.
    pub(super) fn of(rows: R, mut sorted: Vec<(R::Key, R::Value)>, description: Description<u64>) -> Run<R> {
        debug_assert!(sorted.is_sorted_by(|a, b| a.0 < b.0), "rows must be sorted, each key once");
        let len = sorted.len();
        let mut pages = Vec::with_capacity(len.div_ceil(PAGE_ROWS));
        if len <= PAGE_ROWS {
            pages.extend((len > 0).then(|| Arc::new(sorted)));
        } else {
            let mut rest = sorted.drain(..).peekable();
            while rest.peek().is_some() {
                pages.push(Arc::new(rest.by_ref().take(PAGE_ROWS).collect()));
            }
        }
        Run { rows: Some(rows), pages, len, description }
    }

    pub(super) fn from_pages(rows: Option<R>, pages: Vec<Page<R>>, description: Description<u64>) -> Run<R> {
        let len = pages.iter().map(|page| page.len()).sum();
        Run { rows, pages, len, description }
    }

    /// The pages, in order.
    pub(crate) fn pages(&self) -> &[Page<R>] {
        &self.pages
    }

    /// The row at or after `position` whose key is the first that is not below what `below` tells.
    ///
    /// Gallops from `position`, so a pass in key order costs no more than a merge, and a jump its logarithm.
    pub(crate) fn seek(&self, position: Position, below: impl Fn(&R::Key) -> bool) -> Position {
        let mut page = position.page;
        let ends_below = |page: usize| self.pages[page].last().is_some_and(|(key, _)| below(key));
        if page < self.pages.len() && ends_below(page) {
            page += gallop(self.pages.len() - page, |step| ends_below(page + step));
            return self.within(page, 0, below);
        }
        self.within(page, position.row, below)
    }

    fn within(&self, page: usize, row: usize, below: impl Fn(&R::Key) -> bool) -> Position {
        match self.pages.get(page) {
            Some(rows) => {
                let rows = &rows[row..];
                Position { page, row: row + gallop(rows.len(), |step| below(&rows[step].0)) }
            }
            None => Position { page, row: 0 },
        }
    }

    /// The row at `position`, if there is one.
    #[inline]
    pub(crate) fn row(&self, position: Position) -> Option<&(R::Key, R::Value)> {
        self.pages.get(position.page)?.get(position.row)
    }

    /// The position after `position`.
    #[inline]
    pub(crate) fn next(&self, position: Position) -> Position {
        let Position { page, row } = position;
        match self.pages.get(page) {
            Some(rows) if row + 1 < rows.len() => Position { page, row: row + 1 },
            _ => Position { page: page + 1, row: 0 },
        }
    }

    /// The rows from `position` on.
    pub(crate) fn from(&self, position: Position) -> impl Iterator<Item = &(R::Key, R::Value)> {
        let first = self.pages.get(position.page).map_or(&[][..], |page| &page[position.row..]);
        let rest = self.pages.iter().skip(position.page + 1).flat_map(|page| page.iter());
        first.iter().chain(rest)
    }
}

/// Where a row lies in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(super) page: usize,
    pub(super) row: usize,
}

/// The first of `0..len` for which `below` no longer holds, by exponential and then binary search.
fn gallop(len: usize, below: impl Fn(usize) -> bool) -> usize {
    let mut bound = 1;
    while bound <= len && below(bound - 1) {
        bound *= 2;
    }
    let (mut low, mut high) = (bound / 2, bound.min(len + 1) - 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

impl<R: Rows> BatchReader for Run<R> {
    type Time = u64;

    fn len(&self) -> usize {
        self.len
    }

    fn description(&self) -> &Description<u64> {
        &self.description
    }
}

impl<R: Rows> Batch for Run<R> {
    type Merger = RunMerger<R>;

    fn empty(lower: Antichain<u64>, upper: Antichain<u64>) -> Run<R> {
        let since = Antichain::from_elem(u64::minimum());
        Run { rows: None, pages: Vec::new(), len: 0, description: Description::new(lower, upper, since) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Sums;

    #[test]
    fn galloping_finds_the_boundary() {
        for len in 0..40 {
            for boundary in 0..=len {
                assert_eq!(gallop(len, |i| i < boundary), boundary, "{boundary} of {len}");
            }
        }
    }

    #[test]
    fn seeking_crosses_pages() {
        let rows: Vec<(u64, i64)> = (0..3000).map(|k| (2 * k, 1)).collect();
        let bounds = |t| Antichain::from_elem(t);
        let description = Description::new(bounds(0), bounds(1), bounds(0));
        let run = Run::of(Sums::new(), rows, description);
        assert_eq!(run.pages.len(), 3);
        let mut position = Position::default();
        for key in [0, 1, 2, 2047, 2048, 4095, 5997, 5998] {
            position = run.seek(position, |k| *k < key);
            assert_eq!(run.row(position).map(|row| row.0), Some(key.next_multiple_of(2)));
        }
        assert_eq!(run.row(run.seek(position, |k| *k < 5999)), None);
        assert_eq!(run.from(Position { page: 2, row: 950 }).count(), 2);
        assert_eq!(run.row(run.next(Position { page: 0, row: 1023 })), Some(&(2048, 1)));
    }
}
