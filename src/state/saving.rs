//! Arrangements on their way into snapshots, and back.
//!
//! # Out
//!
//! The runs of an arrangement are the state as of the last seal, and their pages never change. So what is handed over is pointers, and each page remembers where it
//! was written: the next snapshot names it and writes only what is new. What merges make of pages is new.
//!
//! # In
//!
//! Keys are owned by ranges of hashes, and a page knows the least and the greatest hash of its rows. So a worker reads the pages that touch its own range, whoever
//! wrote them, and keeps the rows that are its own. The shards of several workers have no key in common, so their runs can follow each other in any
//! order, as long as those of each shard stay in theirs: they become the runs of the new arrangement as they are, without sorting or merging, and a page
//! of which all is kept is known to be written already.
//!
//! # Converted
//!
//! Rows whose [part](Saves::Part) was of another type are converted as they are read, and their pages are new: the next snapshot writes them. Where the part is in the order of the
//! rows, a run is sorted again, and rows that have become one are joined.
//!
//! Rows that were over by the clock of the worker that wrote them are left out if workers come together whose clocks differ; then the least clock goes on.

use std::sync::{Arc, OnceLock};

use differential_dataflow::trace::BatchReader;

use serde::de::DeserializeOwned;

use super::run::{PageOf, pages};
use super::{Arrangement, Rows, Run};
use crate::data::{Exchange, worker_of};
use crate::error::Result;
use crate::snapshot::{
    self, Codec, Converted, Foreign, PageRef, RestoredOperator, RestoredTable, SavedPage, Schema, Table,
};

/// Rows that can be part of a snapshot.
pub(crate) trait Saves: Rows<Key: Send + Sync, Value: Send + Sync> {
    /// What of a row may once have been of another type. The rest says where it lies.
    type Part: Exchange;

    /// True if the part says where a row lies, too.
    const ORDERED_BY_PART: bool = false;

    /// What rows are made of that have this type for their part.
    fn schema_of<P: DeserializeOwned + 'static>() -> Schema;

    /// What the rows are made of.
    fn schema() -> Schema {
        Self::schema_of::<Self::Part>()
    }

    /// False if each worker has all rows.
    const BY_KEY: bool = true;

    /// The hash that a row's key is owned by.
    fn owner(key: &Self::Key) -> u64;

    /// The rows as bytes.
    fn encode(rows: &[(Self::Key, Self::Value)], codec: Codec) -> Result<Vec<u8>>;

    /// So many rows out of bytes, whose parts are read as `P`s, of which `own` makes what they are.
    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> Self::Part,
    ) -> Result<Vec<(Self::Key, Self::Value)>>;

    /// So many rows out of bytes.
    fn decode(&self, page: Encoded<'_>) -> Result<Vec<(Self::Key, Self::Value)>> {
        self.decode_of::<Self::Part>(page, |part| part)
    }
}

/// A page as it was written.
#[derive(Clone, Copy)]
pub(crate) struct Encoded<'a> {
    bytes: &'a [u8],
    rows: usize,
    codec: Codec,
}

impl Encoded<'_> {
    /// Its rows.
    pub(crate) fn rows<T: DeserializeOwned + 'static>(self) -> Result<Vec<T>> {
        self.codec.decode(self.bytes, self.rows)
    }
}

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
pub(super) fn outgoing<R: Saves>(page: &PageOf<R>) -> Arc<dyn SavedPage> {
    Arc::new(Outgoing::<R>(Arc::clone(page)))
}

/// Reads a worker's share of what a snapshot has, and gives each run's pages to `adopt`, older runs first.
///
/// Costs a read of the pages that have to do with the share.
pub(super) fn restore<R: Saves>(
    rows: &R,
    (from, table): (&RestoredOperator, &str),
    share: Share,
    mut adopt: impl FnMut(Vec<PageOf<R>>),
) -> Result<()> {
    let restored = from.open::<R::Part>(table, &R::schema(), R::schema_of::<Foreign>)?;
    let shards = &restored.shards;
    let (mine, share): (Vec<_>, _) = match R::BY_KEY {
        true => (shards.iter().filter(|shard| share.touches(shard.hashes)).collect(), share),
        false => (shards.iter().take(1).collect(), Share { worker: 0, workers: 1 }),
    };
    let Some(least) = mine.iter().map(|shard| shard.clock).min() else { return Ok(()) };
    let sorts = R::ORDERED_BY_PART && restored.conversion.is_some();
    for shard in &mine {
        let clock = (shard.clock != least).then_some(shard.clock);
        let taking = Taking { rows, from, table, restored: &restored, share, clock };
        for run in &shard.runs {
            let touched = run.iter().filter(|page| share.touches(page.hashes));
            let taken = match sorts {
                true => taking.sorted(touched)?,
                false => touched.filter_map(|page| taking.page(page).transpose()).collect::<Result<_>>()?,
            };
            if !taken.is_empty() {
                adopt(taken);
            }
        }
    }
    rows.reach(least);
    Ok(())
}

/// How pages of a snapshot are taken over.
struct Taking<'a, R: Saves> {
    rows: &'a R,
    from: &'a RestoredOperator,
    table: &'a str,
    restored: &'a RestoredTable<R::Part>,
    share: Share,
    /// The time up to which rows are left out as over.
    clock: Option<i64>,
}

impl<R: Saves> Taking<'_, R> {
    /// What of a page belongs to the share and is not over, and whether that is all of it.
    fn read(&self, page: &PageRef) -> Result<(Vec<(R::Key, R::Value)>, bool)> {
        let (bytes, codec) = self.from.page(self.table, page)?;
        let encoded = Encoded { bytes: &bytes, rows: page.rows as usize, codec };
        let mut read = match &self.restored.conversion {
            None => self.rows.decode(encoded)?,
            Some(conversion) => conversion
                .hold(|| self.rows.decode_of::<Converted<R::Part>>(encoded, |part| part.0))
                .map_err(|error| self.from.is_not_converted(self.table, codec, error))?,
        };
        let is_whole = self.clock.is_none() && self.share.holds(page.hashes);
        if !is_whole {
            read.retain(|(key, _)| self.share.has(R::owner(key)));
        }
        if let Some(clock) = self.clock {
            read.retain(|(key, _)| !R::is_expired(key, clock));
        }
        Ok((read, is_whole))
    }

    /// The page of that, if there is anything.
    fn page(&self, page: &PageRef) -> Result<Option<PageOf<R>>> {
        let (read, is_whole) = self.read(page)?;
        if read.is_empty() {
            return Ok(None);
        }
        let taken = self.rows.page(read);
        if is_whole && self.restored.is_as_written {
            let _ = taken.written().set(page.clone());
        }
        Ok(Some(Arc::new(taken)))
    }

    /// The pages of a run whose rows have another order now, and may have become one.
    fn sorted<'p>(&self, run: impl Iterator<Item = &'p PageRef>) -> Result<Vec<PageOf<R>>> {
        let mut read = Vec::new();
        for page in run {
            read.extend(self.read(page)?.0);
        }
        // Of those that become one, the order is that of before.
        read.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut sorted: Vec<(R::Key, R::Value)> = Vec::with_capacity(read.len());
        for (key, value) in read {
            match sorted.last_mut() {
                Some((last, older)) if *last == key => self.rows.absorb(older, &value),
                _ => sorted.push((key, value)),
            }
        }
        sorted.retain(|(_, value)| !self.rows.is_vacant(value, false));
        Ok(pages(self.rows, sorted))
    }
}

/// Shows all rows of some pages, in order.
pub(crate) fn each<R: Rows>(pages: &[PageOf<R>], mut visit: impl FnMut(&R::Key, &R::Value)) {
    for page in pages {
        match page.rows() {
            Some(rows) => rows.iter().for_each(|(key, value)| visit(key, value)),
            None => page.read().iter().for_each(|(key, value)| visit(key, value)),
        }
    }
}

impl<R: Saves> Arrangement<R> {
    /// What a snapshot needs of the state as of the last seal.
    pub(crate) fn save(&self, name: &str) -> Table {
        let runs = self.runs().into_iter().map(|run| snapshot::Run {
            // What came from another snapshot lies before the first epoch.
            epochs: [run.lower(), run.upper()].map(|bound| first(bound).saturating_sub(self.base)).into(),
            pages: run.pages().iter().map(outgoing::<R>).collect(),
        });
        let runs = runs.collect();
        Table { name: name.to_owned(), schema: R::schema(), clock: self.rows.clock(), runs, coming: None }
    }

    /// Takes in a worker's share of what a snapshot has. Nothing must have been sealed.
    pub(crate) fn restore(&mut self, name: &str, from: &RestoredOperator, share: Share) -> Result<()> {
        let rows = self.rows.clone();
        restore(&rows, (from, name), share, |pages| {
            self.add(self.upper + 1, |rows, description| Run::from_pages(Some(rows), pages, description));
            self.base = self.upper;
        })
    }

    /// Shows all rows, older runs first.
    pub(crate) fn each(&self, mut visit: impl FnMut(&R::Key, &R::Value)) {
        self.runs().iter().for_each(|run| each::<R>(run.pages(), &mut visit));
    }
}

fn first(frontier: &timely::progress::Antichain<u64>) -> u64 {
    frontier.first().copied().unwrap_or(u64::MAX)
}
