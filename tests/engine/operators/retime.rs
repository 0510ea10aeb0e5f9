//! Event time given anew on the way is as good as a source's: the same windows, the same late records, and
//! results that come when they are due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::connector::Collection;
use highwater::stream::Job;
use highwater::time::{Epochs, EventTime, Watermarks};
use highwater::window::{Aligned, Sliding, Tumbling};
use proptest::collection::vec;
use proptest::prelude::*;

use super::scripted::{Scripted, Turn};

/// Split, key, value, event time.
type Event = (usize, u8, i64, i64);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

type Sums = BTreeMap<(i64, u8), i64>;

/// What each window of each key sums up, and what is late for all: straight from the definition.
fn oracle(splits: &[Vec<Event>], windows: Aligned, disorder: i64) -> (Sums, Vec<Event>) {
    let (mut sums, mut late) = (BTreeMap::new(), Vec::new());
    for split in splits {
        let mut watermark = i64::MIN;
        for event in split {
            let (_, key, value, time) = *event;
            let all = windows.of_timestamp(time);
            let open: Vec<_> = all.iter().filter(|window| window.end > watermark).collect();
            for window in &open {
                *sums.entry((window.end, key)).or_default() += value;
            }
            if open.is_empty() && !all.is_empty() {
                late.push(*event);
            }
            watermark = watermark.max(time - disorder);
        }
    }
    late.sort();
    (sums, late)
}

fn splits() -> impl Strategy<Value = Vec<Vec<Event>>> {
    vec(vec((0..6u8, -20..20i64, -30..60i64), 0..150), 1..5).prop_map(|splits| {
        let event = |split, (i, (key, value, time)): (usize, (u8, i64, i64))| {
            (split, key, value, time / 4 + i as i64)
        };
        let split = |(number, rows): (usize, Vec<_>)| {
            rows.into_iter().enumerate().map(|row| event(number, row)).collect()
        };
        splits.into_iter().enumerate().map(split).collect()
    })
}

fn epochs() -> impl Strategy<Value = Epochs> {
    prop_oneof![
        (1..200u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        Just(Epochs::every(Duration::from_millis(1))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Two strategies at once over one source, which itself promises nothing or too much.
    #[test]
    fn windows_and_late_records_are_those_of_the_new_strategy(
        splits in splits(),
        workers in 1..5usize,
        epochs in epochs(),
        (size, slide) in (1..40u64, 1..40u64),
        disorders in (0..12i64, 0..40i64),
        is_timed in any::<bool>(),
    ) {
        let windows = Sliding::of(millis(size), millis(slide));
        let job = Job::new();
        let before = match is_timed {
            true => Watermarks::monotone((|event: &Event| event.3 + 1_000) as fn(&Event) -> EventTime),
            false => Watermarks::none(),
        };
        let source = job.source(Collection::splits(splits.clone()), before);
        let read = |disorder: i64| {
            let watermarks = Watermarks::bounded(millis(disorder as u64), |event: &Event| event.3);
            let timed = source.clone().with_watermarks(watermarks, splits.len(), |event| event.0);
            let windowed = timed.key_by(|event| event.1).window(windows);
            let late = windowed.late().map(|(_, event)| event).collect();
            (late, windowed.sum(|event| event.2).collect())
        };
        let both = [(disorders.0, read(disorders.0)), (disorders.1, read(disorders.1))];
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();

        for (disorder, (late, sums)) in both {
            let (expected, expected_late) = oracle(&splits, windows, disorder);
            let mut results = BTreeMap::new();
            for result in sums.values() {
                let again = results.insert((result.window.end, result.key), result.value);
                prop_assert_eq!(again, None, "a window fired twice");
            }
            prop_assert_eq!(results, expected);
            prop_assert_eq!(late.sorted(), expected_late);
        }
    }
}

/// A source that promises nothing, and a watermark that closes windows all the same, in the epochs of the
/// records at their ends.
#[test]
fn windows_close_when_they_end_and_not_with_the_input() {
    let job = Job::new();
    let source = job.source(Collection::new(0..1_000i64), Watermarks::none());
    let timed = source.with_watermarks(Watermarks::monotone(|time: &i64| *time), 1, |_| 0);
    let counts = timed.window_all(Tumbling::of(millis(100))).count().collect();
    // So many that the source never has to stay in an epoch.
    job.run_with(Options::default().epochs(Epochs::records(50)).max_epochs_in_flight(100)).unwrap();
    let records = counts.records();
    let closed: Vec<_> = records.iter().map(|(epoch, result)| (result.value.window.end, *epoch)).collect();
    let expected: Vec<_> = (1..=10u64).map(|n| (n as i64 * 100, (n * 2).min(19))).collect();
    assert_eq!(closed, expected);
}

#[test]
fn a_source_can_wait_for_a_window_to_close() {
    for workers in 1..=4 {
        let closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closed);
        let source = Scripted::new(1, move |_, given| match given {
            0..=10 => Turn::Give(given as i64),
            11 if !seen.load(SeqCst) => Turn::Wait(millis(1)),
            11 => Turn::Give(11),
            _ => Turn::Done,
        });
        let job = Job::new();
        let watermarks = Watermarks::monotone(|time: &i64| *time);
        let timed = job.source(source, Watermarks::none()).with_watermarks(watermarks, 1, |_| 0);
        let counts = timed.window_all(Tumbling::of(millis(10))).count();
        let counts = counts.inspect(move |_, _| closed.store(true, SeqCst)).collect();
        job.run_with(Options::default().workers(workers)).unwrap();
        assert_eq!(counts.values().iter().map(|count| count.value).collect::<Vec<_>>(), [10, 2]);
    }
}

/// The second split is silent. Without a timeout it holds everything back; with one the first split's windows
/// close while it is.
#[test]
fn a_silent_split_holds_the_watermark_back_unless_it_may_be_idle() {
    for (workers, idle) in [(1, true), (2, true), (3, true), (2, false)] {
        let clock = Clock::manual();
        let (closed, moves) = (Arc::new(AtomicBool::new(false)), clock.clone());
        let seen = Arc::clone(&closed);
        // The source waits for the window to close; without a timeout it gives up after a while.
        let source = Scripted::new(1, move |_, given| match given {
            0 => Turn::Give((1, 1i64)),
            1 => Turn::Give((0, 5)),
            _ if seen.load(SeqCst) || moves.now() > millis(400) => Turn::Done,
            _ => {
                // The other workers need real time to see what has become of the clock.
                std::thread::sleep(millis(4));
                moves.advance(millis(2));
                Turn::GiveAndWait((0, 12))
            }
        });
        let job = Job::new();
        let watermarks = Watermarks::monotone(|event: &(usize, i64)| event.1);
        let watermarks = if idle { watermarks.idle_after(millis(100)) } else { watermarks };
        let timed = job.source(source, Watermarks::none()).with_watermarks(watermarks, 2, |event| event.0);
        let (sees, at) = (Arc::clone(&closed), clock.clone());
        let counts = timed.window_all(Tumbling::of(millis(10))).count();
        let counts = counts
            .inspect(move |_, _| {
                if at.now() < millis(390) {
                    sees.store(true, SeqCst)
                }
            })
            .collect();
        job.run_with(Options::default().workers(workers).clock(clock.clone())).unwrap();
        assert_eq!(closed.load(SeqCst), idle, "{workers} workers");
        assert!(clock.now() >= millis(100), "it was not silent for long enough");
        assert_eq!(counts.values().iter().map(|count| count.window.end).collect::<Vec<_>>(), [10, 20]);
    }
}

#[test]
fn impossible_strategies_are_refused() {
    let run = |splits, watermarks: Watermarks<i64, fn(&i64) -> EventTime>| {
        let job = Job::new();
        job.collection([1i64]).with_watermarks(watermarks, splits, |_| 0).discard();
        job.run().unwrap_err().to_string()
    };
    let monotone = || Watermarks::monotone((|time: &i64| *time) as fn(&i64) -> EventTime);
    assert!(run(0, monotone()).contains("at least 1 split"));
    assert!(run(1, monotone().align(millis(5))).contains("align"));
}

#[test]
fn split_numbers_that_are_too_great_do_no_harm() {
    let job = Job::new();
    let watermarks = Watermarks::monotone(|time: &i64| *time);
    let times = job
        .collection(0..100i64)
        .with_watermarks(watermarks, 3, |time| usize::MAX - *time as usize)
        .collect();
    job.run_with(Options::default().workers(2)).unwrap();
    assert_eq!(times.sorted(), (0..100).collect::<Vec<_>>());
}
