//! Computations that are attached to a running job: they begin with the state as of an epoch and go on with
//! what each later one changes, whenever that is.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::data::{Change, consolidate};
use highwater::stream::{ArrangedStream, Attached, Job};
use highwater::time::{Epochs, Watermarks};
use proptest::prelude::*;

use super::arranged::{Pair, epochs, pairs, splits};
use super::scripted::{Scripted, Turn};

const WAIT: Duration = Duration::from_secs(20);

/// The changes, a few of each split at a time, each after a while.
fn slowly(splits: Vec<Vec<Change<Pair>>>, pause: usize) -> Scripted<Change<Pair>> {
    Scripted::new(splits.len(), move |split, number| match splits[split].get(number) {
        Some(item) if (number + 1) % pause == 0 => Turn::GiveAndWait(item.clone()),
        Some(item) => Turn::Give(item.clone()),
        None => Turn::Done,
    })
}

/// Takes all results, and gives them added up as of each epoch that had any.
fn all<U: highwater::data::Data + Ord>(mut attached: Attached<U>) -> Vec<(u64, Vec<(U, i64)>)> {
    let (mut now, mut told) = (Vec::new(), Vec::new());
    while let Some(epoch) = attached.next(WAIT) {
        assert!(told.last().is_none_or(|(last, _)| *last < epoch.epoch));
        assert!(told.is_empty() || !epoch.changes.is_empty());
        now.extend(epoch.changes);
        told.push((epoch.epoch, consolidate(now.clone())));
    }
    assert!(attached.is_over());
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_attached_misses_nothing_and_says_nothing_twice(
        splits in splits(),
        pause in 1..12usize,
        workers in 1..4usize,
        epochs in epochs(),
        moments in proptest::collection::vec(0..8_000u64, 1..5),
    ) {
        let job = Job::new();
        let source = slowly(splits.clone(), pause);
        let arranged = job.source(source.clone(), Watermarks::none()).arrange();
        arranged.discard();
        let running = job.start(Options::default().workers(workers).epochs(epochs)).unwrap();
        let mut attached = Vec::new();
        for moment in moments {
            std::thread::sleep(Duration::from_micros(moment));
            let changes = running.attach(&arranged, |_, arranged| {
                arranged.as_collection(|key, value| (*key.key(), *value))
            });
            let keys = running.attach(&arranged, |_, arranged| {
                arranged.as_collection(|key, _| *key.key()).distinct()
            });
            // The job may have ended.
            let (Ok(changes), Ok(keys)) = (changes, keys) else { break };
            attached.push((changes, keys));
        }
        running.join().unwrap();
        for (changes, keys) in attached {
            for (epoch, told) in all(changes) {
                prop_assert_eq!(told, pairs(&source, &splits, epoch), "as of {}", epoch);
            }
            for (epoch, told) in all(keys) {
                let expected: BTreeMap<_, _> =
                    pairs(&source, &splits, epoch).into_iter().map(|((key, _), _)| (key, 1)).collect();
                prop_assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "as of {}", epoch);
            }
        }
    }
}

/// A job that goes on until it is stopped, with records of so many keys.
fn endless(job: &Job, keys: u64) -> ArrangedStream<u64, u64> {
    let numbers = Generator::new(2, Some).rate(20_000.0);
    let numbers = job.source(numbers, Watermarks::none());
    let arranged = numbers.map(move |n| Change::insert((n % keys, n))).arrange();
    arranged.discard();
    arranged
}

#[test]
fn many_come_and_go_while_a_job_runs() {
    let job = Job::new();
    let arranged = endless(&job, 100);
    let options = Options::default().workers(2).epochs(Epochs::every(Duration::from_millis(2)));
    let running = job.start(options).unwrap();
    let mut least = 0;
    for _ in 0..40 {
        let mut counts = running
            .attach(&arranged, |_, arranged| arranged.as_collection(|key, _| *key.key()).count())
            .unwrap();
        let first = counts.next(WAIT).unwrap();
        assert!(first.epoch >= least);
        least = first.epoch;
        let mut all = first.changes;
        let second = counts.next(WAIT).unwrap();
        assert!(second.epoch > first.epoch);
        all.extend(second.changes);
        // Each key once, with all that has come of it.
        let now = consolidate(all);
        assert!(now.iter().all(|(_, diff)| *diff == 1) && now.len() <= 100);
    }
    running.stop();
    running.join().unwrap();
}

/// What comes and goes again leaves nothing, and is told as of the epoch that has just ended.
#[test]
fn an_arrangement_that_is_empty_again_is_as_of_now() {
    let job = Job::new();
    let numbers = job.source(Generator::new(1, Some).rate(20_000.0), Watermarks::none());
    let changes = numbers.map(|n| match n % 2 {
        0 => Change::insert((7u8, 7u8)),
        _ => Change::retract((7, 7)),
    });
    let arranged = changes.arrange();
    arranged.discard();
    let options = Options::default().workers(2).epochs(Epochs::every(Duration::from_millis(2)));
    let running = job.start(options).unwrap();
    let mut last = 0;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(5));
        let open = running.open_epoch();
        let mut pairs =
            running.attach(&arranged, |_, arranged| arranged.as_collection(|key, _| *key.key())).unwrap();
        let first = pairs.next(WAIT).unwrap();
        // Workers are not far apart.
        assert!(first.epoch >= last && first.epoch + 100 >= open, "{} {last} {open}", first.epoch);
        last = first.epoch;
        let count: i64 = first.changes.iter().map(|change| change.diff).sum();
        assert!((0..=1).contains(&count), "{count}");
    }
    running.stop();
    running.join().unwrap();
}

/// Most workers have nothing of the arrangement, and one has something for a moment only.
#[test]
fn workers_without_keys_hold_nothing_back() {
    for keys in [1, 2] {
        let job = Job::new();
        let arranged = endless(&job, keys);
        let options = Options::default().workers(3).epochs(Epochs::every(Duration::from_millis(2)));
        let running = job.start(options).unwrap();
        // Perhaps before there is anything.
        let early = running.attach(&arranged, |_, arranged| arranged.as_collection(|key, _| *key.key()));
        let mut early = early.unwrap();
        assert!(early.next(WAIT).is_some() && early.next(WAIT).is_some());
        let mut late = running
            .attach(&arranged, |_, arranged| arranged.as_collection(|key, _| *key.key()).distinct())
            .unwrap();
        let first = late.next(WAIT).unwrap();
        assert_eq!(first.changes, (0..keys).map(Change::insert).collect::<Vec<_>>());
        assert_eq!(late.next(Duration::from_millis(50)), None);
        assert!(!late.is_over() && early.next(WAIT).is_some());
        running.stop();
        running.join().unwrap();
        assert_eq!(late.next(WAIT), None);
        assert!(late.is_over());
    }
}

/// A job of which nothing has come yet is told of nothing, at once.
#[test]
fn an_empty_arrangement_is_told_as_such() {
    let job = Job::new();
    let numbers = job.source(Generator::new(1, Some).rate(1000.0), Watermarks::none());
    let arranged = numbers.filter_map(|_| None::<Change<(u8, u8)>>).arrange();
    arranged.discard();
    let options = Options::default().workers(2).epochs(Epochs::every(Duration::from_millis(2)));
    let running = job.start(options).unwrap();
    let mut keys =
        running.attach(&arranged, |_, arranged| arranged.as_collection(|key, _| *key.key())).unwrap();
    assert_eq!(keys.next(WAIT).map(|first| first.changes), Some(Vec::new()));
    running.stop();
    running.join().unwrap();
}

#[test]
fn what_is_attached_too_late_is_refused() {
    let job = Job::new();
    let arranged = job.collection([(1u8, 2u8)]).map(Change::insert).arrange();
    arranged.discard();
    let other = Job::new();
    let strange = other.collection([(1u8, 2u8)]).map(Change::insert).arrange();
    let running = job.start(Options::default()).unwrap();
    let later = job.collection([(1u8, 2u8)]).map(Change::insert).arrange();
    for strange in [strange, later] {
        let refused = running.attach(&strange, |_, arranged| arranged.as_collection(|key, _| *key.key()));
        assert!(refused.err().unwrap().to_string().contains("another job"));
    }
    while !running.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let late = running.attach(&arranged, |_, arranged| arranged.as_collection(|key, _| *key.key()));
    assert!(late.err().unwrap().to_string().contains("has ended"));
    running.join().unwrap();
}

/// A fault in what is attached ends the job, as any other does.
#[test]
fn a_fault_in_what_is_attached_ends_the_job() {
    let job = Job::new();
    let arranged = endless(&job, 100);
    let running = job.start(Options::default().workers(2)).unwrap();
    let mut attached = running
        .attach(&arranged, |_, arranged| {
            arranged.as_collection(|key, value| {
                assert!(*value < 500, "too many");
                *key.key()
            })
        })
        .unwrap();
    while attached.next(WAIT).is_some() {}
    let error = running.join().unwrap_err();
    assert!(error.to_string().contains("too many"), "{error}");
}
