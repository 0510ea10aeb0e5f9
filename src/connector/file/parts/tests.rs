//! Runs that follow each other, overlap and meet those of others, in one directory.

use super::*;
use crate::connector::PreparedOutput;
use crate::notice::Notices;
use crate::snapshot::Generations;

const EXTENSION: &str = ".txt";

/// The runs of one store, and what its snapshots say.
#[derive(Default)]
struct Runs {
    /// Tells the nonces of these runs from those of others.
    salt: u64,
    claims: Vec<Generation>,
    latest: Option<u64>,
    notices: Notices,
}

impl Runs {
    fn of(salt: u64) -> Runs {
        Runs { salt, ..Runs::default() }
    }

    /// A run claims, and goes on from the snapshot of an epoch with what it names, which the run before it
    /// has written.
    fn next(&mut self, from: Option<(u64, &[&Part])>) -> Recovery<Part> {
        let mut recovery = self.recovery(from);
        let number = self.claims.len() as u64 + 1;
        self.claims.push(Generation { number, nonce: self.salt + number });
        recovery.generations = self.claims.iter().copied().collect();
        recovery
    }

    fn recovery(&self, from: Option<(u64, &[&Part])>) -> Recovery<Part> {
        let from = from.map(|(epoch, parts)| PreparedOutput {
            epoch,
            generation: self.claims.last().copied().unwrap_or(Generation { number: 0, nonce: 0 }),
            prepared: parts.iter().map(|part| (*part).clone()).collect(),
        });
        let generations: Generations = self.claims.iter().copied().collect();
        Recovery { generations, latest: self.latest, anew: false, from, notices: self.notices.clone() }
    }
}

fn open(directory: &Path, recovery: &Recovery<Part>) -> Result<PartDirectory> {
    PartDirectory::open(directory, EXTENSION, recovery, false)
}

fn written(parts: &PartDirectory, epoch: u64, text: &str) -> Part {
    let mut hidden = parts.begin(epoch, 0).unwrap();
    parts.write(&mut hidden, text.as_bytes()).unwrap();
    parts.prepare(hidden).unwrap()
}

/// What readers see, in the order of names.
fn visible(directory: &Path) -> String {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_hidden = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with('.');
    let mut paths: Vec<PathBuf> = entries.filter(|path| !is_hidden(path)).collect();
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

fn hidden(directory: &Path) -> usize {
    Found::look(directory).unwrap().hidden.len()
}

#[test]
fn what_is_named_is_shown_once_and_all_else_is_dropped() {
    let (place, mut runs) = (tempfile::tempdir().unwrap(), Runs::default());
    let at = place.path().join("out");
    let parts = open(&at, &runs.next(None)).unwrap();
    let (first, second, third) = (written(&parts, 1, "a"), written(&parts, 5, "b"), written(&parts, 9, "c"));
    parts.commit(&first).unwrap();
    assert_eq!(visible(&at), "a");
    // It crashed here. The snapshot of epoch 8 names the first, which was shown, and the second.
    runs.latest = Some(8);
    let parts = open(&at, &runs.next(Some((8, &[&first, &second])))).unwrap();
    assert_eq!((visible(&at).as_str(), hidden(&at)), ("ab", 0));
    assert!(parts.commit(&third).is_err(), "what was dropped cannot be shown");
    let again = written(&parts, 9, "c");
    parts.commit(&again).unwrap();
    parts.commit(&again).unwrap();
    assert_eq!(visible(&at), "abc");
    assert!(runs.notices.take().is_empty());
}

#[test]
fn a_run_that_was_stopped_for_a_while_shows_and_deletes_nothing() {
    let (place, mut runs) = (tempfile::tempdir().unwrap(), Runs::default());
    let at = place.path().join("out");
    let begins = runs.next(None);
    let old = open(&at, &begins).unwrap();
    let (first, open_part) = (written(&old, 1, "a"), old.begin(2, 0).unwrap());
    runs.latest = Some(1);
    let new = open(&at, &runs.next(Some((1, &[&first])))).unwrap();
    let mut growing = new.begin(2, 0).unwrap();
    new.write(&mut growing, b"b").unwrap();
    // The old one wakes up: while it writes, and as it takes the directory over, which it thinks is its own.
    let late = old.prepare(open_part).unwrap();
    let told = old.commit(&late).unwrap_err().to_string();
    assert!(told.contains("another run has taken over"), "{told}");
    assert!(old.commit(&first).is_err());
    assert!(open(&at, &begins).is_err());
    old.clear(&begins).unwrap();
    new.commit(&new.prepare(growing).unwrap()).unwrap();
    assert_eq!(visible(&at), "ab");
}

#[test]
fn readers_may_take_parts_away() {
    let (place, mut runs) = (tempfile::tempdir().unwrap(), Runs::default());
    let at = place.path().join("out");
    let parts = open(&at, &runs.next(None)).unwrap();
    let first = written(&parts, 1, "a");
    parts.commit(&first).unwrap();
    fs::remove_file(at.join(&first.name)).unwrap();
    runs.latest = Some(1);
    for _ in 0..2 {
        open(&at, &runs.next(Some((1, &[&first])))).unwrap();
    }
    assert_eq!(visible(&at), "");
}

#[test]
fn output_that_is_ahead_of_the_state_is_refused_or_taken_back() {
    let (place, mut runs) = (tempfile::tempdir().unwrap(), Runs::default());
    let at = place.path().join("out");
    let parts = open(&at, &runs.next(None)).unwrap();
    for (epoch, text) in [(1, "a"), (4, "b"), (7, "c")] {
        parts.commit(&written(&parts, epoch, text)).unwrap();
    }
    fs::write(at.join("notes.txt"), "mine").unwrap();
    // The snapshot of epoch 9 is there or was deleted from the log, or readers have taken the newer parts.
    for latest in [Some(9), Some(3)] {
        runs.latest = latest;
        let recovery = runs.recovery(Some((3, &[])));
        let told = check(&at, &recovery, false).unwrap_err().to_string();
        assert!(told.contains("epoch 3") && told.contains("--overwrite"), "{told}");
        check(&at, &recovery, true).unwrap();
    }
    runs.latest = Some(9);
    assert!(check(&at, &runs.recovery(None), false).is_err(), "the job would begin anew");
    check(&at, &runs.recovery(Some((9, &[]))), false).unwrap();
    assert_eq!(visible(&at), "minea".to_owned() + "bc");
    PartDirectory::open(&at, EXTENSION, &runs.next(Some((3, &[]))), true).unwrap();
    assert_eq!(visible(&at), "minea");
    let anew = Recovery { anew: true, ..runs.next(None) };
    open(&at, &anew).unwrap();
    assert_eq!(visible(&at), "mine");
}

#[test]
fn what_others_have_written_is_refused_and_stays() {
    let place = tempfile::tempdir().unwrap();
    let (at, mut runs, mut others) = (place.path().join("out"), Runs::default(), Runs::of(1 << 32));
    let parts = open(&at, &others.next(None)).unwrap();
    parts.commit(&written(&parts, 1, "a")).unwrap();
    let pending = written(&parts, 2, "b");
    for overwrite in [false, true] {
        for from in [None, Some((5, &[][..]))] {
            let told = PartDirectory::open(&at, EXTENSION, &runs.next(from), overwrite);
            let told = told.err().unwrap().to_string();
            assert!(told.contains("name another output"), "{told}");
        }
    }
    // Without the file that tells whose it is, parts are still not this job's.
    fs::remove_file(at.join(parts.owner_name())).unwrap();
    assert!(open(&at, &runs.next(None)).is_err());
    let strange = place.path().join("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("part-7.csv"), "z").unwrap();
    assert!(PartDirectory::open(&strange, EXTENSION, &runs.next(None), true).is_err());
    assert_eq!((visible(&at), visible(&strange)), ("a".to_owned(), "z".to_owned()));
    assert!(at.join(&pending.hidden).exists());
}

#[test]
fn a_copy_of_the_snapshots_does_not_write_to_the_same_output() {
    let place = tempfile::tempdir().unwrap();
    let (at, mut runs) = (place.path().join("out"), Runs::default());
    open(&at, &runs.next(None)).unwrap();
    let mut copy = Runs { claims: runs.claims.clone(), ..Runs::of(1 << 32) };
    let original = open(&at, &runs.next(Some((1, &[])))).unwrap();
    let told = open(&at, &copy.next(Some((1, &[])))).err().unwrap().to_string();
    assert!(told.contains("name another output"), "{told}");
    original.commit(&written(&original, 2, "a")).unwrap();
}

#[test]
fn another_output_begins_after_the_snapshot_and_completes_the_one_before() {
    let (place, mut runs) = (tempfile::tempdir().unwrap(), Runs::default());
    let (at, other) = (place.path().join("out"), place.path().join("deep/other"));
    let parts = open(&at, &runs.next(None)).unwrap();
    let first = written(&parts, 1, "a");
    runs.latest = Some(1);
    let parts = open(&other, &runs.next(Some((1, &[&first])))).unwrap();
    let told = runs.notices.take();
    assert!(told.len() == 1 && told[0].contains("begins after epoch 1"), "{told:?}");
    parts.commit(&written(&parts, 2, "b")).unwrap();
    assert_eq!((visible(&at), visible(&other)), ("a".to_owned(), "b".to_owned()));
    // Back in the first output, what is in the other would be missing.
    runs.latest = Some(5);
    let told = open(&at, &runs.next(Some((5, &[])))).err().unwrap().to_string();
    assert!(told.contains("a run with another output"), "{told}");
    let mut recovery = runs.recovery(Some((5, &[])));
    recovery.from.as_mut().unwrap().generation = runs.claims[1];
    open(&other, &recovery).unwrap();
}

#[test]
fn parts_of_earlier_versions_are_shown() {
    let (place, mut runs) = (tempfile::tempdir().unwrap(), Runs::default());
    fs::write(place.path().join("part-00000000.txt"), "a").unwrap();
    fs::write(place.path().join(".writing-71-3"), "b").unwrap();
    let part = |hidden: &str, name: &str| Part { hidden: hidden.to_owned(), name: name.to_owned() };
    let (first, second) =
        (part(".writing-71-2", "part-00000000.txt"), part(".writing-71-3", "part-00000001.txt"));
    runs.latest = Some(1);
    let parts = open(place.path(), &runs.next(Some((1, &[&first, &second])))).unwrap();
    assert_eq!(visible(place.path()), "ab");
    parts.commit(&written(&parts, 2, "c")).unwrap();
    let old = Part::at("00000000000000000007-0.json");
    assert!(old.is_old() && old.hidden == ".00000000000000000007-0.json");
    assert_eq!(Part::at("/rows/part-1").path(), "/rows/part-1");
}

#[test]
fn a_file_is_no_directory() {
    let (place, mut runs) = (tempfile::tempdir().unwrap(), Runs::default());
    let path = place.path().join("out.txt");
    fs::write(&path, "x").unwrap();
    let told = open(&path, &runs.next(None)).err().unwrap().to_string();
    assert!(told.contains("is a file, and with snapshots"), "{told}");
    assert!(open(&path.join("below"), &runs.next(None)).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "x");
}
