//! Stores in object stores that are no services: in memory and in files.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::object::tests::{call, compare};
use crate::object::*;

pub(crate) fn over(client: impl ObjectStore) -> Remote {
    Remote::over(Arc::new(client), "jobs/a").unwrap()
}

pub(crate) fn files(directory: &TempDir) -> Remote {
    over(LocalFileSystem::new_with_prefix(directory.path()).unwrap().with_fsync(true))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_object_store_is_a_map_that_creates_once(calls in prop::collection::vec(call(), 1..40)) {
        compare(&over(InMemory::new()), &calls);
        compare(&Remote::over(Arc::new(InMemory::new()), "").unwrap(), &calls);
        compare(&files(&TempDir::new().unwrap()), &calls);
    }
}

#[test]
fn names_and_prefixes_that_lead_elsewhere_are_refused() {
    let store = over(InMemory::new());
    for name in ["", "..", "a/../b", "/a", "a//b", "a/", "a\\b", "é"] {
        assert!(matches!(store.create(name, b"x"), Err(PutError::Failed(_))), "{name:?}");
        assert!(store.read(name).is_err() && store.read_range(name, 0, 0).is_err(), "{name:?}");
        assert!(store.delete(name).is_err(), "{name:?}");
    }
    assert!(store.list("../").is_err() && store.list("/").is_err());
    for prefix in ["..", "a/../b", "a//b"] {
        assert!(Remote::over(Arc::new(InMemory::new()), prefix).is_err(), "{prefix:?}");
    }
}

#[test]
fn two_prefixes_are_two_stores() {
    let client: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let [one, two, above] =
        ["jobs/a", "/jobs/ab/", ""].map(|prefix| Remote::over(Arc::clone(&client), prefix).unwrap());
    one.create("log/1", b"one").unwrap();
    two.create("log/1", b"other").unwrap();
    assert_eq!(one.list("").unwrap(), [("log/1".to_owned(), 3)]);
    assert_eq!(above.list("jobs/a").unwrap().len(), 2);
    assert_eq!(above.read("jobs/ab/log/1").unwrap().as_deref(), Some(&b"other"[..]));
}
