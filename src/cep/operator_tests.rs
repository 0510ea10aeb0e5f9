//! The logic alone: what it keeps, and that what it seals is all there is.

use super::*;
use crate::cep::Pattern;
use crate::cep::test_detector::Driven;
use proptest::prelude::*;
use std::time::Duration;

fn pair() -> Pattern<u32> {
    Pattern::begin("even", |n: &u32| n.is_multiple_of(2))
        .followed_by("odd", |n| n % 2 == 1)
        .within(Duration::from_millis(10))
}

/// Without a bound, so that matches may wait until the input ends.
fn waits() -> Pattern<u32> {
    Pattern::begin("any", |_: &u32| true)
        .followed_by("same", |_| true)
        .iterative(|n, earlier| earlier.last().is_some_and(|any| any % 4 == n % 4))
}

#[test]
fn what_waits_for_the_end_is_told_in_the_last_millisecond() {
    let mut driven = Driven::new(&waits().skip_past_last(), None);
    // Of each key the second and the third are a match, which the first could discard.
    let keys = [7u8, 3, 9, 1];
    for (at, value) in [(1, 1), (2, 2), (3, 6)] {
        driven.bring(0, at, &keys.map(|key| (at, (key, value))));
    }
    driven.advance(0, 4);
    driven.close(0, true);
    assert!(driven.detector.owes() >= Some(EventTime::MAX - 64), "which holds back no one");
    driven.bring(1, 4, &[(EventTime::MAX, (3, 5))]);
    driven.advance(1, EventTime::MAX - 1);
    assert_eq!(driven.take().map(|output| output.len()), [0, 0], "a record can still come");
    driven = driven.restored(0);
    driven.bring(1, 4, &[(EventTime::MAX, (3, 5))]);
    driven.detector.portion = 2;
    driven.advance(1, EventTime::MAX);
    let [matches, timed_out] = driven.take();
    let found = matches.iter().map(|found| (found.key, found.timestamp, *found.events.first("any").unwrap()));
    let end = EventTime::MAX - 1;
    assert_eq!(found.collect::<Vec<_>>(), [(3, end, 1), (1, end, 2), (7, end, 2), (9, end, 2)]);
    assert_eq!((timed_out.len(), driven.detector.owes()), (0, None));
    driven.close(1, true);
    assert_eq!(driven.detector.keys.counts()[..3], [0, 0, 0]);
}

#[test]
fn a_deadline_is_acted_on_when_the_watermark_reaches_it() {
    let mut driven = Driven::new(&pair(), None);
    driven.bring(0, 0, &[(5, (1, 2)), (7, (2, 4))]);
    assert_eq!(driven.detector.owes(), Some(5));
    driven.advance(0, 6);
    assert_eq!(driven.least_owed(), Some(7), "a record comes before a deadline");
    driven.close(0, true);
    driven.advance(1, 14);
    assert_eq!((driven.detector.owes(), driven.least_owed()), (Some(14), Some(15)));
    assert_eq!(driven.take().map(|output| output.len()), [0, 0]);
    driven.advance(1, 15);
    let [matches, timed_out] = driven.take();
    assert_eq!((matches.len(), timed_out.len()), (0, 1));
    assert_eq!((timed_out[0].key, timed_out[0].timestamp), (1, 15));
    driven.advance(7, EventTime::MAX);
    assert_eq!(driven.take()[1][0].timestamp, 17);
    assert_eq!(driven.detector.owes(), None);
}

#[test]
fn times_at_the_limits_are_taken() {
    let mut driven = Driven::new(&pair(), None);
    driven.bring(
        0,
        EventTime::MIN,
        &[(EventTime::MAX, (1, 2)), (EventTime::MIN, (1, 4)), (EventTime::MAX, (1, 5))],
    );
    driven.advance(0, EventTime::MAX);
    let [matches, timed_out] = driven.take();
    assert_eq!((matches.len(), timed_out.len()), (1, 1));
    assert_eq!(driven.detector.owes(), None);
}

#[test]
fn what_is_kept_is_bounded_by_what_is_within() {
    // Each record begins a partial match, in one of a hundred keys, and none is ever completed: in any 50 ms
    // there are 50.
    let never = Pattern::begin("any", |_: &u32| true)
        .followed_by_any("again", |_| true)
        .one_or_more()
        .followed_by("never", |n| *n == u32::MAX)
        .within(Duration::from_millis(50));
    let mut driven = Driven::new(&never, None);
    let mut timed_out = 0;
    for at in 0..20_000i64 {
        let (epoch, key) = (at as u64 / 10, (at * 7 % 100) as u8);
        driven.bring(epoch, at - 25, &[(at, (key, at as u32))]);
        driven.advance(epoch, at - 24);
        if at % 10 == 9 {
            driven.close(epoch, true);
            timed_out += driven.take()[1].len();
            let [keys, deadlines, takes, rows] = driven.detector.keys.counts();
            assert!(keys <= 60 && deadlines <= 60, "{keys} keys at {at}");
            assert!(takes <= 60, "{takes} takes are held at {at}");
            assert!(rows <= 1_000, "{rows} rows of partial matches at {at}");
            let [open, _, rows] = driven.detector.waiting.counts();
            assert!(rows <= 1_000, "{rows} rows of waiting records at {at}");
            assert_eq!(open, 0);
        }
    }
    assert!(timed_out > 19_000, "{timed_out} timed out");
}

#[test]
fn the_takes_of_a_busy_key_are_bounded_by_its_partial_matches() {
    let rising = Pattern::begin("low", |n: &i64| n % 10 == 0)
        .followed_by("mid", |n| n % 10 == 5)
        .one_or_more()
        .followed_by("high", |n| *n < 0)
        .within(Duration::from_millis(100));
    let automaton = rising.compile().unwrap();
    let (mut partials, mut outcome) = (Partials::default(), Outcome::default());
    for n in 0..100_000 {
        automaton.advance(&mut partials, n, n, &mut outcome);
        outcome.timed_out.clear();
        let (links, events) = partials.takes_and_events();
        // A hundred milliseconds have 10 of the one and 10 of the other.
        assert!(
            partials.len() <= 120 && links <= 300 && events <= 300,
            "{links} takes, {events} events at {n}"
        );
    }
    assert!(outcome.matches.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A detector that is thrown away after an epoch, and built anew from what was sealed, goes on as if
    /// nothing had happened.
    #[test]
    fn what_is_sealed_is_the_whole_state(
        steps in proptest::collection::vec((0..4u8, 0..12u32, 0..20i64, 0..6i64), 1..80),
        (per_epoch, restores) in (1..9usize, 1..5usize),
        which in 0..5usize,
    ) {
        let pattern = match which {
            0 => pair(),
            1 => pair().not_followed_by("zero", |n| *n == 0).skip_past_last(),
            2 => waits().skip_past_last(),
            3 => waits().not_next("four", |n| *n == 4),
            _ => Pattern::begin("even", |n: &u32| n.is_multiple_of(2))
                .one_or_more()
                .followed_by("three", |n| n % 3 == 0)
                .iterative(|n, earlier| earlier.of("even").iter().all(|even| *even <= n))
                .within(Duration::from_millis(15))
                .skip_to_next(),
        };
        let (mut whole, mut broken) = (Driven::new(&pattern, None), Driven::new(&pattern, None));
        let mut now = 0;
        for (epoch, steps) in steps.chunks(per_epoch).enumerate() {
            for (key, value, ahead, pace) in steps {
                for driven in [&mut whole, &mut broken] {
                    driven.bring(epoch as u64, now, &[(now + ahead, (*key, *value))]);
                    driven.advance(epoch as u64, now + pace);
                }
                now += pace;
                prop_assert_eq!(whole.take(), broken.take());
                prop_assert_eq!(whole.least_owed(), broken.least_owed());
            }
            whole.close(epoch as u64, true);
            broken.close(epoch as u64, true);
            if epoch % restores == 0 {
                broken = broken.restored(epoch as u64);
            }
        }
        whole.advance(u64::MAX, EventTime::MAX);
        broken.advance(u64::MAX, EventTime::MAX);
        prop_assert_eq!(whole.take(), broken.take());
    }
}
