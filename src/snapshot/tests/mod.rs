//! Snapshots as a job would write them, in stores that fail, with several runs at once.

mod corruption;
mod crashes;
mod faults;
mod fork;
#[cfg(feature = "object-store")]
mod remote;
mod use_cases;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Result;
use crate::object::*;
use crate::snapshot::*;

pub(super) const WORKERS: u32 = 2;

/// A run of a job. Each of its snapshots adds a segment with two pages on each worker to the last two of
/// them, as merges would leave.
pub(super) struct Run {
    pub(super) lease: Lease,
    pub(super) last: Option<Manifest>,
}

impl Run {
    pub(super) fn new(lease: Lease) -> Run {
        let last = lease.from().map(|(_, manifest)| manifest.clone());
        Run { lease, last }
    }

    pub(super) fn claim(store: &Arc<dyn Store>) -> Result<Run> {
        still(store.clone()).claim("job").map(Run::new)
    }

    /// The next epoch that there is no snapshot of.
    pub(super) fn next_epoch(&self) -> u64 {
        self.lease.last_epoch().map_or(1, |last| last + 1)
    }

    pub(super) fn snapshot(&mut self, epoch: u64) -> Result<Committed, CommitError> {
        let manifest = self.write(epoch)?;
        let committed = self.lease.commit(manifest.clone())?;
        self.last = Some(manifest);
        Ok(committed)
    }

    pub(super) fn snapshots(&mut self, epochs: std::ops::RangeInclusive<u64>) {
        for epoch in epochs {
            self.snapshot(epoch).unwrap();
        }
    }

    /// Writes the segments, and says what to commit.
    pub(super) fn write(&self, epoch: u64) -> Result<Manifest> {
        let mut manifest = self.lease.manifest(epoch, Cause::Interval, WORKERS);
        let shards = (0..WORKERS).map(|worker| self.shard(epoch, worker)).collect::<Result<_>>()?;
        let schema = Schema { fingerprint: 9, text: "(u64, u64)".to_owned() };
        let table = TableState { name: "values".to_owned(), schema, shards };
        let note = Note { name: "splits".to_owned(), worker: 0, bytes: epoch.to_le_bytes().to_vec() };
        let (uid, kind) = ("counts".to_owned(), "Rolling".to_owned());
        manifest.operators.push(OperatorState { uid, kind, tables: vec![table], notes: vec![note] });
        Ok(manifest)
    }

    fn shard(&self, epoch: u64, worker: u32) -> Result<Shard> {
        let mut runs = match &self.last {
            None => Vec::new(),
            Some(last) => last.operators[0].tables[0].shards[worker as usize].runs.clone(),
        };
        runs.drain(..runs.len().saturating_sub(2));
        let mut segment = self.lease.segment(epoch, worker)?;
        let start = u64::from(worker) << 63;
        let pages = [start + 10, start + 20].map(|hash| {
            let rows = [(hash, epoch), (hash + 1, epoch)];
            segment.add(&head(epoch, (hash, hash + 1)), &Codec::Columnar.encode(&rows)?)
        });
        let pages = pages.into_iter().collect::<Result<_>>()?;
        segment.finish()?;
        runs.push(RunState { epochs: (epoch, epoch), pages });
        Ok(Shard { worker, runs })
    }
}

pub(super) fn head(epoch: u64, hashes: (u64, u64)) -> PageHead {
    let (uid, table) = ("counts".to_owned(), "values".to_owned());
    let (codec, compression) = (Codec::Columnar, Compression::Lz4);
    PageHead { codec, compression, uid, table, fingerprint: 9, hashes, epochs: (epoch, epoch), rows: 2 }
}

pub(super) const EXPECTED: Expected<'_> = Expected { uid: "counts", table: "values", fingerprint: 9 };

/// The snapshots in a store, at a time that stands still, so that nothing is too young to be collected.
pub(super) fn still(store: Arc<dyn Store>) -> Repository {
    Repository::open(store).clock(Clock::manual())
}

pub(super) fn memory() -> (Memory, Arc<dyn Store>, Repository) {
    let memory = Memory::default();
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    (memory, store.clone(), still(store))
}

pub(super) fn open(memory: &Memory) -> Repository {
    still(Arc::new(memory.clone()))
}

/// Sees that a store holds what it says, and tells the last epoch.
#[track_caller]
pub(super) fn assert_sound(memory: &Memory) -> Option<u64> {
    let repository = open(memory);
    let report = repository.verify().unwrap();
    assert_eq!(report.findings, []);
    repository.find(&Selector::Latest).unwrap().map(|(_, manifest)| manifest.epoch)
}

/// A number from a seed, which it moves on.
pub(super) fn draw(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

pub(super) const NO_GRACE: Duration = Duration::ZERO;
