//! What a job is told that has changed since its snapshots were written, and what it takes for it to go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::Key;
use highwater::harness::Simulation;
use highwater::object::{Memory, Store};
use highwater::process::{Context, Process, States, Value};
use highwater::snapshot::{Migrations, PageHead, Repository, Restore, Selector, Snapshots};
use highwater::stream::{Chain, Job, KeyedStream};
use highwater::time::{Epochs, Watermarks};
use highwater::{Error, ErrorKind};

use crate::ledger::Stage;
use crate::world::millis;

/// What is counted of a key in the later version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Word {
    count: u64,
    note: String,
}

pub(crate) fn word(count: u32) -> Word {
    Word { count: count.into(), note: String::from("of before") }
}

/// Something that is kept as a count.
pub(crate) trait Counted: highwater::data::Exchange {
    fn first() -> Self;
    fn next(&mut self) -> u64;
}

impl Counted for u32 {
    fn first() -> u32 {
        0
    }

    fn next(&mut self) -> u64 {
        *self += 1;
        u64::from(*self)
    }
}

impl Counted for Word {
    fn first() -> Word {
        Word { count: 0, note: String::new() }
    }

    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

/// Counts under a name, and tells the count.
#[derive(Clone)]
struct Counts<C>(&'static str, Value<C>);

impl<K: Key, C: Counted> Process<K, i64> for Counts<C> {
    type Out = (K, u64);

    fn open(&mut self, states: &mut States<'_, K>) {
        self.1 = states.value(self.0);
    }

    fn process(&mut self, _: i64, cx: &mut Context<'_, K, (K, u64)>) {
        if let Some(count) = self.1.update(cx, C::first, C::next) {
            cx.emit((cx.key().clone(), count));
        }
    }
}

/// So many that not all of them change between two snapshots.
pub(crate) const KEYS: i64 = 1000;

/// All there is to count.
pub(crate) const NUMBERS: i64 = 8000;

/// Numbers from 0, keyed by what is made of their rests.
pub(crate) fn keyed<K: Key>(
    job: &Job,
    key: impl Fn(i64) -> K + Clone + Send + Sync + 'static,
) -> KeyedStream<K, i64, impl Chain<Out = (K, i64)>> {
    let watermarks = Watermarks::bounded(millis(5), |number: &i64| *number);
    let numbers = Collection::splits([(0..NUMBERS).collect::<Vec<i64>>()]);
    job.source(numbers, watermarks).uid("numbers").key_by(move |number| key(number % KEYS))
}

/// What is told: a key and its count.
pub(crate) type Told = Stage<(i64, u64)>;

/// Counts the numbers of each key, under these names.
pub(crate) fn counts<C: Counted>(job: &Job, (uid, state): (&str, &'static str)) -> Told {
    let stage = Stage::new();
    keyed(job, |key| key).process(Counts::<C>(state, Value::default())).uid(uid).sink(stage.clone());
    stage
}

pub(crate) fn store() -> Arc<dyn Store> {
    Arc::new(Memory::default())
}

pub(crate) fn options(store: &Arc<dyn Store>, workers: usize) -> Options {
    let snapshots = Snapshots::in_store(Arc::clone(store)).every_epochs(2).restore(Restore::Latest);
    Options::default().workers(workers).epochs(Epochs::records(100)).snapshots(snapshots)
}

/// The epoch of the latest snapshot.
pub(crate) fn latest(store: &Arc<dyn Store>) -> Option<u64> {
    let found = Repository::open(Arc::clone(store)).find(&Selector::Latest).unwrap();
    found.map(|(_, manifest)| manifest.epoch)
}

/// Goes on from the store with what `build` builds, and crashes when it has taken some snapshots.
pub(crate) fn crash<R>(store: &Arc<dyn Store>, workers: usize, build: impl Fn(&Job) -> R) -> R {
    let (job, wanted) = (Job::new(), latest(store).unwrap_or(0) + 14);
    let result = build(&job);
    let mut running = Simulation::seeded(wanted).options(options(store, workers)).start(&job).unwrap();
    while latest(store).is_none_or(|epoch| epoch < wanted) {
        assert!(!running.is_finished(), "it ends too early");
        running.steps(10).unwrap();
    }
    result
}

/// A store with snapshots of a job that counts numbers as `u32` in the state "count" of "counts", and what
/// that told.
fn before(workers: usize) -> (Arc<dyn Store>, Told) {
    let store = store();
    let told = crash(&store, workers, |job| counts::<u32>(job, ("counts", "count")));
    (store, told)
}

/// Goes on from the store to the end with what `build` builds.
pub(crate) fn go_on<R>(
    store: &Arc<dyn Store>,
    workers: usize,
    build: impl Fn(&Job) -> R,
) -> Result<R, Error> {
    let job = Job::new();
    let result = build(&job);
    job.run_with(options(store, workers))?;
    Ok(result)
}

/// Expects that a job which has changed like this does not go on from the store, for a reason in these words,
/// and that the store is as good as before.
pub(crate) fn refused<R>(store: &Arc<dyn Store>, kind: ErrorKind, words: &[&str], build: impl Fn(&Job) -> R) {
    let found = latest(store);
    for workers in [1, 3] {
        let error = go_on(store, workers, &build).err().expect("it should not go on");
        assert_eq!(error.kind(), kind, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{word} is not in: {error}");
        }
    }
    assert_eq!(latest(store), found);
}

/// Expects that all is counted, and each number once. What is told twice is the same.
pub(crate) fn assert_counted(told: &[&Told]) {
    let all: BTreeSet<(i64, u64)> = told.iter().flat_map(|stage| stage.shown()).collect();
    let counts = 1..=(NUMBERS / KEYS) as u64;
    let expected: BTreeSet<_> =
        (0..KEYS).flat_map(|key| counts.clone().map(move |count| (key, count))).collect();
    let only = |one: &BTreeSet<(i64, u64)>, other| one.difference(other).next().copied();
    assert!(all == expected, "missing {:?}, too many {:?}", only(&expected, &all), only(&all, &expected));
}

/// The heads of the pages of the latest snapshot, each with the operator, table and fingerprint that its
/// manifest tells.
pub(crate) fn pages(store: &Arc<dyn Store>) -> Vec<(PageHead, (String, String, u64))> {
    let (_, manifest) = Repository::open(Arc::clone(store)).find(&Selector::Latest).unwrap().unwrap();
    let mut pages = Vec::new();
    for operator in &manifest.operators {
        for table in &operator.tables {
            let told = (operator.uid.clone(), table.name.clone(), table.schema.fingerprint);
            for page in table.shards.iter().flat_map(|shard| &shard.runs).flat_map(|run| &run.pages) {
                let bytes = store.read_range(&page.segment, page.offset, page.len as usize).unwrap().unwrap();
                pages.push((PageHead::decode(&bytes).unwrap().0, told.clone()));
            }
        }
    }
    pages
}

#[test]
fn what_has_been_converted_is_written_anew_and_nothing_has_to_be_said_any_more() {
    for workers in 1..=4 {
        let convert = |job: &Job| job.migrations(Migrations::new().convert("counts", "count", word));
        let unsaid = |job: &Job| counts::<Word>(job, ("counts", "count"));
        let said = |job: &Job| {
            convert(job);
            unsaid(job)
        };
        let (store, first) = before(5 - workers);
        let old = pages(&store)[0].0.fingerprint;
        // It crashes before it has taken a snapshot, as often as it likes.
        for seed in 0..2 {
            let job = Job::new();
            said(&job);
            let mut running = Simulation::seeded(seed).options(options(&store, workers)).start(&job).unwrap();
            running.steps(10).unwrap();
            drop(running);
            assert!(pages(&store).iter().all(|(head, _)| head.fingerprint == old));
        }
        refused(&store, ErrorKind::Data, &["Migrations::convert"], unsaid);
        let second = crash(&store, workers, said);
        let found = pages(&store);
        assert!(!found.is_empty());
        for (head, (uid, table, fingerprint)) in found {
            assert_eq!((head.uid, head.table, head.fingerprint), (uid, table, fingerprint));
            assert_ne!(fingerprint, old);
        }
        assert!(Repository::open(Arc::clone(&store)).verify().unwrap().findings.is_empty());
        // Whether it is said still, or no longer.
        let third = crash(&store, 1 + workers % 3, unsaid);
        let fourth = crash(&store, workers, said);
        let last = go_on(&store, 5 - workers, unsaid).unwrap();
        assert_counted(&[&first, &second, &third, &fourth, &last]);
        // What was kept of each key came over, and no more than that.
        let words = Repository::open(store).state::<i64, (), Word>(&Selector::Latest, "counts", "count");
        let expected = Word { count: (NUMBERS / KEYS) as u64, note: String::from("of before") };
        let expected: BTreeMap<_, _> = (0..KEYS).map(|key| ((key, ()), expected.clone())).collect();
        assert!(words.unwrap().all().unwrap() == expected);
    }
}

#[test]
fn state_of_another_type_is_an_error_that_shows_both() {
    let (store, first) = before(2);
    let words = ["\"state count\"", "\"counts\"", "U32", "\"note\"", "Migrations::convert"];
    refused(&store, ErrorKind::Data, &words, |job| counts::<Word>(job, ("counts", "count")));
    // From another type than it was.
    let words = ["what is given to convert it is for", "\"U64\"", "and for", "\"BOOL\""];
    refused(&store, ErrorKind::Data, &words, |job| {
        let migrations = Migrations::new().convert("counts", "count", |old: u64| word(old as u32));
        job.migrations(migrations.convert("counts", "count", |old: bool| word(old.into())));
        counts::<Word>(job, ("counts", "count"))
    });
    // Into another type than it is.
    let words = ["what is given to convert it makes alloc::string::String", "Word is wanted"];
    refused(&store, ErrorKind::Data, &words, |job| {
        job.migrations(Migrations::new().convert("counts", "count", |old: u32| old.to_string()));
        counts::<Word>(job, ("counts", "count"))
    });
    // By a function that panics.
    refused(&store, ErrorKind::Panic, &["of no use"], |job| {
        job.migrations(
            Migrations::new().convert("counts", "count", |_: u32| -> Word { panic!("of no use") }),
        );
        counts::<Word>(job, ("counts", "count"))
    });
    // Of several, the one is taken that is from what there is.
    let told = go_on(&store, 2, |job| {
        let migrations = Migrations::new().convert("counts", "count", |old: u64| word(old as u32));
        job.migrations(migrations.convert("counts", "count", word));
        counts::<Word>(job, ("counts", "count"))
    });
    assert_counted(&[&first, &told.unwrap()]);
}

#[test]
fn keys_of_another_type_are_an_error_whatever_is_converted() {
    let (store, _) = before(2);
    let by_text = |job: &Job| {
        let counted = keyed(job, |key| key.to_string());
        counted.process(Counts::<u32>("count", Value::default())).uid("counts").discard();
    };
    refused(&store, ErrorKind::Data, &["\"state count\"", "\"I64\"", "\"STR\""], by_text);
    refused(&store, ErrorKind::Data, &["is for"], |job| {
        job.migrations(Migrations::new().convert("counts", "count", |old: u64| old as u32));
        by_text(job);
    });
}

#[test]
fn operators_and_states_of_other_names_are_found_if_it_is_said() {
    for workers in 1..=4 {
        let (store, first) = before(5 - workers);
        if workers == 1 {
            let words = ["the snapshot has state of the process \"counts\"", "Migrations::rename"];
            refused(&store, ErrorKind::Data, &words, |job| counts::<u32>(job, ("words", "count")));
            let words = ["\"state count\" of operator \"counts\"", "Migrations::rename_state"];
            refused(&store, ErrorKind::Data, &words, |job| counts::<u32>(job, ("counts", "word")));
        }
        let unsaid = |job: &Job| counts::<Word>(job, ("words", "word"));
        let said = |job: &Job| {
            let migrations =
                Migrations::new().rename("counts", "words").rename_state("words", "count", "word");
            // The type is another as well.
            job.migrations(migrations.convert("words", "word", word));
            unsaid(job)
        };
        let second = crash(&store, workers, said);
        for (head, told) in pages(&store) {
            assert_eq!((head.uid, head.table, head.fingerprint), told);
        }
        assert!(Repository::open(Arc::clone(&store)).verify().unwrap().findings.is_empty());
        let third = crash(&store, 1 + workers % 4, unsaid);
        let last = go_on(&store, workers, said).unwrap();
        assert_counted(&[&first, &second, &third, &last]);
    }
}

/// Names alone: pages that are only called otherwise must not be named as they are.
#[test]
fn what_is_only_renamed_is_written_under_its_new_name() {
    let (store, first) = before(2);
    let second = crash(&store, 2, |job| {
        job.migrations(Migrations::new().rename("counts", "words").rename_state("words", "count", "word"));
        counts::<u32>(job, ("words", "word"))
    });
    let found = pages(&store);
    let is_renamed = |head: &PageHead| (&*head.uid, &*head.table) == ("words", "state word");
    assert!(!found.is_empty() && found.iter().all(|(head, _)| is_renamed(head)));
    let last = go_on(&store, 3, |job| counts::<u32>(job, ("words", "word"))).unwrap();
    assert_counted(&[&first, &second, &last]);
}

/// Two counts of the same numbers.
fn both(job: &Job, uids: [&str; 2]) -> [Told; 2] {
    let keyed = keyed(job, |key| key);
    uids.map(|uid| {
        let stage = Stage::new();
        let counted = keyed.clone().process(Counts::<u32>("count", Value::default()));
        counted.uid(uid).sink(stage.clone());
        stage
    })
}

/// Expects that counting has begun anew in the middle.
fn assert_anew(told: &Told) {
    let shown = told.shown();
    let greatest = shown.iter().map(|(_, count)| *count).max();
    assert!(
        shown[0] == (0, 1) && greatest.is_some_and(|count| count < (NUMBERS / KEYS) as u64),
        "{greatest:?}"
    );
}

#[test]
fn operators_that_are_gone_may_be_forgotten_and_new_ones_begin_empty() {
    for workers in 1..=4 {
        let store = store();
        let [first, _] = crash(&store, workers, |job| both(job, ["left", "right"]));
        let words = ["the snapshot has state of the process \"right\"", "Migrations::forget"];
        refused(&store, ErrorKind::Data, &words, |job| both(job, ["left", "new"]));
        let [second, new] = crash(&store, 5 - workers, |job| {
            job.migrations(Migrations::new().forget("right"));
            both(job, ["left", "new"])
        });
        // It is gone.
        let [last, newer] = go_on(&store, workers, |job| both(job, ["left", "new"])).unwrap();
        assert_counted(&[&first, &second, &last]);
        assert_anew(&new);
        assert!(newer.shown()[0].1 > 1);
    }
}

#[test]
fn states_that_are_gone_may_be_forgotten() {
    let (store, _) = before(2);
    let told = crash(&store, 3, |job| {
        job.migrations(Migrations::new().forget_state("counts", "count"));
        counts::<u32>(job, ("counts", "other"))
    });
    assert_anew(&told);
    // All state may go at once, too.
    let job = Job::new();
    let told = counts::<u32>(&job, ("counts", "third"));
    let snapshots = Snapshots::in_store(store).restore(Restore::Latest).dropping_state();
    job.run_with(Options::default().snapshots(snapshots)).unwrap();
    assert_anew(&told);
}

#[test]
fn what_is_said_of_operators_that_the_job_does_not_have_is_refused() {
    let (store, _) = before(1);
    let no_such = |migrations: fn() -> Migrations| {
        refused(&store, ErrorKind::Config, &["\"words\", and the job has none of that uid"], move |job| {
            job.migrations(migrations());
            counts::<u32>(job, ("counts", "count"))
        });
    };
    no_such(|| Migrations::new().convert("words", "count", word));
    no_such(|| Migrations::new().rename("counts", "words"));
    no_such(|| Migrations::new().rename_state("words", "a", "b"));
    no_such(|| Migrations::new().forget_state("words", "a"));
    for gone in [|| Migrations::new().forget("counts"), || Migrations::new().rename("counts", "numbers")] {
        refused(&store, ErrorKind::Config, &["\"counts\"", "the job has it still"], move |job| {
            job.migrations(gone());
            counts::<u32>(job, ("counts", "count"))
        });
    }
}
