//! Patterns whose state leaves memory and comes back, against the definition and against one whose state
//! stays.

use super::Match;
use super::notation::Event;
use super::oracle::{Found, Oracle, Spec};
use super::oracle_tests::{events, spec, takes};
use super::test_detector::Driven;
use crate::cep::Pattern;
use crate::time::EventTime;
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

/// The records of each key, as the oracle wants them: in order, each with the number of its place.
type Input = Vec<Vec<(EventTime, Event)>>;

/// Makes times so many times as long, and names at least so many letters.
fn stretched(mut events: Vec<(EventTime, Event)>, times: i64, letters: usize) -> Vec<(EventTime, Event)> {
    events.sort_by_key(|(at, event)| (*at, event.0.chars().next()));
    let event = |(place, (at, event)): (usize, (EventTime, Event))| {
        let kind = event.0.chars().next().unwrap();
        (times * at, Event(format!("{kind}{place:0>letters$}")))
    };
    events.into_iter().enumerate().map(event).collect()
}

/// What happens between two records.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// By how much the record comes later than its time says.
    delay: i64,
    /// The watermark rises as far as it can.
    advances: bool,
    /// An epoch ends, and its state may be asked for.
    closes: Option<bool>,
    /// The records that wait leave, but for so many bytes.
    leaves: Option<usize>,
    /// All begins anew from what was sealed.
    restores: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let closes = proptest::option::weighted(0.5, proptest::bool::weighted(0.3));
    let leaves = proptest::option::weighted(0.4, 0..4000usize);
    let bools = (proptest::bool::weighted(0.6), proptest::bool::weighted(0.2));
    (0..8i64, closes, leaves, bools).prop_map(|(delay, closes, leaves, (advances, restores))| Step {
        delay,
        advances,
        closes,
        leaves,
        restores,
    })
}

/// Matches and time-outs of a key, as the oracle tells them.
fn of_key(key: usize, told: &[Vec<Match<u8, Event>>; 2]) -> Found {
    let [matches, mut timed_out] = told.each_ref().map(|told| {
        let told = told.iter().filter(|found| usize::from(found.key) == key);
        told.map(|found| (found.timestamp, takes(&found.events))).collect::<Vec<_>>()
    });
    timed_out.sort();
    (matches, timed_out)
}

/// Shows records to two detectors, of which one may keep little, and checks what they tell.
fn check(spec: &Spec, input: &Input, steps: &[Step], times: i64, (bytes, portion): (usize, usize)) {
    let pattern = spec.pattern();
    let (mut whole, mut limited) = (Driven::new(&pattern, None), Driven::new(&pattern, Some(bytes)));
    limited.detector.portion = portion;
    let events = input
        .iter()
        .zip(0u8..)
        .flat_map(|(events, key)| events.iter().map(move |(at, event)| (*at, (key, event.clone()))));
    let steps = steps.iter().cycle();
    let mut arrivals: Vec<_> =
        events.zip(steps).map(|(event, step)| (event.0 + times * step.delay, event, *step)).collect();
    arrivals.sort_by_key(|(arrival, ..)| *arrival);
    let (mut now, mut epoch) = (EventTime::MIN, 0);
    let mut told = [Vec::new(), Vec::new()];
    for at in 0..arrivals.len() {
        let (_, event, step) = &arrivals[at];
        let least = arrivals[at + 1..].iter().map(|(_, (at, _), _)| *at).min();
        for driven in [&mut whole, &mut limited] {
            driven.bring(epoch, now, std::slice::from_ref(event));
        }
        if step.advances {
            now = least.unwrap_or(now).max(now);
            whole.advance(epoch, now);
            limited.advance(epoch, now);
        }
        let (expected, got) = (whole.take(), limited.take());
        assert_eq!(got, expected, "{pattern}");
        told.iter_mut().zip(got).for_each(|(told, got)| told.extend(got));
        if let Some(seals) = step.closes {
            whole.close(epoch, false);
            limited.close(epoch, seals);
            limited.detector.keys.check_size();
            if seals && step.restores {
                limited = limited.restored(epoch);
            }
            epoch += 1;
            if let Some(bytes) = step.leaves {
                // As if an epoch without records had closed.
                limited.detector.waiting.leave(epoch, bytes);
                epoch += 1;
            }
        }
    }
    whole.advance(epoch, EventTime::MAX);
    limited.advance(epoch, EventTime::MAX);
    let (expected, got) = (whole.take(), limited.take());
    assert_eq!(got, expected, "{pattern}");
    told.iter_mut().zip(got).for_each(|(told, got)| told.extend(got));
    limited.close(epoch, false);
    if spec.within.is_some() {
        assert_eq!((limited.detector.keys.away(), &limited.detector.keys.counts()[..3]), (0, &[0; 3][..]));
    }
    for (key, events) in input.iter().enumerate() {
        let (matches, mut timed_out) = Oracle { spec, events }.found();
        timed_out.sort();
        assert_eq!(of_key(key, &told), (matches, timed_out), "{pattern}, key {key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// With room for a few events or none, in portions of a few results, from one restored detector to the
    /// next.
    #[test]
    fn patterns_find_the_same_with_little_memory(
        spec in spec(),
        input in vec(events(), 1..7),
        steps in vec(step(), 40),
        (times, letters) in (prop_oneof![Just(1), Just(50)], prop_oneof![Just(1usize), Just(2500)]),
        (bytes, portion) in (prop_oneof![1..20_000usize, Just(1usize)], 1..6usize),
    ) {
        let spec = Spec { within: spec.within.map(|within| times * within), ..spec };
        let input: Input = input.into_iter().map(|events| stretched(events, times, letters)).collect();
        check(&spec, &input, &steps, times, (bytes, portion));
    }
}

#[test]
fn keys_and_records_leave_and_come_back() {
    let pair = Pattern::begin("a", |event: &Event| event.0.starts_with('a'))
        .followed_by("b", |event| event.0.starts_with('b'))
        .within(Duration::from_millis(10_000));
    let mut driven = Driven::new(&pair, Some(64 << 10));
    let event = |kind: char, n: i64| Event(format!("{kind}{n:0>1000}"));
    let (mut told, mut most) = ([0, 0], [0, 0]);
    // The first record of each key begins a match, and the second, long after, ends it for half of them.
    let mut events: Vec<_> = (0..250i64).map(|n| (20 * n, (n as u8, event('a', n)))).collect();
    events.extend((0..125i64).map(|n| (9_000 + 20 * n, (2 * n as u8, event('b', n)))));
    // Each comes some seconds before its time is reached.
    for (at, event) in events {
        let (epoch, now) = (at as u64 + 10_000, at - 4_000);
        driven.bring(epoch, now, &[(at, event)]);
        driven.advance(epoch, now);
        driven.close(epoch, false);
        driven.detector.keys.check_size();
        told.iter_mut().zip(driven.take()).for_each(|(told, all)| *told += all.len());
        let (away, [_, waiting, rows]) = (driven.detector.keys.away(), driven.detector.waiting.counts());
        most = [most[0].max(away), most[1].max(rows - rows.min(waiting))];
        let held = driven.detector.keys.counts()[0] + waiting;
        assert!(held <= 150, "{held} records are in memory");
    }
    driven.advance(30_000, EventTime::MAX);
    driven.close(30_000, false);
    told.iter_mut().zip(driven.take()).for_each(|(told, all)| *told += all.len());
    assert_eq!(told, [125, 125]);
    assert!(most.iter().all(|most| *most > 80), "{most:?} have left memory");
    let moved = ["keys_evicted", "keys_reloaded"].map(|name| driven.metrics.sum(name));
    assert!(moved[0] > 300 && moved[1] > 150, "{moved:?}");
}

#[test]
fn keys_that_wait_for_the_end_come_back_in_turn() {
    let pair = Pattern::begin("x", |event: &Event| event.0.starts_with(['a', 'b']))
        .followed_by("y", |event| event.0.starts_with('c'))
        .iterative(|c, earlier| earlier.last().is_some_and(|x| x.number() == c.number()))
        .skip_past_last();
    let mut driven = Driven::new(&pair, Some(64 << 10));
    let mut at = 0;
    for key in (0..250).map(|key: u16| (key * 7 % 250) as u8) {
        for event in ["a1", "b2", "c2"] {
            at += 1;
            driven.bring(
                at as u64,
                at,
                &[(at, (key, Event(format!("{}{:0>500}", &event[..1], &event[1..]))))],
            );
            driven.advance(at as u64, at + 1);
            driven.close(at as u64, false);
        }
    }
    assert!(driven.detector.keys.away() > 200, "{} keys have left memory", driven.detector.keys.away());
    assert_eq!(driven.take()[0].len(), 0);
    driven.advance(10_000, EventTime::MAX);
    let keys: Vec<u8> = driven.take()[0].iter().map(|found| found.key).collect();
    assert_eq!(keys, (0..250).collect::<Vec<u8>>());
    assert_eq!((driven.detector.keys.away(), driven.detector.keys.counts()[0]), (0, 0));
    driven.detector.keys.check_size();
}
