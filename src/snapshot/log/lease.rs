//! A run's right to write snapshots, until another run claims.
//!
//! All workers write segments at the same time; one of them commits. A segment is there when its put
//! succeeds; a snapshot is there when the put of its manifest does. There is no other step, so there is
//! nothing to undo after a crash: what no manifest names is garbage.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::clock::Clock;
use crate::data::Ownership;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::lock;
use crate::snapshot::log::entries::{Log, Placed, TRIES};
use crate::snapshot::log::envelope::checksum;
use crate::snapshot::log::generation::Generation;
use crate::snapshot::log::manifest::{Cause, Entry, Manifest, PageRef};
use crate::snapshot::log::names::{LOG, SegmentName, numbered};
use crate::snapshot::log::protocol::{Found, Next, settle, unfounded};
use crate::snapshot::page::format::{self as page, PageHead};

/// The right to write snapshots. There is one for each run; a later run's
/// [`claim`](crate::snapshot::Repository::claim) ends it.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    clock: Clock,
    job: String,
    nonce: u64,
    /// The number of its last entry.
    number: u64,
    /// The last manifest of the log.
    latest: Option<Latest>,
    /// The epoch of the last manifest of this run.
    own: Option<u64>,
    /// The number of the head that this run has put.
    head: Option<u64>,
    from: Option<(u64, Manifest)>,
    /// The segments of the manifest that the run went on from.
    origin: BTreeSet<Arc<str>>,
}

/// The last manifest of the log, as far as it matters for the next.
#[derive(Debug)]
struct Latest {
    number: u64,
    checksum: u32,
    epoch: u64,
    segments: BTreeSet<Arc<str>>,
}

/// State that segment writers share with their lease.
#[derive(Debug)]
struct Shared {
    log: Log,
    generation: u64,
    /// Counts segments.
    next: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    end: Option<End>,
    /// The segments that are there and in no manifest.
    written: BTreeSet<Arc<str>>,
}

/// Why a lease can no longer write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fenced,
    /// The outcome of its last put is unknown.
    Unknown,
}

/// A committed snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The number of its manifest.
    pub number: u64,
    /// Its epoch.
    pub epoch: u64,
    /// The checksum of its manifest.
    pub checksum: u32,
}

/// Why a snapshot was not committed.
#[derive(Debug)]
pub enum CommitError {
    /// Another run has taken over. This one must end: it can commit nothing any more.
    Fenced,
    /// The manifest was invalid, or the store failed. In the latter case it is unknown whether the manifest
    /// is committed, and the lease can no longer be used: end the run; the next run's claim finds out.
    Failed(Error),
}

impl From<Error> for CommitError {
    fn from(error: Error) -> CommitError {
        CommitError::Failed(error)
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Error {
        match error {
            CommitError::Fenced => fenced(),
            CommitError::Failed(error) => error,
        }
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommitError::Fenced => write!(f, "{}", fenced()),
            CommitError::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for CommitError {}

fn fenced() -> Error {
    Error::config("another run of the job has taken over its snapshots: stop one of the two")
}

fn unknown() -> Error {
    Error::new(
        ErrorKind::Io,
        "whether the last snapshot was committed is unknown: run the job again, which finds out",
    )
}

/// The outcome of a claim.
pub(in crate::snapshot) struct Opening {
    pub(in crate::snapshot) job: String,
    pub(in crate::snapshot) nonce: u64,
    pub(in crate::snapshot) generation: u64,
    pub(in crate::snapshot) number: u64,
    pub(in crate::snapshot) latest: Option<Placed>,
    pub(in crate::snapshot) from: Option<Placed>,
}

impl Lease {
    pub(in crate::snapshot) fn new(log: Log, clock: Clock, opening: Opening) -> Lease {
        let Opening { job, nonce, generation, number, latest, from } = opening;
        let (next, state) = (AtomicU64::new(0), Mutex::default());
        let shared = Arc::new(Shared { log, generation, next, state });
        let latest = latest.map(|Placed { number, checksum, manifest }| Latest {
            number,
            checksum,
            epoch: manifest.epoch,
            segments: segments_of(&manifest),
        });
        let origin = from.as_ref().map(|from| segments_of(&from.manifest)).unwrap_or_default();
        let from = from.map(|from| (from.number, from.manifest));
        Lease { shared, clock, job, nonce, number, latest, own: None, head: None, from, origin }
    }

    /// Counts the runs of the job: this one is the last.
    pub fn generation(&self) -> u64 {
        self.shared.generation
    }

    /// This run.
    pub fn run(&self) -> Generation {
        Generation { number: self.shared.generation, nonce: self.nonce }
    }

    /// The snapshot that this run goes on from, with the number of its manifest.
    pub fn from(&self) -> Option<&(u64, Manifest)> {
        self.from.as_ref()
    }

    /// The epoch of the last snapshot in the store. The next one must be later.
    pub fn last_epoch(&self) -> Option<u64> {
        self.latest.as_ref().map(|latest| latest.epoch)
    }

    /// True once it is known that another run has taken over.
    pub fn is_fenced(&self) -> bool {
        self.shared.state().end == Some(End::Fenced)
    }

    /// Begins a segment of pages for the snapshot of an epoch, which must be later than the last one's.
    /// Writes nothing yet.
    pub fn segment(&self, epoch: u64, worker: u32) -> Result<SegmentWriter> {
        self.shared.check()?;
        self.check_epoch(epoch)?;
        // Names are never used twice: the generation is this run's alone, and the counter tells its segments
        // apart.
        let n = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let name = SegmentName { generation: self.shared.generation, epoch, worker, n }.to_string().into();
        Ok(SegmentWriter { shared: self.shared.clone(), name, bytes: Vec::new() })
    }

    /// A manifest without any operators, with what this lease knows, of so many workers that own ranges of
    /// one length.
    pub fn manifest(&self, epoch: u64, cause: Cause, workers: u32) -> Manifest {
        Manifest {
            generation: self.shared.generation,
            nonce: self.nonce,
            epoch,
            job: self.job.clone(),
            at: millis(&self.clock),
            cause,
            workers,
            ownership: Ownership::uniform(workers),
            previous: self.latest.as_ref().map(|latest| (latest.number, latest.checksum)),
            operators: Vec::new(),
        }
    }

    /// Commits a snapshot: once this returns `Ok`, it is durable. The manifest's run, job, time and
    /// predecessor are set here.
    ///
    /// All segments that it names must be there: finished by writers of this lease for epochs after its last
    /// snapshot, or named by the manifest before it or by the one that the run went on from. Costs one put,
    /// and a read or two if that fails.
    pub fn commit(&mut self, manifest: Manifest) -> Result<Committed, CommitError> {
        self.shared.check_commit()?;
        let manifest = self.complete(manifest)?;
        let (epoch, segments) = (manifest.epoch, segments_of(&manifest));
        // A run's numbers follow its claim without gaps, so a later claim takes exactly this one.
        let number = self.number + 1;
        let bytes = Entry::Manifest(manifest).encode(number)?;
        let checksum = checksum(&bytes);
        match self.shared.put(number, &bytes) {
            Ok(Next::Committed) => {}
            Ok(Next::Fenced) => return Err(self.shared.end(End::Fenced, CommitError::Fenced)),
            // Whether the number is taken is unknown: this run can neither put another manifest there nor
            // skip it.
            Ok(Next::Retry) => return Err(self.shared.end(End::Unknown, unknown().into())),
            Err(error) => return Err(self.shared.end(End::Unknown, unknown().because(error).into())),
        }
        // Segments for this epoch or an earlier one that no manifest names are garbage to a collector from
        // now on.
        let is_later = |name: SegmentName| name.epoch > epoch;
        self.shared.state().written.retain(|segment| SegmentName::parse(segment).is_some_and(is_later));
        (self.number, self.own) = (number, Some(epoch));
        self.latest = Some(Latest { number, checksum, epoch, segments });
        Ok(Committed { number, epoch, checksum })
    }

    /// Records in the store how far the log has come, so that a log that has lost its end is
    /// [noticed](crate::snapshot::Repository::verify). To be called after a commit, when nothing waits for
    /// it. Costs a put and a deletion; if they fail, that does no harm.
    pub fn put_head(&mut self) {
        // A head above the last manifest is reported as a lost log, so a run puts none for its claim.
        if self.own.is_some() && self.head != Some(self.number) {
            self.shared.log.put_head(self.number, self.head.replace(self.number));
        }
    }

    /// Sets the fields that the lease knows, and refuses an invalid manifest.
    fn complete(&self, mut manifest: Manifest) -> Result<Manifest> {
        self.check_epoch(manifest.epoch)?;
        let Manifest { generation, nonce, job, at, previous, .. } =
            self.manifest(manifest.epoch, manifest.cause, manifest.workers);
        manifest = Manifest { generation, nonce, job, at, previous, ..manifest };
        if manifest.ownership.workers() != manifest.workers as usize {
            return Err(Error::config("a manifest says of another number of workers who owned which keys"));
        }
        // A collector keeps the segments of both manifests: the one that the run went on from, and the last
        // one.
        let mut before = self.origin.clone();
        before.extend(self.latest.iter().flat_map(|latest| latest.segments.iter().cloned()));
        let named = segments_of(&manifest);
        let state = self.shared.state();
        match unfounded(&named, &before, &state.written, self.own) {
            None => Ok(manifest),
            Some(segment) => Err(Error::config(format!(
                "the snapshot of epoch {} names {segment}, which this run has neither written for it nor found in the snapshot before",
                manifest.epoch
            ))),
        }
    }

    fn check_epoch(&self, epoch: u64) -> Result<()> {
        match self.last_epoch() {
            Some(last) if epoch <= last => Err(Error::config(format!(
                "there is a snapshot of epoch {last} already, so there cannot be one of epoch {epoch}: go on from a later epoch"
            ))),
            _ => Ok(()),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn end(&self, end: End, error: CommitError) -> CommitError {
        self.state().end = Some(end);
        error
    }

    fn check_commit(&self) -> Result<(), CommitError> {
        match self.state().end {
            None => Ok(()),
            Some(End::Fenced) => Err(CommitError::Fenced),
            Some(End::Unknown) => Err(unknown().into()),
        }
    }

    fn check(&self) -> Result<()> {
        self.check_commit().map_err(Error::from)
    }

    /// Puts an entry, and reads it if the outcome is unknown. An error, or `Retry`, if it stays unknown.
    fn put(&self, number: u64, bytes: &[u8]) -> Result<Next> {
        let name = numbered(LOG, number);
        for _ in 0..TRIES {
            if self.log.0.create(&name, bytes).is_ok() {
                return Ok(Next::Committed);
            }
            // Also if the name is taken: an earlier try whose reply was lost may have put these very bytes.
            let found = match self.log.read_again(&name)? {
                Some(found) if found == bytes => Found::Ours,
                Some(_) => Found::Other,
                None => Found::Nothing,
            };
            // Read after `found`, as `settle` requires.
            let is_above =
                found == Found::Nothing && self.log.read_again(&numbered(LOG, number + 1))?.is_some();
            let next = settle(found, is_above);
            if next != Next::Retry {
                return Ok(next);
            }
        }
        Ok(Next::Retry)
    }
}

/// The segments that a manifest names.
pub(in crate::snapshot) fn segments_of(manifest: &Manifest) -> BTreeSet<Arc<str>> {
    manifest.pages().map(|page| page.segment.clone()).collect()
}

/// Milliseconds since 1970.
pub(in crate::snapshot) fn millis(clock: &Clock) -> u64 {
    u64::try_from(clock.millis()).unwrap_or(0)
}

/// Collects the pages of a segment in memory.
#[derive(Debug)]
pub struct SegmentWriter {
    shared: Arc<Shared>,
    name: Arc<str>,
    bytes: Vec<u8>,
}

impl SegmentWriter {
    /// Adds a page, and returns its place in the finished segment. An error if it cannot be
    /// [encoded](PageHead::encode).
    pub fn add(&mut self, head: &PageHead, body: &[u8]) -> Result<PageRef> {
        let page = head.encode(body)?;
        let len = u32::try_from(page.len()).map_err(|_| Error::data("a page is larger than 4 GiB"))?;
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&page);
        let (segment, crc) = (self.name.clone(), page::checksum(&page));
        Ok(PageRef { segment, offset, len, rows: head.rows, hashes: head.hashes, crc })
    }

    /// The bytes of its pages so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Writes the segment, with one put; a segment without pages is not written. When this fails, the segment
    /// must not be used.
    pub fn finish(self) -> Result<()> {
        let SegmentWriter { shared, name, bytes } = self;
        shared.check()?;
        if bytes.is_empty() {
            return Ok(());
        }
        shared.log.put_own(&name, &bytes)?;
        // Only after the put has succeeded: a manifest must not name a segment that may be missing.
        shared.state().written.insert(name);
        Ok(())
    }
}
