//! Windows equal a recomputation from scratch, late records included, whatever the workers, the epochs and
//! the timing.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use highwater::window::{Aligned, Sliding};
use proptest::collection::vec;
use proptest::prelude::*;

type Event = (u8, i64, i64);

/// What each window of each key sums up, and what is late for all: straight from the definition.
fn oracle(splits: &[Vec<Event>], windows: Aligned, disorder: i64) -> (BTreeMap<(i64, u8), i64>, Vec<Event>) {
    let (mut sums, mut late) = (BTreeMap::new(), Vec::new());
    for split in splits {
        let mut watermark = i64::MIN;
        for event in split {
            let (key, value, time) = *event;
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

fn split() -> impl Strategy<Value = Vec<Event>> {
    vec((0..6u8, -20..20i64, -30..60i64), 0..150).prop_map(|mut events| {
        // Mostly ascending, with some disorder.
        for (i, event) in events.iter_mut().enumerate() {
            event.2 = event.2 / 4 + i as i64;
        }
        events
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
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn windows_are_those_of_the_definition(
        splits in vec(split(), 1..5),
        workers in 1..5usize,
        epochs in epochs(),
        (size, slide, offset) in (1..40u64, 1..40u64, 0..10u64),
        disorder in 0..12i64,
    ) {
        let millis = Duration::from_millis;
        let windows = Sliding::of(millis(size), millis(slide)).offset(millis(offset));
        let job = Job::new();
        let watermarks = Watermarks::bounded(millis(disorder as u64), |event: &Event| event.2);
        let keyed = job.source(Collection::splits(splits.clone()), watermarks).key_by(|event| event.0);
        let windowed = keyed.window(windows);
        let late = windowed.late().map(|(_, event)| event).collect();
        let sums = windowed.sum(|event| event.1).collect();
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();

        let (expected, expected_late) = oracle(&splits, windows, disorder);
        let mut results = BTreeMap::new();
        for result in sums.values() {
            let again = results.insert((result.window.end, result.key), result.value);
            prop_assert_eq!(again, None, "a window fired twice");
        }
        prop_assert_eq!(results, expected);
        prop_assert_eq!(late.sorted(), expected_late.clone());
        prop_assert_eq!(job.metrics().sum("late_dropped"), expected_late.len() as i64);
    }
}
