//! Timers, and records that wait for their time, of which there are more than memory has room for.

use std::sync::Arc;
use std::time::Duration;

use highwater::connector::Generator;
use highwater::process::{Context, Process, States, Timer, Value};
use highwater::stream::{Chain, Job, KeyedStream};
use highwater::time::Watermarks;
use highwater::window::{CountTrigger, Tumbling};

use crate::heap::alone;
use crate::{Results, goes_on, holds, lock, mix, number, text_of, texts};

/// Registers far-off timers by several rules, deletes some, and tells which fire.
#[derive(Clone, Default)]
struct Planning {
    /// How far off they are at least, in milliseconds.
    far: i64,
    /// They lie at multiples of this.
    step: i64,
    /// Timers of one in so many keys are told.
    told: u64,
    /// A text of so many bytes is kept of a key until a timer fires, if it is any.
    weight: usize,
    text: Value<String>,
}

impl Planning {
    fn time(&self, n: u64, at: i64) -> i64 {
        let time = at + self.far + (mix(n + 1) % self.far as u64) as i64;
        time / self.step * self.step
    }
}

impl Process<u64, u64> for Planning {
    type Out = [u64; 2];

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.text = states.value("text");
    }

    fn process(&mut self, n: u64, cx: &mut Context<'_, u64, Self::Out>) {
        let (time, weight) = (self.time(n, cx.timestamp()), self.weight);
        if weight > 0 {
            self.text.set(cx, text_of(n, weight));
        }
        cx.register_timer(time);
        match n % 7 {
            // Twice is once.
            0 | 1 => cx.register_timer(time),
            2 => cx.delete_timer(time),
            3 => {
                cx.delete_timer(time);
                cx.register_timer(time);
            }
            _ => {}
        }
        // What others have registered for the key, or not, and what has left memory since.
        if n.is_multiple_of(5) && n > 2_000 {
            for other in [n - 2_000, n - 1_000] {
                let time = self.time(other, other as i64);
                if other.is_multiple_of(2) { cx.delete_timer(time) } else { cx.register_timer(time) }
            }
        }
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u64, Self::Out>) {
        let key = *cx.key();
        let text = self.text.take(cx).map_or(0, |text| number(&text));
        if key.is_multiple_of(self.told) {
            cx.emit([key, timer.time as u64 ^ text << 32]);
        }
        // Only the first ones have others after them, so that none are left without end.
        if timer.time > self.far + 50_000 {
            return;
        }
        match (key ^ timer.time as u64) % 11 {
            0 => cx.register_timer(timer.time + self.step),
            1 => cx.register_timer(timer.time + self.far),
            2 => cx.delete_timer(timer.time + self.step),
            _ => {}
        }
    }
}

/// Numbers, one in each millisecond, but the last ones rarely, so that most timers fire before the end.
fn numbers(
    job: &Job,
    records: u64,
    rate: Option<f64>,
    key: fn(u64) -> u64,
) -> KeyedStream<u64, u64, impl Chain<Out = (u64, u64)> + use<>> {
    let numbers = Generator::new(2, move |n| (n < records).then_some(n));
    let numbers = rate.map_or(numbers.clone(), |rate| numbers.rate(rate));
    let last = records - RARE;
    let time = move |n: &u64| *n as i64 + 24 * n.saturating_sub(last) as i64;
    job.source(numbers, Watermarks::monotone(time)).key_by(move |n| key(*n))
}

/// So many numbers are rare.
const RARE: u64 = 10_000;

/// Ten numbers have the same key, a thousand apart.
fn shared(n: u64) -> u64 {
    n % 1_000 + n / 10_000 * 1_000
}

#[test]
fn timers_may_be_larger_than_memory() {
    let _alone = alone();
    // Most of the memory is that of keys of which there is nothing but a timer.
    holds("timers here and there", 4 << 20, |job, digest| {
        let planning = Planning { far: 220_000, step: 1, told: 8, ..Planning::default() };
        let fired = numbers(job, 300_000, None, mix).process(planning);
        fired.for_each(move |_, record| digest.add(record.value));
    });
    // A moment has more of them than there is room for.
    holds("timers of the same times", 6 << 20, |job, digest| {
        let planning = Planning { far: 60_000, step: 50_000, told: 4, weight: 200, ..Planning::default() };
        let fired = numbers(job, 120_000, None, mix).process(planning);
        fired.for_each(move |_, record| digest.add(record.value));
    });
    // Records register and delete what others of their key have registered and deleted, and what has left
    // since.
    holds("many timers of a key", 3 << 20, |job, digest| {
        let planning = Planning { far: 300_000, step: 1, told: 8, ..Planning::default() };
        let fired = numbers(job, 420_000, None, shared).process(planning);
        fired.for_each(move |_, record| digest.add(record.value));
    });
}

/// Keeps the last text of a key until a timer tells it.
#[derive(Clone, Default)]
struct Remembering {
    text: Value<String>,
}

impl Process<u64, String> for Remembering {
    type Out = [u64; 3];

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.text = states.value("text");
    }

    fn process(&mut self, text: String, cx: &mut Context<'_, u64, Self::Out>) {
        if self.text.get(cx).is_none() {
            cx.register_timer(cx.timestamp() / 20_000 * 20_000 + 100_000);
        }
        self.text.set(cx, text);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u64, Self::Out>) {
        let key = *cx.key();
        if let Some(text) = self.text.take(cx) {
            cx.emit([key, timer.time as u64, number(&text)]);
        }
    }
}

#[test]
fn state_that_timers_end_may_be_larger_than_memory() {
    let _alone = alone();
    holds("state with timers", 9 << 19, |job, digest| {
        let told = texts(job, 300, 150_000, 110_000).process_in_order(Remembering::default());
        told.for_each(move |_, record| digest.add(record.value));
    });
    let (all, greatest) = (Duration::from_secs(1000), |one: &String, other: String| other.max(one.clone()));
    holds("windows with triggers", 5 << 20, |job, digest| {
        let numbers = Generator::new(1, move |n| (n < 110_000u64).then_some(n));
        let numbers = job.source(numbers, Watermarks::monotone(|n: &u64| *n as i64));
        let texts = numbers.key_by(|n| mix(*n) % 88_000).map_values(|n| text_of(n, 300));
        let windows = texts.window(Tumbling::of(all)).trigger(CountTrigger::of(2)).reduce(greatest);
        let windows = windows.map(|w| [w.key, w.window.end as u64, number(&w.value)]);
        windows.for_each(move |_, record| digest.add(record.value));
    });
}

/// Tells each record with the one before it.
#[derive(Clone, Default)]
struct Pairing {
    last: Value<u64>,
}

impl Process<u64, String> for Pairing {
    type Out = [u64; 3];

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.last = states.value("last");
    }

    fn process(&mut self, text: String, cx: &mut Context<'_, u64, Self::Out>) {
        let (key, text) = (*cx.key(), number(&text));
        let last = self.last.get(cx).copied().unwrap_or_default();
        self.last.set(cx, text);
        cx.emit([key, last, text]);
    }
}

#[test]
fn records_that_wait_may_be_larger_than_memory() {
    let _alone = alone();
    holds("records that wait", 4 << 20, |job, digest| {
        let numbers = Generator::new(2, move |n| (n < 100_000u64).then_some(n));
        let watermarks = Watermarks::bounded(Duration::from_secs(60), |n: &u64| (*n ^ 0xfff) as i64);
        let texts = job.source(numbers, watermarks).key_by(|n| mix(*n) % 500).map_values(|n| text_of(n, 300));
        let pairs = texts.process_in_order(Pairing::default());
        pairs.for_each(move |_, record| digest.add(record.value));
    });
}

#[test]
fn timers_that_have_left_memory_are_in_snapshots() {
    let _alone = alone();
    let build = |results: &Results, rate: Option<f64>| {
        let job = Job::new();
        let planning = Planning { far: 50_000, step: 10, told: 1, ..Planning::default() };
        let fired = numbers(&job, 100_000, rate, shared).process(planning).uid("planning");
        let results = Arc::clone(results);
        fired.for_each(move |_, record| {
            let [key, time] = record.value;
            lock(&results).insert([key, time, 0, 0]);
        });
        job
    };
    let run = goes_on(build, 20_000.0, 1_000, "timers_spilled");
    assert!(run.left.iter().sum::<i64>() > 1_000);
}
