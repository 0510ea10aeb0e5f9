//! Merging all of some runs in one pass.
//!
//! Each run has one page in memory at a time, and what is merged goes out page by page: so to merge a state
//! takes no more memory than a few pages, whatever its size, and rows are encoded while they are in the
//! processor's cache. A row is decoded once and encoded once, in however many runs its neighbours lie.
//!
//! The next row is the least of the runs' next rows. Their hashes lie side by side, so finding it is a look
//! at a cache line or two.

use std::sync::Arc;
use std::vec;

use crate::data::{Exchange, Key};
use crate::state::run::item_rows::ItemRows;
use crate::state::run::item_rows::Row;
use crate::state::run::rows::Rows;
use crate::state::run::sorted_run::PageOf;

/// A run whose rows are taken one by one.
struct Strand<K: Key, S: Key, V: Exchange> {
    coming: vec::IntoIter<PageOf<ItemRows<K, S, V>>>,
    /// The page that the rows are of, until the first of them is taken.
    whole: Option<PageOf<ItemRows<K, S, V>>>,
    rows: vec::IntoIter<Row<K, S, V>>,
}

impl<K: Key, S: Key, V: Exchange> Strand<K, S, V> {
    fn new(pages: Vec<PageOf<ItemRows<K, S, V>>>) -> Strand<K, S, V> {
        let mut strand = Strand { coming: pages.into_iter(), whole: None, rows: Vec::new().into_iter() };
        strand.load();
        strand
    }

    /// Reads pages until there is a row, if there is one.
    fn load(&mut self) {
        while self.rows.as_slice().is_empty()
            && let Some(page) = self.coming.next()
        {
            self.rows = page.read().into_iter();
            self.whole = Some(page);
        }
    }

    /// The next row.
    fn head(&self) -> Option<&Row<K, S, V>> {
        self.rows.as_slice().first()
    }

    /// The hash of the next row.
    fn hash(&self) -> Option<u64> {
        self.head().map(|((key, _), _)| key.hash)
    }

    fn take(&mut self) -> Option<Row<K, S, V>> {
        self.whole = None;
        let row = self.rows.next();
        self.load();
        row
    }

    /// The page whose first row is the next, if its rows all come before these hashes and it is worth
    /// sharing.
    fn take_page(
        &mut self,
        rows: &ItemRows<K, S, V>,
        is_oldest: bool,
        others: Option<u64>,
    ) -> Option<PageOf<ItemRows<K, S, V>>> {
        let here = self.rows.as_slice();
        let ((last, _), _) = here.last()?;
        let is_vacant = |row: &Row<K, S, V>| rows.is_vacant(&row.1, true);
        if here.len() < rows.page_rows() / 2
            || others.is_some_and(|least| least <= last.hash)
            || (is_oldest && here.iter().any(is_vacant))
        {
            return None;
        }
        let page = self.whole.take()?;
        self.rows = Vec::new().into_iter();
        self.load();
        Some(page)
    }
}

/// What has been merged.
struct Merged<'a, K: Key, S: Key, V: Exchange, M> {
    rows: &'a ItemRows<K, S, V>,
    /// No earlier run lies below: rows that only undo something can go.
    is_oldest: bool,
    pages: Vec<PageOf<ItemRows<K, S, V>>>,
    open: Vec<Row<K, S, V>>,
    made: M,
    /// False once it is of no use any more.
    goes_on: bool,
}

impl<K: Key, S: Key, V: Exchange, M: FnMut(&mut Vec<PageOf<ItemRows<K, S, V>>>) -> bool>
    Merged<'_, K, S, V, M>
{
    fn push(&mut self, row: Row<K, S, V>) {
        if !self.rows.is_vacant(&row.1, self.is_oldest) {
            self.open.push(row);
            if self.open.len() >= self.rows.page_rows() {
                self.close_page();
            }
        }
    }

    fn close_page(&mut self) {
        if !self.open.is_empty() {
            let next = Vec::with_capacity(self.open.len());
            let rows = std::mem::replace(&mut self.open, next);
            self.pages.push(Arc::new(self.rows.page(rows)));
            self.goes_on &= (self.made)(&mut self.pages);
        }
    }

    /// True if a page can follow, and the one before it is not too short for that.
    fn can_share(&self) -> bool {
        self.open.is_empty() || self.open.len() >= self.rows.page_rows() / 2
    }

    fn share(&mut self, page: PageOf<ItemRows<K, S, V>>) {
        self.close_page();
        self.pages.push(page);
        self.goes_on &= (self.made)(&mut self.pages);
    }
}

/// Merges runs, oldest first; of several rows for a key the newest stays. No run lies below if they are the
/// oldest. `made` sees the pages whenever there is one more, and may put others of the same rows in their
/// places; it says whether to go on.
///
/// Pages that lie between the other runs' rows are shared.
pub(in crate::state) fn merge_runs<K: Key, S: Key, V: Exchange>(
    rows: &ItemRows<K, S, V>,
    runs: Vec<Vec<PageOf<ItemRows<K, S, V>>>>,
    is_oldest: bool,
    made: impl FnMut(&mut Vec<PageOf<ItemRows<K, S, V>>>) -> bool,
) -> Vec<PageOf<ItemRows<K, S, V>>> {
    let mut merged = Merged { rows, is_oldest, pages: Vec::new(), open: Vec::new(), made, goes_on: true };
    let mut strands: Vec<_> = runs.into_iter().map(Strand::new).filter(|run| run.head().is_some()).collect();
    let mut hashes: Vec<u64> = strands.iter().filter_map(Strand::hash).collect();
    while let (true, Some(least)) = (merged.goes_on, hashes.iter().copied().min()) {
        let next = newest_of_least(&strands, &hashes, least);
        let mut ends = false;
        let others =
            hashes.iter().enumerate().filter(|(place, _)| *place != next).map(|(_, hash)| *hash).min();
        if strands[next].whole.is_some()
            && merged.can_share()
            && let Some(page) = strands[next].take_page(rows, is_oldest, others)
        {
            merged.share(page);
        } else if let Some(row) = strands[next].take() {
            if others == Some(least) {
                ends |= drop_older(&mut strands[..next], &mut hashes, &row);
            }
            merged.push(row);
        }
        match strands[next].hash() {
            Some(hash) => hashes[next] = hash,
            None => ends = true,
        }
        if ends {
            strands.retain(|strand| strand.head().is_some());
            hashes = strands.iter().filter_map(Strand::hash).collect();
        }
    }
    merged.close_page();
    merged.pages
}

/// The strand with the least key of those whose next row has this hash; the newest, if several have it.
fn newest_of_least<K: Key, S: Key, V: Exchange>(
    strands: &[Strand<K, S, V>],
    hashes: &[u64],
    least: u64,
) -> usize {
    let all = strands.iter().zip(hashes).enumerate();
    let mut found =
        all.filter(|(_, (_, hash))| **hash == least).map(|(place, (strand, _))| (place, strand.head()));
    let first = found.next().unwrap_or((0, None));
    let least = found.fold(first, |least, next| match (least.1, next.1) {
        (Some((least_key, _)), Some((key, _))) if key > least_key => least,
        _ => next,
    });
    least.0
}

/// Drops the next row of each older strand that has the key of one. True if one of them has no more rows.
fn drop_older<K: Key, S: Key, V: Exchange>(
    strands: &mut [Strand<K, S, V>],
    hashes: &mut [u64],
    row: &Row<K, S, V>,
) -> bool {
    let mut ends = false;
    for (strand, hash) in strands.iter_mut().zip(hashes) {
        if strand.head().is_some_and(|(key, _)| *key == row.0) {
            drop(strand.take());
            match strand.hash() {
                Some(next) => *hash = next,
                None => ends = true,
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::state::run::page::PAGE_ROWS;
    use crate::state::run::sorted_run::pages_by;

    type Items = ItemRows<u32, (), u8>;

    /// Two keys have one hash.
    fn hash(key: &u32) -> u64 {
        u64::from(key / 2)
    }

    /// A run: keys from one on in steps, of which each n-th is no more.
    fn run() -> impl Strategy<Value = (u32, u32, u32, u32)> {
        (0..6000u32, 1..4u32, prop_oneof![0..3000u32, 0..20u32], 2..9u32)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn the_newest_row_of_each_key_stays(runs in vec(run(), 0..6), is_oldest in any::<bool>(), clock in 0..3000i64) {
            let rows = Items::new(hash);
            rows.reach(clock);
            let (mut oracle, mut all) = (BTreeMap::new(), Vec::new());
            for (number, (first, step, many, tombstones)) in runs.iter().enumerate() {
                let key = |n: u32| first + step * n;
                let kept = |n: u32| (!n.is_multiple_of(*tombstones)).then_some((number as u8, i64::from(n)));
                let sorted: Vec<_> = (0..*many).map(|n| ((rows.hashed(key(n)), ()), kept(n))).collect();
                oracle.extend((0..*many).map(|n| (key(n), kept(n))));
                all.push(pages_by(&|| rows.page_rows(), sorted, &mut |some| Arc::new(rows.page(some))));
            }
            if is_oldest {
                oracle.retain(|_, kept| kept.is_some_and(|(_, expires)| expires > clock));
            }
            let given = all.clone();
            let mut seen = Vec::new();
            let merged = merge_runs(&rows, all, is_oldest, |pages| {
                seen.push(pages.len());
                true
            });
            prop_assert_eq!(seen, (1..=merged.len()).collect::<Vec<_>>());
            let found: Vec<_> = merged.iter().flat_map(|page| page.read()).map(|((key, ()), kept)| (key.key, kept)).collect();
            prop_assert_eq!(found, oracle.into_iter().collect::<Vec<_>>());
            // Where pages are shared others may be short, but no two in a row.
            let short = |page: &PageOf<Items>| page.len() < PAGE_ROWS / 2;
            prop_assert!(merged.windows(2).all(|two| !short(&two[0]) || !short(&two[1])));
            if let [only] = &given[..] && !is_oldest {
                let shared = |page: &PageOf<Items>| merged.iter().any(|other| Arc::ptr_eq(page, other));
                prop_assert!(only.iter().all(|page| shared(page) || short(page)));
            }
        }
    }
}
