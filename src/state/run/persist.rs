//! Arrangements on their way into snapshots, and back.
//!
//! # Out
//!
//! The runs of an arrangement are the state as of the last seal, and their pages never change. So what is
//! handed over is pointers, and each page remembers where it was written: the next snapshot names it and
//! writes only what is new. What merges make of pages is new.
//!
//! # In
//!
//! Keys are owned by ranges of hashes, and a page knows the least and the greatest hash of its rows. So a
//! worker reads the pages that touch its own range, whoever wrote them, and keeps the rows that are its own.
//! The shards of several workers have no key in common, so their runs can follow each other in any order, as
//! long as those of each shard stay in theirs: they become the runs of the new arrangement as they are,
//! without sorting or merging, and a page of which all is kept is known to be written already.
//!
//! # Converted
//!
//! Rows whose [part](Saves::Part) was of another type are converted as they are read, and their pages are
//! new: the next snapshot writes them. Where the part is in the order of the rows, a run is sorted again, and
//! rows that have become one are joined.
//!
//! Rows that were over by the clock of the worker that wrote them are left out if workers come together whose
//! clocks differ; then the least clock goes on.

use std::sync::{Arc, OnceLock};

use differential_dataflow::trace::BatchReader;

use crate::data::{sort_by, worker_of};
use crate::error::Result;
use crate::snapshot::{
    self, Codec, Converted, Foreign, PageRef, RestoredOperator, RestoredTable, SavedPage, TableSnapshot,
};
use crate::state::run::arrangement::Arrangement;
use crate::state::run::rows::Rows;
use crate::state::run::saves::{Encoded, Saves};
use crate::state::run::sorted_run::{PageOf, pages_by};

/// A part of the workers' range of hashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) worker: usize,
    pub(crate) workers: usize,
}

impl Share {
    /// True if keys of this hash belong to it.
    pub(crate) fn has(self, hash: u64) -> bool {
        worker_of(hash, self.workers) == self.worker
    }

    /// True if some hash from one to another may belong to it.
    fn touches(self, (first, last): (u64, u64)) -> bool {
        (worker_of(first, self.workers)..=worker_of(last, self.workers)).contains(&self.worker)
    }

    /// True if all hashes from one to another belong to it.
    fn holds(self, (first, last): (u64, u64)) -> bool {
        self.has(first) && self.has(last)
    }
}

/// A page of an arrangement that is to be written.
struct Outgoing<R: Saves>(PageOf<R>);

impl<R: Saves> SavedPage for Outgoing<R> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn hashes(&self) -> (u64, u64) {
        let range = |rows: &[(R::Key, R::Value)]| {
            let owners = rows.iter().map(|(key, _)| R::owner(key));
            owners.fold((u64::MAX, 0), |(least, greatest), hash| (least.min(hash), greatest.max(hash)))
        };
        self.0.rows().map_or_else(|| range(&self.0.read()), range)
    }

    fn encode(&self, codec: Codec) -> Result<Vec<u8>> {
        match self.0.rows() {
            Some(rows) => R::encode(rows, codec),
            None => R::encode(&self.0.read(), codec),
        }
    }

    fn written(&self) -> &OnceLock<PageRef> {
        self.0.written()
    }
}

/// A page as snapshots see it.
pub(in crate::state) fn outgoing<R: Saves>(page: &PageOf<R>) -> Arc<dyn SavedPage> {
    Arc::new(Outgoing::<R>(Arc::clone(page)))
}

/// A worker's share of what a snapshot has of a table, as long as it is not read.
pub(in crate::state) struct Incoming<'a, R: Saves> {
    from: &'a RestoredOperator,
    table: &'a str,
    restored: RestoredTable<R::Part>,
    share: Share,
    /// The least clock of those who wrote what belongs to the share, if there is anything.
    clock: Option<i64>,
}

/// What is read of a page.
pub(in crate::state) struct ReadPage<R: Saves> {
    pub(in crate::state) rows: Vec<(R::Key, R::Value)>,
    /// Where these rows, all of them and no others, have been written.
    pub(in crate::state) written: Option<PageRef>,
}

impl<'a, R: Saves> Incoming<'a, R> {
    /// What a snapshot has of a table. Reads nothing yet.
    pub(in crate::state) fn open(
        from: &'a RestoredOperator,
        table: &'a str,
        share: Share,
    ) -> Result<Incoming<'a, R>> {
        let mut restored = from.open::<R::Part>(table, &R::schema(), R::schema_of::<Foreign>)?;
        let share = if R::BY_KEY { share } else { Share { worker: 0, workers: 1 } };
        match R::BY_KEY {
            true => restored.shards.retain(|shard| share.touches(shard.hashes)),
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
    pub(in crate::state) fn keys(&self) -> usize {
        let rows = |run: &Vec<PageRef>| self.touched(run).map(|page| page.rows as usize).sum();
        let most = |runs: &[Vec<PageRef>]| runs.iter().map(rows).max().unwrap_or(0);
        self.restored.shards.iter().map(|shard| most(&shard.runs)).sum()
    }

    /// Reads it, page by page, and lets the clock of the rows reach what it was. `page` makes a page of what
    /// was read of one, of `page_rows` where rows have another order, and each run's pages are given to
    /// `adopt`, older runs first.
    ///
    /// Costs a read of the pages that have to do with the share.
    pub(in crate::state) fn read(
        &self,
        (rows, page_rows): (&R, &dyn Fn() -> usize),
        page: &mut dyn FnMut(ReadPage<R>) -> PageOf<R>,
        adopt: &mut dyn FnMut(Vec<PageOf<R>>),
    ) -> Result<()> {
        self.each_run(rows, &mut |run, clock| {
            let taken = if self.is_reordered() {
                let sorted = self.sorted(rows, run, clock)?;
                pages_by(page_rows, sorted, &mut |some| page(ReadPage { rows: some, written: None }))
            } else {
                let mut taken = Vec::with_capacity(run.len());
                for place in self.touched(run) {
                    let read = self.read_page(rows, place, clock)?;
                    taken.extend((!read.rows.is_empty()).then(|| page(read)));
                }
                taken
            };
            if !taken.is_empty() {
                adopt(taken);
            }
            Ok(())
        })
    }

    /// Shows it, page by page, older runs first, and keeps nothing.
    fn each_page(&self, rows: &R, visit: &mut dyn FnMut(Vec<(R::Key, R::Value)>)) -> Result<()> {
        self.each_run(rows, &mut |run, clock| {
            if self.is_reordered() {
                visit(self.sorted(rows, run, clock)?);
                return Ok(());
            }
            for place in self.touched(run) {
                visit(self.read_page(rows, place, clock)?.rows);
            }
            Ok(())
        })
    }

    /// True if rows have another order than that in which they were written.
    fn is_reordered(&self) -> bool {
        R::ORDERED_BY_PART && self.restored.conversion.is_some()
    }

    /// Lets the clock of the rows reach what it was, and shows the runs, older ones of a shard first, each
    /// with the clock of its shard if that is not the clock of all.
    fn each_run(&self, rows: &R, visit: &mut dyn FnMut(&[PageRef], Option<i64>) -> Result<()>) -> Result<()> {
        let Some(least) = self.clock else { return Ok(()) };
        rows.reach(least);
        for shard in &self.restored.shards {
            let clock = (shard.clock != least).then_some(shard.clock);
            shard.runs.iter().try_for_each(|run| visit(run, clock))?;
        }
        Ok(())
    }

    /// What of a page belongs to the share, and is not over by the clock, if that is not the clock of all.
    fn read_page(&self, rows: &R, page: &PageRef, clock: Option<i64>) -> Result<ReadPage<R>> {
        let (bytes, codec) = self.from.page(self.table, page)?;
        let encoded = Encoded { bytes: &bytes, rows: page.rows as usize, codec };
        let mut read = match &self.restored.conversion {
            None => rows.decode(encoded)?,
            Some(conversion) => conversion
                .hold(|| rows.decode_of::<Converted<R::Part>>(encoded, |part| part.0))
                .map_err(|error| self.from.is_not_converted(self.table, codec, error))?,
        };
        let is_whole = clock.is_none() && self.share.holds(page.hashes);
        if !is_whole {
            read.retain(|(key, _)| self.share.has(R::owner(key)));
        }
        if let Some(clock) = clock {
            read.retain(|(key, _)| !R::is_expired(key, clock));
        }
        let written = (is_whole && self.restored.is_as_written).then(|| page.clone());
        Ok(ReadPage { rows: read, written })
    }

    /// The rows of a run that have another order now, and may have become one.
    fn sorted(&self, rows: &R, run: &[PageRef], clock: Option<i64>) -> Result<Vec<(R::Key, R::Value)>> {
        let mut read = Vec::new();
        for page in self.touched(run) {
            read.extend(self.read_page(rows, page, clock)?.rows);
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
        sorted.retain(|(_, value)| !rows.is_vacant(value, false));
        Ok(sorted)
    }
}

/// Shows the rows that a snapshot has of a worker's share of a table, older runs first, and lets the clock of
/// `rows` reach what it was.
///
/// For an operator that takes the place of another one and makes state of its own of the rows: an arrangement
/// of theirs, which it would drop at once, is code that every type of keys and values pays for.
pub(crate) fn read_rows<R: Saves>(
    rows: &R,
    (table, from): (&str, &RestoredOperator),
    share: Share,
    visit: &mut dyn FnMut(R::Key, R::Value),
) -> Result<()> {
    let incoming = Incoming::open(from, table, share)?;
    incoming.each_page(rows, &mut |page| page.into_iter().for_each(|(key, value)| visit(key, value)))
}

impl<R: Saves> ReadPage<R> {
    /// The page of it.
    pub(in crate::state) fn page(self, rows: &impl Rows<Key = R::Key, Value = R::Value>) -> PageOf<R> {
        let page = rows.page(self.rows);
        if let Some(written) = self.written {
            let _ = page.written().set(written);
        }
        Arc::new(page)
    }
}

/// Shows all rows of some pages, in order.
pub(crate) fn each<R: Rows>(pages: &[PageOf<R>], visit: &mut dyn FnMut(&R::Key, &R::Value)) {
    for page in pages {
        match page.rows() {
            Some(rows) => rows.iter().for_each(|(key, value)| visit(key, value)),
            None => page.read().iter().for_each(|(key, value)| visit(key, value)),
        }
    }
}

impl<R: Saves> Arrangement<R> {
    /// What a snapshot needs of the state as of the last seal.
    pub(crate) fn save(&self, name: &str) -> TableSnapshot {
        let runs = self.runs().into_iter().map(|run| snapshot::RunSnapshot {
            // What came from another snapshot lies before the first epoch.
            epochs: [run.lower(), run.upper()].map(|bound| first(bound).saturating_sub(self.base)).into(),
            pages: run.pages().iter().map(outgoing::<R::Resident>).collect(),
        });
        let runs = runs.collect();
        TableSnapshot {
            name: name.to_owned(),
            schema: R::Resident::schema(),
            clock: self.rows.clock(),
            runs,
            coming: None,
        }
    }

    /// Takes in a worker's share of what a snapshot has. Nothing must have been sealed.
    pub(crate) fn restore(&mut self, name: &str, from: &RestoredOperator, share: Share) -> Result<()> {
        self.take_in(&Incoming::open(from, name, share)?)
    }

    /// The same, once the share is known.
    pub(in crate::state) fn take_in(&mut self, incoming: &Incoming<'_, R::Resident>) -> Result<()> {
        let rows = self.rows.clone();
        incoming.read((rows.resident(), &|| rows.page_rows()), &mut |read| read.page(&rows), &mut |pages| {
            self.add(self.upper + 1, pages);
            self.base = self.upper;
        })
    }

    /// Shows all rows, older runs first.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&R::Key, &R::Value)) {
        self.runs().iter().for_each(|run| each::<R>(run.pages(), visit));
    }
}

fn first(frontier: &timely::progress::Antichain<u64>) -> u64 {
    frontier.first().copied().unwrap_or(u64::MAX)
}
