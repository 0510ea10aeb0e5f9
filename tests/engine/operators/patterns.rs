//! Patterns find what an automaton finds that is shown each key's records in order, whatever the workers, the
//! epochs, the disorder and the timing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use highwater::ErrorKind;
use highwater::cep::{Match, Outcome, Partials, Pattern};
use highwater::config::Options;
use highwater::stream::Job;
use highwater::time::{Epochs, EventTime, Watermarks};
use highwater::window::Tumbling;
use proptest::collection::vec;
use proptest::prelude::*;

use super::scripted::{Scripted, Turn};

/// A key, a value and an event time.
type Event = (u8, i64, i64);

/// Matches, time-outs and late records, sorted.
type Found = (Vec<Match<u8, Event>>, Vec<Match<u8, Event>>, Vec<Event>);

const PATTERNS: usize = 9;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn pattern(number: usize) -> Pattern<Event> {
    let low = |event: &Event| event.1 < 3;
    let high = |event: &Event| event.1 > 5;
    match number {
        0 => Pattern::begin("low", low).next("high", high),
        1 => Pattern::begin("low", low).one_or_more().followed_by("high", high).within(millis(20)),
        2 => Pattern::begin("low", low)
            .followed_by_any("high", high)
            .iterative(|high, earlier| earlier.of("low").iter().all(|low| low.1 + high.1 != 8))
            .within(millis(12))
            .skip_past_last(),
        3 => Pattern::begin("low", low).not_followed_by("high", high).within(millis(9)),
        4 => Pattern::begin("low", low)
            .times_range(2, 3)
            .greedy()
            .not_next("mid", |event| event.1 == 4)
            .followed_by("high", high)
            .within(millis(40))
            .skip_to_next(),
        5 => Pattern::begin("low", low)
            .times_range(1, 2)
            .greedy()
            .followed_by_any("high", high)
            .iterative(|high, earlier| earlier.of("low").iter().all(|low| low.1 + high.1 != 8))
            .skip_past_last(),
        6 => Pattern::begin("low", low)
            .followed_by("equal", |_| true)
            .iterative(|event, earlier| earlier.last().is_some_and(|low| low.1 == event.1))
            .not_next("mid", |event| event.1 == 4)
            .skip_to_next(),
        7 => Pattern::begin("low", low).not_next("high", high),
        _ => Pattern::begin("any", |_: &Event| true)
            .times_or_more(2)
            .until(|event, _| event.1 == 9)
            .followed_by("zero", |event| event.1 == 0)
            .optional()
            .within(millis(6)),
    }
}

/// Shows the records that are not late to one automaton for each key, in order.
fn in_order(pattern: &Pattern<Event>, splits: &[Vec<Event>], disorder: i64) -> Found {
    let automaton = pattern.compile().unwrap();
    let (mut keys, mut late) = (BTreeMap::<u8, Vec<(EventTime, Event)>>::new(), Vec::new());
    for split in splits {
        let mut watermark = i64::MIN;
        for event in split {
            if event.2 < watermark {
                late.push(*event);
            } else {
                keys.entry(event.0).or_default().push((event.2, *event));
            }
            watermark = watermark.max(event.2 - disorder);
        }
    }
    let (mut matches, mut timed_out) = (Vec::new(), Vec::new());
    for (key, mut events) in keys {
        events.sort();
        let (mut partials, mut outcome) = (Partials::default(), Outcome::default());
        for (timestamp, event) in events {
            automaton.advance(&mut partials, event, timestamp, &mut outcome);
        }
        automaton.expire(&mut partials, EventTime::MAX, &mut outcome);
        let of_key = |(timestamp, events)| Match { key, timestamp, events };
        matches.extend(outcome.matches.into_iter().map(of_key));
        timed_out.extend(outcome.timed_out.into_iter().map(of_key));
    }
    matches.sort();
    timed_out.sort();
    late.sort();
    (matches, timed_out, late)
}

fn splits() -> impl Strategy<Value = Vec<Vec<Event>>> {
    let split = vec((0..4u8, 0..10i64, -12..12i64), 0..100).prop_map(|mut events| {
        // Mostly ascending, with much disorder, and some at the same time.
        events.iter_mut().enumerate().for_each(|(i, event)| event.2 = event.2 / 2 + i as i64);
        events
    });
    vec(split, 1..5)
}

fn epochs() -> impl Strategy<Value = Epochs> {
    prop_oneof![
        (1..100u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        Just(Epochs::every(millis(1))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn matches_depend_on_the_input_alone(
        splits in splits(),
        number in 0..PATTERNS,
        disorder in 0..10i64,
        pause in 1..150usize,
        (workers, epochs) in (1..5usize, epochs()),
        wants_timed_out in any::<bool>(),
    ) {
        let job = Job::new();
        let watermarks = Watermarks::bounded(millis(disorder as u64), |event: &Event| event.2);
        let source = Scripted::with_pauses(splits.clone(), pause);
        let found = job.source(source, watermarks).key_by(|event| event.0).detect(pattern(number));
        let late = found.late().map(|(_, event)| event).collect();
        let timed_out = wants_timed_out.then(|| found.timed_out().collect());
        let matches = found.matches().collect();
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();

        let expected = in_order(&pattern(number), &splits, disorder);
        prop_assert_eq!(matches.sorted(), expected.0);
        if let Some(timed_out) = timed_out {
            prop_assert_eq!(timed_out.sorted(), expected.1);
        }
        prop_assert_eq!(late.sorted(), expected.2.clone());
        prop_assert_eq!(job.metrics().sum("late_dropped"), expected.2.len() as i64);
        for (_, record) in matches.records() {
            prop_assert_eq!(record.stamp.timestamp, record.value.timestamp);
        }
    }

    /// Without event time all records have the same, and are taken in their own order when the input ends.
    #[test]
    fn records_without_event_time_are_taken_in_their_own_order(
        values in vec((0..3u8, 0..10i64), 0..60),
        workers in 1..4usize,
    ) {
        let events: Vec<Event> = values.into_iter().map(|(key, value)| (key, value, EventTime::MIN)).collect();
        let job = Job::new();
        let found = job.collection(events.clone()).key_by(|event| event.0).detect(pattern(0));
        let matches = found.select(|found| found).collect();
        job.run_with(Options::default().workers(workers)).unwrap();
        prop_assert_eq!(matches.sorted(), in_order(&pattern(0), &[events], 0).0);
    }
}

#[test]
fn a_time_out_needs_no_further_record_of_its_key() {
    let (seen, polls) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let told = Arc::clone(&seen);
    // After the second record the source is silent until the time-out of the first has been told.
    let source = Scripted::new(1, move |_, number| match number {
        0 => Turn::Give((1, 0, 10)),
        1 => Turn::GiveAndWait((2, 4, 500)),
        _ if told.load(SeqCst) => Turn::Done,
        _ => {
            assert!(polls.fetch_add(1, SeqCst) < 10_000, "the time-out was not told");
            Turn::Wait(millis(1))
        }
    });
    let job = Job::new();
    let watermarks = Watermarks::monotone(|event: &Event| event.2);
    let found = job.source(source, watermarks).key_by(|event| event.0).detect(pattern(3));
    found.matches().for_each(move |_, record| {
        assert_eq!((record.value.key, record.value.timestamp), (1, 19));
        seen.store(true, SeqCst);
    });
    job.run_with(Options::default().workers(2)).unwrap();
}

/// A match waits for a partial match that could discard it. When the input ends, nothing can, and it is told
/// in time for all that reads it.
#[test]
fn what_waits_is_told_when_the_input_ends() {
    for workers in 1..4 {
        let job = Job::new();
        let events = (0..20u8).flat_map(|key| [(key, 1, 1), (key, 2, 2), (key, 12, 3), (key, 7, 4)]);
        let watermarks = Watermarks::monotone(|event: &Event| event.2);
        let pair = Pattern::begin("low", |event: &Event| event.1 < 3)
            .followed_by("ten more", |event| event.1 > 10)
            .iterative(|more, earlier| earlier.last().is_some_and(|low| low.1 + 10 == more.1))
            .skip_past_last();
        let found = job.timed_collection(sorted(events), watermarks).key_by(|event| event.0).detect(pair);
        let again = Pattern::begin("found", |_: &(u8, i64)| true);
        let again = found.select(|found| (found.key, found.timestamp)).key_by(|found| found.0).detect(again);
        let (again, late) = (
            again.select(|found| (found.key, *found.events.first("found").unwrap())).collect(),
            again.late().collect(),
        );
        job.run_with(Options::default().workers(workers)).unwrap();
        let expected: Vec<_> = (0..20u8).map(|key| (key, (key, EventTime::MAX - 1))).collect();
        assert_eq!((again.sorted(), late.values().len()), (expected, 0));
    }
}

/// In the order of time.
fn sorted(events: impl Iterator<Item = Event>) -> Vec<Event> {
    let mut events: Vec<Event> = events.collect();
    events.sort_by_key(|event| event.2);
    events
}

#[test]
fn a_pattern_that_makes_no_sense_is_an_error_when_the_job_is_started() {
    let job = Job::new();
    let keyed = job.collection([(1, 1, 1)]).key_by(|event: &Event| event.0);
    keyed.detect(Pattern::begin("a", |_: &Event| true).followed_by("a", |_| true)).matches().discard();
    let error = job.run().map(drop).expect_err("two stages have one name");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("the name of two stages"), "{error}");
}

/// What is found can be looked through again: with a pattern over matches, and with windows.
#[test]
fn matches_have_event_time() {
    let job = Job::new();
    let events = (0..100i64).map(|n| (0u8, if n % 2 == 0 { 1 } else { 7 }, n));
    let watermarks = Watermarks::monotone(|event: &Event| event.2);
    let pairs = job.timed_collection(events, watermarks).key_by(|event| event.0).detect(pattern(0));
    let two = Pattern::begin("first", |_: &i64| true).next("second", |_| true).skip_past_last();
    let twos = pairs.select(|pair| pair.timestamp).key_by(|_| ()).detect(two);
    let twos = twos.select(|two| (two.events.of("first")[0], two.events.of("second")[0])).collect();
    let windows = pairs.matches().window_all(Tumbling::of(millis(50)));
    let counts = windows.count().map(|count| (count.window.end, count.value)).collect();
    job.run_with(Options::default().workers(2)).unwrap();
    let expected: Vec<(i64, i64)> = (0..25).map(|n| (4 * n + 1, 4 * n + 3)).collect();
    assert_eq!(twos.sorted(), expected);
    assert_eq!(counts.sorted(), [(50, 25), (100, 25)]);
    assert_eq!(job.metrics().sum("late_dropped"), 0);
}
