//! The pages of snapshots, and those that two snapshots share.
//!
//! A page is identified by its segment and offset, which are never reused. After a restore on another number
//! of workers two shards may name one page, each for its own keys; its bytes and rows are counted once.

use std::collections::BTreeMap;

use highwater::snapshot::{Manifest, PageRef, TableState};
use serde::Serialize;

/// The location of a page, and its size.
pub(super) type Pages<'a> = BTreeMap<(&'a str, u64), &'a PageRef>;

/// A number of pages, with their bytes and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Size {
    pub(super) pages: u64,
    pub(super) bytes: u64,
    pub(super) rows: u64,
}

impl<'a> FromIterator<&'a &'a PageRef> for Size {
    fn from_iter<I: IntoIterator<Item = &'a &'a PageRef>>(pages: I) -> Size {
        pages.into_iter().fold(Size::default(), |size, page| Size {
            pages: size.pages + 1,
            bytes: size.bytes + u64::from(page.len),
            rows: size.rows + u64::from(page.rows),
        })
    }
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Size) {
        self.pages += other.pages;
        self.bytes += other.bytes;
        self.rows += other.rows;
    }
}

/// The pages that two snapshots share, of one table or of all, and those of only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    pub(super) shared: Size,
    pub(super) only_a: Size,
    pub(super) only_b: Size,
}

impl std::ops::AddAssign for Difference {
    fn add_assign(&mut self, other: Difference) {
        self.shared += other.shared;
        self.only_a += other.only_a;
        self.only_b += other.only_b;
    }
}

/// The different pages among these.
pub(super) fn pages<'a>(pages: impl Iterator<Item = &'a PageRef>) -> Pages<'a> {
    pages.map(|page| ((&*page.segment, page.offset), page)).collect()
}

/// The different pages of a table.
pub(super) fn of_table(table: &TableState) -> Pages<'_> {
    pages(table.shards.iter().flat_map(|shard| &shard.runs).flat_map(|run| &run.pages))
}

/// The size of some pages.
pub(super) fn size(pages: &Pages<'_>) -> Size {
    pages.values().collect()
}

/// The difference between two sets of pages.
pub(super) fn difference(a: &Pages<'_>, b: &Pages<'_>) -> Difference {
    let not_in = |own: &Pages<'_>, other: &Pages<'_>| {
        own.iter().filter(|(place, _)| !other.contains_key(*place)).map(|(_, page)| page).collect::<Size>()
    };
    let shared = a.iter().filter(|(place, _)| b.contains_key(*place)).map(|(_, page)| page).collect();
    Difference { shared, only_a: not_in(a, b), only_b: not_in(b, a) }
}

/// The bytes of a snapshot's notes, which are in its manifest.
pub(super) fn note_bytes(manifest: &Manifest) -> u64 {
    manifest.operators.iter().flat_map(|operator| &operator.notes).map(|note| note.bytes.len() as u64).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use highwater::snapshot::{RunState, Schema, Shard};

    use super::*;

    /// A page of so many bytes and half as many rows.
    pub(in crate::cli::snapshot) fn page(segment: &str, offset: u64, len: u32) -> PageRef {
        PageRef { segment: segment.into(), offset, len, rows: len / 2, hashes: (0, u64::MAX), crc: 0 }
    }

    /// A table of one run for each of these lists of pages, each of another worker.
    pub(in crate::cli::snapshot) fn table(name: &str, shards: Vec<Vec<PageRef>>) -> TableState {
        let shards = (0..).zip(shards).map(|(worker, pages)| {
            let runs = vec![RunState { epochs: (1, 1), pages }];
            Shard { worker, runs }
        });
        let schema = Schema { fingerprint: 1, text: "u64".to_owned() };
        TableState { name: name.to_owned(), schema, shards: shards.collect() }
    }

    #[test]
    fn a_page_that_two_workers_share_counts_once() {
        let table = table("t", vec![vec![page("s", 0, 10), page("s", 10, 4)], vec![page("s", 10, 4)]]);
        assert_eq!(size(&of_table(&table)), Size { pages: 2, bytes: 14, rows: 7 });
    }

    #[test]
    fn pages_are_the_same_if_they_lie_in_the_same_place() {
        let (a, b) = ([page("s", 0, 10), page("s", 10, 4)], [page("s", 10, 4), page("r", 10, 6)]);
        let found = difference(&pages(a.iter()), &pages(b.iter()));
        assert_eq!(found.shared, Size { pages: 1, bytes: 4, rows: 2 });
        assert_eq!(found.only_a, Size { pages: 1, bytes: 10, rows: 5 });
        assert_eq!(found.only_b, Size { pages: 1, bytes: 6, rows: 3 });
        let mut sum = found;
        sum += found;
        assert_eq!(sum.only_a, Size { pages: 2, bytes: 20, rows: 10 });
    }
}
