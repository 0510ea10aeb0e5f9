//! A table of keys: what a snapshot of all of it takes, one of a hundredth, and going on from them.

use std::error::Error;
use std::path::Path;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::connector::Generator;
use highwater::data::hash64;
use highwater::process::{Context, Process, States, Value};
use highwater::snapshot::{Restore, Snapshots};
use highwater::stream::Job;
use highwater::time::Watermarks;

use super::{median, rounds};

/// Keeps the last value of each key.
#[derive(Clone, Default)]
pub(super) struct Last(Value<[u64; 8]>);

impl Process<u64, u64> for Last {
    type Out = u64;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value("last");
    }

    fn process(&mut self, value: u64, cx: &mut Context<'_, u64, u64>) {
        // As incompressible as hashes are.
        self.0.set(cx, std::array::from_fn(|place| hash64(&(value, place))));
    }
}

/// What a run has taken.
struct Took {
    seconds: f64,
    bytes: f64,
    pause: f64,
}

/// Writes all keys, unless a snapshot has them, then one in a hundred if that is asked for, and ends with a
/// snapshot.
fn step(directory: &Path, keys: u64, changes: bool, workers: usize) -> Result<Took, Box<dyn Error>> {
    let job = Job::new();
    let all = Generator::new(2, move |n| (n < keys).then_some(n));
    let some = Generator::new(2, move |n| (changes && n < keys / 100).then_some(n * 100));
    let all = job.source(all, Watermarks::none()).uid("all").map(|n| (n, n));
    // A source of its own, which a snapshot of the first run does not know.
    let some =
        job.source(some, Watermarks::none()).uid(if changes { "some" } else { "none" }).map(|n| (n, n + 1));
    let keyed = all.union(some).key_by(|row| row.0).map_values(|row| row.1);
    keyed.process(Last::default()).uid("last").discard();
    let snapshots = Snapshots::in_directory(directory)?.restore(Restore::Latest).dropping_state();
    let clock = Clock::system();
    let summary = job.run_with(Options::default().workers(workers).snapshots(snapshots))?;
    let seconds = clock.now().as_secs_f64();
    let read = |name| summary.metrics.metric("snapshots", name).get() as f64;
    Ok(Took { seconds, bytes: read("bytes"), pause: read("longest_pause_micros") / 1e3 })
}

pub(super) fn run(keys: u64) -> Result<(), Box<dyn Error>> {
    let rounds = rounds();
    println!("{keys} keys of 8 bytes with values of 64 bytes, median of {rounds} rounds");
    let mut results: [Vec<f64>; 7] = Default::default();
    for _ in 0..rounds {
        let directory = tempfile::tempdir()?;
        let full = step(directory.path(), keys, false, 1)?;
        let changed = step(directory.path(), keys, true, 1)?;
        let plain = step(directory.path(), keys, true, 1)?;
        let to_two = step(directory.path(), keys, true, 2)?;
        let to_one = step(directory.path(), keys, true, 1)?;
        let figures = [
            full.bytes / 1e6,
            full.pause,
            changed.bytes / full.bytes * 100.0,
            plain.seconds,
            full.bytes / 1e6 / plain.seconds,
            to_two.seconds,
            to_one.seconds,
        ];
        results.iter_mut().zip(figures).for_each(|(all, one)| all.push(one));
    }
    let names = [
        "a full snapshot, MB",
        "longest pause for it, ms",
        "a snapshot after 1 % of keys changed, % of a full one",
        "going on from it, s, and to the next snapshot",
        "that is MB/s",
        "going on with 2 workers, s",
        "and again with 1, s",
    ];
    for (name, values) in names.iter().zip(&mut results) {
        println!("{name:<56} {:>10.3}", median(values));
    }
    Ok(())
}
