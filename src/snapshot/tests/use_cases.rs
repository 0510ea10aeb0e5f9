//! What a store of snapshots is for.

use crate::clock::Clock;
use crate::snapshot::tests::*;

#[test]
fn a_snapshot_is_found_and_its_pages_are_read() {
    let directory = tempfile::TempDir::new().unwrap();
    let store: Arc<dyn Store> = Arc::new(Local::open(directory.path()).unwrap());
    let mut run = Run::claim(&store).unwrap();
    assert_eq!((run.lease.generation(), run.lease.from(), run.lease.last_epoch()), (1, None, None));
    let first = run.snapshot(5).unwrap();
    let second = run.snapshot(9).unwrap();
    assert_eq!((first.epoch, second.epoch, second.number), (5, 9, first.number + 1));

    let repository = Repository::open(store.clone());
    let (number, latest) = repository.find(&Selector::Latest).unwrap().unwrap();
    assert_eq!(
        (number, latest.epoch, latest.previous),
        (second.number, 9, Some((first.number, first.checksum)))
    );
    assert_eq!((latest.rows(), latest.pages().count()), (16, 8));
    assert_eq!(repository.find(&Selector::Epoch(5)).unwrap().unwrap().0, first.number);
    assert_eq!(repository.find(&Selector::Epoch(7)).unwrap(), None);
    assert_eq!(repository.list().unwrap().iter().map(|(_, m)| m.epoch).collect::<Vec<_>>(), [5, 9]);
    for page in latest.pages() {
        let (head, body) = repository.page(page, EXPECTED).unwrap();
        let rows: Vec<(u64, u64)> = head.codec.decode(&body, head.rows as usize).unwrap();
        assert_eq!(rows, [(head.hashes.0, head.epochs.0), (head.hashes.1, head.epochs.0)]);
    }
    let report = repository.verify().unwrap();
    assert_eq!((report.manifests, report.pages, report.findings), (2, 8, vec![]));

    let next = Run::claim(&store).unwrap();
    assert_eq!((next.lease.generation(), next.lease.from().unwrap().0), (2, second.number));
    assert_eq!(next.lease.last_epoch(), Some(9));
}

#[test]
fn a_page_of_another_name_or_place_is_refused() {
    let (_, store, repository) = memory();
    let mut run = Run::claim(&store).unwrap();
    run.snapshot(1).unwrap();
    let (_, manifest) = repository.find(&Selector::Latest).unwrap().unwrap();
    let pages: Vec<&PageRef> = manifest.pages().collect();
    let refused = |page: &PageRef, expected, what: &str| {
        let error = repository.page(page, expected).unwrap_err().to_string();
        assert!(error.contains(&*page.segment) && error.contains(what), "{error}");
    };
    let page = pages[0];
    refused(page, Expected { uid: "sums", ..EXPECTED }, "is of counts/values");
    refused(page, Expected { table: "timers", ..EXPECTED }, "is of counts/values");
    refused(page, Expected { fingerprint: 8, ..EXPECTED }, "another type");
    refused(&PageRef { rows: 3, ..page.clone() }, EXPECTED, "does not hold the rows");
    refused(&PageRef { hashes: (9, 11), ..page.clone() }, EXPECTED, "does not hold the rows");
    refused(&PageRef { offset: pages[1].offset, ..page.clone() }, EXPECTED, "");
    refused(&PageRef { segment: pages[2].segment.clone(), ..page.clone() }, EXPECTED, "damaged");
    refused(&PageRef { len: page.len - 1, ..page.clone() }, EXPECTED, "damaged");
    refused(&PageRef { len: u32::MAX, ..page.clone() }, EXPECTED, "no 4294967295 bytes");
    refused(&PageRef { segment: "pages/1/none".into(), ..page.clone() }, EXPECTED, "is missing");
    // A shard of another number of workers means a part of it.
    repository.page(&PageRef { hashes: (11, 11), ..page.clone() }, EXPECTED).unwrap();
}

#[test]
fn a_manifest_names_only_what_is_there() {
    let (_, store, _) = memory();
    let mut run = Run::claim(&store).unwrap();
    run.snapshot(1).unwrap();
    let refused = |run: &mut Run, manifest: Manifest| {
        let error = run.lease.commit(manifest).unwrap_err();
        assert!(
            matches!(&error, CommitError::Failed(error) if error.to_string().contains("pages/")),
            "{error}"
        );
    };
    let mut manifest = run.write(2).unwrap();
    let shard = &mut manifest.operators[0].tables[0].shards[0];
    shard.runs[0].pages[0].segment = "pages/1/00000000000000000002-00000-99".into();
    refused(&mut run, manifest);
    // A segment written for an epoch before the last snapshot is garbage by now.
    let late = run.write(2).unwrap();
    run.snapshot(3).unwrap();
    refused(&mut run, Manifest { epoch: 4, ..late });
    // Nothing was wrong with the lease.
    run.snapshot(4).unwrap();
    // A segment that was begun and not finished is not there.
    let mut segment = run.lease.segment(5, 0).unwrap();
    let page = segment.add(&head(5, (1, 2)), b"").unwrap();
    let mut manifest = run.write(5).unwrap();
    manifest.operators[0].tables[0].shards[0].runs[2].pages[0] = page.clone();
    refused(&mut run, manifest);
    // Nor is one that is finished when its epoch is past.
    run.snapshot(5).unwrap();
    segment.finish().unwrap();
    let mut manifest = run.write(6).unwrap();
    manifest.operators[0].tables[0].shards[0].runs[2].pages[0] = page;
    refused(&mut run, manifest);
}

#[test]
fn epochs_ascend() {
    let (_, store, _) = memory();
    let mut run = Run::claim(&store).unwrap();
    run.snapshot(7).unwrap();
    assert!(run.lease.segment(7, 0).is_err() && run.snapshot(6).is_err());
    let mut next = Run::claim(&store).unwrap();
    assert!(next.snapshot(7).is_err());
    assert_eq!(next.snapshot(8).unwrap().epoch, 8);
}

#[test]
fn a_store_serves_one_job() {
    let (_, store, repository) = memory();
    Run::claim(&store).unwrap().snapshot(1).unwrap();
    assert!(repository.claim("other").unwrap_err().to_string().contains("\"job\""));
}

#[test]
fn a_run_that_was_followed_writes_no_more() {
    let (memory, store, _) = crate::snapshot::tests::memory();
    let mut run = Run::claim(&store).unwrap();
    run.snapshot(1).unwrap();
    let segment = run.write(2).unwrap();
    let mut next = Run::claim(&store).unwrap();
    next.snapshot(2).unwrap();
    assert!(matches!(run.lease.commit(segment), Err(CommitError::Fenced)));
    assert!(run.lease.is_fenced() && !next.lease.is_fenced());
    let before = memory.changes().len();
    assert!(run.lease.segment(3, 0).is_err());
    assert!(matches!(run.snapshot(4), Err(CommitError::Failed(_))));
    let empty = run.lease.manifest(4, Cause::Stop, WORKERS);
    assert!(matches!(run.lease.commit(empty), Err(CommitError::Fenced)));
    assert_eq!(memory.changes().len(), before);
    assert_eq!(assert_sound(&memory), Some(2));
}

#[test]
fn a_name_keeps_a_snapshot() {
    let (memory, store, repository) = memory();
    let mut run = Run::claim(&store).unwrap();
    assert!(repository.keep(&Selector::Latest, "none").unwrap_err().to_string().contains("no snapshot yet"));
    run.snapshot(1).unwrap();
    let kept = repository.keep(&Selector::Latest, "before-upgrade_1.0").unwrap();
    assert_eq!(
        repository.keep(&Selector::Epoch(1), "before-upgrade_1.0").unwrap(),
        kept,
        "again is no matter"
    );
    run.snapshots(2..=9);
    assert!(
        repository.keep(&Selector::Latest, "before-upgrade_1.0").unwrap_err().to_string().contains("epoch 1")
    );
    for name in ["", "..", ".", "a/b", "a b", "é", &"a".repeat(101)] {
        assert!(repository.keep(&Selector::Latest, name).is_err(), "{name:?}");
        assert!(repository.find(&Selector::Name(name.to_owned())).is_err(), "{name:?}");
    }
    let collected = repository.gc(1, NO_GRACE).unwrap();
    // Snapshots 2 to 8, and the segments of epochs 2 to 6, of two workers.
    assert_eq!((collected.manifests, collected.segments), (7, 10));
    assert_eq!(repository.names().unwrap(), [kept]);
    let name = Selector::Name("before-upgrade_1.0".to_owned());
    assert_eq!(repository.find(&name).unwrap().unwrap().1.epoch, 1);
    assert!(repository.delete(&Selector::Epoch(1)).unwrap_err().to_string().contains("has a name"));
    assert_sound(&memory);

    // A run goes on from it, and so it stays when its name is gone.
    let lease = repository.claim_from("job", &name).unwrap();
    assert_eq!((lease.from().unwrap().1.epoch, lease.last_epoch()), (1, Some(9)));
    repository.delete(&name).unwrap();
    assert_eq!(repository.find(&name).unwrap(), None);
    assert!(repository.delete(&name).is_err());
    assert_eq!(repository.gc(1, NO_GRACE).unwrap().manifests, 0);
    let mut run = Run::new(lease);
    run.snapshot(10).unwrap();
    assert_eq!(run.last.as_ref().unwrap().pages().count(), 8, "it names segments of the first");
    assert_eq!(assert_sound(&memory), Some(10));
}

#[test]
fn what_is_last_is_never_deleted() {
    let (memory, store, repository) = memory();
    let mut run = Run::claim(&store).unwrap();
    assert_eq!(repository.gc(0, NO_GRACE).unwrap(), Reclaimed::default());
    run.snapshots(1..=3);
    assert!(repository.delete(&Selector::Latest).is_err() && repository.delete(&Selector::Epoch(3)).is_err());
    repository.delete(&Selector::Epoch(2)).unwrap();
    assert!(repository.delete(&Selector::Epoch(2)).is_err());
    assert_eq!(assert_sound(&memory), Some(3));
    repository.gc(0, NO_GRACE).unwrap();
    assert_eq!(repository.list().unwrap().len(), 1);
    assert_eq!(assert_sound(&memory), Some(3));
    assert_eq!(memory.list("gc/").unwrap(), []);
    run.snapshot(4).unwrap();
    assert_eq!(assert_sound(&memory), Some(4));
}

#[test]
fn what_was_of_use_lately_stays() {
    let clock = Clock::manual();
    let (memory, store, repository) = memory();
    let repository = repository.clock(clock.clone());
    let mut run = Run::new(repository.claim("job").unwrap());
    for epoch in 1..=5 {
        clock.advance(Duration::from_secs(10));
        run.snapshot(epoch).unwrap();
    }
    clock.advance(Duration::from_secs(5));
    // 3 ceased to be the last 15 seconds ago, 2 did 25 seconds ago.
    assert_eq!(repository.gc(1, Duration::from_secs(20)).unwrap().manifests, 2);
    let epochs = || repository.list().unwrap().iter().map(|(_, m)| m.epoch).collect::<Vec<_>>();
    assert_eq!(epochs(), [3, 4, 5]);
    assert_eq!(repository.gc(1, Duration::from_secs(3600)).unwrap(), Reclaimed::default());
    assert_eq!(repository.gc(2, NO_GRACE).unwrap().manifests, 1);
    assert_eq!(epochs(), [4, 5]);
    // A segment that its run has not yet committed, of a time long ago.
    let pending = run.write(6).unwrap();
    clock.advance(Duration::from_secs(3600));
    repository.gc(1, NO_GRACE).unwrap();
    run.lease.commit(pending).unwrap();
    assert_eq!(assert_sound(&memory), Some(6));
    // One that it never will.
    run.write(7).unwrap();
    let _next = Repository::open(store).clock(clock.clone()).claim("job").unwrap();
    assert_eq!(repository.gc(1, Duration::from_secs(1)).unwrap().segments, 0);
    clock.advance(Duration::from_secs(2));
    assert!(repository.gc(1, Duration::from_secs(1)).unwrap().segments >= 2);
    assert_eq!(assert_sound(&memory), Some(6));
}

#[test]
fn what_is_not_ours_is_not_touched() {
    let (memory, store, repository) = memory();
    let mut run = Run::claim(&store).unwrap();
    run.snapshots(1..=9);
    for name in ["pages/readme", "pages/0/00000000000000000001-00000-1.bak", "other/1", "log/readme"] {
        store.create(name, b"keep me").unwrap();
    }
    // A run that the collector does not know of yet.
    store.create("pages/7/00000000000000000001-00000-1", b"new").unwrap();
    repository.gc(1, NO_GRACE).unwrap();
    let left = memory.list("").unwrap().iter().filter(|(_, len)| *len == 7 || *len == 3).count();
    assert_eq!(left, 5);
}
