//! Building a run of rows that come nearly in order.
//!
//! Rows are made in order of the hashes of their keys, which are sorted before: to sort numbers costs a
//! fraction of what sorting rows would, and rows go straight to their pages. Only rows of one hash may come
//! in any order among them. Other rows, which were made before, lie sorted beside them.

use std::iter::Peekable;
use std::sync::Arc;
use std::vec;

use crate::data::sort_by;
use crate::state::run::rows::Rows;
use crate::state::run::sorted_run::PageOf;

/// A run that is being built.
pub(crate) struct RunBuilder<R: Rows> {
    pub(in crate::state) rows: R,
    pub(in crate::state) pages: Vec<PageOf<R>>,
    open: Vec<(R::Key, R::Value)>,
    /// Rows from before; those that come now count more.
    before: Peekable<vec::IntoIter<(R::Key, R::Value)>>,
    group: Vec<(R::Key, R::Value)>,
}

impl<R: Rows> RunBuilder<R> {
    /// A run with rows from before, in any order, of which the later of two for a key counts.
    pub(in crate::state) fn new(rows: R, mut before: Vec<(R::Key, R::Value)>) -> RunBuilder<R> {
        sort(&mut before);
        let (before, pages) = (before.into_iter().peekable(), Vec::new());
        RunBuilder { rows, pages, open: Vec::new(), before, group: Vec::new() }
    }

    /// Adds the rows that `make` makes, in any order. They must come after all that were added.
    #[inline]
    pub(crate) fn group(&mut self, make: impl FnOnce(&mut Vec<(R::Key, R::Value)>)) {
        make(&mut self.group);
        self.add_group();
    }

    /// The part of [`group`](Self::group) that is the same for all closures, and compiled once for them.
    fn add_group(&mut self) {
        let mut group = std::mem::take(&mut self.group);
        sort(&mut group);
        for row in group.drain(..) {
            while let Some(earlier) = self.before.next_if(|earlier| earlier.0 <= row.0) {
                if earlier.0 < row.0 {
                    self.push(earlier);
                }
            }
            self.push(row);
        }
        self.group = group;
    }

    /// The pages of all rows.
    pub(in crate::state) fn finish(mut self) -> Vec<PageOf<R>> {
        while let Some(row) = self.before.next() {
            self.push(row);
        }
        self.close_page();
        self.pages
    }

    #[inline]
    fn push(&mut self, row: (R::Key, R::Value)) {
        self.open.push(row);
        if self.open.len() >= self.rows.page_rows() {
            self.close_page();
        }
    }

    fn close_page(&mut self) {
        if !self.open.is_empty() {
            // The next one will be as long, if there is one.
            let next =
                Vec::with_capacity(if self.open.len() < self.rows.page_rows() { 0 } else { self.open.len() });
            let rows = std::mem::replace(&mut self.open, next);
            self.pages.push(Arc::new(self.rows.page(rows)));
        }
    }
}

/// Sorts rows by key; of several for a key the last one stays.
pub(in crate::state) fn sort<K: Ord, V>(rows: &mut Vec<(K, V)>) {
    if rows.len() < 2 {
        return;
    }
    sort_by(rows, |a, b| a.0.cmp(&b.0));
    rows.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::run::latest_and_sums::Latest;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn what_comes_now_counts_more_than_what_came_before(
            before in vec((0..3000u32, proptest::option::of(0..9u8)), 0..300),
            now in btree_map(0..750u32, vec((0..4u32, proptest::option::of(0..9u8)), 1..6), 0..300),
        ) {
            let mut oracle: BTreeMap<u32, Option<u8>> = before.iter().copied().collect();
            let mut builder = RunBuilder::new(Latest::new(), before);
            for (hash, rows) in now {
                let rows: Vec<_> = rows.into_iter().map(|(key, value)| (4 * hash + key, value)).collect();
                oracle.extend(rows.iter().copied());
                builder.group(|group| group.extend(rows));
            }
            let pages = builder.finish();
            let built: Vec<_> = pages.iter().flat_map(|page| page.read()).collect();
            prop_assert_eq!(built, oracle.into_iter().collect::<Vec<_>>());
            prop_assert!(pages.iter().rev().skip(1).all(|page| page.len() == 1024));
        }
    }
}
