//! The Nexmark queries of the engine against the same queries by hand, in one run, on the same input, in
//! turn: `cargo bench --bench nexmark -- FILE [EVENTS [WORKERS [QUERY ...]]]`.
//!
//! `EPOCH_MS`, `ROUNDS` and `ONLY_ENGINE` in the environment change what their names say.
//!
//! For each query: million events per second of both, as the median of several rounds, and the median of the
//! rounds' ratios. Rows and checksums must agree. A file that does not exist is written first.
#![allow(clippy::print_stdout)]

#[path = "../floor/mod.rs"]
mod floor;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use floor::{Digest, Outcome};
use highwater::config::Options;
use highwater::connector::{Sink, Writer};
use highwater::data::{Change, Data, Record};
use highwater::nexmark::{self, Config, File, Nexmark, query};
use highwater::stream::{Chain, Job, Stream};
use highwater::time::Epochs;

#[global_allocator]
static ALLOCATOR: highwater::Allocator = highwater::Allocator;

const ROUNDS: usize = 5;
const EPOCH_EVENTS: u64 = 16_384;

type Floor = fn(&'static File, u64, usize, u64) -> Outcome;
type Engine = fn(&Job, Nexmark, Tally);

const QUERIES: [(&str, Floor, Engine); 9] = [
    ("q0", floor::q0::run, |job, source, tally| tally.rows(query::q0(source.read(job)))),
    ("q1", floor::q1::run, |job, source, tally| tally.rows(query::q1(source.read(job)))),
    ("q2", floor::q2::run, |job, source, tally| tally.rows(query::q2(source.read(job)))),
    ("q3", floor::q3::run, |job, source, tally| tally.rows(query::q3(source.read(job)))),
    ("q4", floor::q4::run, |job, source, tally| tally.changes(query::q4(source.read(job)))),
    ("q5", floor::q5::run, |job, source, tally| tally.rows(query::q5(source.read(job)))),
    ("q7", floor::q7::run, |job, source, tally| tally.rows(query::q7(source.read(job)))),
    ("q8", floor::q8::run, |job, source, tally| tally.rows(query::q8(source.read(job)))),
    ("q20", floor::q20::run, |job, source, tally| tally.rows(query::q20(source.read(job)))),
];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let Some(path) = args.first().map(Path::new) else {
        println!("usage: nexmark FILE [EVENTS [WORKERS [QUERY ...]]]");
        return Ok(());
    };
    let events = args.get(1).map_or(Ok(10_000_000), |n| n.parse::<u64>())?;
    let workers = args.get(2).map_or(Ok(1), |n| n.parse::<usize>())?;
    let epoch = std::env::var("EPOCH_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or(10);
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    // For profiles of the engine alone.
    let only_engine = std::env::var_os("ONLY_ENGINE").is_some();
    let wanted = &args[args.len().min(3)..];
    if !path.exists() {
        nexmark::write(path, Config::default(), 0..events, &mut |_| Ok(()))?;
    }
    let file: &'static File = Box::leak(Box::new(File::open(path)?));
    // Also brings all of it into memory and into the page tables, which else the first query would pay for.
    file.verify()?;
    println!("{events} events, {workers} workers, epochs of {epoch} ms, median of {rounds} rounds");
    println!("query   by hand    engine   engine/hand  (M events/s)");
    for (name, by_hand, engine) in QUERIES {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        let (mut hand_speeds, mut engine_speeds, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let hand =
                if only_engine { Outcome::default() } else { by_hand(file, events, workers, EPOCH_EVENTS) };
            let ours = run(engine, file, events, workers, Duration::from_millis(epoch))?;
            if !only_engine && (hand.rows, hand.checksum) != (ours.rows, ours.checksum) {
                return Err(format!("{name}: by hand {hand:?}, but the engine says {ours:?}").into());
            }
            hand_speeds.push(events as f64 / hand.seconds / 1e6);
            engine_speeds.push(events as f64 / ours.seconds / 1e6);
            ratios.push(hand.seconds / ours.seconds);
        }
        let [hand, ours, ratio] = [hand_speeds, engine_speeds, ratios].map(median);
        println!("{name}    {hand:>8.1}  {ours:>8.1}  {ratio:>10.2}");
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn run(
    engine: Engine,
    file: &File,
    events: u64,
    workers: usize,
    epoch: Duration,
) -> Result<Outcome, Box<dyn Error>> {
    let job = Job::new();
    let source = Nexmark::file(file.clone(), events).splits(workers);
    let tally = Tally::default();
    engine(&job, source, tally.clone());
    let summary = job.run_with(Options::default().workers(workers).epochs(Epochs::every(epoch)))?;
    let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
    Ok(Outcome {
        rows: read(&tally.0.rows),
        checksum: read(&tally.0.checksum),
        seconds: summary.elapsed.as_secs_f64(),
    })
}

/// A sink that counts rows and folds them into a checksum. What a change takes back is taken back.
#[derive(Clone, Default)]
struct Tally(Arc<Totals>);

#[derive(Default)]
struct Totals {
    rows: AtomicU64,
    checksum: AtomicU64,
}

impl Tally {
    fn rows<T: Data + Digest>(self, rows: Stream<T, impl Chain<Out = T>>) {
        rows.sink(TallySink { tally: self, digest: |row: &T| (1, row.digest()) });
    }

    fn changes<T: Data + Digest>(self, changes: Stream<Change<T>, impl Chain<Out = Change<T>>>) {
        let digest = |change: &Change<T>| {
            (change.diff as u64, change.record.digest().wrapping_mul(change.diff as u64))
        };
        changes.sink(TallySink { tally: self, digest });
    }
}

struct TallySink<F> {
    tally: Tally,
    digest: F,
}

impl<T: Data, F: Fn(&T) -> (u64, u64) + Copy + Send + Sync + 'static> Sink<T> for TallySink<F> {
    type Writer = TallyWriter<F>;

    fn name(&self) -> String {
        "tally".to_owned()
    }

    fn open(&self, _: usize, _: usize) -> highwater::Result<TallyWriter<F>> {
        Ok(TallyWriter { tally: self.tally.clone(), digest: self.digest, rows: 0, checksum: 0 })
    }
}

struct TallyWriter<F> {
    tally: Tally,
    digest: F,
    rows: u64,
    checksum: u64,
}

impl<T: Data, F: Fn(&T) -> (u64, u64) + 'static> Writer<T> for TallyWriter<F> {
    type Prepared = ();
    const IN_ORDER: bool = false;

    fn write(&mut self, _: u64, batch: &mut Vec<Record<T>>) -> highwater::Result<()> {
        for record in batch.drain(..) {
            let (rows, digest) = (self.digest)(&record.value);
            self.rows = self.rows.wrapping_add(rows);
            self.checksum = self.checksum.wrapping_add(digest);
        }
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> highwater::Result<()> {
        Ok(())
    }

    fn commit(&mut self, _: u64, (): ()) -> highwater::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> highwater::Result<()> {
        self.tally.0.rows.fetch_add(self.rows, Ordering::Relaxed);
        self.tally.0.checksum.fetch_add(self.checksum, Ordering::Relaxed);
        Ok(())
    }
}
