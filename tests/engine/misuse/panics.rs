//! A panic in any function of the user's ends the job with its message.

use std::time::Duration;

use highwater::ErrorKind;
use highwater::cep::Pattern;
use highwater::data::Change;
use highwater::process::{Context, Process, States, Timer};
use highwater::stream::{Chain, Job, KeyedStream};
use highwater::time::{EventTime, Watermarks};
use highwater::window::{Assigner, Fire, OnEventTime, Trigger, TriggerContext, Tumbling, Window};

use super::{ends_in, outcome};

fn keyed(job: &Job) -> KeyedStream<u8, i64, impl Chain<Out = (u8, i64)> + use<>> {
    let numbers = job.timed_collection(0..20i64, Watermarks::monotone(|n: &i64| *n));
    numbers.key_by(|n| (n % 3) as u8)
}

fn panics(what: &str, build: fn(&Job)) {
    ends_in(ErrorKind::Panic, what, "out of my depth", build);
}

fn depth(n: i64) -> i64 {
    if n == 7 { panic!("out of my depth") } else { n }
}

/// Panics where it is told to.
#[derive(Clone, Copy, PartialEq)]
enum Fragile {
    Open,
    Record,
    Timer,
}

impl Process<u8, i64> for Fragile {
    type Out = i64;

    fn open(&mut self, _: &mut States<'_, u8>) {
        assert!(*self != Fragile::Open, "out of my depth");
    }

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, i64>) {
        assert!(*self != Fragile::Record, "out of my depth");
        cx.register_timer(value + 1);
    }

    fn timer(&mut self, _: Timer, _: &mut Context<'_, u8, i64>) {
        assert!(*self != Fragile::Timer, "out of my depth");
    }
}

/// Panics as a trigger and as an assigner.
#[derive(Clone, Copy, Default)]
struct Hopeless;

impl Trigger<u8, i64> for Hopeless {
    fn on_element(&mut self, _: &i64, _: &mut TriggerContext<'_, u8>) -> Fire {
        panic!("out of my depth")
    }
}

impl Assigner<i64> for Hopeless {
    type Trigger = OnEventTime;

    fn assign(&self, _: &i64, _: EventTime, _: &mut Vec<Window>) {
        panic!("out of my depth")
    }
}

#[test]
fn in_steps_and_keys() {
    panics("map", |job| job.collection(0..20).map(depth).discard());
    panics("key", |job| job.collection(0..20).key_by(|n| depth(*n)).count().discard());
    panics("timestamp", |job| {
        job.timed_collection(0..20, Watermarks::monotone(|n: &i64| depth(*n))).discard()
    });
    // One worker has nothing to choose from, and the function is not asked.
    let partition = |job: &Job| job.collection(0..20).partition_with(|n, _| depth(*n) as usize).discard();
    let error = outcome("partition", 3, partition).unwrap_err();
    assert!(error.kind() == ErrorKind::Panic && error.to_string().contains("out of my depth"), "{error}");
}

#[test]
fn in_process_functions() {
    panics("open", |job| keyed(job).process(Fragile::Open).discard());
    panics("record", |job| keyed(job).process(Fragile::Record).discard());
    panics("timer", |job| keyed(job).process(Fragile::Timer).discard());
    panics("in order", |job| keyed(job).process_in_order(Fragile::Record).discard());
}

#[test]
fn in_windows_and_patterns() {
    panics("trigger", |job| {
        keyed(job).window(Tumbling::of(Duration::from_millis(5))).trigger(Hopeless).count().discard();
    });
    panics("assigner", |job| keyed(job).window_with(Hopeless).count().discard());
    panics("function", |job| {
        let windows = keyed(job).window(Tumbling::of(Duration::from_millis(5)));
        windows.apply(|_, _, values: Vec<i64>| values.into_iter().map(depth).collect::<Vec<_>>()).discard();
    });
    panics("pattern", |job| {
        keyed(job).detect(Pattern::begin("a", |n: &i64| depth(*n) > 3)).matches().discard();
    });
}

#[test]
fn in_differential_computations() {
    panics("while it is built", |job| {
        let numbers = job.collection(0..20).map(Change::insert);
        numbers
            .differential(
                |_, numbers| if numbers.scope().index() == 0 { panic!("out of my depth") } else { numbers },
            )
            .discard();
    });
    panics("while it runs", |job| {
        let numbers = job.collection(0..20).map(Change::insert);
        numbers.differential(|_, numbers| numbers.map(depth).distinct()).discard();
    });
}
