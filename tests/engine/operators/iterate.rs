//! Loops of records: what leaves them in an epoch is what a program computes that loops over the records of
//! the epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use highwater::ErrorKind;
use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::{Change, Data, consolidate};
use highwater::stream::{CallOptions, Job, Rounds, Stream};
use highwater::time::{Epochs, Watermarks};
use highwater::window::Tumbling;
use proptest::collection::vec;
use proptest::prelude::*;

use super::errors::fails;
use super::scripted::{Log, Scripted, wait_until};

fn epochs() -> impl Strategy<Value = Epochs> {
    prop_oneof![
        (1..80u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        Just(Epochs::every(Duration::from_millis(1))),
    ]
}

fn options(workers: usize, epochs: Epochs) -> Options {
    Options::default().workers(workers).epochs(epochs)
}

/// What the splits of a source had given at the end of an epoch.
fn prefix<T: Data>(source: &Scripted<T>, splits: &[Vec<T>], epoch: u64) -> Vec<T> {
    let splits = splits.iter().enumerate();
    splits.flat_map(|(number, split)| split[..source.given(number, epoch)].iter().cloned()).collect()
}

/// One step of a walk down to zero, which leaves something at every third number.
fn step(n: u32) -> (Option<u32>, Vec<u32>) {
    let next = if n.is_multiple_of(2) { n / 2 } else { n - 1 };
    ((n > 0).then_some(next), if n.is_multiple_of(3) { vec![n, n] } else { vec![] })
}

fn walk(mut n: u32) -> Vec<u32> {
    let mut left = Vec::new();
    loop {
        let (next, leaves) = step(n);
        left.extend(leaves);
        match next {
            Some(next) => n = next,
            None => return left,
        }
    }
}

/// The least node that each node is connected with.
fn components(edges: &[(u8, u8)]) -> BTreeMap<u8, u8> {
    let mut labels: BTreeMap<u8, u8> = edges.iter().flat_map(|(a, b)| [(*a, *a), (*b, *b)]).collect();
    loop {
        let before = labels.clone();
        for (a, b) in edges {
            let least = labels[a].min(labels[b]);
            labels.extend([(*a, least), (*b, least)]);
        }
        if labels == before {
            return labels;
        }
    }
}

/// Labels that only sink, as long as edges only come: an aggregate and a join in a loop.
fn least_labels(edges: Stream<(u8, u8)>) -> Stream<Change<(u8, u8)>> {
    let own = edges.clone().flat_map(|(a, b)| [(a, a), (b, b)]);
    own.iterate(Rounds::at_most(300), |labels, scope| {
        let edges = scope.enter(edges).flat_map(|(a, b)| [(a, b), (b, a)]);
        let least = labels.key_by(|label| label.0).map_values(|label| label.1).min(|label| label);
        let new = least.clone().filter_map(|change| (change.diff > 0).then_some(change.record));
        let new = new.key_by(|label| label.0).map_values(|label| label.1);
        let edges = edges.key_by(|edge| edge.0).map_values(|edge| edge.1);
        (new.join(edges, |_, label, neighbour| (*neighbour, *label)), least)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_leaves_in_an_epoch_is_what_its_records_leave(
        splits in vec(vec(0..5000u32, 0..60), 0..4),
        pause in 1..100usize,
        workers in 1..5usize,
        epochs in epochs(),
        is_exchanged in any::<bool>(),
    ) {
        let job = Job::new();
        let source = Scripted::with_pauses(splits.clone(), pause);
        let numbers = job.source(source.clone(), Watermarks::none());
        let left = numbers.iterate(Rounds::at_most(30), move |numbers, _| {
            let numbers = match is_exchanged {
                true => numbers.partition_with(|n, _| *n as usize),
                false => numbers,
            };
            let steps = numbers.map(step).share();
            (steps.clone().filter_map(|(next, _)| next), steps.flat_map(|(_, leaves)| leaves))
        });
        let left = Log::of(left);
        job.run_with(options(workers, epochs)).unwrap();

        let all: BTreeSet<u64> = [source.epochs(), left.epochs()].concat().into_iter().collect();
        for epoch in all {
            let mut expected: Vec<u32> = prefix(&source, &splits, epoch).into_iter().flat_map(walk).collect();
            let mut left = left.up_to(epoch);
            expected.sort();
            left.sort();
            prop_assert_eq!(left, expected, "at epoch {}", epoch);
        }
    }

    #[test]
    fn state_in_a_loop_is_that_of_all_rounds_and_epochs_before(
        splits in vec(vec((0..40u8, 0..40u8), 0..40), 0..4),
        pause in 1..60usize,
        workers in 1..5usize,
        epochs in epochs(),
    ) {
        let job = Job::new();
        let source = Scripted::with_pauses(splits.clone(), pause);
        let edges = job.source(source.clone(), Watermarks::none()).share();
        let labels = Log::of(least_labels(edges));
        job.run_with(options(workers, epochs)).unwrap();

        let all: BTreeSet<u64> = [source.epochs(), labels.epochs()].concat().into_iter().collect();
        for epoch in all {
            let expected = components(&prefix(&source, &splits, epoch)).into_iter();
            let expected: Vec<_> = expected.map(|label| (label, 1)).collect();
            prop_assert_eq!(consolidate(labels.up_to(epoch)), expected, "at epoch {}", epoch);
        }
    }

    #[test]
    fn windows_behind_a_loop_are_those_before_it(
        splits in vec(vec((0..60i64, 0..6u8), 0..80), 1..4),
        (workers, epochs, size) in (1..5usize, epochs(), 1..20u64),
    ) {
        let job = Job::new();
        let watermarks = Watermarks::bounded(Duration::from_millis(5), |record: &(i64, u8)| record.0);
        let records = job.source(Collection::splits(splits), watermarks);
        let windows = Tumbling::of(Duration::from_millis(size));
        let plain = records.clone().map(|(at, _)| at).window_all(windows);
        let plain_late = plain.late().collect();
        let plain = plain.count().collect();
        let around = records.iterate(Rounds::at_most(6), |records, _| {
            records.rebalance().split(|(at, rounds)| match rounds {
                0 => Err(at),
                _ => Ok((at, rounds - 1)),
            })
        });
        let around = around.window_all(windows);
        let late = around.late().collect();
        let around = around.count().collect();
        job.run_with(options(workers, epochs)).unwrap();
        prop_assert_eq!(around.sorted(), plain.sorted());
        prop_assert_eq!(late.sorted(), plain_late.sorted());
    }
}

#[test]
fn a_record_may_go_around_as_often_as_is_said_and_no_more() {
    let run = |most| {
        let job = Job::new();
        let left = job.collection(0..=20u32).iterate(Rounds::at_most(most), |numbers, _| {
            numbers.split(|n| if n > 0 { Ok(n - 1) } else { Err(n) })
        });
        let left = left.collect();
        job.run().map(|_| left.values().len())
    };
    assert_eq!(run(20).unwrap(), 21);
    let error = run(19).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("after 19 rounds"), "{error}");
}

#[test]
fn a_loop_without_end_ends_the_job() {
    fails("a loop has not ended after 1000 rounds", ErrorKind::Data, |job| {
        let left = job.collection(0..10u32).iterate(Rounds::at_most(1000), |numbers, _| {
            let numbers = numbers.rebalance();
            (numbers.clone(), numbers.filter(|n| *n > 100))
        });
        left.discard();
    });
}

#[test]
fn a_panic_in_a_loop_ends_the_job() {
    fails("round and round", ErrorKind::Panic, |job| {
        let left = job.collection(0..100u32).iterate(Rounds::default(), |numbers, _| {
            let numbers = numbers.rebalance();
            numbers.split(|n| match n {
                50 => panic!("round and round"),
                _ => Ok::<u32, u32>(n % 50 + 1),
            })
        });
        left.discard();
    });
}

#[test]
fn what_does_not_belong_in_a_loop_is_refused() {
    let refused = |message: &str, build: &dyn Fn(&Job, Stream<u32>) -> Stream<u32>| {
        let job = Job::new();
        build(&job, job.collection([1]).share()).discard();
        let error = job.run().expect_err(message);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(message), "{error}");
    };
    let rounds = Rounds::default();
    refused("no windows, sinks, differential computations or other loops", &|_, numbers| {
        numbers.iterate(rounds, |numbers, _| {
            let windows = numbers.clone().window_all(Tumbling::of(Duration::from_secs(1)));
            (numbers, windows.count().map(|_| 1))
        })
    });
    refused("no windows, sinks, differential computations or other loops", &|_, numbers| {
        numbers.iterate(rounds, |numbers, _| {
            numbers.clone().discard();
            (numbers.clone(), numbers)
        })
    });
    refused("no windows, sinks, differential computations or other loops", &|_, numbers| {
        numbers.iterate(rounds, |numbers, _| {
            (numbers.clone().iterate(rounds, |numbers, _| (numbers.clone(), numbers)), numbers)
        })
    });
    refused("different jobs or loops", &|_, numbers| {
        let other = numbers.clone();
        numbers.iterate(rounds, |numbers, _| (numbers.clone().union(other), numbers))
    });
    refused("of the streams that it is given", &|_, numbers| {
        let other = numbers.clone();
        numbers.iterate(rounds, |numbers, _| (other, numbers))
    });
    refused("must come from where the loop is", &|_, numbers| {
        let other = Job::new().collection([1]);
        numbers.iterate(rounds, |numbers, scope| {
            (numbers.union(scope.enter(other)), scope.enter(Job::new().collection([1])))
        })
    });
    refused("no windows, sinks, differential computations or other loops", &|_, numbers| {
        let mut escaped = None;
        let left = numbers.iterate(rounds, |numbers, _| {
            escaped = Some(numbers.clone());
            (numbers.clone(), numbers)
        });
        escaped.unwrap().discard();
        left
    });
}

#[test]
fn a_loop_that_nothing_enters_ends_with_its_job() {
    for workers in [1, 3] {
        let job = Job::new();
        let nothing = job.collection(Vec::<(u8, u8)>::new()).share();
        let labels = least_labels(nothing).collect();
        job.run_with(Options::default().workers(workers)).unwrap();
        assert!(labels.values().is_empty());
    }
}

#[test]
fn calls_can_be_made_in_a_loop() {
    // A service gives a page and says which one is next.
    let pages = |page: u32| -> Result<(u32, Option<u32>), String> {
        std::thread::sleep(Duration::from_millis(1));
        Ok((page, (page % 10 < 9).then_some(page + 1)))
    };
    let job = Job::new();
    let read = job.collection([10, 25, 39]).iterate(Rounds::default(), move |numbers, _| {
        let answers = numbers.call(pages, CallOptions::unordered()).answers();
        (answers.clone().filter_map(|(_, next)| next), answers.map(|(page, _)| page))
    });
    let read = read.collect();
    job.run_with(Options::default().workers(2)).unwrap();
    assert_eq!(read.sorted(), (10..20).chain(25..30).chain([39]).collect::<Vec<_>>());
}

#[test]
fn an_epoch_is_complete_when_nothing_of_it_circulates() {
    // Numbers go around until they are let go of; later epochs come and leave meanwhile.
    let limit = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&limit);
    let job = Job::new();
    let source = Scripted::with_pauses(vec![(0..50u64).collect()], 1);
    let left = job.source(source, Watermarks::none()).iterate(Rounds::default(), move |numbers, _| {
        numbers.split(move |n| {
            std::thread::sleep(Duration::from_micros(10));
            if n == 10 && seen.load(SeqCst) == 0 { Ok(n) } else { Err(n) }
        })
    });
    let left = left.collect();
    let options = options(1, Epochs::records(10)).max_epochs_in_flight(1000);
    let running = job.start(options).unwrap();
    wait_until("the others", || left.values().len() == 49);
    assert_eq!(running.open_epoch(), 1);
    limit.store(1, SeqCst);
    running.join().unwrap();
    assert_eq!(left.sorted(), (0..50).collect::<Vec<_>>());
    assert_eq!(left.records().last().map(|(epoch, record)| (*epoch, record.value)), Some((1, 10)));
}
