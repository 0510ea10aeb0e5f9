//! Event times of all sizes: of another unit by mistake, negative, and at the ends of time.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::Change;
use highwater::error::ErrorKind;
use highwater::join::{Interval, Offset};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use highwater::window::{Aligned, OnEventTime, Sessions, Sliding, Tumbling, Windowed};
use proptest::collection::vec;
use proptest::prelude::*;

/// Key, start, end, count.
type Row = (u8, i64, i64, u64);

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

/// Times near each other, anywhere, in order.
fn times() -> impl Strategy<Value = Vec<i64>> {
    let from = prop_oneof![
        any::<i64>(),
        (0..200i64).prop_map(|near| i64::MAX - near),
        (0..5i64).prop_map(|near| i64::MIN + near),
        (-100..100i64).prop_map(|near| (1 << 60) + near),
        (-100..100i64).prop_map(|near| near - (1 << 60)),
        Just(1_700_000_000_000_000_000),
        Just(-1_700_000_000_000_000_000),
    ];
    (from, vec(0..30i64, 1..40)).prop_map(|(from, steps)| {
        let add = |time: &mut i64, step: i64| {
            *time = time.saturating_add(step);
            Some(*time)
        };
        steps.into_iter().scan(from, add).collect()
    })
}

fn by_time(
    disorder: i64,
) -> Watermarks<(u8, i64), impl Fn(&(u8, i64)) -> i64 + Clone + Send + Sync + 'static> {
    Watermarks::bounded(millis(disorder), |event: &(u8, i64)| event.1)
}

fn row(result: Windowed<u8, u64>) -> Row {
    (result.key, result.window.start, result.window.end, result.value)
}

fn saturated(time: i128) -> i64 {
    time.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// The windows of a time by their definition: their starts and ends.
fn windows_of(time: i64, [size, slide, offset]: [i64; 3]) -> Vec<(i128, i128)> {
    let [size, slide, offset, time] = [size, slide, offset, time].map(i128::from);
    let last = (time - offset).div_euclid(slide);
    let starts = (0..).map(|back| offset + (last - back) * slide).take_while(|start| time < start + size);
    starts.map(|start| (start, start + size)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn windows_and_their_joins_are_exact_at_all_times(
        times in times(), size in 1..40i64, slide in 1..40i64, offset in 0..50i64, workers in 1..3usize, disorder in 0..3i64,
    ) {
        let windows: Aligned = Sliding::of(millis(size), millis(slide)).offset(millis(offset));
        let events: Vec<(u8, i64)> = times.iter().enumerate().map(|(n, time)| ((n % 2) as u8, *time)).collect();
        // What ends with time and is not the only one to do so cannot be told.
        let untold = |time: &i64| {
            let all = windows_of(*time, [size, slide, offset]);
            all.first().is_some_and(|(_, end)| end - i128::from(slide) >= i128::from(i64::MAX))
        };
        let job = Job::new();
        let keyed = || job.source(Collection::splits([events.clone()]), by_time(disorder)).key_by(|event| event.0);
        let fast = keyed().window(windows).count().uid("windows").map(row).collect();
        let general = keyed().window(windows).trigger(OnEventTime::default()).count().map(row).collect();
        let group = keyed().co_group(keyed(), windows, |group| {
            vec![(group.key, group.window.start, group.window.end, group.left.len() as u64)]
        });
        let (group, options) = (group.collect(), Options::default().workers(workers).epochs(Epochs::records(7)));
        let ran = job.run_with(options);
        if times.iter().any(untold) {
            let error = ran.unwrap_err();
            prop_assert_eq!(error.kind(), ErrorKind::Data);
            prop_assert!(error.to_string().contains("milliseconds since 1970"), "{}", error);
            return Ok(());
        }
        ran.unwrap();
        let mut counts = BTreeMap::<(u8, i64, i64), u64>::new();
        for (key, time) in &events {
            for (start, end) in windows_of(*time, [size, slide, offset]) {
                *counts.entry((*key, saturated(start), saturated(end))).or_default() += 1;
            }
        }
        let expected: Vec<Row> = counts.into_iter().map(|((key, start, end), n)| (key, start, end, n)).collect();
        prop_assert_eq!(fast.sorted(), expected.clone());
        prop_assert_eq!(general.sorted(), expected.clone());
        prop_assert_eq!(group.sorted(), expected);
    }

    #[test]
    fn sessions_are_exact_at_all_times(
        times in times(), gap in 1..40i64, workers in 1..3usize, disorder in 0..3i64,
    ) {
        let events: Vec<(u8, i64)> = times.iter().map(|time| (1, *time)).collect();
        let job = Job::new();
        let keyed = || job.source(Collection::splits([events.clone()]), by_time(disorder)).key_by(|event| event.0);
        let fast = keyed().window(Sessions::with_gap(millis(gap))).count().map(row).collect();
        let general = keyed().window(Sessions::with_gap(millis(gap))).allowed_lateness(millis(3));
        let general = general.count().map(row).collect();
        let corrected = keyed().window(Sessions::with_gap(millis(gap))).correct_until(millis(3));
        let corrected = corrected.count().map(|change: Change<_>| change.map(row)).materialize();
        job.run_with(Options::default().workers(workers).epochs(Epochs::records(7))).unwrap();
        let mut expected: Vec<(i64, i64, u64)> = Vec::new();
        for time in times {
            let end = time.saturating_add(gap);
            match expected.last_mut().filter(|(_, last, _)| time < *last || *last == i64::MAX) {
                Some(session) => *session = (session.0, end, session.2 + 1),
                None => expected.push((time, end, 1)),
            }
        }
        let expected: Vec<Row> = expected.into_iter().map(|(start, end, n)| (1, start, end, n)).collect();
        prop_assert_eq!(fast.sorted(), expected.clone());
        prop_assert_eq!(general.sorted(), expected.clone());
        prop_assert_eq!(corrected.sorted(), expected);
    }

    #[test]
    fn interval_joins_are_exact_at_all_times(
        left in times(), right in times(), same in any::<bool>(), lower in -30..30i64, length in 0..40i64,
    ) {
        let right: Vec<i64> = if same { left.iter().map(|time| time.saturating_sub(4)).collect() } else { right };
        let job = Job::new();
        let side = |times: &[i64]| {
            job.timed_collection(times.to_vec(), Watermarks::monotone(|time: &i64| *time)).key_by(|_| 1u8)
        };
        let interval = Interval::between(Offset::millis(lower), Offset::millis(lower + length));
        let pairs = side(&left).interval_join(side(&right), interval).inner(|_, l, r| (*l, *r)).collect();
        job.run().unwrap();
        let meets = |l: &i64, r: &i64| {
            let apart = i128::from(*r) - i128::from(*l);
            i128::from(lower) <= apart && apart <= i128::from(lower + length)
        };
        let all = left.iter().flat_map(|l| right.iter().map(move |r| (*l, *r)));
        let mut expected: Vec<(i64, i64)> = all.filter(|(l, r)| meets(l, r)).collect();
        expected.sort();
        prop_assert_eq!(pairs.sorted(), expected);
    }
}

#[test]
fn nanoseconds_by_mistake_are_windows_of_so_many_of_them() {
    let base = 1_700_000_000_000_000_000i64;
    let times = [base, base + 3, base + 999, base + 1_000, base + 5_000_000];
    let job = Job::new();
    let events = job.timed_collection(times, Watermarks::monotone(|time: &i64| *time)).key_by(|_| 1u8);
    let counts = events.clone().window(Tumbling::of(millis(1_000))).count();
    let counts = counts.map(|count| (count.window.start, count.value)).collect();
    let pairs = events.clone().window_join(events, Tumbling::of(millis(1_000)), |_, l, r| (*l, *r)).collect();
    job.run().unwrap();
    assert_eq!(counts.sorted(), [(base, 3), (base + 1_000, 1), (base + 5_000_000, 1)]);
    assert_eq!(pairs.values().len(), 9 + 1 + 1);
}
