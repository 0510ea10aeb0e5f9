//! Early results at multiples of an interval, of windows that grow: sessions.

use std::time::Duration;

use highwater::harness::Driver;
use highwater::stream::Count;
use highwater::window::{
    CountTrigger, Either, EveryEventTime, EveryProcessingTime, Fired, Firing, OnEventTime, ProcessingTime,
    Sessions,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

/// The start, the last moment and the first record of each session of records in order.
fn sessions(times: &[i64], gap: i64) -> Vec<(i64, i64)> {
    let mut sessions: Vec<(i64, i64)> = Vec::new();
    for time in times {
        match sessions.last_mut().filter(|(_, last)| *time <= *last) {
            Some((_, last)) => *last = time + gap - 1,
            None => sessions.push((*time, time + gap - 1)),
        }
    }
    sessions
}

/// The multiples of an interval after a session's start and before its last moment, and that.
fn firings(sessions: &[(i64, i64)], interval: i64) -> Vec<(i64, Firing)> {
    let mut firings = Vec::new();
    for (start, last) in sessions {
        let multiples = (*start + 1..*last).filter(|time| time.rem_euclid(interval) == 0);
        firings.extend(multiples.map(|_| (*start, Firing::Early)));
        firings.push((*start, Firing::OnTime));
    }
    firings
}

fn told(fired: Fired<u8, u64>) -> (i64, Firing) {
    (fired.window.start, fired.firing)
}

#[test]
fn a_session_that_grows_fires_at_multiples_and_at_nothing_else() {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 1u8).map_values(|_| ()).window(Sessions::with_gap(millis(8)));
        windows
            .trigger(EveryEventTime::of(millis(10)))
            .aggregate_firings(Count)
            .map(|f| (f.window.end, f.value))
    })
    .unwrap();
    // Its first end would be 9, before the first multiple.
    driver.push(0, 1).unwrap();
    driver.push(0, 6).unwrap();
    for (time, watermark) in [(12, 9), (19, 11), (26, 19), (33, 26)] {
        driver.watermark(watermark).unwrap();
        driver.push(0, time).unwrap();
    }
    assert_eq!(driver.take_output(), [(20, 3), (34, 5)], "at 10 and at 20");
    driver.watermark(31).unwrap();
    assert_eq!(driver.take_output(), [(41, 6)], "at 30");
    driver.finish().unwrap();
    assert_eq!(driver.take_output(), [(41, 6); 1], "at 40, which is its last moment");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn sessions_fire_at_each_multiple_however_event_time_comes(
        steps in vec((0..14i64, 0..30i64), 1..40), gap in 1..12i64, interval in 1..25i64, start in -50..50i64,
        restart in 0..40usize,
    ) {
        let build = |combined: bool| {
            Driver::new(move |values| {
                let windows = values.key_by(|_: &i64| 1u8).map_values(|_| ()).window(Sessions::with_gap(millis(gap)));
                let every = EveryEventTime::of(millis(interval));
                match combined {
                    false => windows.trigger(every).aggregate_firings(Count).map(told as fn(Fired<u8, u64>) -> _),
                    // What never fires makes no difference.
                    true => {
                        let trigger = Either(Either(CountTrigger::of(1_000), every), Either(CountTrigger::of(2_000), OnEventTime::default()));
                        windows.trigger(trigger).aggregate_firings(Count).map(told as fn(Fired<u8, u64>) -> _)
                    }
                }
            })
            .unwrap()
        };
        for combined in [false, true] {
            let mut driver = build(combined);
            let (mut times, mut time) = (Vec::new(), start);
            for (number, (step, lag)) in steps.iter().enumerate() {
                time += step;
                times.push(time);
                driver.push(0, time).unwrap();
                driver.watermark(time - lag).unwrap();
                if number == restart {
                    driver.restart().unwrap();
                }
            }
            driver.watermark(time + gap).unwrap();
            let expected = firings(&sessions(&times, gap), interval);
            prop_assert_eq!(driver.take_output(), expected);
            driver.finish().unwrap();
            prop_assert!(driver.take_output().is_empty());
        }
    }

    #[test]
    fn sessions_of_the_wall_clock_fire_at_each_multiple(
        steps in vec(0..14i64, 1..30), gap in 1..12i64, interval in 1..25i64,
    ) {
        let mut driver = Driver::new(|values| {
            let windows = values.key_by(|_: &i64| 1u8).map_values(|_| ());
            let windows = windows.window(ProcessingTime(Sessions::with_gap(millis(gap))));
            windows.trigger(EveryProcessingTime::of(millis(interval))).aggregate_firings(Count).map(told)
        })
        .unwrap();
        let (mut times, mut time) = (Vec::new(), 0);
        for step in steps {
            for _ in 0..step {
                time += 1;
                driver.processing_time(time).unwrap();
            }
            times.push(time);
            driver.push(0, 0).unwrap();
        }
        for _ in 0..gap {
            time += 1;
            driver.processing_time(time).unwrap();
        }
        // The end of a window is a moment of the wall clock, and not the last one before it.
        let sessions: Vec<_> = sessions(&times, gap).into_iter().map(|(start, last)| (start, last + 1)).collect();
        prop_assert_eq!(driver.take_output(), firings(&sessions, interval));
    }
}
