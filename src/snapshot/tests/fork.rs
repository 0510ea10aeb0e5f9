//! Stores that begin with a snapshot of another.

use std::os::unix::fs::MetadataExt;

use crate::error::ErrorKind;
use crate::snapshot::tests::*;

fn latest(repository: &Repository) -> Manifest {
    repository.find(&Selector::Latest).unwrap().unwrap().1
}

/// A store that three runs have written to.
fn written(store: &Arc<dyn Store>) {
    for run in 0..3 {
        Run::claim(store).unwrap().snapshots(3 * run + 1..=3 * run + 3);
    }
}

#[test]
fn a_fork_goes_on_beside_the_store_that_it_is_of() {
    let (memory, store, repository) = crate::snapshot::tests::memory();
    written(&store);
    let before = memory.changes().len();
    let (other, into, fork) = crate::snapshot::tests::memory();
    let forked = repository.fork(&Selector::Epoch(8), into.clone()).unwrap();
    assert_eq!(memory.changes().len(), before, "the store was changed");
    assert_eq!((forked.epoch, forked.previous, fork.list().unwrap().len()), (8, None, 1));
    assert_eq!(latest(&fork), forked);
    assert_eq!(assert_sound(&other), Some(8));

    // Both go on, with names that were not used before, and collect what they do not need.
    for (store, memory, last) in [(&store, &memory, 12), (&into, &other, 11)] {
        let mut run = Run::claim(store).unwrap();
        assert_eq!(run.lease.generation(), 4);
        run.snapshots(run.next_epoch()..=last);
        open(memory).gc(1, NO_GRACE).unwrap();
        assert_eq!(assert_sound(memory), Some(last));
    }
    let pages = |repository: &Repository| latest(repository).pages().cloned().collect::<Vec<_>>();
    for page in pages(&fork) {
        fork.page(&page, EXPECTED).unwrap();
    }
}

#[test]
fn local_stores_share_what_they_have_by_links() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let open = |name: &str| -> Arc<dyn Store> { Arc::new(Local::open_unsynced(path(name)).unwrap()) };
    let (store, into) = (open("one"), open("other"));
    written(&store);
    let forked = still(store.clone()).fork(&Selector::Latest, into.clone()).unwrap();
    for page in forked.pages() {
        assert_eq!(path("other").join(&*page.segment).metadata().unwrap().nlink(), 2);
    }
    std::fs::remove_dir_all(path("one")).unwrap();
    let report = still(into).verify().unwrap();
    assert_eq!((report.manifests, report.findings), (1, vec![]));
}

#[test]
fn what_sinks_have_prepared_stays_where_it_was() {
    let (_, store, repository) = crate::snapshot::tests::memory();
    let mut lease = repository.claim("job").unwrap();
    let mut manifest = lease.manifest(1, Cause::Interval, 1);
    let operator = |kind: &str| {
        let note = Note { name: "prepared".to_owned(), worker: 0, bytes: vec![1] };
        let (uid, kind) = (format!("{kind}-0"), kind.to_owned());
        OperatorState { uid, kind, tables: Vec::new(), notes: vec![note] }
    };
    manifest.operators = vec![operator("source"), operator("sink")];
    lease.commit(manifest).unwrap();
    let (other, into, _) = crate::snapshot::tests::memory();
    let forked = still(store).fork(&Selector::Latest, into).unwrap();
    assert_eq!(forked.operators.iter().map(|one| one.notes.len()).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(assert_sound(&other), Some(1));
}

#[test]
fn a_store_that_holds_anything_is_not_forked_into() {
    let (_, store, repository) = crate::snapshot::tests::memory();
    let refused = |selector: Selector, into: &Arc<dyn Store>, kind, what: &str| {
        let error = repository.fork(&selector, into.clone()).unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(what), "{error}");
    };
    let (_, into, _) = crate::snapshot::tests::memory();
    refused(Selector::Latest, &into, ErrorKind::Config, "no snapshot yet");
    written(&store);
    refused(Selector::Epoch(77), &into, ErrorKind::Config, "epoch 77");
    refused(Selector::Latest, &store, ErrorKind::Config, "not empty");
    into.create("notes.txt", b"mine").unwrap();
    refused(Selector::Latest, &into, ErrorKind::Config, "notes.txt");

    let (other, into, _) = crate::snapshot::tests::memory();
    let segment = latest(&repository).pages().next().unwrap().segment.clone();
    store.delete(&segment).unwrap();
    refused(Selector::Latest, &into, ErrorKind::Data, &segment);
    assert_eq!(open(&other).list().unwrap(), []);
}

#[test]
fn a_fork_into_a_store_that_fails_is_whole_or_none() {
    let (_, store, repository) = crate::snapshot::tests::memory();
    written(&store);
    let mut whole = 0;
    for seed in 0..200 {
        let (other, into, fork) = crate::snapshot::tests::memory();
        let faults = Faults { before: 0.1, after: 0.1, ..Faults::default() };
        let forked = repository.fork(&Selector::Latest, Arc::new(Faulty::new(into, seed, faults)));
        match forked {
            Ok(forked) => {
                whole += 1;
                assert_eq!(latest(&fork), forked);
            }
            Err(_) => assert!(fork.list().unwrap().len() <= 1),
        }
        assert_sound(&other);
    }
    assert!((20..200).contains(&whole), "{whole} forks were made");
}
