//! Whether costs stay flat: a long run with keys that expire, tenth by tenth; and what a key takes of memory.

use std::error::Error;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::process::{Context, Process, States, Ttl, Value};
use highwater::stream::Job;
use highwater::time::Watermarks;
use highwater::window::Sessions;

use crate::numbers::{mix, time};

/// Counts by key, until a key was silent for two seconds.
#[derive(Clone, Default)]
struct Lately(Value<u64>);

impl Process<u64, u64> for Lately {
    type Out = u64;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value_with_ttl("count", Ttl::of(Duration::from_secs(2)));
    }

    fn process(&mut self, _: u64, cx: &mut Context<'_, u64, u64>) {
        let count = self.0.get(cx).copied().unwrap_or(0) + 1;
        self.0.set(cx, count);
        if count == 100 {
            cx.emit(count);
        }
    }
}

/// A hundred thousand keys for each million records, and then others.
fn passing(n: u64) -> u64 {
    n / 1_000_000 * 100_000 + mix(n) % 100_000
}

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// The megabytes of memory that are this process's.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0);
    pages * 4096.0 / 1e6
}

/// Runs so many records through a job and prints, for each tenth, the rate, the memory, and the longest time
/// between two epochs being complete.
pub(crate) fn flat(records: u64, workers: usize) -> Result<(), Box<dyn Error>> {
    println!("records read, M records/s, MB resident, longest epoch in ms");
    for what in ["values that expire", "sessions"] {
        println!("{what}");
        let job = Job::new();
        let splits = Generator::new(workers, move |n| (n < records).then_some(n));
        let numbers = job.source(splits, Watermarks::monotone(|n: &u64| time(*n) as i64));
        let keyed = numbers.key_by(|n| passing(*n));
        match what {
            "sessions" => keyed.window(Sessions::with_gap(Duration::from_millis(300))).count().discard(),
            _ => keyed.process(Lately::default()).discard(),
        }
        let running = job.start(Options::default().workers(workers))?;
        let (mut begun, mut next) = (now(), records / 10);
        let (mut epoch, mut since, mut longest) = (0, now(), Duration::ZERO);
        while !running.is_finished() {
            thread::sleep(Duration::from_micros(500));
            let open = running.open_epoch();
            if open != epoch {
                longest = longest.max(now() - since);
                (epoch, since) = (open, now());
            }
            let read = running.metrics().sum("records_out") as u64;
            if read >= next {
                let rate = (records / 10) as f64 / (now() - begun).as_secs_f64() / 1e6;
                let millis = longest.as_secs_f64() * 1e3;
                println!("{:>12} {rate:>8.2} {:>8.0} {millis:>8.1}", next, resident());
                (begun, next, longest) = (now(), next + records / 10, Duration::ZERO);
            }
        }
        running.join()?;
    }
    Ok(())
}

/// Keeps a number for each key.
#[derive(Clone, Default)]
struct Last(Value<u64>);

impl Process<u64, u64> for Last {
    type Out = u64;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value("last");
    }

    fn process(&mut self, n: u64, cx: &mut Context<'_, u64, u64>) {
        self.0.set(cx, n);
    }
}

/// Prints the bytes that each of so many keys takes while its value or its windows are there, each in a
/// process of its own.
pub(crate) fn weigh(keys: u64, what: Option<&str>) -> Result<(), Box<dyn Error>> {
    let Some(what) = what else {
        println!("bytes of memory for each of {keys} keys");
        for what in ["value", "tumbling window", "session", "ten sliding windows"] {
            let mut cell = Command::new(std::env::current_exe()?);
            cell.args(["memory", &keys.to_string(), what]).status()?;
        }
        return Ok(());
    };
    let job = Job::new();
    // The last number waits until the memory was looked at.
    let (looked, wait) = std::sync::mpsc::sync_channel::<()>(0);
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let numbers = Generator::new(1, move |n| {
        if n == keys {
            let _ = wait.lock().map(|wait| wait.recv());
        }
        (n <= keys).then_some(n)
    });
    let numbers = job.source(numbers, Watermarks::monotone(|_: &u64| 1));
    let keyed = numbers.key_by(|n| mix(*n));
    let (second, ten) = (Duration::from_secs(1), Duration::from_secs(10));
    match what {
        "value" => keyed.process(Last::default()).discard(),
        "tumbling window" => keyed.window(highwater::window::Tumbling::of(second)).count().discard(),
        "session" => keyed.window(Sessions::with_gap(second)).count().discard(),
        _ => keyed.window(highwater::window::Sliding::of(ten, second)).count().discard(),
    }
    let before = resident();
    let running = job.start(Options::default())?;
    let mut weight = 0.0;
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = resident();
        if now == weight {
            break;
        }
        weight = now;
    }
    println!("{what:<22} {:>6.0}", (weight - before) * 1e6 / keys as f64);
    looked.send(())?;
    running.join()?;
    Ok(())
}
