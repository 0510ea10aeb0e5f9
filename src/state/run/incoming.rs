//! Rows of a snapshot, as a worker takes in its share of them.
//!
//! Keys are owned by ranges of hashes, and a page knows the least and the greatest hash of its rows. So a
//! worker reads the pages that touch its own range, whoever wrote them, and keeps the rows that are its own.
//! The shards of several workers have no key in common, so their runs can follow each other in any order, as
//! long as those of each shard stay in theirs: they become the runs of the new state as they are, without
//! sorting or merging, and a page of which all is kept is known to be written already.
//!
//! # Converted
//!
//! Rows whose [part](Rows::Part) was of another type are converted as they are read, and their pages are
//! new: the next snapshot writes them. Where the part is in the order of the rows, a run is sorted again, and
//! rows that have become one are joined.
//!
//! Rows that were over by the clock of the worker that wrote them are left out if workers come together whose
//! clocks differ; then the least clock goes on.

use std::cell::Cell;
use std::sync::Arc;

use crate::data::{Ownership, sort_by};
use crate::error::Result;
use crate::snapshot::{Converted, Foreign, PageRef, RestoredOperator, RestoredTable};
use crate::state::lsm::page_builder::{PAGE_ROWS, PageBuilder};
use crate::state::lsm::row_type::{Encoded, prefix_of_time};
use crate::state::run::rows::{Rows, push};

/// What of all hashes is a worker's.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) worker: usize,
    pub(crate) ownership: Arc<Ownership>,
}

impl Share {
    /// True if keys of this hash belong to it.
    pub(crate) fn has(&self, hash: u64) -> bool {
        self.ownership.worker_of(hash) == self.worker
    }

    /// True if some hash from one to another may belong to it.
    fn touches(&self, hashes: (u64, u64)) -> bool {
        self.ownership.touches(self.worker, hashes)
    }

    /// True if all hashes from one to another belong to it.
    fn holds(&self, hashes: (u64, u64)) -> bool {
        self.ownership.holds(self.worker, hashes)
    }

    /// All hashes.
    fn all() -> Share {
        Share { worker: 0, ownership: Arc::default() }
    }
}

/// A worker's share of what a snapshot has of a table, as long as it is not read.
pub(crate) struct Incoming<'a, R: Rows> {
    from: &'a RestoredOperator,
    table: &'a str,
    restored: RestoredTable<R::Part>,
    share: Share,
    /// The least clock of those who wrote what belongs to the share, if there is anything.
    clock: Option<i64>,
}

/// Who wrote a run.
#[derive(Clone, Copy)]
struct Writer<'a> {
    /// The hashes that were its own.
    hashes: &'a [(u64, u64)],
    /// Its clock, if that is not the clock of all.
    clock: Option<i64>,
}

/// What is read of a page.
pub(crate) struct ReadPage<R: Rows> {
    pub(crate) rows: Vec<(R::Key, R::Value)>,
    /// Where these rows, all of them and no others, have been written.
    pub(crate) written: Option<PageRef>,
}

impl<'a, R: Rows> Incoming<'a, R> {
    /// What a snapshot has of a table. Reads nothing yet.
    pub(crate) fn open(from: &'a RestoredOperator, table: &'a str, share: &Share) -> Result<Incoming<'a, R>> {
        let mut restored = from.open::<R::Part>(table, &R::schema(), R::schema_of::<Foreign>)?;
        let share = if R::BY_KEY { share.clone() } else { Share::all() };
        match R::BY_KEY {
            true => restored.shards.retain(|shard| shard.hashes.iter().any(|hashes| share.touches(*hashes))),
            false => restored.shards.truncate(1),
        }
        let clock = restored.shards.iter().map(|shard| shard.clock).min();
        Ok(Incoming { from, table, restored, share, clock })
    }

    /// The pages of a run that have to do with the share.
    fn touched<'r>(&'r self, run: &'r [PageRef]) -> impl Iterator<Item = &'r PageRef> {
        run.iter().filter(|page| self.share.touches(page.hashes))
    }

    /// About how many keys there are, if each has one row: runs of one shard are mostly of the same keys.
    pub(crate) fn keys(&self) -> usize {
        let rows = |run: &Vec<PageRef>| self.touched(run).map(|page| page.rows as usize).sum();
        let most = |runs: &[Vec<PageRef>]| runs.iter().map(rows).max().unwrap_or(0);
        self.restored.shards.iter().map(|shard| most(&shard.runs)).sum()
    }

    /// Reads it, page by page, and lets the clock of the rows reach what it was. Shows what was read of each
    /// page, or some rows where they have another order, and after each run `None`, older runs first.
    ///
    /// Costs a read of the pages that have to do with the share.
    pub(crate) fn read(
        &self,
        (rows, clock): (&R, &Cell<i64>),
        visit: &mut dyn FnMut(Option<ReadPage<R>>) -> Result<()>,
    ) -> Result<()> {
        self.each_run(clock, &mut |run, writer| {
            let mut is_empty = true;
            let mut show = |read| {
                is_empty = false;
                visit(Some(read))
            };
            if self.is_reordered() {
                let mut sorted = self.sorted(rows, run, writer)?.into_iter().peekable();
                while sorted.peek().is_some() {
                    let some = sorted.by_ref().take(PAGE_ROWS).collect();
                    show(ReadPage { rows: some, written: None })?;
                }
            } else {
                for place in self.touched(run) {
                    let read = self.read_page(rows, place, writer)?;
                    if !read.rows.is_empty() {
                        show(read)?;
                    }
                }
            }
            if is_empty { Ok(()) } else { visit(None) }
        })
    }

    /// Shows it, page by page, older runs first, and keeps nothing.
    fn each_page(
        &self,
        (rows, clock): (&R, &Cell<i64>),
        visit: &mut dyn FnMut(Vec<(R::Key, R::Value)>),
    ) -> Result<()> {
        self.each_run(clock, &mut |run, writer| {
            if self.is_reordered() {
                visit(self.sorted(rows, run, writer)?);
                return Ok(());
            }
            for place in self.touched(run) {
                visit(self.read_page(rows, place, writer)?.rows);
            }
            Ok(())
        })
    }

    /// True if rows have another order than that in which they were written.
    fn is_reordered(&self) -> bool {
        R::ORDERED_BY_PART && self.restored.conversion.is_some()
    }

    /// Lets the clock of the rows reach what it was, and shows the runs, older ones of a shard first, each
    /// with who wrote it.
    fn each_run(
        &self,
        reached: &Cell<i64>,
        visit: &mut dyn FnMut(&[PageRef], Writer<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(least) = self.clock else { return Ok(()) };
        reached.set(least);
        for shard in &self.restored.shards {
            let writer =
                Writer { hashes: &shard.hashes, clock: (shard.clock != least).then_some(shard.clock) };
            shard.runs.iter().try_for_each(|run| visit(run, writer))?;
        }
        Ok(())
    }

    /// What of a page belongs to the share, and is not over by the clock, if that is not the clock of all.
    fn read_page(&self, rows: &R, page: &PageRef, writer: Writer<'_>) -> Result<ReadPage<R>> {
        let (bytes, codec) = self.from.page(self.table, page)?;
        let encoded = Encoded { bytes: &bytes, rows: page.rows as usize, codec };
        let mut read = match &self.restored.conversion {
            None => rows.decode(encoded)?,
            Some(conversion) => conversion
                .hold(|| rows.decode_of::<Converted<R::Part>>(encoded, |part| part.0))
                .map_err(|error| self.from.is_not_converted(self.table, codec, error))?,
        };
        let Writer { hashes, clock } = writer;
        // A page has no hashes but those that its writer owned.
        let owned =
            hashes.iter().map(|(first, last)| (*first.max(&page.hashes.0), *last.min(&page.hashes.1)));
        let is_whole = clock.is_none()
            && owned.filter(|(first, last)| first <= last).all(|hashes| self.share.holds(hashes));
        if !is_whole {
            read.retain(|(key, _)| self.share.has(R::owner(key)));
        }
        if let Some(clock) = clock {
            read.retain(|(key, _)| !is_reached::<R>(key, clock));
        }
        let written = (is_whole && self.restored.is_as_written).then(|| page.clone());
        Ok(ReadPage { rows: read, written })
    }

    /// The rows of a run that have another order now, and may have become one.
    fn sorted(&self, rows: &R, run: &[PageRef], writer: Writer<'_>) -> Result<Vec<(R::Key, R::Value)>> {
        let mut read = Vec::new();
        for page in self.touched(run) {
            read.extend(self.read_page(rows, page, writer)?.rows);
        }
        // Of those that become one, the order is that of before.
        sort_by(&mut read, |(one, _), (other, _)| one.cmp(other));
        let mut sorted: Vec<(R::Key, R::Value)> = Vec::with_capacity(read.len());
        for (key, value) in read {
            match sorted.last_mut() {
                Some((last, older)) if *last == key => rows.absorb(older, &value),
                _ => sorted.push((key, value)),
            }
        }
        sorted.retain(|(_, value)| !R::is_zero(value));
        Ok(sorted)
    }
}

/// True if a key lies at a time that a clock has reached.
pub(crate) fn is_reached<R: Rows>(key: &R::Key, clock: i64) -> bool {
    R::BY_TIME && R::prefix(key).0 <= prefix_of_time(clock)
}

/// Shows the rows that a snapshot has of a worker's share of a table, older runs first, and says what the
/// clock that they expire by was.
///
/// For an operator that takes the place of another one and makes state of its own of the rows: an arrangement
/// of theirs, which it would drop at once, is code that every type of keys and values pays for.
pub(crate) fn read_rows<R: Rows>(
    rows: &R,
    (table, from): (&str, &RestoredOperator),
    share: &Share,
    visit: &mut dyn FnMut(R::Key, R::Value),
) -> Result<i64> {
    let (incoming, clock) = (Incoming::open(from, table, share)?, Cell::new(i64::MIN));
    let mut each = |page: Vec<_>| page.into_iter().for_each(|(key, value)| visit(key, value));
    incoming.each_page((rows, &clock), &mut each)?;
    Ok(clock.get())
}

impl<R: Rows> ReadPage<R> {
    /// Adds its rows as one page.
    ///
    /// # Errors
    ///
    /// If a row cannot be encoded.
    pub(crate) fn add_to(&self, rows: &R, pages: &mut PageBuilder) -> Result<()> {
        self.rows.iter().try_for_each(|(key, value)| push(rows, pages, key, value))?;
        pages.finish_page();
        if let (Some(written), Some(page)) = (&self.written, pages.pages.last()) {
            let _ = page.written().set(written.clone());
        }
        Ok(())
    }
}
