//! Nexmark queries with snapshots and without.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::nexmark::{self, Config, File, Nexmark, query};
use highwater::snapshot::Snapshots;
use highwater::stream::Job;

use super::{is_wanted, median, rounds};

/// Builds a query.
pub(super) type Query = fn(&Job, Nexmark);

pub(super) const QUERIES: [(&str, Query); 5] = [
    ("q5", |job, source| query::q5(source.read(job)).discard()),
    ("q7", |job, source| query::q7(source.read(job)).discard()),
    ("q8", |job, source| query::q8(source.read(job)).discard()),
    ("q9", |job, source| query::q9(source.read_numbered(job)).discard()),
    ("q18", |job, source| query::q18(source.read_numbered(job)).discard()),
];

/// How far snapshots are apart, unless `EVERY_MS` says otherwise.
const EVERY: u64 = 1000;

pub(super) fn run(path: &Path, events: u64, workers: usize) -> Result<(), Box<dyn Error>> {
    if !path.exists() {
        nexmark::write(path, Config::default(), 0..events, &mut |_| Ok(()))?;
    }
    let file = File::open(path)?;
    file.verify()?;
    let every = std::env::var("EVERY_MS").ok().and_then(|n| n.parse().ok()).unwrap_or(EVERY);
    let (every, rounds) = (Duration::from_millis(every), rounds());
    println!("{events} events, {workers} workers, snapshots each {every:?}, median of {rounds} rounds");
    println!("query      off       on   on/off   taken  MB each  longest pause ms  (M events/s)");
    for (name, query) in QUERIES.into_iter().filter(|(name, _)| is_wanted(name)) {
        let (mut off, mut on, mut ratios, mut pauses) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut taken, mut bytes) = (0, 0);
        for _ in 0..rounds {
            let without = time(query, &file, events, Options::default().workers(workers))?.0;
            let directory = tempfile::tempdir_in(path.parent().unwrap_or(path))?;
            let snapshots = Snapshots::in_directory(directory.path())?.every(every);
            let (with, metrics) =
                time(query, &file, events, Options::default().workers(workers).snapshots(snapshots))?;
            let read = |name| metrics.metric("snapshots", name).get();
            if read("failed") > 0 {
                return Err(format!("{name}: {} snapshots could not be written", read("failed")).into());
            }
            taken += read("taken");
            bytes += read("bytes");
            pauses.push(read("longest_pause_micros") as f64 / 1e3);
            off.push(events as f64 / without / 1e6);
            on.push(events as f64 / with / 1e6);
            ratios.push(without / with);
        }
        let each = bytes as f64 / taken.max(1) as f64 / 1e6;
        let [off, on, ratio, pause] =
            [&mut off, &mut on, &mut ratios, &mut pauses].map(|values| median(values));
        let taken = taken as f64 / rounds as f64;
        println!("{name:<6} {off:>7.1}  {on:>7.1}  {ratio:>7.2}  {taken:>6.1}  {each:>7.2}  {pause:>16.1}");
    }
    Ok(())
}

/// The seconds until all events are read, and what was counted. What is read is bounded by what is done.
pub(super) fn time(
    query: Query,
    file: &File,
    events: u64,
    options: Options,
) -> highwater::Result<(f64, highwater::metric::Metrics)> {
    let (job, workers) = (Job::new(), 1.max(std::thread::available_parallelism().map_or(1, usize::from)));
    query(&job, Nexmark::file(file.clone(), events).splits(workers));
    let clock = Clock::system();
    let running = job.start(options)?;
    // At the end of the input workers copy all that has changed for a last snapshot, which a job that goes on
    // for long does not have.
    while running.metrics().sum("records_out") < events as i64 && !running.is_finished() {
        std::thread::sleep(Duration::from_micros(200));
    }
    let seconds = clock.now().as_secs_f64();
    Ok((seconds, running.join()?.metrics))
}
