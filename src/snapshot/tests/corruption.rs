//! Whatever becomes of the bytes in a store, nobody takes them for a snapshot.

use crate::data::Ownership;
use crate::snapshot::tests::*;

/// A store with two snapshots, and the names of all its objects.
fn filled() -> (Memory, Repository) {
    let (memory, store, repository) = memory();
    let mut run = Run::claim(&store).unwrap();
    run.snapshot(1).unwrap();
    run.snapshot(2).unwrap();
    (memory, repository)
}

/// Ways to damage an object at a position.
fn damaged(bytes: &[u8], at: usize) -> Vec<Vec<u8>> {
    let mut ways = vec![bytes[..at].to_vec()];
    for change in [1, 0x80, 0xff, bytes[at]] {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= change;
        ways.push(flipped);
    }
    let mut swapped = bytes.to_vec();
    swapped.swap(at, (at + 1) % bytes.len());
    ways.push(swapped);
    let mut longer = bytes.to_vec();
    longer.insert(at, 7);
    ways.push(longer);
    ways.retain(|way| way != bytes);
    ways
}

#[test]
fn a_damaged_last_manifest_is_told_and_not_skipped() {
    let (memory, repository) = filled();
    let name = "log/00000000000000000003";
    let bytes = memory.read(name).unwrap().unwrap();
    for at in 0..bytes.len() {
        for way in damaged(&bytes, at) {
            memory.spoil(name, &way);
            let error = repository.find(&Selector::Latest).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
    assert!(repository.claim("job").unwrap_err().to_string().contains(name));
    assert!(repository.list().unwrap_err().to_string().contains(name));
    assert!(repository.gc(1, NO_GRACE).unwrap_err().to_string().contains(name));
    assert!(repository.find(&Selector::Epoch(2)).unwrap_err().to_string().contains(name));
    assert_eq!(repository.find(&Selector::Epoch(1)).unwrap().unwrap().1.epoch, 1, "one may ask for another");
    let findings = repository.verify().unwrap().findings;
    assert!(findings.len() == 1 && findings[0].object == name, "{findings:?}");
    memory.spoil(name, &bytes);
    assert_eq!(assert_sound(&memory), Some(2));
}

#[test]
fn a_damaged_segment_is_told_by_name() {
    let (memory, repository) = filled();
    let (_, manifest) = repository.find(&Selector::Latest).unwrap().unwrap();
    let segments = memory.list("pages/").unwrap();
    let mut seed = 7;
    for _ in 0..1000 {
        let (name, len) = &segments[draw(&mut seed, segments.len() as u64) as usize];
        let bytes = memory.read(name).unwrap().unwrap();
        for way in damaged(&bytes, draw(&mut seed, *len) as usize) {
            memory.spoil(name, &way);
            let pages = manifest.pages().filter(|page| *page.segment == **name);
            let errors: Vec<String> = pages
                .filter_map(|page| repository.page(page, EXPECTED).err())
                .map(|e| e.to_string())
                .collect();
            assert!(!errors.is_empty() && errors.iter().all(|error| error.contains(name)), "{errors:?}");
        }
        memory.spoil(name, &bytes);
    }
    let name = &segments[0].0;
    let bytes = memory.read(name).unwrap().unwrap();
    memory.spoil(name, &vec![0; bytes.len()]);
    let findings = repository.verify().unwrap().findings;
    assert!(findings.len() == 2 && findings.iter().all(|finding| finding.object == *name), "{findings:?}");
    memory.delete(name).unwrap();
    let findings = repository.verify().unwrap().findings;
    assert!(findings.len() == 2 && findings[0].what.contains("missing"), "{findings:?}");
}

#[test]
fn objects_that_changed_places_are_told() {
    let (memory, repository) = filled();
    let [two, three] = ["log/00000000000000000002", "log/00000000000000000003"];
    let (first, second) = (memory.read(two).unwrap().unwrap(), memory.read(three).unwrap().unwrap());
    memory.spoil(two, &second);
    memory.spoil(three, &first);
    let error = repository.find(&Selector::Latest).unwrap_err().to_string();
    assert!(error.contains(three) && error.contains("another object"), "{error}");

    let (memory, repository) = filled();
    for (selector, name) in [(Selector::Epoch(1), "one"), (Selector::Epoch(2), "two")] {
        repository.keep(&selector, name).unwrap();
    }
    memory.spoil("names/one", &memory.read("names/two").unwrap().unwrap());
    assert!(
        repository.find(&Selector::Name("one".to_owned())).unwrap_err().to_string().contains("names/one")
    );
    memory.delete(two).unwrap();
    let findings = repository.verify().unwrap().findings;
    assert!(findings.iter().any(|finding| finding.object == "names/one"), "{findings:?}");
}

/// Puts a changed manifest in the last one's place, with all checksums right, and tells what is found.
fn findings_of(change: impl Fn(&mut Manifest)) -> Vec<String> {
    let (memory, repository) = filled();
    let (number, mut manifest) = repository.find(&Selector::Latest).unwrap().unwrap();
    change(&mut manifest);
    memory.spoil(&format!("log/{number:020}"), &Entry::Manifest(manifest).encode(number).unwrap());
    repository.verify().unwrap().findings.iter().map(Finding::to_string).collect()
}

#[test]
fn a_manifest_that_cannot_be_is_found() {
    assert_eq!(findings_of(|_| {}), [] as [&str; 0]);
    let found = |what: &str, change: fn(&mut Manifest)| {
        let findings = findings_of(change);
        assert!(findings.iter().any(|finding| finding.contains(what)), "{what}: {findings:?}");
    };
    fn shards(manifest: &mut Manifest) -> &mut Vec<Shard> {
        &mut manifest.operators[0].tables[0].shards
    }
    found("by workers [0]", |m| drop(shards(m).pop()));
    found("by workers [0, 0, 1]", |m| {
        let first = shards(m)[0].clone();
        shards(m).push(first);
    });
    found("keys of others", |m| shards(m)[0].worker = 1);
    found("there were 3", |m| (m.workers, m.ownership) = (3, Ownership::uniform(3)));
    found("who owned which keys", |m| m.workers = 3);
    found("keys of others", |m| m.ownership = Ownership::weighted(&[5, 1]).unwrap());
    found("out of order", |m| shards(m)[0].runs.reverse());
    found("out of order", |m| shards(m)[0].runs[1].epochs = (2, 3));
    found("links to another", |m| m.previous = Some((2, 1)));
    found("does not link", |m| m.previous = None);
    found("links to 1", |m| m.previous = Some((1, 1)));
    found("after it", |m| m.previous = Some((9, 1)));
    found("epoch 1 after epoch 1", |m| m.epoch = 1);
    found("did not hold the store", |m| m.generation = 2);
    found("did not hold the store", |m| m.nonce ^= 1);
    found("twice", |m| m.operators.push(m.operators[0].clone()));
    found("is of counts/values", |m| m.operators[0].tables[0].name = "other".to_owned());
    found("another type", |m| m.operators[0].tables[0].schema.fingerprint = 1);
    found("does not hold the rows", |m| shards(m)[0].runs[0].pages[0].rows = 1);
    found("is damaged", |m| shards(m)[0].runs[0].pages[0].crc ^= 1);
}
