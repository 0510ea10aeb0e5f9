//! Triggers, evictors and functions, driven by hand.

use std::time::Duration;

use highwater::harness::Driver;
use highwater::process::{States, Value};
use highwater::stream::{Count, Sum};
use highwater::window::{
    CountTrigger, DeltaTrigger, Either, EveryEventTime, EveryProcessingTime, Evict, Fire, Fired, Firing,
    Global, OnEventTime, ProcessingTime, Purging, Scope, Sessions, Trigger, TriggerContext, Tumbling,
    WindowContext, WindowProcess, WindowState, WindowStates,
};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A firing as value and kind.
fn told(fired: Fired<u8, i64>) -> (i64, Firing) {
    (fired.value, fired.firing)
}

#[test]
fn early_results_come_at_each_multiple_of_an_interval_of_event_time() {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 1u8).window(Tumbling::of(millis(50)));
        windows.trigger(EveryEventTime::of(millis(20))).aggregate_firings(Sum).map(told)
    })
    .unwrap();
    driver.push(1, 3).unwrap();
    driver.watermark(20).unwrap();
    assert!(driver.take_output().is_empty());
    driver.watermark(21).unwrap();
    assert_eq!(driver.take_output(), [(1, Firing::Early)]);
    driver.push(2, 45).unwrap();
    driver.watermark(70).unwrap();
    assert_eq!(driver.take_output(), [(3, Firing::Early), (3, Firing::OnTime)]);
    driver.finish().unwrap();
    assert!(driver.take_output().is_empty());
}

#[test]
fn windows_that_never_end_fire_once_more_when_the_input_ends() {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 1u8).window(Global);
        windows.trigger(EveryEventTime::of(millis(20))).aggregate_firings(Sum).map(told)
    })
    .unwrap();
    driver.push(1, 3).unwrap();
    driver.watermark(50).unwrap();
    assert_eq!(driver.take_output(), [(1, Firing::Early); 2]);
    driver.finish().unwrap();
    assert_eq!(driver.take_output(), [(1, Firing::Early)]);
}

#[test]
fn early_results_may_wait_for_news() {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 1u8).window(Tumbling::of(millis(100)));
        windows.trigger(EveryEventTime::of(millis(10)).only_news()).aggregate_firings(Sum).map(told)
    })
    .unwrap();
    driver.push(1, 3).unwrap();
    driver.push(2, 5).unwrap();
    driver.watermark(10).unwrap();
    assert!(driver.take_output().is_empty());
    driver.watermark(11).unwrap();
    assert_eq!(driver.take_output(), [(3, Firing::Early)]);
    driver.watermark(41).unwrap();
    assert!(driver.take_output().is_empty());
    driver.push(4, 44).unwrap();
    driver.push(8, 95).unwrap();
    driver.watermark(51).unwrap();
    assert_eq!(driver.take_output(), [(15, Firing::Early)]);
    driver.watermark(100).unwrap();
    assert_eq!(driver.take_output(), [(15, Firing::OnTime)]);
    driver.finish().unwrap();
    assert!(driver.take_output().is_empty());
}

#[test]
fn early_results_come_at_multiples_of_an_interval_of_the_wall_clock() {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 1u8).window(Tumbling::of(millis(100)));
        let trigger = Either(EveryProcessingTime::of(millis(10)), OnEventTime::default());
        windows.trigger(trigger).aggregate_firings(Sum).map(told)
    })
    .unwrap();
    driver.processing_time(1_003).unwrap();
    driver.push(1, 3).unwrap();
    driver.processing_time(1_009).unwrap();
    assert!(driver.take_output().is_empty());
    driver.processing_time(1_010).unwrap();
    assert_eq!(driver.take_output(), [(1, Firing::Early)]);
    driver.processing_time(1_020).unwrap();
    assert_eq!(driver.take_output(), [(1, Firing::Early)]);
    driver.push(2, 4).unwrap();
    driver.watermark(100).unwrap();
    driver.processing_time(2_000).unwrap();
    assert_eq!(driver.take_output(), [(3, Firing::OnTime)]);
}

#[test]
fn early_results_by_the_wall_clock_end_with_the_window_and_may_wait_for_news() {
    for (only_news, expected) in [(false, [(0, 12, 3); 3].as_slice()), (true, &[(0, 12, 3)])] {
        let mut driver = Driver::new(|values| {
            let windows = values.key_by(|_: &i64| 1u8).window(ProcessingTime(Sessions::with_gap(millis(10))));
            let trigger = EveryProcessingTime::of(millis(5));
            let trigger = if only_news { trigger.only_news() } else { trigger };
            windows
                .trigger(trigger)
                .sum(|value| value)
                .map(|sum| (sum.window.start, sum.window.end, sum.value))
        })
        .unwrap();
        driver.push(1, 0).unwrap();
        driver.processing_time(2).unwrap();
        driver.push(2, 0).unwrap();
        driver.processing_time(100).unwrap();
        assert_eq!(driver.take_output(), expected);
        driver.finish().unwrap();
        assert!(driver.take_output().is_empty());
    }
}

#[test]
fn sessions_may_touch_if_the_first_is_not_over() {
    let mut driver = Driver::new(|values| {
        let sessions = Sessions::with_gap(millis(10)).touching();
        let windows = values.key_by(|_: &i64| 1u8).window(sessions);
        windows.sum(|value| value).map(|sum| (sum.window.start, sum.window.end, sum.value))
    })
    .unwrap();
    for (value, time) in [(1, 0), (2, 10), (4, 31), (8, 21)] {
        driver.push(value, time).unwrap();
    }
    driver.watermark(41).unwrap();
    assert_eq!(driver.take_output(), [(0, 20, 3), (21, 41, 12)]);
    driver.push(16, 41).unwrap();
    driver.finish().unwrap();
    assert_eq!(driver.take_output(), [(41, 51, 16)], "what was over is not joined");
}

#[test]
fn a_delta_trigger_fires_when_values_differ() {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 1u8).window(Global);
        let trigger = DeltaTrigger::of(10.0, |last: &i64, value: &i64| (value - last).abs() as f64);
        windows.trigger(Purging(trigger)).sum(|value| value).map(|sum| sum.value)
    })
    .unwrap();
    for value in [0, 5, 10, 11, 12, 0, 30] {
        driver.push(value, 0).unwrap();
    }
    assert_eq!(driver.take_output(), [26, 12, 30]);
}

#[test]
fn a_difference_that_is_no_number_fires_nothing_and_is_not_compared_with() {
    for (values, expected) in [
        (&[0.0, 5.0, f64::NAN, 8.0, 9.0, 30.0, 31.0, f64::NAN, 60.0][..], &[6, 3][..]),
        (&[f64::NAN, f64::NAN, 1.0, 20.0, 21.0, f64::NAN, 45.0], &[4, 3]),
    ] {
        let mut driver = Driver::new(|values| {
            let windows = values.key_by(|_: &f64| 1u8).window(Global);
            let trigger = DeltaTrigger::of(10.0, |last: &f64, value: &f64| (value - last).abs());
            windows.trigger(Purging(trigger)).apply(|_, _, values| [values.len()])
        })
        .unwrap();
        values.iter().for_each(|value| driver.push(*value, 0).unwrap());
        assert_eq!(driver.take_output(), expected);
    }
}

#[test]
fn evictors_by_difference_and_by_time_keep_what_is_near() {
    let mut driver = Driver::new(|values| {
        let keyed = values.key_by(|_: &i64| 1u8).window(Global).trigger(CountTrigger::of(3));
        keyed
            .evictor(Evict::delta(5.0, |value: &i64, last: &i64| (last - value) as f64))
            .apply(|_, _, values| [values])
    })
    .unwrap();
    for value in [1, 7, 9, 10, 20, 21] {
        driver.push(value, 0).unwrap();
    }
    assert_eq!(driver.take_output(), [vec![7, 9], vec![20, 21]]);
}

/// Counts how often a window fires, and the windows of a key.
#[derive(Clone, Default)]
struct Told {
    firings: Value<u32>,
    windows: Value<u32>,
}

impl WindowProcess<u8, u64> for Told {
    type Out = String;

    fn open(&mut self, states: &mut WindowStates<'_, u8>) {
        self.firings = states.window().value("firings");
        self.windows = states.global().value("windows");
    }

    fn process(&mut self, count: u64, cx: &mut WindowContext<'_, u8, String>) {
        let firing = self.firings.update(cx, || 0, |n| std::mem::replace(n, *n + 1)).unwrap();
        if firing == 0 {
            self.windows.update(&mut cx.global(), || 0, |n| *n += 1);
        }
        let windows = self.windows.get(&cx.global()).copied().unwrap_or(0);
        cx.emit(format!("{} window {windows} firing {firing}: {count} {:?}", cx.key(), cx.firing()));
    }

    fn clear(&mut self, state: &mut WindowState<'_, u8>) {
        self.firings.clear(state);
    }
}

#[test]
fn functions_have_state_for_each_window_and_for_each_key() {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 7u8).map_values(|_| ()).window(Tumbling::of(millis(10)));
        let windows = windows.allowed_lateness(millis(10));
        windows
            .trigger(Either(OnEventTime::default(), CountTrigger::of(2)))
            .aggregate_with(Count, Told::default())
    })
    .unwrap();
    for time in [1, 2, 3, 14] {
        driver.push(0, time).unwrap();
    }
    driver.watermark(15).unwrap();
    driver.push(0, 4).unwrap();
    driver.watermark(40).unwrap();
    let expected = [
        "7 window 1 firing 0: 2 Early",
        "7 window 1 firing 1: 3 OnTime",
        "7 window 1 firing 2: 4 Late",
        "7 window 2 firing 0: 1 OnTime",
    ];
    assert_eq!(driver.take_output(), expected);
}

#[test]
fn results_say_in_their_stamps_when_they_were_made() {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 7u8).window(Tumbling::of(millis(10)));
        windows.allowed_lateness(millis(100)).count().map(|count| count.value)
    })
    .unwrap();
    driver.push(0, 1).unwrap();
    driver.watermark(15).unwrap();
    driver.push(0, 4).unwrap();
    driver.watermark(40).unwrap();
    let records = driver.take_records();
    let stamps: Vec<_> = records.iter().map(|r| (r.value, r.stamp.timestamp, r.stamp.watermark)).collect();
    assert_eq!(stamps, [(1, 9, 9), (2, 9, 15)]);
}

/// Fires when the window has been quiet for so long by the wall clock: with timers that it moves.
#[derive(Clone)]
struct Quiet(i64, Value<i64>);

impl<T> Trigger<u8, T> for Quiet {
    fn open(&mut self, states: &mut States<'_, Scope<u8>>) {
        self.1 = states.value("quiet at");
    }

    fn on_element(&mut self, _: &T, cx: &mut TriggerContext<'_, u8>) -> Fire {
        if let Some(before) = self.1.take(cx) {
            cx.delete_wall_timer(before);
        }
        let at = cx.processing_time() + self.0;
        self.1.set(cx, at);
        cx.register_wall_timer(at);
        Fire::Continue
    }

    fn on_processing_time(&mut self, _: i64, cx: &mut TriggerContext<'_, u8>) -> Fire {
        self.1.clear(cx);
        Fire::FireAndPurge
    }
}

#[test]
fn a_trigger_of_ones_own_moves_its_timers() {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 1u8).window(Global).trigger(Quiet(10, Value::default()));
        windows.sum(|value| value).map(|sum| sum.value)
    })
    .unwrap();
    for (at, value) in [(0, 1), (8, 2), (16, 4)] {
        driver.processing_time(at).unwrap();
        driver.push(value, 0).unwrap();
    }
    driver.processing_time(25).unwrap();
    assert!(driver.take_output().is_empty());
    driver.processing_time(26).unwrap();
    assert_eq!(driver.take_output(), [7]);
    driver.processing_time(1_000).unwrap();
    assert!(driver.take_output().is_empty());
}

/// Fires when the input ends: by a timer at the end of time, of one of the clocks.
#[derive(Clone)]
struct AtTheEnd {
    wall: bool,
}

impl<T> Trigger<u8, T> for AtTheEnd {
    fn on_element(&mut self, _: &T, cx: &mut TriggerContext<'_, u8>) -> Fire {
        match self.wall {
            true => cx.register_wall_timer(i64::MAX),
            false => cx.register_timer(i64::MAX),
        }
        Fire::Continue
    }

    fn on_event_time(&mut self, time: i64, _: &mut TriggerContext<'_, u8>) -> Fire {
        assert_eq!(time, i64::MAX);
        Fire::Fire
    }

    fn on_processing_time(&mut self, time: i64, _: &mut TriggerContext<'_, u8>) -> Fire {
        assert_eq!(time, i64::MAX);
        Fire::Fire
    }
}

#[test]
fn a_trigger_acts_when_the_input_ends() {
    for (wall, restarts) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut driver = Driver::new(|values| {
            let windows = values.key_by(|_: &i64| 1u8).window(Global).trigger(AtTheEnd { wall });
            windows.sum(|value| value).map(|sum| sum.value)
        })
        .unwrap();
        driver.push(1, 5).unwrap();
        driver.push(2, 9).unwrap();
        driver.watermark(1_000).unwrap();
        driver.processing_time(1_000).unwrap();
        if restarts {
            driver.restart().unwrap();
        }
        assert!(driver.take_output().is_empty());
        driver.finish().unwrap();
        assert_eq!(driver.take_output(), [3], "by the wall clock: {wall}");
    }
}

#[test]
fn sessions_of_the_wall_clock_end_by_it() {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 1u8).window(ProcessingTime(Sessions::with_gap(millis(10))));
        windows.sum(|value| value).map(|sum| (sum.window.start, sum.window.end, sum.value))
    })
    .unwrap();
    for (at, value) in [(0, 1), (8, 2), (17, 4), (40, 8)] {
        driver.processing_time(at).unwrap();
        driver.push(value, 0).unwrap();
    }
    assert_eq!(driver.take_output(), [(0, 27, 7)]);
    driver.processing_time(50).unwrap();
    assert_eq!(driver.take_output(), [(40, 50, 8)]);
}

#[test]
fn windows_that_make_no_sense_are_told_before_the_start() {
    use highwater::stream::Job;
    use highwater::window::CountWindows;
    let job = Job::new();
    job.collection([1]).key_by(|_| 0u8).window(CountWindows::of(0)).count().discard();
    assert!(job.run().is_err());
    let job = Job::new();
    job.collection([1])
        .key_by(|_| 0u8)
        .window(Tumbling::of(Duration::ZERO))
        .allowed_lateness(Duration::ZERO)
        .count()
        .discard();
    assert!(job.run().is_err());
}
