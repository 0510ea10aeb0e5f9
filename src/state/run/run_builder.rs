//! Building a run of rows that come nearly in order.
//!
//! Rows are made in order of the hashes of their keys, which are sorted before: to sort numbers costs a
//! fraction of what sorting rows would, and rows go straight to their pages. Only rows of one hash may come
//! in any order among them. Other rows, which were made before, lie sorted beside them.

use std::iter::Peekable;
use std::vec;

use crate::data::sort_by;
use crate::error::Result;
use crate::state::lsm::page_builder::PageBuilder;
use crate::state::run::rows::{Rows, push};

/// A run that is being built.
pub(crate) struct RunBuilder<R: Rows> {
    rows: R,
    pages: PageBuilder,
    /// Rows from before; those that come now count more.
    before: Peekable<vec::IntoIter<(R::Key, R::Value)>>,
    group: Vec<(R::Key, R::Value)>,
    outcome: Result<()>,
}

impl<R: Rows> RunBuilder<R> {
    /// A run with rows from before, in any order, of which the later of two for a key counts.
    pub(crate) fn new(rows: R, pages: PageBuilder, mut before: Vec<(R::Key, R::Value)>) -> RunBuilder<R> {
        sort(&mut before);
        RunBuilder { rows, pages, before: before.into_iter().peekable(), group: Vec::new(), outcome: Ok(()) }
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
                    self.push(&earlier);
                }
            }
            self.push(&row);
        }
        self.group = group;
    }

    /// The pages of all rows.
    ///
    /// # Errors
    ///
    /// If a row could not be encoded.
    pub(crate) fn finish(mut self) -> Result<PageBuilder> {
        while let Some(row) = self.before.next() {
            self.push(&row);
        }
        self.outcome.map(|()| self.pages)
    }

    fn push(&mut self, (key, value): &(R::Key, R::Value)) {
        if self.outcome.is_ok() {
            self.outcome = push(&self.rows, &mut self.pages, key, value);
        }
    }
}

/// Sorts rows by key; of several for a key the last one stays.
pub(crate) fn sort<K: Ord, V>(rows: &mut Vec<(K, V)>) {
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
    use crate::data::{Hashed, hash64};
    use crate::state::lsm::expiry::NEVER;
    use crate::state::run::arrangement::Arrangement;
    use crate::state::run::item_rows::ItemRows;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Item = Option<(u8, i64)>;

    fn item() -> impl Strategy<Value = Item> {
        proptest::option::of((0..9u8, Just(NEVER)))
    }

    proptest! {
        #[test]
        fn what_comes_now_counts_more_than_what_came_before(
            before in vec((0..750u32, 0..4u8, item()), 0..300),
            now in btree_map(0..750u32, vec((0..4u8, item()), 1..6), 0..300),
        ) {
            let before: Vec<_> =
                before.into_iter().map(|(key, sub, item)| ((Hashed::new(key), sub), item)).collect();
            let mut oracle: BTreeMap<_, Item> = before.iter().cloned().collect();
            let mut arrangement = Arrangement::unlimited(ItemRows::<u32, u8, u8>::new(hash64));
            let mut builder = arrangement.build(before);
            let mut now: Vec<_> = now.into_iter().map(|(key, rows)| (Hashed::new(key), rows)).collect();
            now.sort();
            for (key, rows) in now {
                let rows: Vec<_> = rows.into_iter().map(|(sub, item)| ((key.clone(), sub), item)).collect();
                oracle.extend(rows.iter().cloned());
                builder.group(|group| group.extend(rows));
            }
            let mut pages = builder.finish().unwrap();
            pages.finish_page();
            prop_assert!(pages.pages.iter().rev().skip(1).all(|page| page.len() == 1024));
            arrangement.adopt(pages);
            let mut found = Vec::new();
            arrangement.each(&mut |key, item| found.push((key, item)));
            prop_assert_eq!(found, oracle.into_iter().collect::<Vec<_>>());
        }
    }
}
