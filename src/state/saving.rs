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
//! Rows that were over by the clock of the worker that wrote them are left out if workers come together whose clocks differ; then the least clock goes on.

use std::sync::{Arc, OnceLock};

use differential_dataflow::trace::BatchReader;

use super::run::PageOf;
use super::{Arrangement, Rows, Run};
use crate::data::worker_of;
use crate::error::Result;
use crate::snapshot::{self, Codec, PageRef, RestoredOperator, SavedPage, Schema, Table};

/// Rows that can be part of a snapshot.
pub(crate) trait Saves: Rows<Key: Send + Sync, Value: Send + Sync> {
    /// What the rows are made of.
    fn schema() -> Schema;

    /// False if each worker has all rows.
    const BY_KEY: bool = true;

    /// The hash that a row's key is owned by.
    fn owner(key: &Self::Key) -> u64;

    /// The rows as bytes.
    fn encode(rows: &[(Self::Key, Self::Value)], codec: Codec) -> Result<Vec<u8>>;

    /// So many rows out of bytes.
    fn decode(&self, bytes: &[u8], count: usize, codec: Codec) -> Result<Vec<(Self::Key, Self::Value)>>;
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
    let shards = from.shards(table, &R::schema())?;
    let (mine, share): (Vec<_>, _) = match R::BY_KEY {
        true => (shards.iter().filter(|shard| share.touches(shard.hashes)).collect(), share),
        false => (shards.iter().take(1).collect(), Share { worker: 0, workers: 1 }),
    };
    let Some(least) = mine.iter().map(|shard| shard.clock).min() else { return Ok(()) };
    for shard in &mine {
        let is_whole = shard.clock == least;
        for run in &shard.runs {
            let pages = run.iter().filter(|page| share.touches(page.hashes));
            let pages =
                pages.map(|page| take(rows, (from, table), page, share, (!is_whole).then_some(shard.clock)));
            let pages: Vec<_> = pages.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
            if !pages.is_empty() {
                adopt(pages);
            }
        }
    }
    rows.reach(least);
    Ok(())
}

/// A page of a snapshot, or what of it belongs to the share and is not over by the clock, if there is one.
fn take<R: Saves>(
    rows: &R,
    (from, table): (&RestoredOperator, &str),
    page: &PageRef,
    share: Share,
    clock: Option<i64>,
) -> Result<Option<PageOf<R>>> {
    let (bytes, codec) = from.page(table, page)?;
    let mut read = rows.decode(&bytes, page.rows as usize, codec)?;
    if clock.is_none() && share.holds(page.hashes) && !read.is_empty() {
        let whole = rows.page(read);
        let _ = whole.written().set(page.clone());
        return Ok(Some(Arc::new(whole)));
    }
    read.retain(|(key, _)| share.has(R::owner(key)));
    if let Some(clock) = clock {
        read.retain(|(key, _)| !R::is_expired(key, clock));
    }
    Ok((!read.is_empty()).then(|| Arc::new(rows.page(read))))
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
