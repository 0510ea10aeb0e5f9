//! The cases as a user of the engine would write them.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::data::Data;
use highwater::join::{Interval, Offset};
use highwater::process::{Context, Process, States, Timer, Value};
use highwater::stream::{Chain, Job, KeyedStream, Stream};
use highwater::time::Watermarks;
use highwater::window;

use crate::by_hand::{APART, GAP, SLIDE, delay};
use crate::numbers::{Numbers, time};

type Outcome = Result<(f64, u64), Box<dyn Error>>;

/// Emits every thousandth count of a key.
#[derive(Clone, Default)]
pub(crate) struct Counting(Value<u64>);

impl Process<u64, u64> for Counting {
    type Out = u64;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value("count");
    }

    fn process(&mut self, _: u64, cx: &mut Context<'_, u64, u64>) {
        let count = self.0.update(
            cx,
            || 0,
            |count| {
                *count += 1;
                *count
            },
        );
        if let Some(count) = count.filter(|count| count % 1000 == 0) {
            cx.emit(count);
        }
    }
}

/// Registers a timer for each record, which fires.
#[derive(Clone)]
pub(crate) struct Timing;

impl Process<u64, u64> for Timing {
    type Out = u64;

    fn process(&mut self, n: u64, cx: &mut Context<'_, u64, u64>) {
        cx.register_timer((time(n) + delay(n)) as i64);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u64, u64>) {
        if timer.time % 1000 == 0 {
            cx.emit(1);
        }
    }
}

/// A sum that is added to another when it is dropped.
struct Sum(u64, Arc<AtomicU64>);

impl Clone for Sum {
    fn clone(&self) -> Self {
        Sum(0, Arc::clone(&self.1))
    }
}

impl Drop for Sum {
    fn drop(&mut self) {
        self.1.fetch_add(self.0, Ordering::Relaxed);
    }
}

fn source(job: &Job, numbers: Numbers) -> Stream<u64, impl Chain<Out = u64>> {
    let splits = Generator::new(numbers.workers as usize, move |n| (n < numbers.records).then_some(n));
    job.source(splits, Watermarks::monotone(|n: &u64| time(*n) as i64))
}

/// Runs a job that says numbers: the seconds, and their sum.
fn run<T: Data, C: Chain<Out = T>>(
    job: &Job,
    said: Stream<T, C>,
    number: fn(&T) -> u64,
    options: Options,
) -> Outcome {
    let total = Arc::new(AtomicU64::new(0));
    let mut sum = Sum(0, Arc::clone(&total));
    said.for_each(move |_, record| {
        let sum = &mut sum;
        sum.0 = sum.0.wrapping_add(number(&record.value));
    });
    let summary = job.run_with(options)?;
    Ok((summary.elapsed.as_secs_f64(), total.load(Ordering::Relaxed)))
}

fn options(numbers: Numbers) -> Options {
    Options::default().workers(numbers.workers as usize)
}

/// The numbers by key.
fn keyed(job: &Job, numbers: Numbers) -> KeyedStream<u64, u64, impl Chain<Out = (u64, u64)>> {
    source(job, numbers).key_by(move |n| numbers.key(*n))
}

pub(crate) fn process<P: Process<u64, u64, Out = u64>>(numbers: Numbers, function: P) -> Outcome {
    let job = Job::new();
    let said = keyed(&job, numbers).process(function);
    run(&job, said, |said| *said, options(numbers))
}

pub(crate) fn sessions(numbers: Numbers) -> Outcome {
    let job = Job::new();
    let sessions = window::Sessions::with_gap(Duration::from_millis(GAP));
    let said = keyed(&job, numbers).window(sessions).count();
    run(&job, said, |session| session.value, options(numbers))
}

pub(crate) fn sliding(numbers: Numbers, slides: u64) -> Outcome {
    let job = Job::new();
    let (size, slide) = (Duration::from_millis(slides * SLIDE), Duration::from_millis(SLIDE));
    let said = keyed(&job, numbers).window(window::Sliding::of(size, slide)).count();
    run(&job, said, |window| window.value, options(numbers))
}

pub(crate) fn pairs(numbers: Numbers) -> Outcome {
    let job = Job::new();
    let all = source(&job, numbers);
    let even = all.clone().filter(|n| n & 1 == 0).key_by(move |n| numbers.key(*n));
    let odd = all.filter(|n| n & 1 == 1).key_by(move |n| numbers.key(*n));
    let apart = APART as i64;
    let said = even
        .interval_join(odd, Interval::between(Offset::millis(-apart), Offset::millis(apart)))
        .inner(|_, left, right| time(*left).abs_diff(time(*right)));
    run(&job, said, |apart| *apart, options(numbers))
}
