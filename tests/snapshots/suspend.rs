//! Jobs that are stopped to go on later, on threads and with the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::object::{Memory, PutError, Store};
use highwater::snapshot::{Restore, Snapshots};
use highwater::stream::Job;
use highwater::time::Watermarks;
use highwater::{Error, Result};

use crate::ledger::Ledger;
use crate::world::millis;

const COUNT: u64 = 30_000;

/// Numbers, at a rate if there is one, on their way to a ledger.
fn job(rate: Option<f64>, out: Ledger<u64>) -> Job {
    let job = Job::new();
    let numbers = Generator::new(3, |n| (n < COUNT).then_some(n));
    let numbers = rate.map_or(numbers.clone(), |rate| numbers.rate(rate));
    job.source(numbers, Watermarks::monotone(|n: &u64| *n as i64)).rebalance().sink(out);
    job
}

fn options(store: &Arc<dyn Store>, workers: usize) -> Options {
    let snapshots = Snapshots::in_store(Arc::clone(store)).every(millis(20)).restore(Restore::Latest);
    Options::default().workers(workers).snapshots(snapshots)
}

#[test]
fn a_job_that_is_suspended_goes_on_where_it_was() {
    let (store, out): (Arc<dyn Store>, _) = (Arc::new(Memory::default()), Ledger::new());
    for workers in [2, 1, 3] {
        let running = job(Some(30_000.0), out.clone()).start(options(&store, workers)).unwrap();
        thread::sleep(Duration::from_millis(150));
        running.suspend().unwrap();
    }
    job(None, out.clone()).run_with(options(&store, 2)).unwrap();
    assert_eq!(out.visible(), (0..COUNT).collect::<Vec<_>>());
}

/// A store on a disk that is full at times.
#[derive(Debug, Default)]
struct Full {
    memory: Memory,
    is_full: AtomicBool,
}

impl Store for Full {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), PutError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(Error::config("the disk is full").into());
        }
        self.memory.create(name, bytes)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.memory.read(name)
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        self.memory.read_range(name, offset, len)
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        self.memory.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.memory.delete(name)
    }
}

#[test]
fn a_disk_that_is_full_ends_a_job_at_its_last_snapshot_at_worst() {
    let full = Arc::new(Full::default());
    let store: Arc<dyn Store> = full.clone();
    let out = Ledger::new();
    let running = job(Some(30_000.0), out.clone()).start(options(&store, 2)).unwrap();
    thread::sleep(Duration::from_millis(150));
    full.is_full.store(true, Ordering::SeqCst);
    thread::sleep(Duration::from_millis(100));
    // It has ended with an error by now, or it suspends with one, or it has found room for the last snapshot:
    // but it ends.
    let _ = running.suspend();
    full.is_full.store(false, Ordering::SeqCst);
    job(None, out.clone()).run_with(options(&store, 2)).unwrap();
    assert_eq!(out.visible(), (0..COUNT).collect::<Vec<_>>());
}
