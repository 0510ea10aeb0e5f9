//! Takes snapshots: gathers parts, writes what is new of them, and commits.
//!
//! All of it happens away from the workers, who hand over pointers and go on. A page that an earlier snapshot
//! of this run has written, or that came from the snapshot that the run went on from, is named again and not
//! written; what merges have made is. So the bytes that a snapshot writes are those of the rows that have
//! changed, and of the merges that they paid for.
//!
//! A snapshot that cannot be written is given up, and the next one holds what it would have: the job goes on.
//! Only the last one, before a stop or at the end of all input, is tried again, and then ends the job with an
//! error; so does a store that another run has taken over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::metric::Metrics;
use crate::notice::Notices;
use crate::snapshot::coordinator::acks::{CoordinatorMessage, Instance, PendingSnapshots};
use crate::snapshot::coordinator::operator_snapshot::{
    BuiltRuns, END, OperatorSnapshot, SavedTables, TableSnapshot,
};
use crate::snapshot::coordinator::options::Snapshots;
use crate::snapshot::coordinator::segments::{EagerWriter, Owner, SavedPage, SegmentWriting};
use crate::snapshot::coordinator::trigger::SnapshotTrigger;
use crate::snapshot::log::lease::Lease;
use crate::snapshot::log::manifest::{Cause, Manifest, Note, OperatorState, RunState, Shard, TableState};
use crate::snapshot::log::repository::Repository;
use crate::snapshot::page::codec::encode_note;
use crate::snapshot::restore::page_source::PageSource;
use crate::snapshot::restore::restored::clock_of;

/// What takes the snapshots of a running job.
pub(crate) struct Coordinator {
    pub(crate) repository: Repository,
    pub(crate) lease: Lease,
    pub(crate) cuts: Arc<SnapshotTrigger>,
    pub(crate) options: Snapshots,
    pub(crate) gather: PendingSnapshots,
    pub(crate) writing: SegmentWriting,
    pub(crate) workers: usize,
    /// What operators are, by their uids.
    pub(crate) kinds: BTreeMap<String, String>,
    /// The epoch that the clock shows.
    pub(crate) epoch: Box<dyn Fn() -> u64 + Send>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) notices: Notices,
    /// True if the last snapshot that was due could not be written.
    pub(crate) is_failing: bool,
    pub(crate) commits: u64,
    /// When the first part of each cut came that is under way.
    pub(crate) began: BTreeMap<u64, Duration>,
    /// How long to wait before the last snapshot is tried again; twice as long each time.
    pub(crate) patience: Duration,
}

/// How often the last snapshot is tried.
const LAST_TRIES: u32 = 5;

/// Half of what passes between the first two tries of the last snapshot, without a simulated clock.
const PATIENCE: Duration = Duration::from_millis(50);

/// Garbage is collected after so many snapshots.
const COLLECT_AFTER: u64 = 8;

/// What no snapshot names stays so long: another run may be about to name it.
const GRACE: Duration = Duration::from_secs(60);

impl Coordinator {
    /// Hears a word, and takes the snapshot that is due by it.
    ///
    /// # Errors
    ///
    /// If the job must end.
    pub(crate) fn hear(&mut self, mut word: CoordinatorMessage) -> Result<()> {
        let heard = self.clock.now();
        if let CoordinatorMessage::Part(part) = &mut word {
            if part.cut != END {
                self.began.entry(part.cut).or_insert(heard);
            }
            self.receive(part)?;
        }
        let Some((cut, parts)) = self.gather.take(word) else { return Ok(()) };
        let epoch = if cut == END { (self.epoch)() } else { cut };
        let is_last = cut == END || self.cuts.cause(cut) == Cause::Stop;
        let began = self.began.remove(&cut).unwrap_or(heard);
        self.began.retain(|other, _| *other > cut);
        for left in (0..if is_last { LAST_TRIES } else { 1 }).rev() {
            match self.write_pages(epoch, &parts) {
                Ok(()) => {
                    let manifest = self.manifest(epoch, cut, &parts)?;
                    self.lease.commit(manifest)?;
                    self.tell(epoch, self.clock.now().saturating_sub(began));
                    self.cuts.settle(cut, true);
                    self.lease.put_head();
                    if !is_last {
                        self.release(&parts);
                    }
                    self.collect();
                    return Ok(());
                }
                Err(error) if self.lease.is_fenced() || (is_last && left == 0) => {
                    let what = "the last snapshot could not be written, so what came after the one before is not committed: go on from that one";
                    return Err(Error::new(error.kind(), format!("{what}: {error}")));
                }
                Err(error) => {
                    self.tell_failure(&error);
                    if is_last {
                        thread::sleep(self.patience * (1 << (LAST_TRIES - left)));
                    }
                }
            }
        }
        self.cuts.settle(cut, false);
        Ok(())
    }

    /// Makes the runs of a part that are not made yet, and writes of them what it can.
    fn receive(&mut self, part: &mut OperatorSnapshot) -> Result<()> {
        let epoch = if part.cut == END { (self.epoch)() } else { part.cut };
        for table in &mut part.state.tables {
            let Some((coming, delivery)) = &table.coming else { continue };
            let origin = self.origin(&part.uid, table);
            let early = EagerWriter {
                writing: &mut self.writing,
                lease: (&self.lease, epoch),
                owner: owner(&part.uid, table),
                origin,
            };
            let BuiltRuns { runs, put_off } = coming.runs(*delivery, Some(early))?;
            table.runs = runs;
            if put_off > 0 {
                self.metrics.metric("snapshots", "compactions_deferred").add(put_off as i64);
            }
        }
        Ok(())
    }

    /// Where the pages of a table can be read again, if that costs little.
    fn origin(&self, uid: &str, table: &TableSnapshot) -> Option<Arc<PageSource>> {
        let origin = PageSource::new(&self.repository, uid, &table.name, table.schema.fingerprint);
        origin.is_near().then(|| Arc::new(origin))
    }

    /// Tells of the first of several snapshots in a row that could not be written.
    fn tell_failure(&mut self, error: &Error) {
        self.metrics.metric("snapshots", "failed").add(1);
        self.metrics.metric("snapshots", "failing").set(1);
        if std::mem::replace(&mut self.is_failing, true) {
            return;
        }
        let mut causes = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(because) = cause {
            causes.push_str(&format!(": {because}"));
            cause = because.source();
        }
        let since = match self.lease.last_epoch() {
            Some(epoch) => format!("What came after epoch {epoch}"),
            None => "What has come so far".to_owned(),
        };
        self.notices.tell(format!(
            "a snapshot could not be written: {causes}. The job goes on. {since} stays hidden in outputs that appear with \
             snapshots, and would be computed again after a crash, until one can be written."
        ));
    }

    fn tell(&mut self, epoch: u64, took: Duration) {
        self.metrics.metric("snapshots", "failing").set(0);
        if std::mem::take(&mut self.is_failing) {
            self.notices.tell(format!("snapshots can be written again: that of epoch {epoch} is safe."));
        }
        let bytes = self.writing.take_bytes();
        self.commits += 1;
        self.metrics.metric("snapshots", "taken").add(1);
        self.metrics.metric("snapshots", "bytes").add(bytes as i64);
        self.metrics.metric("snapshots", "last_micros").set(took.as_micros() as i64);
    }

    /// Writes the pages that no snapshot has yet.
    fn write_pages(&mut self, epoch: u64, parts: &BTreeMap<Instance, SavedTables>) -> Result<()> {
        self.writing.finish(epoch)?;
        for ((uid, _), table) in tables(parts) {
            for run in &table.runs {
                for page in run.pages.iter().filter(|page| page.written().get().is_none()) {
                    let (lease, owner) = ((&self.lease, epoch), owner(uid, table));
                    self.writing.add(lease, owner, run.epochs, page)?;
                }
            }
        }
        self.writing.finish(epoch)
    }

    fn manifest(&self, epoch: u64, cut: u64, parts: &BTreeMap<Instance, SavedTables>) -> Result<Manifest> {
        let mut operators: BTreeMap<&str, OperatorState> = BTreeMap::new();
        for ((uid, worker), state) in parts {
            let kind = self.kinds.get(&**uid).cloned().unwrap_or_default();
            let operator = operators.entry(uid).or_insert_with(|| OperatorState {
                uid: uid.to_string(),
                kind,
                tables: Vec::new(),
                notes: Vec::new(),
            });
            let worker = *worker as u32;
            let note =
                |(name, bytes): &(String, Vec<u8>)| Note { name: name.clone(), worker, bytes: bytes.clone() };
            operator.notes.extend(state.notes.iter().map(note));
            for table in &state.tables {
                let bytes = encode_note(&table.clock)?;
                operator.notes.push(Note { name: clock_of(&table.name), worker, bytes });
                let runs = table.runs.iter().map(|run| run_state(run, epoch)).collect::<Result<_>>()?;
                let shard = Shard { worker, runs };
                match operator.tables.iter_mut().find(|known| known.name == table.name) {
                    Some(known) => known.shards.push(shard),
                    None => operator.tables.push(TableState {
                        name: table.name.clone(),
                        schema: table.schema.clone(),
                        shards: vec![shard],
                    }),
                }
            }
        }
        let operators = operators.into_values().collect();
        let manifest = self.lease.manifest(epoch, self.cuts.cause(cut), self.workers as u32);
        Ok(Manifest { operators, ..manifest })
    }

    /// Lets states go of the rows that are written now, where they can be read again at little cost.
    fn release(&self, parts: &BTreeMap<Instance, SavedTables>) {
        for ((uid, _), table) in tables(parts) {
            if let (Some((coming, _)), Some(origin)) = (&table.coming, self.origin(uid, table)) {
                coming.release(&origin);
            }
        }
    }

    /// Deletes what is not to stay, now and then. What could not be deleted is tried again.
    fn collect(&self) {
        if self.commits.is_multiple_of(COLLECT_AFTER)
            && self.repository.gc(self.options.retain, GRACE).is_err()
        {
            self.metrics.metric("snapshots", "collections_failed").add(1);
        }
    }
}

fn tables(parts: &BTreeMap<Instance, SavedTables>) -> impl Iterator<Item = (&Instance, &TableSnapshot)> {
    parts.iter().flat_map(|(member, state)| state.tables.iter().map(move |table| (member, table)))
}

fn owner<'a>(uid: &'a str, table: &'a TableSnapshot) -> Owner<'a> {
    Owner { uid, table: &table.name, fingerprint: table.schema.fingerprint }
}

/// A run as a manifest tells of it. A state that serves several cuts may say that it is of the last of them.
fn run_state(
    run: &crate::snapshot::coordinator::operator_snapshot::RunSnapshot,
    epoch: u64,
) -> Result<RunState> {
    let unwritten = || Error::data("a page of state is named before it is written");
    let place = |page: &Arc<dyn SavedPage>| page.written().get().cloned().ok_or_else(unwritten);
    let pages = run.pages.iter().map(place).collect::<Result<_>>()?;
    Ok(RunState { epochs: (run.epochs.0.min(epoch), run.epochs.1.saturating_sub(1).min(epoch)), pages })
}

/// Lets workers go first where there are no more cores than they need: whoever waits for results feels what a
/// worker waits, and nobody feels what a snapshot takes longer.
///
/// On Linux threads have priorities of their own; elsewhere this would be the whole program's.
fn yield_to_workers() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
}

/// A thread with this much to add to its niceness gets a third of what one without gets, where both want a
/// core.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// Where operators hand over their parts.
pub(crate) struct CoordinatorHandle {
    pub(crate) cuts: Arc<SnapshotTrigger>,
    /// How many rows a worker copies at a time.
    pub(crate) slice: usize,
    words: Mutex<Words>,
}

enum Words {
    /// To a thread of its own.
    Sent(Option<Sender<CoordinatorMessage>>, Option<JoinHandle<()>>),
    /// Heard by who says them, where all that happens is to happen in one order.
    Heard(Box<Coordinator>),
}

impl CoordinatorHandle {
    /// A coordinator that works on a thread of its own. What must end the job is told to `fail`.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub(crate) fn with_thread(
        mut taker: Coordinator,
        fail: impl Fn(Error) + Send + 'static,
    ) -> Result<CoordinatorHandle> {
        taker.patience = PATIENCE;
        let (cuts, slice) = (Arc::clone(&taker.cuts), taker.options.slice);
        let (words, hear) = mpsc::channel();
        let work = move || {
            yield_to_workers();
            for word in hear {
                if let Err(error) = taker.hear(word) {
                    return fail(error);
                }
            }
        };
        let thread = thread::Builder::new().name("snapshots".to_owned()).spawn(work);
        let thread = thread.map_err(|error| Error::io("cannot start a thread for snapshots", error))?;
        Ok(CoordinatorHandle { cuts, slice, words: Mutex::new(Words::Sent(Some(words), Some(thread))) })
    }

    /// A coordinator whose work is done by whoever hands something over.
    pub(crate) fn without_thread(taker: Coordinator) -> CoordinatorHandle {
        let (cuts, slice) = (Arc::clone(&taker.cuts), taker.options.slice);
        CoordinatorHandle { cuts, slice, words: Mutex::new(Words::Heard(Box::new(taker))) }
    }

    /// Says a word.
    ///
    /// # Errors
    ///
    /// If the job must end.
    pub(crate) fn say(&self, word: CoordinatorMessage) -> Result<()> {
        match &mut *self.words.lock().unwrap_or_else(PoisonError::into_inner) {
            // Nobody listens when the job is ending with an error.
            Words::Sent(words, _) => drop(words.as_ref().map(|words| words.send(word))),
            Words::Heard(taker) => taker.hear(word)?,
        }
        Ok(())
    }

    /// Waits until all that was said is done.
    pub(crate) fn finish(&self) {
        let thread = match &mut *self.words.lock().unwrap_or_else(PoisonError::into_inner) {
            Words::Sent(words, thread) => {
                drop(words.take());
                thread.take()
            }
            Words::Heard(_) => None,
        };
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}
