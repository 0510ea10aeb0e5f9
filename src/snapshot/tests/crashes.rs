//! A crash after each call, and a call that fails after each: what is committed stays, and what comes next
//! goes on from it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::snapshot::tests::*;

/// A life of a job with all that it does to a store. Tells the epoch of the last snapshot that it was told to
/// be committed, and of the last that it tried.
fn live(store: &Arc<dyn Store>) -> (Option<u64>, Option<u64>) {
    let (mut committed, mut tried) = (None, None);
    let mut attempt = || -> Result<()> {
        let mut run = Run::claim(store)?;
        for _ in 0..4 {
            let epoch = run.next_epoch();
            tried = Some(epoch);
            committed = Some(run.snapshot(epoch)?.epoch);
        }
        still(store.clone()).gc(1, NO_GRACE).map(drop)
    };
    let _ = attempt();
    (committed, tried)
}

/// What must hold after any crash, and once the job was started again.
#[track_caller]
fn assert_recovers(memory: &Memory, committed: Option<u64>, tried: Option<u64>) {
    let latest = assert_sound(memory);
    assert!(latest >= committed && latest <= tried, "{committed:?} <= {latest:?} <= {tried:?}");
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut next = Run::claim(&store).unwrap();
    assert_eq!(next.lease.from().map(|(_, manifest)| manifest.epoch), latest);
    let epoch = next.next_epoch();
    next.snapshot(epoch).unwrap();
    assert_eq!(assert_sound(memory), Some(epoch));
    open(memory).gc(1, NO_GRACE).unwrap();
    assert_eq!(assert_sound(memory), Some(epoch));
    // Nothing is left but what the last needs, and what its run went on from.
    let manifests = open(memory).list().unwrap();
    assert!(manifests.len() <= 2);
    let pages = manifests.iter().flat_map(|(_, manifest)| manifest.pages());
    let needed: BTreeSet<String> = pages.map(|page| page.segment.to_string()).collect();
    let there: BTreeSet<String> = memory.list("pages/").unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(there, needed);
    assert_eq!(memory.list("gc/").unwrap(), []);
}

#[test]
fn after_every_change_a_job_goes_on_from_its_last_snapshot() {
    let (memory, store, _) = memory();
    live(&store);
    live(&store);
    let changes = memory.changes();
    assert!(changes.len() > 40);
    let mut latest = None;
    for cut in 0..=changes.len() {
        let then = memory.as_of(cut);
        let now = assert_sound(&then);
        assert!(now >= latest, "the last snapshot never goes back");
        latest = now;
        assert_recovers(&then, now, now);
    }
    assert_eq!(latest, Some(8));
}

#[test]
fn a_crash_in_any_call_loses_nothing_that_was_committed() {
    let (first, store, _) = memory();
    live(&store);
    let counting = Arc::new(Faulty::new(Arc::new(first.as_of(usize::MAX)), 0, Faults::default()));
    let store: Arc<dyn Store> = counting.clone();
    live(&store);
    assert!(counting.calls() > 40);
    for call in 0..counting.calls() {
        for crash_after in [false, true] {
            let memory = first.as_of(usize::MAX);
            let faults = Faults { crash: Some(call), crash_after, ..Faults::default() };
            let store: Arc<dyn Store> = Arc::new(Faulty::new(Arc::new(memory.clone()), 0, faults));
            let (committed, tried) = live(&store);
            assert_recovers(&memory, committed.or(Some(4)), tried.or(Some(4)));
        }
    }
}

/// A store of which one call fails, after it did what it should.
#[derive(Debug)]
struct Once {
    memory: Memory,
    calls: AtomicU64,
    fails: u64,
}

impl Once {
    fn after<X, E: From<Error>>(&self, outcome: Result<X, E>) -> Result<X, E> {
        let is_this = self.calls.fetch_add(1, Ordering::Relaxed) == self.fails;
        if is_this { Err(Error::new(crate::ErrorKind::Io, "the reply was lost").into()) } else { outcome }
    }
}

impl Store for Once {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), PutError> {
        self.after(self.memory.create(name, bytes))
    }
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.after(self.memory.read(name))
    }
    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        self.after(self.memory.read_range(name, offset, len))
    }
    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        self.after(self.memory.list(prefix))
    }
    fn delete(&self, name: &str) -> Result<()> {
        self.after(self.memory.delete(name))
    }
}

#[test]
fn a_lost_reply_does_not_keep_a_snapshot_from_being_committed() {
    for fails in 0..48 {
        let memory = Memory::default();
        let once = Arc::new(Once { memory: memory.clone(), calls: AtomicU64::new(0), fails });
        let store: Arc<dyn Store> = once.clone();
        let mut run = Run::claim(&store).or_else(|_| Run::claim(&store)).unwrap();
        run.snapshots(1..=5);
        let repository = still(store);
        repository.gc(2, NO_GRACE).or_else(|_| repository.gc(2, NO_GRACE)).unwrap();
        assert!(once.calls.load(Ordering::Relaxed) > fails, "it came to that");
        assert!(memory.list("log/").unwrap().len() < 5);
        assert_eq!(assert_sound(&memory), Some(5));
    }
}

/// A store whose lists of the log show what was, some times.
#[derive(Debug)]
struct Late {
    memory: Memory,
    was: Memory,
    times: AtomicU64,
}

impl Store for Late {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), PutError> {
        self.memory.create(name, bytes)
    }
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.memory.read(name)
    }
    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        self.memory.read_range(name, offset, len)
    }
    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let is_late = self.times.load(Ordering::Relaxed) > 0 && prefix == "log/";
        if is_late {
            self.times.fetch_sub(1, Ordering::Relaxed);
            return self.was.list(prefix);
        }
        self.memory.list(prefix)
    }
    fn delete(&self, name: &str) -> Result<()> {
        self.memory.delete(name)
    }
}

/// Gives a store that was used and collected, and one in which lists show it as it was after a claim, some
/// times.
fn late(times: u64) -> (Memory, Run, Arc<dyn Store>) {
    let (memory, store, repository) = memory();
    let mut run = Run::claim(&store).unwrap();
    let was = memory.as_of(usize::MAX);
    run.snapshots(1..=6);
    repository.gc(2, NO_GRACE).unwrap();
    assert_eq!(
        memory.read("log/00000000000000000002").unwrap(),
        None,
        "the number after the claim is free again"
    );
    let late = Late { memory: memory.clone(), was, times: AtomicU64::new(times) };
    (memory, run, Arc::new(late))
}

#[test]
fn a_claim_of_a_number_that_was_collected_is_noticed() {
    for times in 0..5 {
        let (memory, mut old, store) = late(times);
        let next = Run::claim(&store).unwrap();
        assert_eq!(next.lease.from().map(|(_, manifest)| manifest.epoch), Some(6));
        assert!(old.snapshot(7).is_err() && old.lease.is_fenced());
        assert_eq!(assert_sound(&memory), Some(6));
    }
    let (_, _, store) = late(u64::MAX);
    assert!(Run::claim(&store).err().unwrap().to_string().contains("lists"));
}

#[test]
fn a_claim_that_fenced_no_one_costs_no_one_anything() {
    let (memory, mut old, store) = late(1);
    // As if the claimer had crashed before it noticed.
    let faults = Faults { crash: Some(7), ..Faults::default() };
    let crashing: Arc<dyn Store> = Arc::new(Faulty::new(store, 0, faults));
    assert!(Run::claim(&crashing).is_err());
    assert!(memory.read("log/00000000000000000002").unwrap().is_some(), "it had claimed");
    let pending = old.write(7).unwrap();
    open(&memory).gc(1, NO_GRACE).unwrap();
    old.lease.commit(pending).unwrap();
    assert_eq!(assert_sound(&memory), Some(7));
}
