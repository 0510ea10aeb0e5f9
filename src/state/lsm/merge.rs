//! Merging all of some runs in one pass, which can be made in pieces.
//!
//! Each run has one page in memory at a time, or one block of it if it lies in a file, and what is merged
//! goes out page by page: so to merge a state takes no more memory than a few pages, whatever its size. Rows
//! are moved as bytes: nothing of them is decoded but the key that tells its place, and what is added up.
//!
//! The next row is the least of the runs' next rows. Their prefixes lie side by side, so finding it is a look
//! at a cache line or two.

use std::sync::Arc;
use std::vec;

use crate::error::Result;
use crate::snapshot::block::EncodedRow;
use crate::state::lsm::page::{Page, PageReader};
use crate::state::lsm::page_builder::{PAGE_ROWS, PageBuilder};
use crate::state::lsm::row_type::{RowPlace, RowType, compare, over};
use crate::state::lsm::sorted_run::SortedRun;

/// A run whose rows are taken one by one.
struct Strand {
    coming: vec::IntoIter<Arc<Page>>,
    /// The page that the rows are of, until the first of them is taken.
    whole: Option<Arc<Page>>,
    rows: Option<PageReader>,
}

impl Strand {
    /// The next row.
    #[inline]
    fn head(&self) -> Option<EncodedRow<'_>> {
        self.rows.as_ref().and_then(PageReader::row)
    }

    /// Reads pages until there is a row, and says where that lies, if there is one.
    fn load(&mut self, row_type: &dyn RowType) -> Result<Option<RowPlace>> {
        while self.head().is_none()
            && let Some(page) = self.coming.next()
        {
            self.rows = Some(page.read(row_type)?);
            self.whole = Some(page);
        }
        Ok(self.head().map(|row| row_type.place(row.key)))
    }

    /// Goes on to the next row, and says where that lies.
    #[inline]
    fn step(&mut self, row_type: &dyn RowType) -> Result<Option<RowPlace>> {
        self.whole = None;
        if let Some(rows) = &mut self.rows {
            rows.step()?;
        }
        self.load(row_type)
    }
}

/// A merge in progress.
pub(super) struct Merge {
    row_type: Arc<dyn RowType>,
    /// What is over by this time is dropped, if it is dropped at all.
    drop: Option<i64>,
    /// The runs, oldest first, and where the next row of each lies.
    strands: Vec<Strand>,
    places: Vec<RowPlace>,
    pub(super) merged: PageBuilder,
}

/// What a whole page costs that is shared, in rows.
const SHARED: usize = 8;

impl Merge {
    /// Merges runs, oldest first. Of several rows for a key the newest stays, unless they add up. `is_oldest`
    /// says that no run lies below: then what is over by `clock` goes, and what says that a key is no more.
    /// What is made goes to `merged`. Pages that lie between the other runs' rows are shared.
    ///
    /// # Errors
    ///
    /// If a page cannot be read.
    pub(super) fn new<'a>(
        row_type: &Arc<dyn RowType>,
        runs: impl Iterator<Item = &'a SortedRun>,
        (is_oldest, clock): (bool, i64),
        merged: PageBuilder,
    ) -> Result<Merge> {
        // What never expires is not over at the end of time.
        let drop = (is_oldest || row_type.is_by_time()).then_some(clock.min(i64::MAX - 1));
        let row_type = Arc::clone(row_type);
        let mut merge = Merge { row_type, drop, strands: Vec::new(), places: Vec::new(), merged };
        for run in runs {
            let coming = run.pages.clone().into_iter();
            let mut strand = Strand { coming, whole: None, rows: None };
            if let Some(place) = strand.load(&*merge.row_type)? {
                merge.strands.push(strand);
                merge.places.push(place);
            }
        }
        Ok(merge)
    }

    /// Merges about so many rows. True if all are.
    ///
    /// # Errors
    ///
    /// If a page cannot be read. Then the merge is of no use any more.
    pub(super) fn work(&mut self, rows: &mut usize) -> Result<bool> {
        while let Some(least) = self.places.iter().copied().min() {
            if *rows == 0 {
                return Ok(false);
            }
            let next = self.newest_of_least(least);
            let others = self.places.iter().enumerate().filter(|(number, _)| *number != next);
            let others = others.map(|(_, place)| *place).min();
            let mut ends = false;
            let coming = match self.take_page(next, others) {
                Some(page) => {
                    *rows = rows.saturating_sub(SHARED);
                    self.merged.share(page);
                    self.strands[next].load(&*self.row_type)?
                }
                None => {
                    *rows -= 1;
                    self.take_row(next, others == Some(least), &mut ends)?
                }
            };
            match coming {
                Some(place) => self.places[next] = place,
                None => ends = true,
            }
            if ends {
                self.drop_ended();
            }
        }
        self.merged.finish_page();
        Ok(true)
    }

    /// The strand with the least key of those whose next row is at this place; the newest, if several have
    /// it.
    fn newest_of_least(&self, least: RowPlace) -> usize {
        let mut found = (0..self.places.len()).filter(|number| self.places[*number] == least);
        let first = found.next().unwrap_or(0);
        let key = |number: usize| self.strands[number].head().map_or(&[][..], |row| row.key);
        found.fold(first, |best, next| match compare(&*self.row_type, key(next), key(best)).is_gt() {
            true => best,
            false => next,
        })
    }

    /// The page whose first row is the next, if its rows all come before those of others and it is worth
    /// sharing: if it is not short, nor the one before it, and nothing in it is to be dropped.
    fn take_page(&mut self, next: usize, others: Option<RowPlace>) -> Option<Arc<Page>> {
        let drop = self.drop;
        let is_apart = |page: &mut Arc<Page>| {
            page.rows >= PAGE_ROWS / 2
                && others.is_none_or(|least| least.prefix > page.last)
                && drop.is_none_or(|clock| page.over > clock)
        };
        if !self.merged.can_share() {
            return None;
        }
        let strand = &mut self.strands[next];
        let page = strand.whole.take_if(is_apart)?;
        strand.rows = None;
        Some(page)
    }

    /// Takes the next row of a strand, and those of older ones that have its key if it may be shared. Says
    /// where the row after it lies, and if an older one ends.
    fn take_row(&mut self, next: usize, is_shared: bool, ends: &mut bool) -> Result<Option<RowPlace>> {
        let Merge { row_type, drop, strands, places, merged } = self;
        let (older, strand) = strands.split_at_mut(next);
        let (place, strand) = (places[next], &mut strand[0]);
        if let Some(row) = strand.head() {
            let mut sum = None;
            for (older, at) in older.iter_mut().zip(places.iter_mut()).filter(|_| is_shared) {
                let Some(earlier) = older.head().filter(|_| *at == place) else { continue };
                if compare(&**row_type, earlier.key, row.key).is_ne() {
                    continue;
                }
                if row_type.adds_up() {
                    add(&**row_type, &mut sum, earlier.value.unwrap_or_default())?;
                }
                match older.step(&**row_type)? {
                    Some(coming) => *at = coming,
                    None => *ends = true,
                }
            }
            let stays = match &mut sum {
                sum @ Some(_) => add(&**row_type, sum, row.value.unwrap_or_default())?,
                None => true,
            };
            let row = EncodedRow { value: sum.as_deref().or(row.value), ..row };
            if stays && drop.is_none_or(|clock| over(row_type.is_by_time(), place.prefix, &row) > clock) {
                merged.push(place, row);
            }
        }
        strand.step(&**row_type)
    }

    /// Drops the strands that have no more rows.
    fn drop_ended(&mut self) {
        let mut left = self.strands.iter().map(|strand| strand.head().is_some());
        self.places.retain(|_| left.next().unwrap_or(false));
        self.strands.retain(|strand| strand.head().is_some());
    }
}

/// Adds a value to a sum, or begins it. False if nothing is left of it.
fn add(row_type: &dyn RowType, sum: &mut Option<Vec<u8>>, value: &[u8]) -> Result<bool> {
    match sum {
        Some(sum) => row_type.add(sum, value),
        None => {
            *sum = Some(value.to_vec());
            Ok(true)
        }
    }
}
