//! Every combination of options of windows, against the recomputations of `oracle`: an option that is to
//! change nothing changes nothing, and lateness counts alike whatever else is asked for.

use std::collections::BTreeMap;

use highwater::connector::{Collected, Collection};
use highwater::prelude::*;
use highwater::stream::Sum;
use highwater::window::{
    Aligned, Assigner, ByTrigger, CountTrigger, Either, Evict, Evictor, OnEventTime, Trigger,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::windows::oracle::{Event, Row, aligned, millis, options, row, sessions, split, stamped};

/// An evictor that drops nothing. Windows keep their records for it.
fn all() -> impl Evictor<i64> {
    Evict::count(1 << 40)
}

/// The default trigger, beside one that never fires.
fn trigger() -> Either<OnEventTime, CountTrigger> {
    Either(OnEventTime::default(), CountTrigger::of(1 << 40))
}

type Late = (u8, i64);

/// What windows give: all results in order, and the late records.
type Given = (Collected<Row>, Collected<Late>);

/// Windows with lateness and a late output, and with an evictor or without.
fn given<C, W, G>(windows: WindowedStream<u8, i64, C, W, ByTrigger<G>>, has_evictor: bool) -> Given
where
    C: Chain<Out = (u8, i64)>,
    W: Assigner<i64>,
    G: Trigger<u8, i64>,
{
    let late = SideOutput::new();
    let windows = windows.late_output(late);
    let results = match has_evictor {
        true => windows.evictor(all()).aggregate(Sum),
        false => windows.aggregate(Sum),
    };
    (results.clone().map(row).collect(), results.side(&late).collect())
}

/// The last result of each window.
fn last(rows: Vec<Row>) -> Vec<Row> {
    let last: BTreeMap<_, _> =
        rows.into_iter().map(|(key, start, end, sum)| ((key, start, end), sum)).collect();
    last.into_iter().map(|((key, start, end), sum)| (key, start, end, sum)).collect()
}

/// The records that are late by the definition of aligned windows.
fn late_of(splits: &[Vec<Event>], disorder: i64, windows: Aligned, lateness: i64) -> Vec<Late> {
    let mut late: Vec<Late> = stamped(splits, disorder)
        .into_iter()
        .filter(|(watermark, event)| {
            let all = windows.of_timestamp(event.2);
            !all.is_empty() && all.iter().all(|window| window.end + lateness <= *watermark)
        })
        .map(|(_, (key, value, _))| (key, value))
        .collect();
    late.sort_unstable();
    late
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn of_aligned_windows(
        splits in vec(split(), 1..4),
        options in options(),
        (size, slide) in (1..30u64, 1..30u64),
        disorder in 0..8i64,
        lateness in prop_oneof![Just(0), 1..30i64],
    ) {
        let windows = Sliding::of(Duration::from_millis(size), Duration::from_millis(slide));
        let job = Job::new();
        let watermarks = Watermarks::bounded(millis(disorder), |event: &Event| event.2);
        let keyed = job.source(Collection::splits(splits.clone()), watermarks).key_by(|event| event.0);
        let keyed = keyed.map_values(|event| event.1);
        let cut = || keyed.clone().window(windows);
        let plain = cut();
        let plain = (plain.late().collect(), plain.aggregate(Sum).map(row).collect());
        let filter = cut().allowed_lateness(millis(lateness)).late().collect();
        let mut all = Vec::new();
        for has_evictor in [false, true] {
            all.push(given(cut().allowed_lateness(millis(lateness)), has_evictor));
            all.push(given(cut().trigger(trigger()).allowed_lateness(millis(lateness)), has_evictor));
        }
        let corrected = [
            cut().correct_until(millis(lateness)).aggregate(Sum).materialize(),
            cut().trigger(trigger()).correct_until(millis(lateness)).aggregate(Sum).materialize(),
            cut().correct_until(millis(lateness)).trigger(trigger()).aggregate(Sum).materialize(),
        ];
        job.run_with(options).unwrap();

        prop_assert_eq!(plain.1.sorted(), aligned(&splits, disorder, windows, 0).0);
        prop_assert_eq!(plain.0.sorted(), late_of(&splits, disorder, windows, 0));
        let (expected, _) = aligned(&splits, disorder, windows, lateness);
        let late = late_of(&splits, disorder, windows, lateness);
        prop_assert_eq!(filter.sorted(), late.clone());
        for (at, (rows, given)) in all.into_iter().enumerate() {
            prop_assert_eq!(last(rows.values()), expected.clone(), "options {}", at);
            prop_assert_eq!(given.sorted(), late.clone(), "options {}", at);
        }
        for materialized in corrected {
            let rows: Vec<Row> = materialized.sorted().into_iter().map(row).collect();
            prop_assert_eq!(rows, expected.clone());
        }
    }

    #[test]
    fn of_sessions(
        splits in vec(split(), 1..4),
        options in options(),
        gap in 1..20i64,
        disorder in 0..10i64,
        lateness in prop_oneof![Just(0), 1..30i64],
    ) {
        let job = Job::new();
        let watermarks = Watermarks::bounded(millis(disorder), |event: &Event| event.2);
        let keyed = job.source(Collection::splits(splits.clone()), watermarks).key_by(|event| event.0);
        let keyed = keyed.map_values(|event| event.1);
        let cut = || keyed.clone().window(Sessions::with_gap(millis(gap)));
        let plain = cut().aggregate(Sum).map(row).collect();
        let mut all = Vec::new();
        for has_evictor in [false, true] {
            all.push(given(cut().late_output(SideOutput::new()), has_evictor));
            all.push(given(cut().trigger(trigger()), has_evictor));
        }
        let corrected = cut().correct_until(millis(lateness)).aggregate(Sum).materialize();
        let summary = job.run_with(options).unwrap();

        let (expected, late) = sessions(&splits, disorder, |_| gap, 0);
        prop_assert_eq!(plain.sorted(), expected.clone());
        for (at, (rows, given)) in all.into_iter().enumerate() {
            prop_assert_eq!(rows.sorted(), expected.clone(), "options {}", at);
            prop_assert_eq!(given.values().len(), late, "options {}", at);
        }
        let (expected, later) = sessions(&splits, disorder, |_| gap, lateness);
        let rows: Vec<Row> = corrected.sorted().into_iter().map(row).collect();
        prop_assert_eq!(rows, expected);
        // What goes to a late output is not counted as dropped.
        prop_assert_eq!(summary.metrics.sum("late_dropped"), (late + later) as i64);
    }
}
