//! Collections that are arranged once: at every closed epoch each of their readers says what a program
//! computes from the changes up to there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::{Change, consolidate};
use highwater::stream::{ArrangedStream, Job, Stream};
use highwater::time::{Epochs, Watermarks};
use highwater::window::Tumbling;
use proptest::collection::vec;
use proptest::prelude::*;

use super::scripted::{Log, Scripted};

pub(super) type Pair = (u8, u8);

/// Pairs that come and go. None goes before it has come, in its split and so in any interleaving.
pub(super) fn splits() -> impl Strategy<Value = Vec<Vec<Change<Pair>>>> {
    let split = vec((0..12u8, 0..6u8, 0..3u8, any::<prop::sample::Index>()), 0..60);
    let split = split.prop_map(|choices| {
        let (mut there, mut changes) = (Vec::new(), Vec::new());
        for (key, value, goes, which) in choices {
            if goes == 0 && !there.is_empty() {
                changes.push(Change::retract(there.swap_remove(which.index(there.len()))));
            } else {
                there.push((key, value));
                changes.push(Change::insert((key, value)));
            }
        }
        changes
    });
    vec(split, 1..4)
}

pub(super) fn epochs() -> impl Strategy<Value = Epochs> {
    prop_oneof![
        (1..60u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        Just(Epochs::every(Duration::from_millis(1))),
    ]
}

/// How often each pair is there at the end of an epoch.
pub(super) fn pairs(
    source: &Scripted<Change<Pair>>,
    splits: &[Vec<Change<Pair>>],
    epoch: u64,
) -> Vec<(Pair, i64)> {
    let splits = splits.iter().enumerate();
    consolidate(splits.flat_map(|(number, split)| split[..source.given(number, epoch)].iter().cloned()))
}

type Joined = (u8, u8, u8);

/// All pairs of pairs with one key, by hand.
fn joined(left: &[(Pair, i64)], right: &[(Pair, i64)]) -> Vec<(Joined, i64)> {
    let mut all = BTreeMap::new();
    for ((key, one), count) in left {
        for ((_, other), more) in right.iter().filter(|((other, _), _)| other == key) {
            *all.entry((*key, *one, *other)).or_insert(0) += count * more;
        }
    }
    all.into_iter().collect()
}

/// The sum of the values of each key, by hand.
fn sums(pairs: &[(Pair, i64)]) -> Vec<((u8, i64), i64)> {
    let mut sums = BTreeMap::new();
    for ((key, value), count) in pairs {
        *sums.entry(*key).or_insert(0) += i64::from(*value) * count;
    }
    sums.into_iter().map(|sum| (sum, 1)).collect()
}

fn sum_of(arranged: &ArrangedStream<u8, u8>) -> Stream<Change<(u8, i64)>> {
    arranged.reduce(|_, values| {
        [values.iter().map(|(value, count)| i64::from(**value) * *count as i64).sum::<i64>()]
    })
}

/// Joins with pairs that the computation has turned round itself.
fn turned(arranged: &ArrangedStream<u8, u8>) -> Stream<Change<Joined>> {
    arranged.differential(|computation, arranged| {
        let turned = arranged.clone().as_collection(|key, value| (*value, *key.key()));
        let turned = computation.arrange(turned.distinct());
        arranged.join_core(turned, |key, one, other| Some((*key.key(), *one, *other)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn all_readers_are_exact_at_each_epoch(
        left in splits(),
        right in splits(),
        pauses in (1..80usize, 1..80usize),
        workers in 1..4usize,
        epochs in epochs(),
        is_limited in any::<bool>(),
    ) {
        let job = Job::new();
        let sources =
            [(&left, pauses.0), (&right, pauses.1)].map(|(splits, pause)| Scripted::with_pauses(splits.clone(), pause));
        let [one, other] =
            sources.clone().map(|source| job.source(source, Watermarks::none()).arrange());
        let pairs_of_both = Log::of(one.join(&other, |key, one, other| (*key, *one, *other)));
        let with_itself = Log::of(one.join(&one, |key, one, other| (*key, *one, *other)));
        let (of_left, of_right) = (Log::of(sum_of(&one)), Log::of(sum_of(&other)));
        let (turned, changes) = (Log::of(turned(&one)), Log::of(one.changes()));
        let options = Options::default().workers(workers).epochs(epochs);
        let options = if is_limited { options.state_memory(1 << 20, std::env::temp_dir()) } else { options };
        job.run_with(options).unwrap();

        let seen = [pairs_of_both.epochs(), of_left.epochs(), of_right.epochs(), turned.epochs(), changes.epochs()];
        let all: BTreeSet<u64> =
            [sources[0].epochs(), sources[1].epochs(), seen.concat()].concat().into_iter().collect();
        for epoch in all {
            let one = pairs(&sources[0], &left, epoch);
            let other = pairs(&sources[1], &right, epoch);
            prop_assert_eq!(consolidate(pairs_of_both.up_to(epoch)), joined(&one, &other), "at epoch {}", epoch);
            prop_assert_eq!(consolidate(with_itself.up_to(epoch)), joined(&one, &one), "at epoch {}", epoch);
            prop_assert_eq!(consolidate(of_left.up_to(epoch)), sums(&one), "at epoch {}", epoch);
            prop_assert_eq!(consolidate(of_right.up_to(epoch)), sums(&other), "at epoch {}", epoch);
            let round: BTreeSet<_> = one.iter().map(|((key, value), _)| (*value, *key)).collect();
            let round: Vec<_> = round.into_iter().map(|pair| (pair, 1)).collect();
            prop_assert_eq!(consolidate(turned.up_to(epoch)), joined(&one, &round), "at epoch {}", epoch);
            prop_assert_eq!(consolidate(changes.up_to(epoch)), one, "at epoch {}", epoch);
        }
    }
}

/// Event time goes on beside a computation that has none: windows after it close while the job runs.
#[test]
fn windows_after_an_arrangement_close() {
    let job = Job::new();
    let numbers =
        job.source(Collection::splits([(0..4000i64).collect::<Vec<_>>()]), Watermarks::monotone(|n| *n));
    let arranged = numbers.map(|n| Change::insert(((n % 3) as u8, n))).arrange();
    let counts = arranged.changes().key_by(|change| change.record.0);
    let counts = counts.window(Tumbling::of(Duration::from_millis(100))).count();
    let told = Log::of(counts);
    job.run_with(Options::default().workers(2).epochs(Epochs::records(40))).unwrap();
    let all: u64 = told.up_to(u64::MAX).iter().map(|window| window.value).sum();
    assert_eq!(all, 4000);
    let epochs: BTreeSet<u64> = told.epochs().into_iter().collect();
    assert!(epochs.len() >= 3, "{epochs:?}");
}

#[test]
fn arrangements_of_two_jobs_are_refused() {
    let (one, other) = (Job::new(), Job::new());
    let [left, right] = [&one, &other].map(|job| job.collection([(1u8, 1u8)]).map(Change::insert).arrange());
    left.join(&right, |_, one, other| (*one, *other)).discard();
    let error = one.run().unwrap_err();
    assert!(error.to_string().contains("different jobs"), "{error}");
}
