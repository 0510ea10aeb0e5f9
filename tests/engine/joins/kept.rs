//! What an interval join keeps: more than memory may hold, and until the input ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use highwater::config::{Options, Seals};
use highwater::connector::Generator;
use highwater::join::{Interval, Offset, Outer};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use serde::{Deserialize, Serialize};

/// Time, key, text.
type Row = (i64, u32, String);

/// How much later a row may come than one of a later time, in milliseconds.
const DISORDER: i64 = 9;

/// Rows of many keys, four in a millisecond, a little out of order, and many of one time.
fn rows(seed: u32) -> Vec<Row> {
    let row = |n: u32| {
        let mixed = n.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 7;
        let time = i64::from(n / 4) - i64::from(mixed % DISORDER as u32);
        (time, mixed % 9000, format!("{seed}-{n}-{}", "x".repeat(100)))
    };
    (0..12_000).map(row).collect()
}

type Pair = (Option<String>, Option<String>);

/// The full outer join by its definition.
fn pairs(left: &[Row], right: &[Row], (lower, upper): (i64, i64)) -> Vec<Pair> {
    let mut keys: BTreeMap<u32, (Vec<&Row>, Vec<&Row>)> = BTreeMap::new();
    left.iter().for_each(|row| keys.entry(row.1).or_default().0.push(row));
    right.iter().for_each(|row| keys.entry(row.1).or_default().1.push(row));
    let fits = |l: &Row, r: &Row| (lower..=upper).contains(&(r.0 - l.0));
    let mut pairs = Vec::new();
    for (lefts, rights) in keys.values() {
        for l in lefts {
            let partners = rights.iter().filter(|r| fits(l, r));
            pairs.extend(partners.map(|r| (Some(l.2.clone()), Some(r.2.clone()))));
        }
        let alone = lefts.iter().filter(|l| !rights.iter().any(|r| fits(l, r)));
        pairs.extend(alone.map(|l| (Some(l.2.clone()), None)));
        let alone = rights.iter().filter(|r| !lefts.iter().any(|l| fits(l, r)));
        pairs.extend(alone.map(|r| (None, Some(r.2.clone()))));
    }
    pairs.sort();
    pairs
}

/// Joins under a limit of memory, and says how many keys have left it and entered it.
fn join(
    left: &[Row],
    right: &[Row],
    interval: (i64, i64),
    outer: Outer,
    seals: Seals,
) -> (Vec<Pair>, i64, i64) {
    let job = Job::new();
    let watermarks = || Watermarks::bounded(Duration::from_millis(DISORDER as u64), |row: &Row| row.0);
    let read = |rows: &[Row]| job.timed_collection(rows.to_vec(), watermarks()).key_by(|row: &Row| row.1);
    let joined = read(left).interval_join(
        read(right),
        Interval::between(Offset::millis(interval.0), Offset::millis(interval.1)),
    );
    let joined = joined.outer(outer, |_, l, r| Some((l.map(|l| l.2.clone()), r.map(|r| r.2.clone()))));
    let joined = joined.collect();
    let options = Options::default().workers(2).epochs(Epochs::records(400)).seals(seals);
    let summary = job.run_with(options.state_memory(1 << 20, std::env::temp_dir())).unwrap();
    assert_eq!(summary.metrics.sum("late_dropped"), 0);
    let moved = ["keys_evicted", "keys_reloaded"].map(|name| summary.metrics.sum(name));
    (joined.sorted(), moved[0], moved[1])
}

#[test]
fn what_leaves_memory_is_joined_and_told_all_the_same() {
    let (left, right) = (rows(1), rows(77));
    let interval = (-700, 1200);
    let expected = pairs(&left, &right, interval);
    let met = expected.iter().filter(|(l, r)| l.is_some() && r.is_some()).count();
    assert!(met > 5000 && expected.len() - met > 2000, "{met} pairs of {}", expected.len());
    for seals in [Seals::OnDemand, Seals::EachEpoch] {
        let (joined, left, entered) = join(&left, &right, interval, Outer::Both, seals);
        assert!(joined == expected, "{} of {}", joined.len(), expected.len());
        assert!(left > 1000 && entered > 1000, "{left} keys left memory, {entered} entered");
    }
    let (joined, left, entered) = join(&left, &right, interval, Outer::None, Seals::OnDemand);
    let inner: Vec<Pair> = expected.into_iter().filter(|(l, r)| l.is_some() && r.is_some()).collect();
    assert!(joined == inner, "{} of {}", joined.len(), inner.len());
    assert!(left > 1000 && entered > 1000, "{left} keys left memory, {entered} entered");
}

#[test]
fn all_that_waits_is_told_when_the_input_ends_however_much_it_is() {
    // More than the timers that timers may register by then.
    let rows: Vec<(i64, u8)> = (0..120_000).map(|time| (time, (time % 2) as u8)).collect();
    let job = Job::new();
    let read = |rows| job.timed_collection(rows, Watermarks::monotone(|row: &(i64, u8)| row.0));
    let (left, right) = (read(rows).key_by(|row| row.1), read(Vec::new()).key_by(|row| row.1));
    let joined = left.interval_join(right, Interval::between(Offset::millis(0), Offset::millis(1 << 40)));
    let told = joined.outer(Outer::Left, |_, left, _| left.map(|left| left.0)).collect();
    let summary = job.run_with(Options::default()).unwrap();
    assert_eq!(summary.metrics.sum("timers_dropped"), 0);
    assert_eq!(told.sorted(), (0..120_000).collect::<Vec<_>>());
}

/// How many of them there are.
static ALIVE: AtomicI64 = AtomicI64::new(0);

/// Counts itself.
struct Counted(());

impl Default for Counted {
    fn default() -> Counted {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Counted(())
    }
}

impl Clone for Counted {
    fn clone(&self) -> Counted {
        Counted::default()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Number(u64, #[serde(skip)] Counted);

#[test]
fn records_are_forgotten_when_no_partner_can_come() {
    const RECORDS: u64 = 60_000;
    for outer in [Outer::None, Outer::Left, Outer::Right, Outer::Both] {
        let job = Job::new();
        let numbers = Generator::new(1, move |n| (n < RECORDS).then_some(n));
        let numbers = job.source(numbers, Watermarks::monotone(|n: &u64| *n as i64));
        let side = |second| {
            let side = numbers.clone().filter(move |n| n % 2 == second).key_by(|n| n / 2 % 1000);
            side.map_values(|n| Number(n, Counted::default()))
        };
        let most = Arc::new(AtomicI64::new(0));
        let seen = Arc::clone(&most);
        // Some hundreds are within the interval at once, of each key one. All have partners, and so say how
        // many there are.
        let pairs = side(0)
            .interval_join(side(1), Interval::between(Offset::millis(-1), Offset::millis(300)))
            .outer(outer, move |_, l, r| {
                seen.fetch_max(ALIVE.load(Ordering::Relaxed), Ordering::Relaxed);
                Some((l?.0, r?.0))
            });
        let pairs = pairs.collect();
        job.run_with(Options::default().epochs(Epochs::records(500))).unwrap();
        assert_eq!(pairs.values().len() as u64, RECORDS / 2);
        let most = most.load(Ordering::Relaxed);
        assert!((1..RECORDS as i64 / 4).contains(&most), "{most} records were alive at once, {outer:?}");
    }
    assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
}
