//! Random input against recomputations from scratch: whatever the workers, the epochs, the disorder and the
//! seals.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::config::{Options, Seals};
use highwater::connector::Collection;
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use highwater::window::{Aligned, CountWindows, Firing, OnEventTime, Sessions, Sliding, Windowed};
use proptest::collection::vec;
use proptest::prelude::*;

/// Key, value, time.
pub(crate) type Event = (u8, i64, i64);

/// Key, start, end, sum.
pub(crate) type Row = (u8, i64, i64, i64);

pub(crate) fn split() -> impl Strategy<Value = Vec<Event>> {
    vec((0..4u8, -20..20i64, -60..40i64), 0..120).prop_map(|mut events| {
        // Mostly ascending, with disorder.
        for (i, event) in events.iter_mut().enumerate() {
            event.2 = event.2 / 3 + 2 * i as i64;
        }
        events
    })
}

pub(crate) fn options() -> impl Strategy<Value = Options> {
    let epochs = prop_oneof![
        (1..150u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        Just(Epochs::every(Duration::from_millis(1))),
    ];
    (1..5usize, epochs, any::<bool>()).prop_map(|(workers, epochs, each)| {
        let seals = if each { Seals::EachEpoch } else { Seals::OnDemand };
        Options::default().workers(workers).epochs(epochs).seals(seals)
    })
}

pub(crate) fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

/// The events with the watermarks in their stamps.
pub(crate) fn stamped(splits: &[Vec<Event>], disorder: i64) -> Vec<(i64, Event)> {
    let mut all = Vec::new();
    for split in splits {
        let mut watermark = i64::MIN;
        for event in split {
            all.push((watermark, *event));
            watermark = watermark.max(event.2 - disorder);
        }
    }
    all
}

/// Sessions by their definition: records taken in order of the watermarks in their stamps, a session is over
/// when its end and the lateness have passed.
pub(crate) fn sessions(
    splits: &[Vec<Event>],
    disorder: i64,
    gap: impl Fn(i64) -> i64,
    lateness: i64,
) -> (Vec<Row>, usize) {
    let mut all = stamped(splits, disorder);
    all.sort_by_key(|(watermark, event)| (*watermark, event.2, gap(event.1)));
    let (mut open, mut over, mut late) = (Vec::<Row>::new(), Vec::<Row>::new(), 0);
    for (watermark, (key, value, time)) in all {
        over.extend(open.extract_if(.., |session| session.2 + lateness <= watermark));
        let mut session = (key, time, time + gap(value), value);
        let touches = |other: &mut Row| other.0 == key && other.1 < time + gap(value) && time < other.2;
        let touched: Vec<Row> = open.extract_if(.., touches).collect();
        if touched.is_empty() && session.2 + lateness <= watermark {
            late += 1;
            continue;
        }
        for other in touched {
            session = (key, session.1.min(other.1), session.2.max(other.2), session.3 + other.3);
        }
        open.push(session);
    }
    over.append(&mut open);
    over.sort();
    (over, late)
}

/// The sums of aligned windows, where a record counts if its own stamp says that it is not too late.
pub(crate) fn aligned(
    splits: &[Vec<Event>],
    disorder: i64,
    windows: Aligned,
    lateness: i64,
) -> (Vec<Row>, usize) {
    let (mut sums, mut late) = (BTreeMap::<(u8, i64, i64), i64>::new(), 0);
    for (watermark, (key, value, time)) in stamped(splits, disorder) {
        let all = windows.of_timestamp(time);
        let open: Vec<_> = all.iter().filter(|window| window.end + lateness > watermark).collect();
        late += usize::from(open.is_empty() && !all.is_empty());
        for window in open {
            *sums.entry((key, window.start, window.end)).or_default() += value;
        }
    }
    (sums.into_iter().map(|((key, start, end), sum)| (key, start, end, sum)).collect(), late)
}

pub(crate) fn row(result: Windowed<u8, i64>) -> Row {
    (result.key, result.window.start, result.window.end, result.value)
}

/// A gap of its own for each value.
fn gap_of(value: i64) -> i64 {
    1 + (value + 20) % 11
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sessions_are_those_of_the_definition(
        splits in vec(split(), 1..5), options in options(), gap in 1..20i64, disorder in 0..15i64,
    ) {
        let job = Job::new();
        let watermarks = Watermarks::bounded(millis(disorder), |event: &Event| event.2);
        let keyed = job.source(Collection::splits(splits.clone()), watermarks).key_by(|event| event.0);
        let fixed = keyed.clone().window(Sessions::with_gap(millis(gap))).sum(|e| e.1).map(row).collect();
        let general = keyed.clone().window(Sessions::with_gap(millis(gap))).allowed_lateness(millis(0));
        let general = general.sum(|e| e.1).map(row).collect();
        let own = Sessions::with_gaps(|event: &Event| millis(gap_of(event.1)));
        let own = keyed.window(own).sum(|e| e.1).map(row).collect();
        let summary = job.run_with(options).unwrap();

        let (expected, late) = sessions(&splits, disorder, |_| gap, 0);
        let (expected_own, late_own) = sessions(&splits, disorder, gap_of, 0);
        prop_assert_eq!(fixed.sorted(), expected.clone());
        prop_assert_eq!(general.sorted(), expected);
        prop_assert_eq!(own.sorted(), expected_own);
        prop_assert_eq!(summary.metrics.sum("late_dropped"), (2 * late + late_own) as i64);
    }

    #[test]
    fn corrected_sessions_add_up_to_those_of_the_definition(
        splits in vec(split(), 1..4), options in options(), gap in 1..20i64, disorder in 0..10i64, lateness in 0..30i64,
    ) {
        let job = Job::new();
        let watermarks = Watermarks::bounded(millis(disorder), |event: &Event| event.2);
        let keyed = job.source(Collection::splits(splits.clone()), watermarks).key_by(|event| event.0);
        let windows = keyed.window(Sessions::with_gap(millis(gap))).correct_until(millis(lateness));
        let sums = windows.sum(|event| event.1).map(|change| change.map(row)).materialize();
        let summary = job.run_with(options).unwrap();
        let (expected, late) = sessions(&splits, disorder, |_| gap, lateness);
        prop_assert_eq!(sums.sorted(), expected);
        prop_assert_eq!(summary.metrics.sum("late_dropped"), late as i64);
    }

    #[test]
    fn the_general_operator_agrees_with_that_for_aligned_windows(
        splits in vec(split(), 1..4), options in options(), (size, slide) in (1..30u64, 1..30u64), disorder in 0..12i64,
    ) {
        let windows = Sliding::of(Duration::from_millis(size), Duration::from_millis(slide));
        let job = Job::new();
        let watermarks = Watermarks::bounded(millis(disorder), |event: &Event| event.2);
        let keyed = job.source(Collection::splits(splits.clone()), watermarks).key_by(|event| event.0);
        let fast = keyed.clone().window(windows).sum(|e| e.1).map(row).collect();
        let general = keyed.clone().window(windows).trigger(OnEventTime::default()).sum(|e| e.1).map(row).collect();
        let listed = keyed.window(windows).apply(|key, window, events| {
            [(*key, window.start, window.end, events.iter().map(|event| event.1).sum::<i64>())]
        });
        let listed = listed.collect();
        let summary = job.run_with(options).unwrap();
        let (expected, late) = aligned(&splits, disorder, windows, 0);
        prop_assert_eq!(fast.sorted(), expected.clone());
        prop_assert_eq!(general.sorted(), expected.clone());
        prop_assert_eq!(listed.sorted(), expected);
        prop_assert_eq!(summary.metrics.sum("late_dropped"), 3 * late as i64);
    }

    #[test]
    fn corrections_add_up_and_firings_tell_when(
        splits in vec(split(), 1..4),
        options in options(),
        (size, slide) in (1..30u64, 1..30u64),
        disorder in 0..8i64,
        lateness in 0..30i64,
    ) {
        let windows = Sliding::of(Duration::from_millis(size), Duration::from_millis(slide));
        let job = Job::new();
        let watermarks = Watermarks::bounded(millis(disorder), |event: &Event| event.2);
        let keyed = job.source(Collection::splits(splits.clone()), watermarks).key_by(|event| event.0);
        let corrected = keyed.clone().window(windows).correct_until(millis(lateness));
        let corrected = corrected.sum(|e| e.1).map(|change| change.map(row)).materialize();
        let firings = keyed.map_values(|event| event.1).window(windows).allowed_lateness(millis(lateness));
        let firings = firings.aggregate_firings(highwater::stream::Sum).collect();
        let summary = job.run_with(options).unwrap();

        let (all, late) = aligned(&splits, disorder, windows, lateness);
        prop_assert_eq!(corrected.sorted(), all);
        prop_assert_eq!(summary.metrics.sum("late_dropped"), 2 * late as i64);
        // Timely results are those without lateness; each record that is late for a window is a late result.
        let (timely, _) = aligned(&splits, disorder, windows, 0);
        let firings = firings.values();
        let of = |firing: Firing| firings.iter().filter(move |fired| fired.firing == firing);
        let mut on_time: Vec<Row> =
            of(Firing::OnTime).map(|f| (f.key, f.window.start, f.window.end, f.value)).collect();
        on_time.sort();
        prop_assert_eq!(on_time, timely);
        let late: usize = stamped(&splits, disorder).iter().map(|(watermark, event)| {
            let all = windows.of_timestamp(event.2);
            all.iter().filter(|w| w.end <= *watermark && *watermark < w.end + lateness).count()
        }).sum();
        prop_assert_eq!(of(Firing::Late).count(), late);
        prop_assert_eq!(of(Firing::Early).count(), 0);
    }

    #[test]
    fn count_windows_take_records_as_they_come(
        events in split(), options in options(), size in 1..6u64, slide in 1..6u64,
    ) {
        let job = Job::new();
        let watermarks = Watermarks::bounded(millis(3), |event: &Event| event.2);
        let keyed = job.timed_collection(events.clone(), watermarks).key_by(|event| event.0);
        let tumbling = keyed.clone().window(CountWindows::of(size)).sum(|e| e.1).map(|w| (w.key, w.value)).collect();
        let sliding = keyed.window(CountWindows::sliding(size, slide)).sum(|e| e.1).map(|w| (w.key, w.value)).collect();
        job.run_with(options).unwrap();

        let (mut whole, mut last) = (Vec::new(), Vec::new());
        for key in 0..4u8 {
            let values: Vec<i64> = events.iter().filter(|e| e.0 == key).map(|e| e.1).collect();
            let chunks = values.chunks_exact(size as usize);
            whole.extend(chunks.map(|chunk| (key, chunk.iter().sum::<i64>())));
            for end in (1..=values.len()).filter(|end| end % slide as usize == 0) {
                let start = end.saturating_sub(size as usize);
                last.push((key, values[start..end].iter().sum::<i64>()));
            }
        }
        whole.sort();
        last.sort();
        prop_assert_eq!(tumbling.sorted(), whole);
        prop_assert_eq!(sliding.sorted(), last);
    }
}
