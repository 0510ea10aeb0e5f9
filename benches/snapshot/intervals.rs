//! Speed and latency against how far snapshots are apart.
//!
//! Speed is that until all events are read: the last snapshot, at the end of the input, is one that jobs that
//! go on for long do not have. Latency is what the program tells of an open loop.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use highwater::config::Options;
use highwater::nexmark::{self, Config, File};
use highwater::snapshot::Snapshots;
use serde_json::Value;

use super::chart::{Axis, Panel, Series, draw};
use super::queries::{QUERIES, Query, time};
use super::{is_wanted, median, plot, rounds};

/// How far snapshots are apart in milliseconds, with none first, and as the program takes it.
const INTERVALS: [(Option<u64>, &str); 4] =
    [(None, "off"), (Some(10_000), "10s"), (Some(1_000), "1s"), (Some(250), "250ms")];

/// An open loop lasts so long at least, in seconds, or its rate is less than half of the speed.
const SECONDS: f64 = 5.0;

/// Medians at one interval.
struct Figures {
    /// Million events per second at full speed, and that by the speed without snapshots in the same round.
    speed: f64,
    ratio: f64,
    /// The latency in milliseconds that 99 of 100 epochs have at most in an open loop, and that by the one
    /// without snapshots in the same round.
    latency: f64,
    times: f64,
}

pub(super) fn run(path: &Path, events: u64, workers: usize) -> Result<(), Box<dyn Error>> {
    if !path.exists() {
        nexmark::write(path, Config::default(), 0..events, &mut |_| Ok(()))?;
    }
    let file = File::open(path)?;
    file.verify()?;
    let rounds = rounds();
    println!("{events} events, {workers} workers, median of {rounds} rounds");
    println!("query  snapshots   M events/s     ratio   p99 of epochs, ms     ratio   at M events/s");
    let (mut speeds, mut latencies) = (Vec::new(), Vec::new());
    for (query, job) in QUERIES.into_iter().filter(|(query, _)| is_wanted(query)) {
        let load = Load { query, job, file: &file, path, events, workers };
        let (figures, rate) = load.measure(rounds)?;
        for ((_, interval), Figures { speed, ratio, latency, times }) in INTERVALS.iter().zip(&figures) {
            println!(
                "{query:<6} {interval:<9} {speed:>12.1} {ratio:>9.2} {latency:>19.2} {times:>9.2} {:>15.1}",
                rate / 1e6
            );
        }
        let line = |of: fn(&Figures) -> f64| Series {
            name: query.to_owned(),
            points: figures.iter().enumerate().map(|(place, figures)| (place as f64, of(figures))).collect(),
        };
        speeds.push(line(|figures| 100.0 * figures.ratio));
        latencies.push(line(|figures| figures.latency));
    }
    let Some(plot) = plot() else { return Ok(()) };
    let x = || Axis::named("a snapshot every", &INTERVALS.map(|(_, name)| name));
    let speed = Panel { title: "speed", x: x(), y: "% of that without snapshots", series: speeds };
    let title = "latency of epochs at half of the speed";
    draw(&plot, &[speed, Panel { title, x: x(), y: "p99, milliseconds", series: latencies }])
}

/// A query and its input.
struct Load<'a> {
    query: &'static str,
    job: Query,
    file: &'a File,
    path: &'a Path,
    events: u64,
    workers: usize,
}

impl Load<'_> {
    /// Figures for each interval, and the rate of the open loop.
    fn measure(&self, rounds: usize) -> Result<(Vec<Figures>, f64), Box<dyn Error>> {
        let mut seen: [[Vec<f64>; 4]; INTERVALS.len()] = Default::default();
        for _ in 0..rounds {
            let mut without = None;
            for ((every, _), [speeds, ratios, _, _]) in INTERVALS.iter().zip(&mut seen) {
                let speed = self.speed(*every)?;
                speeds.push(speed / 1e6);
                ratios.push(speed / *without.get_or_insert(speed));
            }
        }
        let half = median(&mut seen[0][0].clone()) * 1e6 / 2.0;
        let rate = half.min(self.events as f64 / SECONDS);
        for _ in 0..rounds {
            let mut without = None;
            for ((_, every), [_, _, latencies, times]) in INTERVALS.iter().zip(&mut seen) {
                let latency = self.latency(every, rate)?;
                latencies.push(latency);
                times.push(latency / *without.get_or_insert(latency));
            }
        }
        let figures = seen.iter_mut().map(|all| {
            let [speed, ratio, latency, times] = all.each_mut().map(|values| median(values));
            Figures { speed, ratio, latency, times }
        });
        Ok((figures.collect(), rate))
    }

    /// Events per second at full speed.
    fn speed(&self, every: Option<u64>) -> Result<f64, Box<dyn Error>> {
        let directory = tempfile::tempdir_in(self.path.parent().unwrap_or(self.path))?;
        let mut options = Options::default().workers(self.workers);
        if let Some(every) = every {
            let snapshots = Snapshots::in_directory(directory.path())?.every(Duration::from_millis(every));
            options = options.snapshots(snapshots);
        }
        let (seconds, metrics) = time(self.job, self.file, self.events, options)?;
        if metrics.metric("snapshots", "failed").get() > 0 {
            return Err(format!("{}: a snapshot could not be written", self.query).into());
        }
        Ok(self.events as f64 / seconds)
    }

    /// The latency in milliseconds that 99 of 100 epochs have at most in an open loop.
    fn latency(&self, every: &str, rate: f64) -> Result<f64, Box<dyn Error>> {
        let directory = tempfile::tempdir_in(self.path.parent().unwrap_or(self.path))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.args(["nexmark", self.query, "--quiet", "--json", "--input"]).arg(self.path);
        command.args(["--events", &self.events.to_string(), "--workers", &self.workers.to_string()]);
        command.args(["--rate", &format!("{rate:.0}")]);
        if every != "off" {
            command.args(["--fresh", "--every", every, "--snapshots"]).arg(directory.path());
        }
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let told: Value = serde_json::from_slice(&output.stdout)?;
        if told.pointer("/snapshots/failed").and_then(Value::as_u64).unwrap_or(0) > 0 {
            return Err(format!("{}: a snapshot could not be written", self.query).into());
        }
        let latency = told.pointer("/latency_ms/epoch/p99").and_then(Value::as_f64);
        latency.ok_or_else(|| format!("the program does not tell its latency: {told}").into())
    }
}
