//! State that is read from snapshots while no job runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use highwater::config::Options;
use highwater::connector::{Collection, Generator};
use highwater::object::{Memory, Store};
use highwater::process::{Context, Process, States, Value};
use highwater::snapshot::{Repository, Restore, Selector, Snapshots};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

use crate::draws::Event;
use crate::kinds::Everything;
use crate::world::millis;

/// Runs a job on events of 50 keys, with several snapshots.
fn run(store: &Arc<dyn Store>, count: i64, workers: usize) {
    let job = Job::new();
    let events: Vec<Event> = (0..count).map(|n| ((n * 7 % 50) as u8, n, n)).collect();
    let watermarks = Watermarks::bounded(millis(5), |event: &Event| event.2);
    let events = job.source(Collection::splits([events]), watermarks);
    events.key_by(|event| event.0).process_in_order(Everything::default()).uid("all").discard();
    let snapshots =
        Snapshots::in_store(Arc::clone(store)).every_epochs(1).retain(100).restore(Restore::Latest);
    let options = Options::default().workers(workers).epochs(Epochs::records(300)).snapshots(snapshots);
    job.run_with(options).unwrap();
}

#[test]
fn state_is_read_as_it_was_at_the_end() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    run(&store, 3000, 2);
    let repository = Repository::open(Arc::clone(&store));
    let counts = repository.state::<u8, (), u64>(&Selector::Latest, "all", "count").unwrap();
    let expected: BTreeMap<_, _> = (0..50u8).map(|key| ((key, ()), 60)).collect();
    assert_eq!(counts.all().unwrap(), expected);
    assert_eq!(counts.items(&7).unwrap(), BTreeMap::from([((), 60)]));
    assert!(counts.items(&200).unwrap().is_empty());
    // By rests: cleared every sixth time, so the last one of each rest but one is there.
    let maps = repository.state::<u8, i64, i64>(&Selector::Latest, "all", "by rest").unwrap();
    let all = maps.all().unwrap();
    for key in 0..50u8 {
        let of: BTreeMap<i64, i64> =
            all.iter().filter(|((k, _), _)| *k == key).map(|((_, s), v)| (*s, *v)).collect();
        assert!(of.iter().all(|(rest, value)| value % 3 == *rest && (value * 7 % 50) as u8 == key), "{of:?}");
        assert_eq!(maps.items(&key).unwrap(), of);
    }
}

/// Counts of ten keys, going on from the last snapshot, which has read the first source if there is one: the
/// changes.
fn counted(store: &Arc<dyn Store>, more: u64) -> Vec<((u64, u64), i64)> {
    let job = Job::new();
    let source = |numbers: std::ops::Range<u64>| {
        job.source(Collection::new(numbers), Watermarks::monotone(|n: &u64| *n as i64))
    };
    let events = source(0..100).uid("first").union(source(100..100 + more).uid(format!("{more} more")));
    let counts = events.key_by(|n| n % 10).count().uid("counts").collect();
    let snapshots = Snapshots::in_store(Arc::clone(store)).restore(Restore::Latest).dropping_state();
    job.run_with(Options::default().snapshots(snapshots)).unwrap();
    let mut changes = BTreeMap::new();
    counts.values().into_iter().for_each(|change| *changes.entry(change.record).or_insert(0) += change.diff);
    changes.into_iter().filter(|(_, diff)| *diff != 0).collect()
}

#[test]
fn a_job_that_has_ended_goes_on_when_there_is_more() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    counted(&store, 0);
    let changes = counted(&store, 200);
    let expected = (0..10).flat_map(|key| [((key, 10), -1), ((key, 30), 1)]);
    assert_eq!(changes, expected.collect::<Vec<((u64, u64), i64)>>());
}

#[test]
fn a_cut_that_comes_before_the_last_one_is_copied_loses_nothing() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let job = Job::new();
    let numbers = job.source(Generator::new(1, Some), Watermarks::none());
    numbers.clone().key_by(|n| n % 1000).count().uid("counts").discard();
    numbers.key_by(|n| n % 1000).process(Sums::default()).uid("sums").discard();
    let snapshots = Snapshots::in_store(Arc::clone(&store)).retain(1000).slice(1);
    let options = Options::default().epochs(Epochs::records(500)).snapshots(snapshots);
    let running = job.start(options).unwrap();
    // What is asked for does not wait, and what one by one takes a thousand activations is not done when the
    // next epoch ends.
    let taken = running.metrics().metric("snapshots", "taken");
    while taken.get() < 10 {
        running.snapshot();
        std::thread::yield_now();
    }
    running.stop();
    running.join().unwrap();
    let repository = Repository::open(store);
    let mut seen = 0;
    for (_, manifest) in repository.list().unwrap() {
        let epoch = Selector::Epoch(manifest.epoch);
        let sums = repository.state::<u64, (), u64>(&epoch, "sums", "sum").unwrap().all().unwrap();
        let rows = repository.rows(&manifest, "counts", "aggregates").unwrap().count();
        assert_eq!(rows, sums.len(), "both have read as much");
        let read = sums.values().sum::<u64>();
        assert!(sums.iter().all(|((key, ()), sum)| *sum == read / 1000 + u64::from(*key < read % 1000)));
        seen += usize::from(read > 0);
    }
    assert!(seen > 2, "{seen} snapshots in the middle");
}

/// Counts the records of a key.
#[derive(Clone, Default)]
struct Sums(Value<u64>);

impl Process<u64, u64> for Sums {
    type Out = u64;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value("sum");
    }

    fn process(&mut self, _: u64, cx: &mut Context<'_, u64, u64>) {
        self.0.update(cx, || 0, |sum| *sum += 1);
    }
}

#[test]
fn what_is_not_there_or_of_another_type_is_told() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let repository = Repository::open(Arc::clone(&store));
    assert!(
        repository.state::<u8, (), u64>(&Selector::Latest, "all", "count").is_err(),
        "there is no snapshot"
    );
    run(&store, 100, 1);
    let error = |uid, state| {
        repository.state::<u8, (), u64>(&Selector::Latest, uid, state).err().unwrap().to_string()
    };
    assert!(error("none", "count").contains("\"all\""), "{}", error("none", "count"));
    assert!(error("all", "none").contains("state count"), "{}", error("all", "none"));
    let wrong =
        repository.state::<u8, (), String>(&Selector::Latest, "all", "count").err().unwrap().to_string();
    assert!(wrong.contains("in the snapshot and"), "{wrong}");
}
