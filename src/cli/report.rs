//! The report of a run: a table for people, or JSON for programs.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use highwater::data::Diff;
use serde_json::{Value, json};

use super::amount;
use super::saving::Saved;

/// The figures of a query's run.
pub(crate) struct Outcome {
    pub(crate) query: &'static str,
    pub(crate) workers: usize,
    /// Events read.
    pub(crate) events: u64,
    pub(crate) wall: Duration,
    /// How long it took to generate the events before the query, if they were.
    pub(crate) generation: Option<Duration>,
    pub(crate) cpu: Duration,
    /// The peak of memory in bytes, if it is known.
    pub(crate) peak: Option<u64>,
    /// True if the peak is the query's; otherwise it is that of the process so far.
    pub(crate) is_peak_of_query: bool,
    pub(crate) rows: Diff,
    /// The number of changes, if rows can be retracted.
    pub(crate) changes: Option<u64>,
    pub(crate) latency: Option<Latency>,
    pub(crate) is_interrupted: bool,
    /// How the rows differ from a recomputation, if they were compared.
    pub(crate) verified: Option<Result<(), String>>,
    /// The figures of its snapshots, if it took any.
    pub(crate) saved: Option<Saved>,
}

/// Latencies in nanoseconds; the manual defines them.
pub(crate) struct Latency {
    /// Events supplied per second.
    pub(crate) rate: f64,
    pub(crate) result: Histogram<u64>,
    pub(crate) epoch: Histogram<u64>,
}

const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

impl Outcome {
    fn per_second(&self, time: Duration) -> f64 {
        if time.is_zero() { 0.0 } else { self.events as f64 / time.as_secs_f64() }
    }

    fn to_json(&self) -> Value {
        let latency = self.latency.as_ref().map(|latency| {
            let quantiles = |histogram: &Histogram<u64>| {
                let mut object: serde_json::Map<String, Value> = QUANTILES
                    .iter()
                    .map(|(name, at)| ((*name).to_owned(), json!(millis(histogram, *at))))
                    .collect();
                object.insert("count".to_owned(), json!(histogram.len()));
                Value::Object(object)
            };
            let (result, epoch) = (quantiles(&latency.result), quantiles(&latency.epoch));
            json!({ "rate": latency.rate, "result": result, "epoch": epoch })
        });
        json!({
            "query": self.query,
            "workers": self.workers,
            "events": self.events,
            "events_per_second": self.per_second(self.wall),
            "events_per_cpu_second": self.per_second(self.cpu),
            "wall_s": self.wall.as_secs_f64(),
            "cpu_s": self.cpu.as_secs_f64(),
            "peak_memory_bytes": self.peak,
            "peak_is_of_query": self.is_peak_of_query,
            "rows": self.rows,
            "changes": self.changes,
            "generation_seconds": self.generation.map(|took| took.as_secs_f64()),
            "latency_ms": latency,
            "interrupted": self.is_interrupted,
            "verified": self.verified.as_ref().map(Result::is_ok),
            "snapshots": self.saved.as_ref().map(saved_to_json),
        })
    }
}

fn saved_to_json(saved: &Saved) -> Value {
    json!({
        "directory": saved.directory.display().to_string(),
        "taken": saved.taken,
        "bytes": saved.bytes,
        "failed": saved.failed,
        "last_ms": saved.last.map(|last| last.as_secs_f64() * 1e3),
        "latest_epoch": saved.epoch,
        "from_epoch": saved.from,
        "suspended": saved.is_suspended,
    })
}

fn saved_to_text(saved: &Saved) -> String {
    let count = |count: u64| amount::whole(count.cast_signed());
    let (bytes, failed) = (amount::several(saved.bytes, "byte"), count(saved.failed));
    let mut text = format!("\nsnapshots: {} taken, {bytes} written, {failed} failed", count(saved.taken));
    if let Some(last) = saved.last {
        let _ = write!(text, ", the last one in {:.1} ms", last.as_secs_f64() * 1e3);
    }
    let directory = saved.directory.display();
    let _ = match saved.epoch {
        Some(epoch) => writeln!(text, "; the latest in {directory} is of epoch {epoch}"),
        None => writeln!(text, "; {directory} has none"),
    };
    text
}

/// A quantile in milliseconds.
fn millis(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e6
}

/// Reports queries one after the other.
pub(crate) struct Report {
    json: bool,
    quiet: bool,
    has_header: bool,
    /// The table of latencies, which comes after the other.
    latencies: String,
    /// The lines on snapshots, which come after that.
    snapshots: String,
    has_peak_of_process: bool,
    is_interrupted: bool,
}

impl Report {
    pub(crate) fn new(json: bool, quiet: bool) -> Report {
        Report {
            json,
            quiet,
            has_header: false,
            latencies: String::new(),
            snapshots: String::new(),
            has_peak_of_process: false,
            is_interrupted: false,
        }
    }

    /// What to print of a query.
    pub(crate) fn row(&mut self, outcome: &Outcome) -> String {
        if self.json {
            return format!("{}\n", outcome.to_json());
        }
        let mut text = String::new();
        if !std::mem::replace(&mut self.has_header, true) {
            let head = ["events/s", "events/CPU-s", "wall s", "CPU s", "memory MB", "rows", "changes"];
            line(&mut text, "query", head.map(str::to_owned), "");
        }
        let peak = outcome.peak.map_or("-".to_owned(), |peak| format!("{:.1}", peak as f64 / 1e6));
        let note = match (outcome.is_interrupted, &outcome.verified) {
            (true, _) => "  interrupted",
            (false, Some(Ok(()))) => "  verified",
            (false, Some(Err(_))) => "  WRONG",
            (false, None) => "",
        };
        let cells = [
            amount::short(outcome.per_second(outcome.wall)),
            amount::short(outcome.per_second(outcome.cpu)),
            format!("{:.3}", outcome.wall.as_secs_f64()),
            format!("{:.3}", outcome.cpu.as_secs_f64()),
            peak,
            amount::whole(outcome.rows),
            outcome.changes.map_or(String::new(), |changes| amount::whole(changes.cast_signed())),
        ];
        line(&mut text, outcome.query, cells, note);
        self.has_peak_of_process |= !outcome.is_peak_of_query;
        self.is_interrupted |= outcome.is_interrupted;
        if let Some(latency) = &outcome.latency {
            self.latencies(outcome.query, latency);
        }
        if let Some(saved) = &outcome.saved {
            self.snapshots.push_str(&saved_to_text(saved));
        }
        text
    }

    fn latencies(&mut self, query: &str, latency: &Latency) {
        if self.latencies.is_empty() {
            let _ = write!(self.latencies, "\n{:<6} {:<8} {:>12}", "query", "latency", "count");
            QUANTILES.iter().for_each(|(name, _)| {
                let _ = write!(self.latencies, " {:>10}", format!("{name} ms"));
            });
            self.latencies.push('\n');
        }
        for (name, histogram) in [("result", &latency.result), ("epoch", &latency.epoch)] {
            let count = amount::whole(histogram.len().cast_signed());
            let _ = write!(self.latencies, "{query:<6} {name:<8} {count:>12}");
            for (_, at) in QUANTILES {
                let value = if histogram.is_empty() {
                    "-".to_owned()
                } else {
                    format!("{:.3}", millis(histogram, at))
                };
                let _ = write!(self.latencies, " {value:>10}");
            }
            self.latencies.push('\n');
        }
    }

    /// What to print after the last query. `generation` is how many events were generated before the first,
    /// and how long that took.
    pub(crate) fn end(&self, is_on_the_fly: bool, generation: Option<(u64, Duration)>) -> String {
        if self.json {
            return String::new();
        }
        let mut text = format!("{}{}", self.latencies, self.snapshots);
        if self.is_interrupted {
            text.push_str("\nInterrupted: the figures are those of the events read until then.\n");
        }
        if self.has_peak_of_process && !self.quiet {
            text.push_str("\nmemory is the peak of the process since it started: /proc/self/clear_refs cannot be written.\n");
        }
        if let Some((events, took)) = generation.filter(|_| !self.quiet) {
            let rate = amount::short(events as f64 / took.as_secs_f64().max(1e-9));
            let (events, seconds) = (amount::whole(events.cast_signed()), took.as_secs_f64());
            let _ = writeln!(
                text,
                "\nGenerating the {events} events took {seconds:.1} s before that, {rate} events/s."
            );
        }
        if is_on_the_fly && !self.quiet {
            text.push_str(
                "\nThe events were generated while the query ran, which costs more than most queries. To measure the query alone, add\n\
                 --generate-first; to measure several: highwater nexmark generate FILE --events 10M, then run with --input FILE.\n",
            );
        }
        text
    }
}

/// A line of the table.
fn line(text: &mut String, first: &str, cells: [String; 7], note: &str) {
    const WIDTHS: [usize; 7] = [10, 13, 9, 9, 10, 12, 12];
    let mut line = format!("{first:<6}");
    for (cell, width) in cells.iter().zip(WIDTHS) {
        let _ = write!(line, " {cell:>width$}");
    }
    text.push_str(line.trim_end());
    text.push_str(note);
    text.push('\n');
}
