//! Time to live: from the first watermark on, by either clock, and never silently for ever.

use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::error::ErrorKind;
use highwater::harness::Driver;
use highwater::process::{Context, List, Map, Process, Refresh, States, TimeDomain, Ttl, Value};
use highwater::stream::Job;
use highwater::time::Watermarks;
use highwater::window::{CountTrigger, Global, Tumbling, WindowContext, WindowProcess, WindowStates};

/// Remembers values of each shape for a while. A value of zero only asks what there is.
#[derive(Clone)]
struct Remembers {
    ttl: Ttl,
    value: Value<i64>,
    list: List<i64>,
    map: Map<i64, i64>,
}

impl Remembers {
    fn new(ttl: Ttl) -> Remembers {
        Remembers { ttl, value: Value::default(), list: List::default(), map: Map::default() }
    }
}

impl Process<u8, i64> for Remembers {
    type Out = (Option<i64>, Vec<i64>, Vec<i64>);

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.value = states.value_with_ttl("value", self.ttl);
        self.list = states.list_with_ttl("list", self.ttl);
        self.map = states.map_with_ttl("map", self.ttl);
    }

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, Self::Out>) {
        if value > 0 {
            self.value.set(cx, value);
            self.list.push(cx, value);
            self.map.insert(cx, value, value);
        }
        if value < 0 {
            let mut shown = Vec::new();
            self.list.retain(cx, |value| {
                shown.push(*value);
                true
            });
            return cx.emit((None, shown, Vec::new()));
        }
        let map = self.map.iter(cx).map(|(key, _)| *key).collect();
        let told = (self.value.get(cx).copied(), self.list.iter(cx).copied().collect(), map);
        cx.emit(told);
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn told(value: Option<i64>, all: &[i64]) -> (Option<i64>, Vec<i64>, Vec<i64>) {
    (value, all.to_vec(), all.to_vec())
}

#[test]
fn what_is_written_before_the_first_watermark_lives_from_that_on() {
    for restarts in [&[][..], &[1], &[2], &[3], &[1, 2, 3]] {
        let ttl = Ttl::of(millis(10));
        let mut driver =
            Driver::new(|values| values.key_by(|_: &i64| 1u8).process(Remembers::new(ttl)).uid("remembers"))
                .unwrap();
        let restart = |driver: &mut Driver<i64, _>, step| {
            if restarts.contains(&step) {
                driver.restart().unwrap();
            }
        };
        driver.push(7, 1).unwrap();
        driver.push(8, 1).unwrap();
        restart(&mut driver, 1);
        driver.push(0, 1).unwrap();
        assert_eq!(driver.take_output().last(), Some(&told(Some(8), &[7, 8])));
        driver.watermark(1_000).unwrap();
        restart(&mut driver, 2);
        driver.watermark(1_009).unwrap();
        driver.push(0, 1_009).unwrap();
        assert_eq!(driver.take_output().last(), Some(&told(Some(8), &[7, 8])), "{restarts:?}");
        driver.push(9, 1_009).unwrap();
        driver.watermark(1_010).unwrap();
        restart(&mut driver, 3);
        driver.push(0, 1_010).unwrap();
        assert_eq!(driver.take_output().last(), Some(&told(Some(9), &[9])), "{restarts:?}");
        driver.watermark(1_019).unwrap();
        driver.push(0, 1_019).unwrap();
        assert_eq!(driver.take_output().last(), Some(&told(None, &[])));
    }
}

#[test]
fn what_lives_by_the_wall_clock_needs_no_timer_to_be_over() {
    for refresh in [Refresh::OnWrite, Refresh::OnReadAndWrite] {
        let ttl = Ttl::of(millis(10)).by(TimeDomain::ProcessingTime).refresh(refresh);
        let mut driver =
            Driver::new(|values| values.key_by(|_: &i64| 1u8).process(Remembers::new(ttl))).unwrap();
        driver.processing_time(5).unwrap();
        driver.push(7, 0).unwrap();
        driver.processing_time(14).unwrap();
        driver.push(0, 0).unwrap();
        assert_eq!(driver.take_output().last(), Some(&told(Some(7), &[7])));
        driver.push(-1, 0).unwrap();
        assert_eq!(driver.take_output().last(), Some(&(None, vec![7], Vec::new())));
        driver.processing_time(15).unwrap();
        driver.push(-1, 0).unwrap();
        assert_eq!(driver.take_output().last(), Some(&(None, Vec::new(), Vec::new())));
        driver.push(0, 0).unwrap();
        assert_eq!(driver.take_output().last(), Some(&told(None, &[])));
    }
}

/// Runs a job, and expects that it is refused because nothing in it has event time.
fn refused(build: impl Fn(&Job)) {
    for workers in [1, 2] {
        let job = Job::new();
        build(&job);
        let error = job.run_with(Options::default().workers(workers)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("Ttl::by(TimeDomain::ProcessingTime)"), "{error}");
    }
}

/// Keeps a state with a time to live for each window.
#[derive(Clone)]
struct InWindows(Ttl, Value<i64>);

impl WindowProcess<u8, Vec<i64>> for InWindows {
    type Out = i64;

    fn open(&mut self, states: &mut WindowStates<'_, u8>) {
        self.1 = states.global().value_with_ttl("kept", self.0);
    }

    fn process(&mut self, values: Vec<i64>, cx: &mut WindowContext<'_, u8, i64>) {
        cx.emit(values.len() as i64);
    }
}

#[test]
fn state_that_could_never_expire_is_refused() {
    let ttl = Ttl::of(millis(10));
    let function = || Remembers::new(ttl);
    let none = || Watermarks::<i64>::none();
    refused(|job| job.collection([1i64]).key_by(|_| 1u8).process(function()).discard());
    refused(|job| {
        let source = job.source(Collection::splits([[1i64], [2]]), none());
        source.map(|n| n).filter(|n| *n > 0).key_by(|_| 1u8).process(function()).discard();
    });
    refused(|job| {
        let both = job.collection([1i64]).union(job.collection([2]));
        both.key_by(|_| 1u8).process(function()).discard();
    });
    refused(|job| {
        let timed = job.timed_collection([1i64], Watermarks::monotone(|n: &i64| *n));
        timed.with_watermarks(none(), 1, |_| 0).key_by(|_| 1u8).process(function()).discard();
    });
    refused(|job| {
        let windows = job.collection([1i64]).key_by(|_| 1u8).window(Global).trigger(CountTrigger::of(1));
        windows.process(InWindows(ttl, Value::default())).discard();
    });
    refused(|job| {
        // What comes out of an operator has no event time that did not go in.
        let counted = job.collection([1i64]).key_by(|_| 1u8).window(Tumbling::of(millis(5))).count();
        let values = counted.map(|count| count.value as i64);
        values.key_by(|_| 1u8).process(function()).discard();
    });
}

#[test]
fn state_that_may_expire_is_not_refused() {
    let job = Job::new();
    let by_time = || Watermarks::monotone(|n: &i64| *n);
    let function = |ttl| Remembers::new(ttl);
    let (short, wall) = (Ttl::of(millis(10)), Ttl::of(millis(10)).by(TimeDomain::ProcessingTime));
    let untimed = || job.collection([1i64]);
    let timed = || job.timed_collection([1i64], by_time());
    untimed().key_by(|_| 1u8).process(function(wall)).discard();
    untimed().key_by(|_| 1u8).process(function(Ttl::of(Duration::MAX))).discard();
    untimed().with_watermarks(by_time(), 1, |_| 0).key_by(|_| 1u8).process(function(short)).discard();
    // When the one without ends, there is event time.
    untimed().union(timed()).key_by(|_| 1u8).process(function(short)).discard();
    timed().key_by(|_| 1u8).process(function(short)).discard();
    job.run().unwrap();
}

#[test]
fn event_times_that_are_too_far_for_a_time_to_live_are_told() {
    let mut driver =
        Driver::new(|values| values.key_by(|_: &i64| 1u8).process(Remembers::new(Ttl::of(millis(10)))))
            .unwrap();
    // Nanoseconds by mistake.
    driver.watermark(1_700_000_000_000_000_000).unwrap();
    let error = driver.push(5, 1_700_000_000_000_000_000).unwrap_err();
    assert!(error.to_string().contains("event times are milliseconds"), "{error}");
}
