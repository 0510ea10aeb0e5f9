//! A snapshot of a few workers restored by many: each row is read by exactly one of them, and each worker
//! reads about its share of the bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::config::Options;
use crate::data::{Ownership, hash64};
use crate::error::Result;
use crate::object::{Memory, PutError, Store};
use crate::snapshot::{Manifest, Repository, Restored, Selector, Snapshots};
use crate::state::{Arrangement, ItemRows, Share};
use crate::stream::Job;

/// A store that counts the bytes that are read.
#[derive(Debug, Default)]
struct Counted {
    memory: Memory,
    read: AtomicU64,
}

impl Store for Counted {
    fn create(&self, name: &str, bytes: &[u8]) -> std::result::Result<(), PutError> {
        self.memory.create(name, bytes)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.memory.read(name)
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        self.read.fetch_add(len as u64, SeqCst);
        self.memory.read_range(name, offset, len)
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        self.memory.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.memory.delete(name)
    }
}

const KEYS: u64 = 60_000;

/// The last snapshot of three workers that have counted: key `n` comes `n % 3 + 1` times.
fn counted() -> (Arc<Counted>, Repository, Manifest) {
    let store = Arc::new(Counted::default());
    let job = Job::new();
    let words = job.collection((0..3).flat_map(|round| (0..KEYS).filter(move |key| key % 3 >= round)));
    words.key_by(|key| *key).count().uid("counts").discard();
    let options = Options::default().workers(3).snapshots(Snapshots::in_store(store.clone()));
    job.run_with(options).unwrap();
    let repository = Repository::open(store.clone());
    let (_, manifest) = repository.find(&Selector::Latest).unwrap().unwrap();
    (store, repository, manifest)
}

#[test]
fn each_of_one_to_64_workers_reads_its_share() {
    let (store, repository, manifest) = counted();
    assert_eq!(manifest.workers, 3);
    let pages: Vec<u64> = manifest.pages().map(|page| page.len.into()).collect();
    let (all, largest) = (pages.iter().sum::<u64>(), *pages.iter().max().unwrap());
    assert!(pages.len() > 30, "{} pages are few", pages.len());
    let from = Arc::new(Restored::new(repository, manifest)).operator("counts").unwrap();
    for workers in 1..=64 {
        let mut counts = BTreeMap::new();
        for worker in 0..workers {
            let before = store.read.load(SeqCst);
            let rows = ItemRows::<u64, (), u64>::new(hash64);
            let mut arrangement = Arrangement::unlimited(rows);
            let ownership = Arc::new(Ownership::uniform(workers as u32));
            arrangement.restore("aggregates", &from, &Share { worker, ownership }).unwrap();
            arrangement.each(&mut |(key, ()), kept| {
                let again = counts.insert(key.key, kept.as_ref().unwrap().0);
                assert_eq!(again, None, "key {} has two of {workers} workers", key.key);
            });
            // Hashes are not quite even, and at both ends of its range, or of that of the one who wrote, a
            // worker reads a page of which others have a part.
            let read = store.read.load(SeqCst) - before;
            let writers = (0..3)
                .filter(|writer| writer * workers < (worker + 1) * 3 && (writer + 1) * workers > worker * 3);
            let most = all * 11 / (10 * workers as u64) + 2 * largest * writers.count() as u64;
            assert!(
                read <= most,
                "worker {worker} of {workers} has read {read} bytes of {all}, and {most} are enough"
            );
        }
        assert!(counts.len() as u64 == KEYS && counts.iter().all(|(key, count)| *count == key % 3 + 1));
    }
}

/// Whatever ranges they own, however many each.
#[test]
fn workers_read_what_they_own() {
    let (_, repository, manifest) = counted();
    let from = Arc::new(Restored::new(repository, manifest)).operator("counts").unwrap();
    let begins = (1..23u64).map(|n| (hash64(&n), (n % 5) as u32));
    let scattered: BTreeMap<_, _> = begins.chain([(0, 3)]).collect();
    let maps = [
        Ownership::weighted(&[1, 0, 5, 2]).unwrap(),
        Ownership::new(5, scattered.into_iter().collect()).unwrap(),
        Ownership::new(3, vec![(0, 2), (1, 0), (u64::MAX, 1)]).unwrap(),
    ];
    for ownership in maps.map(Arc::new) {
        let mut owned = vec![0; ownership.workers()];
        for (worker, owned) in owned.iter_mut().enumerate() {
            let rows = ItemRows::<u64, (), u64>::new(hash64);
            let mut arrangement = Arrangement::unlimited(rows);
            let share = Share { worker, ownership: Arc::clone(&ownership) };
            arrangement.restore("aggregates", &from, &share).unwrap();
            arrangement.each(&mut |(key, ()), kept| {
                assert_eq!((ownership.worker_of(key.hash), kept.unwrap().0), (worker, key.key % 3 + 1));
                *owned += 1;
            });
        }
        assert_eq!(owned.iter().sum::<u64>(), KEYS, "{owned:?}");
    }
}
