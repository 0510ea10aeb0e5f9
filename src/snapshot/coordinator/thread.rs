//! The coordinator's work: collects acknowledgements, writes their new pages, and commits.
//!
//! None of this happens on the workers, which hand over pointers and go on. A page that an earlier snapshot
//! of this run has written, or that came from the snapshot that the run went on from, is named again and not
//! written; pages that compactions have made are written. So a snapshot writes the rows that have changed,
//! and the compactions that these have caused.
//!
//! A snapshot that cannot be written is given up, and the next one holds what it would have: the job goes on.
//! Only the last one, before a stop or at the end of all input, is tried again, and its failure ends the job
//! with an error; so does a store that another run has taken over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::Clock;
use crate::data::Ownership;
use crate::error::{Error, Result};
use crate::lock::lock;
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

/// The coordinator of a running job.
pub(crate) struct Coordinator {
    pub(crate) repository: Repository,
    pub(crate) lease: Lease,
    pub(crate) trigger: Arc<SnapshotTrigger>,
    pub(crate) options: Snapshots,
    pub(crate) pending: PendingSnapshots,
    pub(crate) writing: SegmentWriting,
    /// Which worker owns which keys.
    pub(crate) ownership: Ownership,
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

/// Garbage is collected each time that this many snapshots were taken.
const COLLECT_AFTER: u64 = 8;

/// How long garbage is kept: another run may be about to name it.
const GRACE: Duration = Duration::from_secs(60);

impl Coordinator {
    /// Handles a message, and takes the snapshot that is complete by it.
    ///
    /// # Errors
    ///
    /// If the job must end.
    pub(crate) fn receive(&mut self, mut message: CoordinatorMessage) -> Result<()> {
        let heard = self.clock.now();
        if let CoordinatorMessage::Part(part) = &mut message {
            if part.cut != END {
                self.began.entry(part.cut).or_insert(heard);
            }
            // At once, and not when the cut is complete: pages are written while their rows are in the
            // processor's cache.
            self.build(part)?;
        }
        let Some((cut, parts)) = self.pending.take(message) else { return Ok(()) };
        // The final cut is after all epochs: its snapshot is committed under the epoch that the clock shows.
        let epoch = if cut == END { (self.epoch)() } else { cut };
        let is_last = cut == END || self.trigger.cause(cut) == Cause::Stop;
        // The parts of the final cut are not timed: they come as instances end.
        let began = self.began.remove(&cut).unwrap_or(heard);
        self.began.retain(|other, _| *other > cut);
        // A periodic snapshot is tried once, since the next one holds what it would have; after the last
        // there is none.
        for left in (0..if is_last { LAST_TRIES } else { 1 }).rev() {
            match self.write_pages(epoch, &parts) {
                Ok(()) => {
                    let manifest = self.manifest(epoch, cut, &parts)?;
                    // Not retried: after a failed commit the lease can no longer be used.
                    self.lease.commit(manifest)?;
                    self.report(epoch, self.clock.now().saturating_sub(began));
                    // After the commit: sinks see it here, and make visible what they have prepared.
                    self.trigger.settle(cut, true);
                    // After the sinks can see the commit, since nothing waits for the head.
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
                    self.report_failure(&error);
                    if is_last {
                        thread::sleep(self.patience * (1 << (LAST_TRIES - left)));
                    }
                }
            }
        }
        self.trigger.settle(cut, false);
        Ok(())
    }

    /// Makes the runs of a part that are not made yet, and writes their pages early as far as that works.
    fn build(&mut self, part: &mut OperatorSnapshot) -> Result<()> {
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

    /// Counts a failed snapshot, and sends a notice for the first of several in a row.
    fn report_failure(&mut self, error: &Error) {
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

    fn report(&mut self, epoch: u64, took: Duration) {
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
        // First what was written early: its pages are marked as written then, and are not written again
        // below.
        self.writing.finish(epoch)?;
        for ((uid, _), table) in tables(parts) {
            for run in &table.runs {
                for page in run.pages.iter().filter(|page| page.written().get().is_none()) {
                    let (lease, owner) = ((&self.lease, epoch), owner(uid, table));
                    self.writing.add(lease, owner, run.epochs, page)?;
                }
            }
        }
        // The manifest may name a page only when the put of its segment has succeeded.
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
                // Each worker's clock is noted: on restore, rows expire by the clock of the worker that owned
                // their hashes.
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
        let workers = self.ownership.workers() as u32;
        let manifest = self.lease.manifest(epoch, self.trigger.cause(cut), workers);
        Ok(Manifest { operators, ownership: self.ownership.clone(), ..manifest })
    }

    /// Lets states drop the rows that are written now, where reading them again costs little.
    fn release(&self, parts: &BTreeMap<Instance, SavedTables>) {
        for ((uid, _), table) in tables(parts) {
            if let (Some((coming, _)), Some(origin)) = (&table.coming, self.origin(uid, table)) {
                coming.release(&origin);
            }
        }
    }

    /// Collects garbage after every few commits. What could not be deleted is tried again by the next
    /// collection.
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

/// A run as a manifest lists it. A state that serves several cuts may name the last of them, so epochs are
/// limited to that of the snapshot.
fn run_state(
    run: &crate::snapshot::coordinator::operator_snapshot::RunSnapshot,
    epoch: u64,
) -> Result<RunState> {
    let unwritten = || Error::data("a page of state is named before it is written");
    let place = |page: &Arc<dyn SavedPage>| page.written().get().cloned().ok_or_else(unwritten);
    let pages = run.pages.iter().map(place).collect::<Result<_>>()?;
    // In memory the second epoch is the first that the run is not about; in a manifest it is the last that it
    // is.
    Ok(RunState { epochs: (run.epochs.0.min(epoch), run.epochs.1.saturating_sub(1).min(epoch)), pages })
}

/// Lowers the thread's priority, so that workers run first where there are no more cores than they need: a
/// worker that waits delays results, a snapshot that takes longer does not.
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
    pub(crate) trigger: Arc<SnapshotTrigger>,
    /// How many rows a worker copies at a time.
    pub(crate) slice: usize,
    channel: Mutex<Channel>,
}

enum Channel {
    /// Sent to the coordinator's own thread.
    Thread(Option<Sender<CoordinatorMessage>>, Option<JoinHandle<()>>),
    /// Handled by the thread that sends them, so that everything happens in one order.
    Here(Box<Coordinator>),
}

impl CoordinatorHandle {
    /// A coordinator that works on a thread of its own. An error that must end the job is passed to `fail`.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub(crate) fn with_thread(
        mut coordinator: Coordinator,
        fail: impl Fn(Error) + Send + 'static,
    ) -> Result<CoordinatorHandle> {
        coordinator.patience = PATIENCE;
        let (trigger, slice) = (Arc::clone(&coordinator.trigger), coordinator.options.slice);
        let (channel, receive) = mpsc::channel();
        let work = move || {
            yield_to_workers();
            for message in receive {
                if let Err(error) = coordinator.receive(message) {
                    return fail(error);
                }
            }
        };
        let thread = thread::Builder::new().name("snapshots".to_owned()).spawn(work);
        let thread = thread.map_err(|error| Error::io("cannot start a thread for snapshots", error))?;
        Ok(CoordinatorHandle {
            trigger,
            slice,
            channel: Mutex::new(Channel::Thread(Some(channel), Some(thread))),
        })
    }

    /// A coordinator whose work is done by the thread that sends a message.
    pub(crate) fn without_thread(coordinator: Coordinator) -> CoordinatorHandle {
        let (trigger, slice) = (Arc::clone(&coordinator.trigger), coordinator.options.slice);
        CoordinatorHandle { trigger, slice, channel: Mutex::new(Channel::Here(Box::new(coordinator))) }
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// If the job must end.
    pub(crate) fn send(&self, message: CoordinatorMessage) -> Result<()> {
        match &mut *lock(&self.channel) {
            // The thread has ended if the job is ending with an error, which is recorded by then.
            Channel::Thread(channel, _) => drop(channel.as_ref().map(|channel| channel.send(message))),
            Channel::Here(coordinator) => coordinator.receive(message)?,
        }
        Ok(())
    }

    /// Waits until all messages are handled.
    pub(crate) fn finish(&self) {
        let thread = match &mut *lock(&self.channel) {
            Channel::Thread(channel, thread) => {
                // Closes the channel: the thread handles what is left in it, and ends.
                drop(channel.take());
                thread.take()
            }
            Channel::Here(_) => None,
        };
        // Joined without the lock, so that a worker that still sends does not wait for the thread.
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}
