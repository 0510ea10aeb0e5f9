//! Joins in event time against their definitions.

mod kept;

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::config::{Options, Seals};
use highwater::connector::Collection;
use highwater::join::{Interval, Offset, Outer};
use highwater::stream::{Job, KeyedStream};
use highwater::time::{Epochs, Watermarks};
use highwater::window::{Aligned, Sliding, Tumbling};
use proptest::collection::vec;
use proptest::prelude::*;

/// Time, key, value.
type Row = (i64, u8, u16);

const DISORDER: i64 = 9;

/// Splits with their values numbered, so that each record is like no other.
fn splits() -> impl Strategy<Value = Vec<Vec<Row>>> {
    // Now and then no record comes for a while.
    let step = prop_oneof![12 => 0..4i64, 1 => 50..700i64];
    let row = (step, -14..1i64, 0..4u8);
    vec(vec(row, 0..40), 1..4).prop_map(|splits| {
        let mut number = 0;
        let split = |split: Vec<(i64, i64, u8)>| {
            let mut time = 0;
            let row = |(step, back, key): (i64, i64, u8)| {
                time += step;
                number += 1;
                (time + back, key, number)
            };
            split.into_iter().map(row).collect()
        };
        splits.into_iter().map(split).collect()
    })
}

/// The records with the watermarks of their splits, in any order.
fn stamped(splits: &[Vec<Row>]) -> Vec<(Row, i64)> {
    let mut stamped = Vec::new();
    for split in splits {
        let mut watermark = i64::MIN;
        for row in split {
            stamped.push((*row, watermark));
            watermark = watermark.max(row.0 - DISORDER);
        }
    }
    stamped
}

fn on_time(splits: &[Vec<Row>]) -> Vec<Row> {
    stamped(splits).into_iter().filter(|(row, watermark)| row.0 >= *watermark).map(|(row, _)| row).collect()
}

fn ways() -> impl Strategy<Value = Options> {
    let epochs = prop_oneof![
        (1..50u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        Just(Epochs::every(Duration::from_millis(1))),
    ];
    let seals = prop_oneof![Just(Seals::EachEpoch), Just(Seals::OnDemand)];
    (1..5usize, epochs, seals)
        .prop_map(|(workers, epochs, seals)| Options::default().workers(workers).epochs(epochs).seals(seals))
}

fn read(
    job: &Job,
    splits: &[Vec<Row>],
) -> KeyedStream<u8, Row, impl highwater::stream::Chain<Out = (u8, Row)>> {
    let watermarks = Watermarks::bounded(Duration::from_millis(DISORDER as u64), |row: &Row| row.0);
    job.source(Collection::splits(splits.to_vec()), watermarks).key_by(|row: &Row| row.1)
}

type Pair = (Option<Row>, Option<Row>);

/// The interval join by its definition.
fn pairs(left: &[Row], right: &[Row], outer: Outer, fits: impl Fn(&Row, &Row) -> bool) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for l in left {
        pairs.extend(right.iter().filter(|r| fits(l, r)).map(|r| (Some(*l), Some(*r))));
    }
    if matches!(outer, Outer::Left | Outer::Both) {
        let alone = left.iter().filter(|l| !right.iter().any(|r| fits(l, r)));
        pairs.extend(alone.map(|l| (Some(*l), None)));
    }
    if matches!(outer, Outer::Right | Outer::Both) {
        let alone = right.iter().filter(|r| !left.iter().any(|l| fits(l, r)));
        pairs.extend(alone.map(|r| (None, Some(*r))));
    }
    pairs.sort();
    pairs
}

/// A bound of an interval: near, far, or none.
fn bound() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -12..12i64, 4 => -700..700i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn interval_joins_are_all_pairs_of_records_on_time(
        (left, right) in (splits(), splits()),
        (lower, upper, open) in (bound(), bound(), 0..4u8),
        outer in prop_oneof![Just(Outer::None), Just(Outer::Left), Just(Outer::Right), Just(Outer::Both)],
        options in ways(),
    ) {
        let job = Job::new();
        let mut interval = Interval::between(Offset::millis(lower), Offset::millis(upper));
        if open & 1 == 1 { interval = interval.excluding_lower(); }
        if open & 2 == 2 { interval = interval.excluding_upper(); }
        // A condition of its own, and a window behind the join: nothing that it emits is late there.
        let join = read(&job, &left).interval_join(read(&job, &right), interval);
        let joined = join.outer(outer, |_, l, r| match (l, r) {
            (Some(l), Some(r)) if (l.2 + r.2).is_multiple_of(5) => None,
            (l, r) => Some((l.copied(), r.copied())),
        });
        let windows = joined.clone().window_all(Tumbling::of(Duration::from_millis(7))).count().map(|w| w.value).collect();
        let joined = joined.collect();
        let summary = job.run_with(options).unwrap();

        let (lefts, rights) = (on_time(&left), on_time(&right));
        let fits = |l: &Row, r: &Row| {
            let apart = r.0 - l.0;
            let above = if open & 1 == 1 { apart > lower } else { apart >= lower };
            let below = if open & 2 == 2 { apart < upper } else { apart <= upper };
            l.1 == r.1 && above && below && !(l.2 + r.2).is_multiple_of(5)
        };
        let expected = pairs(&lefts, &rights, outer, fits);
        prop_assert_eq!(joined.sorted(), expected.clone());
        prop_assert_eq!(windows.values().iter().sum::<u64>(), expected.len() as u64);
        let late = stamped(&left).len() + stamped(&right).len() - lefts.len() - rights.len();
        prop_assert_eq!(summary.metrics.sum("late_dropped"), late as i64);
        prop_assert_eq!(summary.metrics.sum("timers_dropped"), 0);
    }

    #[test]
    fn groups_hold_what_both_sides_have_in_a_window(
        (left, right) in (splits(), splits()), (size, slide) in (1..12i64, 1..9i64), options in ways(),
    ) {
        let millis = |n: i64| Duration::from_millis(n as u64);
        let windows: Aligned = Sliding::of(millis(size), millis(slide));
        let job = Job::new();
        let (lefts, rights) = (read(&job, &left), read(&job, &right));
        let groups = lefts.clone().co_group(rights.clone(), windows, |group| {
            let sorted = |mut rows: Vec<Row>| { rows.sort(); rows };
            assert!(group.left.is_sorted_by_key(|row| row.0) && group.right.is_sorted_by_key(|row| row.0));
            vec![(group.window.end, group.key, sorted(group.left), sorted(group.right))]
        }).collect();
        let joined = lefts.window_join(rights, windows, |_, l, r| (*l, *r)).collect();
        job.run_with(options).unwrap();

        type Sides = (Vec<Row>, Vec<Row>);
        let mut expected: BTreeMap<(i64, u8), Sides> = BTreeMap::new();
        for (side, splits) in [&left, &right].into_iter().enumerate() {
            for (row, watermark) in stamped(splits) {
                for window in windows.of_timestamp(row.0).iter().filter(|window| window.end > watermark) {
                    let sides = expected.entry((window.end, row.1)).or_default();
                    if side == 0 { sides.0.push(row) } else { sides.1.push(row) }
                }
            }
        }
        let mut all = Vec::new();
        let mut pairs = Vec::new();
        for ((end, key), (mut l, mut r)) in expected {
            l.sort();
            r.sort();
            pairs.extend(l.iter().flat_map(|l| r.iter().map(move |r| (*l, *r))));
            all.push((end, key, l, r));
        }
        pairs.sort();
        prop_assert_eq!(groups.sorted(), all);
        prop_assert_eq!(joined.sorted(), pairs);
    }

    #[test]
    fn a_temporal_join_sees_the_version_of_the_time(
        (rows, versions) in (splits(), splits()), options in ways(),
    ) {
        let job = Job::new();
        let version = |row: Row| (!row.2.is_multiple_of(4)).then_some(row.2);
        let seen = read(&job, &rows).temporal_join(
            read(&job, &versions).map_values(version),
            |_, row, version| Some((*row, version.copied())),
        );
        let seen = seen.collect();
        job.run_with(options).unwrap();

        let versions = on_time(&versions);
        let expected = on_time(&rows).into_iter().map(|row| {
            let valid = versions.iter().filter(|v| v.1 == row.1 && v.0 <= row.0);
            // Of versions of one time the greatest counts.
            let last = valid.max_by_key(|v| (v.0, version(**v)));
            (row, last.and_then(|v| version(*v)))
        });
        let mut expected: Vec<_> = expected.collect();
        expected.sort();
        prop_assert_eq!(seen.sorted(), expected);
    }
}
