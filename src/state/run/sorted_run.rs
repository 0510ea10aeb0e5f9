//! A run: the immutable, sorted rows that an interval of epochs changed, in shared pages.

use std::sync::Arc;

use differential_dataflow::trace::{BatchReader, Description};

use crate::state::run::page::Page;
use crate::state::run::rows::Rows;

/// A page that runs share.
pub(crate) type PageOf<R> = Arc<Page<<R as Rows>::Key, <R as Rows>::Value>>;

/// A batch of a spine: pages whose rows are sorted, each key once, with the epochs they cover.
pub(crate) struct SortedRun<R: Rows> {
    /// `None` only for the empty run that a spine makes of itself.
    pub(in crate::state) rows: Option<R>,
    pub(in crate::state) pages: Vec<PageOf<R>>,
    pub(in crate::state) len: usize,
    pub(super) description: Description<u64>,
}

impl<R: Rows> SortedRun<R> {
    /// A run of pages, each of which comes after the one before.
    pub(in crate::state) fn from_pages(
        rows: Option<R>,
        pages: Vec<PageOf<R>>,
        description: Description<u64>,
    ) -> SortedRun<R> {
        let len = pages.iter().map(|page| page.len()).sum();
        SortedRun { rows, pages, len, description }
    }

    /// The pages, in order.
    pub(crate) fn pages(&self) -> &[PageOf<R>] {
        &self.pages
    }
}

/// The pages of sorted rows with distinct keys.
pub(super) fn pages<R: Rows>(rows: &R, sorted: Vec<(R::Key, R::Value)>) -> Vec<PageOf<R>> {
    pages_by(&|| rows.page_rows(), sorted, &mut |some| Arc::new(rows.page(some)))
}

/// The same, each as `page` makes it, of as many rows as `page_rows` says.
pub(in crate::state) fn pages_by<K: Ord, V, P>(
    page_rows: &dyn Fn() -> usize,
    mut sorted: Vec<(K, V)>,
    page: &mut dyn FnMut(Vec<(K, V)>) -> P,
) -> Vec<P> {
    debug_assert!(sorted.is_sorted_by(|a, b| a.0 < b.0), "rows must be sorted, each key once");
    let len = sorted.len();
    let mut pages = Vec::with_capacity(len.div_ceil(page_rows()));
    if len <= page_rows() {
        pages.extend((len > 0).then(|| page(sorted)));
    } else {
        let mut rest = sorted.drain(..).peekable();
        while rest.peek().is_some() {
            pages.push(page(rest.by_ref().take(page_rows()).collect()));
        }
    }
    pages
}

/// A place in a run, and the rows of the page there if they had to be read.
pub(crate) struct Cursor<K, V> {
    page: usize,
    row: usize,
    read: Option<(usize, Vec<(K, V)>)>,
}

impl<K, V> Default for Cursor<K, V> {
    fn default() -> Cursor<K, V> {
        Cursor { page: 0, row: 0, read: None }
    }
}

impl<K: Ord + Clone + 'static, V: Clone + 'static> Cursor<K, V> {
    /// Moves to the first row from here on whose key is not below what `below` tells.
    ///
    /// Gallops, so a pass in key order costs no more than a merge, and a jump its logarithm.
    pub(crate) fn seek<R: Rows<Key = K, Value = V>>(
        &mut self,
        run: &SortedRun<R>,
        below: impl Fn(&K) -> bool,
    ) {
        let pages = &run.pages;
        if pages.get(self.page).is_some_and(|page| page.is_below(&below)) {
            self.page += gallop(pages.len() - self.page, |step| pages[self.page + step].is_below(&below));
            self.row = 0;
        }
        self.load(run);
        if let Some(rows) = self.rows(run).and_then(|rows| rows.get(self.row..)) {
            self.row += gallop(rows.len(), |step| below(&rows[step].0));
        }
        self.load(run);
    }

    /// Reads the page here, if it must be read, and goes on to the next if this one has no more rows. To be
    /// called before [`row`](Cursor::row).
    #[inline]
    pub(crate) fn load<R: Rows<Key = K, Value = V>>(&mut self, run: &SortedRun<R>) {
        while let Some(page) = run.pages.get(self.page) {
            if page.rows().is_none() && self.read.as_ref().is_none_or(|(number, _)| *number != self.page) {
                self.read = Some((self.page, page.read()));
            }
            if self.rows(run).is_some_and(|rows| self.row < rows.len()) {
                break;
            }
            (self.page, self.row) = (self.page + 1, 0);
        }
    }

    #[inline]
    fn rows<'a, R: Rows<Key = K, Value = V>>(&'a self, run: &'a SortedRun<R>) -> Option<&'a [(K, V)]> {
        let page = run.pages.get(self.page)?;
        page.rows().or_else(|| self.read.as_ref().map(|(_, rows)| rows.as_slice()))
    }

    /// The row here, if there is one.
    #[inline]
    pub(crate) fn row<'a, R: Rows<Key = K, Value = V>>(
        &'a self,
        run: &'a SortedRun<R>,
    ) -> Option<&'a (K, V)> {
        self.rows(run)?.get(self.row)
    }

    /// The page, if its first row is here.
    #[inline]
    pub(in crate::state) fn page<'a, R: Rows<Key = K, Value = V>>(
        &'a self,
        run: &'a SortedRun<R>,
    ) -> Option<(&'a PageOf<R>, &'a [(K, V)])> {
        if self.row > 0 {
            return None;
        }
        Some((run.pages.get(self.page)?, self.rows(run)?))
    }

    /// Moves on by one row.
    #[inline]
    pub(crate) fn next<R: Rows<Key = K, Value = V>>(&mut self, run: &SortedRun<R>) {
        self.row += 1;
        self.load(run);
    }

    /// Moves on to the next page.
    #[inline]
    pub(in crate::state) fn next_page<R: Rows<Key = K, Value = V>>(&mut self, run: &SortedRun<R>) {
        (self.page, self.row) = (self.page + 1, 0);
        self.load(run);
    }
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

impl<R: Rows> BatchReader for SortedRun<R> {
    type Time = u64;

    fn len(&self) -> usize {
        self.len
    }

    fn description(&self) -> &Description<u64> {
        &self.description
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::run::latest_and_sums::Sums;
    use timely::progress::Antichain;

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
        let run = SortedRun::from_pages(Some(Sums::new()), pages(&Sums::new(), rows), description);
        assert_eq!(run.pages.len(), 3);
        let mut cursor = Cursor::default();
        for key in [0, 1, 2, 2047, 2048, 4095, 5997, 5998] {
            cursor.seek(&run, |k| *k < key);
            assert_eq!(cursor.row(&run).map(|row| row.0), Some(key.next_multiple_of(2)));
        }
        cursor.seek(&run, |k| *k < 5999);
        assert_eq!(cursor.row(&run), None);
        let mut cursor = Cursor { page: 0, row: 1023, read: None };
        cursor.next(&run);
        assert_eq!(cursor.row(&run), Some(&(2048, 1)));
    }
}
