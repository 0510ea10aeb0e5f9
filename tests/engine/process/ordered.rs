//! In order of event time a function sees what the simulation sees, in every run.

use std::time::Duration;

use highwater::config::{Options, Seals};
use highwater::connector::Collection;
use highwater::process::{CoProcess, Context, States, Value};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use proptest::collection::vec;
use proptest::prelude::*;

use super::machine::{Machine, Op, Told, simulate};

type Row = (i64, u8, Op);

const DISORDER: i64 = 12;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (-3..4i64, 0..20i64).prop_map(|(more, later)| Op::Add(more, later)),
        1 => (0..20i64).prop_map(Op::Cancel),
        1 => (0..9i64).prop_map(Op::Push),
        1 => (0..4u8, 0..9i64).prop_map(|(k, v)| Op::Insert(k, v)),
        1 => (0..4u8).prop_map(Op::Remove),
        1 => Just(Op::Clear),
        1 => (0..9i64).prop_map(Op::Remember),
        2 => Just(Op::Tell),
    ]
}

/// Splits whose records are at most `DISORDER` older than the newest before them, most of them.
fn splits() -> impl Strategy<Value = Vec<Vec<Row>>> {
    let row = (0..3i64, -20..1i64, 0..6u8, op());
    vec(vec(row, 0..80), 1..5).prop_map(|splits| {
        let mut times = 0;
        let splits = splits.into_iter().map(|split| {
            times = 0;
            let row = |(step, back, key, op): (i64, i64, u8, Op)| {
                times += step;
                (times + back, key, op)
            };
            split.into_iter().map(row).collect()
        });
        splits.collect()
    })
}

fn epochs() -> impl Strategy<Value = Epochs> {
    prop_oneof![
        (1..60u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        (1..3u64).prop_map(|ms| Epochs::every(Duration::from_millis(ms))),
    ]
}

/// The records that are not behind the watermark of their split.
fn on_time(splits: &[Vec<Row>]) -> Vec<Row> {
    let mut on_time = Vec::new();
    for split in splits {
        let mut watermark = i64::MIN;
        for row in split {
            if row.0 >= watermark {
                on_time.push(row.clone());
            }
            watermark = watermark.max(row.0 - DISORDER);
        }
    }
    on_time
}

fn watermarks() -> Watermarks<Row, impl Fn(&Row) -> i64 + Clone + Send + Sync + 'static> {
    Watermarks::bounded(Duration::from_millis(DISORDER as u64), |row: &Row| row.0)
}

fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_function_sees_records_and_timers_in_order(
        splits in splits(), workers in 1..5usize, epochs in epochs(), each in proptest::bool::ANY,
    ) {
        let seals = if each { Seals::EachEpoch } else { Seals::OnDemand };
        let job = Job::new();
        let rows = job.source(Collection::splits(splits.clone()), watermarks());
        let keyed = rows.key_by(|row: &Row| row.1).map_values(|row| row.2);
        let late = keyed.late().collect();
        let told = keyed.process_in_order(Machine::default()).collect();
        let summary = job.run_with(Options::default().workers(workers).epochs(epochs).seals(seals)).unwrap();

        let expected: Vec<Told> = simulate(on_time(&splits));
        let dropped = splits.iter().map(Vec::len).sum::<usize>() - on_time(&splits).len();
        prop_assert_eq!(summary.metrics.sum("late_dropped"), dropped as i64);
        prop_assert_eq!(late.values().len(), dropped);
        // Keys are independent of each other, and what a key is told is in order.
        for key in 0..6u8 {
            let of = |told: &[Told]| told.iter().filter(|t| t.0 == key).cloned().collect::<Vec<_>>();
            prop_assert_eq!(of(&told.values()), of(&expected), "key {}", key);
        }
    }

    #[test]
    fn two_streams_are_seen_in_one_order(
        (left, right) in (splits(), splits()), workers in 1..5usize, epochs in epochs(),
    ) {
        let job = Job::new();
        let read = |splits: &Vec<Vec<Row>>| {
            let rows = job.source(Collection::splits(splits.clone()), watermarks());
            rows.key_by(|row: &Row| row.1).map_values(|row| row.0)
        };
        let told = read(&left).connect(read(&right)).process_in_order(Latest::default()).collect();
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();

        let mut all: Vec<(i64, bool, u8)> = Vec::new();
        all.extend(on_time(&left).iter().map(|row| (row.0, false, row.1)));
        all.extend(on_time(&right).iter().map(|row| (row.0, true, row.1)));
        all.sort();
        let (mut last, mut expected) = (std::collections::BTreeMap::new(), Vec::new());
        for (time, is_right, key) in all {
            match is_right {
                false => drop(last.insert(key, time)),
                true => expected.push((key, last.get(&key).copied(), time)),
            }
        }
        prop_assert_eq!(told.sorted(), sorted(expected));
    }
}

/// Tells each record of the second stream the last one of the first.
#[derive(Clone, Default)]
struct Latest(Value<i64>);

impl CoProcess<u8, i64, i64> for Latest {
    type Out = (u8, Option<i64>, i64);

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.0 = states.value("latest");
    }

    fn left(&mut self, value: i64, cx: &mut Context<'_, u8, Self::Out>) {
        self.0.set(cx, value);
    }

    fn right(&mut self, value: i64, cx: &mut Context<'_, u8, Self::Out>) {
        let told = (*cx.key(), self.0.get(cx).copied(), value);
        cx.emit(told);
    }
}
