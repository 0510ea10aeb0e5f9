//! Stores against a map, and what each kind promises beyond.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::error::Result;
use crate::object::local::Sync;
use crate::object::*;

#[derive(Clone, Debug)]
pub(super) enum Call {
    Create(usize, Vec<u8>),
    Read(usize),
    Range(usize, u64, usize),
    List(usize),
    Delete(usize),
}

const NAMES: [&str; 5] = ["log/1", "log/2", "pages/1/a", "pages/10/a", "names/..a"];
const PREFIXES: [&str; 6] = ["", "log/", "log/2", "pages/1", "pages/1/", "none/"];

pub(super) fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        (0..5usize, prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(n, bytes)| Call::Create(n, bytes)),
        (0..5usize).prop_map(Call::Read),
        (0..5usize, 0..9u64, 0..9usize).prop_map(|(n, offset, len)| Call::Range(n, offset, len)),
        (0..6usize).prop_map(Call::List),
        (0..5usize).prop_map(Call::Delete),
    ]
}

pub(super) fn compare(store: &dyn Store, calls: &[Call]) {
    let mut map: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for call in calls {
        match call {
            Call::Create(n, bytes) => match store.create(NAMES[*n], bytes) {
                Ok(()) => assert!(map.insert(NAMES[*n], bytes.clone()).is_none()),
                Err(PutError::Exists) => assert!(map.contains_key(NAMES[*n])),
                Err(PutError::Failed(error)) => panic!("{error}"),
            },
            Call::Read(n) => assert_eq!(store.read(NAMES[*n]).unwrap().as_ref(), map.get(NAMES[*n])),
            Call::Range(n, offset, len) => {
                let range = store.read_range(NAMES[*n], *offset, *len);
                let start = *offset as usize;
                match map.get(NAMES[*n]) {
                    None => assert_eq!(range.unwrap(), None),
                    Some(bytes) => match bytes.get(start..start + len) {
                        Some(bytes) => assert_eq!(range.unwrap().as_deref(), Some(bytes)),
                        None => assert!(range.unwrap_err().to_string().contains(NAMES[*n])),
                    },
                }
            }
            Call::List(n) => {
                let expected = map.iter().filter(|(name, _)| name.starts_with(PREFIXES[*n]));
                let expected: Vec<_> = expected.map(|(name, b)| (name.to_string(), b.len() as u64)).collect();
                assert_eq!(store.list(PREFIXES[*n]).unwrap(), expected);
            }
            Call::Delete(n) => {
                store.delete(NAMES[*n]).unwrap();
                map.remove(NAMES[*n]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_store_is_a_map_that_creates_once(calls in prop::collection::vec(call(), 1..40)) {
        compare(&Memory::default(), &calls);
        let directory = TempDir::new().unwrap();
        compare(&Local::open_unsynced(directory.path()).unwrap(), &calls);
        compare(&Faulty::new(Arc::new(Memory::default()), 1, Faults::default()), &calls);
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let directory = TempDir::new().unwrap();
    let local = Local::open_unsynced(directory.path()).unwrap();
    let long = "a".repeat(513);
    let names =
        ["", "..", "a/../b", "/etc/passwd", "a//b", "a/", "a\\b", "a\0b", "./a", ".temporary/a", "é", &long];
    for name in names {
        for store in [&local as &dyn Store, &Memory::default()] {
            assert!(matches!(store.create(name, b"x"), Err(PutError::Failed(_))), "{name:?}");
            assert!(store.read(name).is_err() && store.read_range(name, 0, 0).is_err(), "{name:?}");
            assert!(store.delete(name).is_err(), "{name:?}");
        }
    }
    assert!(local.list("../").is_err() && local.list("/").is_err() && local.list(".temporary/").is_err());
}

#[test]
fn symbolic_links_are_not_followed() {
    let (outside, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("secret"), b"secret").unwrap();
    let store = Local::open_unsynced(directory.path()).unwrap();
    std::os::unix::fs::symlink(outside.path(), directory.path().join("log")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), directory.path().join("file")).unwrap();
    assert!(store.read("log/secret").unwrap_err().to_string().contains("symbolic link"));
    assert!(store.read("file").is_err() && store.create("log/new", b"").is_err());
    assert!(store.delete("log/secret").is_err() && store.list("log/").is_err());
    assert!(store.list("").unwrap().is_empty());
    assert!(outside.path().join("secret").exists() && !outside.path().join("new").exists());
}

#[test]
fn of_many_threads_one_creates() {
    let directory = TempDir::new().unwrap();
    let store = Local::open(directory.path()).unwrap();
    let barrier = Barrier::new(8);
    let won: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u8)
            .map(|n| {
                let (store, barrier) = (&store, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    usize::from(store.create("log/1", &[n; 100]).is_ok())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
    let bytes = store.read("log/1").unwrap().unwrap();
    assert!(bytes.len() == 100 && bytes.iter().all(|byte| *byte == bytes[0]));
    assert_eq!(fs::read_dir(directory.path().join(".temporary")).unwrap().count(), 0);
}

#[test]
fn after_a_failed_sync_nothing_is_believed() {
    let directory = TempDir::new().unwrap();
    let store = Local::with(directory.path(), Sync::Fail).unwrap();
    assert!(matches!(store.create("log/1", b"x"), Err(PutError::Failed(_))));
    assert!(store.read("log/1").unwrap_err().to_string().contains("sync failed"));
    assert!(store.list("log/").is_err());
    assert!(Local::open(directory.path()).unwrap().list("log/").unwrap().is_empty());
}

#[test]
fn leftovers_are_swept_when_they_are_old() {
    let directory = TempDir::new().unwrap();
    let store = Local::open_unsynced(directory.path()).unwrap();
    fs::write(directory.path().join(".temporary/half"), b"half").unwrap();
    assert_eq!(store.list("").unwrap(), []);
    assert_eq!(store.sweep(Duration::from_secs(3600)).unwrap(), 0);
    assert_eq!(store.sweep(Duration::ZERO).unwrap(), 1);
    assert_eq!(store.sweep(Duration::ZERO).unwrap(), 0);
}

#[test]
fn a_store_that_overwrites_is_refused() {
    #[derive(Debug)]
    struct Overwriting(Memory);
    impl Store for Overwriting {
        fn create(&self, name: &str, bytes: &[u8]) -> Result<(), PutError> {
            self.0.delete(name)?;
            self.0.create(name, bytes)
        }
        fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
            self.0.read(name)
        }
        fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
            self.0.read_range(name, offset, len)
        }
        fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
            self.0.list(prefix)
        }
        fn delete(&self, name: &str) -> Result<()> {
            self.0.delete(name)
        }
    }
    let memory = Memory::default();
    check(&memory).unwrap();
    assert_eq!(memory.list("").unwrap(), [], "the probe is removed");
    assert!(check(&Overwriting(memory)).unwrap_err().to_string().contains("creates one name twice"));
    let directory = TempDir::new().unwrap();
    check(&Local::open(directory.path()).unwrap()).unwrap();
}

#[test]
fn faults_come_at_their_rates_and_again_under_the_same_seed() {
    let faults = Faults {
        before: 0.1,
        after: 0.1,
        torn: 0.5,
        short: 0.1,
        stale: 0.5,
        stale_by: 3,
        ..Faults::default()
    };
    let run = |seed| {
        let memory = Memory::default();
        let store = Faulty::new(Arc::new(memory.clone()), seed, faults);
        let outcomes: Vec<(bool, bool, usize)> = (0..500)
            .map(|n| {
                let name = format!("log/{n:03}");
                let is_put = store.create(&name, b"four").is_ok();
                (is_put, store.read(&name).is_ok(), store.list("log/").unwrap_or_default().len())
            })
            .collect();
        (outcomes, memory)
    };
    let (outcomes, memory) = run(3);
    assert_eq!(outcomes, run(3).0);
    assert_ne!(outcomes, run(4).0);
    let failed = outcomes.iter().filter(|(is_put, ..)| !is_put).count();
    let unread = outcomes.iter().filter(|(_, is_read, _)| !is_read).count();
    assert!((60..140).contains(&failed) && (60..140).contains(&unread), "{failed} {unread}");
    let there = memory.list("log/").unwrap().len();
    assert!((420..480).contains(&there), "some failed and yet are there: {there}");
    let torn = memory.list("torn/").unwrap();
    assert!((10..50).contains(&torn.len()) && torn.iter().all(|(_, len)| *len == 2));
    let is_backward = outcomes.windows(2).any(|two| two[1].2 != 0 && two[1].2 < two[0].2);
    assert!(is_backward, "lists are stale");
}

#[test]
fn a_crash_ends_all() {
    for (crash_after, expected) in [(false, 2), (true, 3)] {
        let memory = Memory::default();
        let faults = Faults { crash: Some(2), crash_after, ..Faults::default() };
        let store = Faulty::new(Arc::new(memory.clone()), 0, faults);
        let done = (0..9).filter(|n| store.create(&format!("log/{n}"), b"").is_ok()).count();
        assert_eq!((done, memory.list("log/").unwrap().len()), (2, expected));
        assert!(store.read("log/0").is_err() && store.list("").is_err() && store.delete("log/0").is_err());
    }
}
