//! The command line of `highwater`, with the manual.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand};
use highwater::program::{JobArgs, SavingArgs};
use highwater::snapshot::Selector;

use super::amount;
use super::lab::LabArgs;
use super::query::QUERIES;
use super::selector::selector;
use super::snapshot::SnapshotArgs;

/// A stream processor: event time and keyed state on timely dataflow.
#[derive(Debug, Parser)]
#[command(version, about, after_long_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the queries of the Nexmark benchmark and measure them.
    ///
    /// Nexmark is an online auction as a stream of persons, auctions and bids, and a set of queries over it.
    /// The events and their order are those of the public Nexmark suite, at 10,000 events per second of event
    /// time.
    #[command(after_long_help = NEXMARK)]
    Nexmark(Box<NexmarkArgs>),
    /// List, show, verify, compare, export, keep and delete the snapshots of a directory.
    Snapshot(SnapshotArgs),
    /// Start a second job from a snapshot of a first, with other workers, watermarks or late policy.
    ///
    /// The new directory begins with that snapshot, and from then on the two jobs are independent. Segments
    /// are hard links if both directories are on one file system, and copies otherwise. The second job writes
    /// what comes after the snapshot, so give it an output of its own.
    #[command(after_long_help = FORK)]
    Fork(ForkArgs),
    /// Print the exact difference between two outputs, in any order of lines.
    ///
    /// Prints lines that are only in A with `- `, lines only in B with `+ `, how often if more than once, and
    /// a line with counts. An output is a file, or a directory of parts, of which those of committed epochs
    /// count.
    #[command(after_long_help = DIFF)]
    Diff(DiffArgs),
    /// The event-time laboratory: watermark strategies and late policies on a disordered stream.
    Lab(LabArgs),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct NexmarkArgs {
    #[command(subcommand)]
    pub(crate) command: Option<NexmarkCommand>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NexmarkCommand {
    /// Write events to a file, for --input.
    ///
    /// The file appears when it is complete. A million events take about 200 MB. The events are the same each
    /// time.
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ForkArgs {
    /// The `--snapshots` directory of the first job. It is not changed, and the job may be running.
    pub(crate) directory: PathBuf,
    /// Which snapshot: `latest`, the number of an epoch, or a name.
    #[arg(long, value_name = "SNAPSHOT", default_value = "latest", value_parser = selector)]
    pub(crate) snapshot: Selector,
    /// The new directory. It must be empty or not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) into: PathBuf,
    /// The program of the second job, and its arguments; `--snapshots` with the new directory and
    /// `--restore latest` are added. [default: start nothing, and print what to start]
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A file, or a directory of parts.
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// The other.
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,
    /// How many different lines of each are printed; the rest are counted.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) limit: usize,
    /// The lines are changes as JSON, {"record":…,"diff":…}: compare the collections that they add up to. Two
    /// runs may correct a result a different number of times and agree in the end.
    /// [default: compare the lines as they are]
    #[arg(long)]
    pub(crate) changes: bool,
    /// CSV files have no header. [default: the first line of each is a header, and counts once]
    #[arg(long)]
    pub(crate) no_header: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The file to write.
    pub(crate) file: PathBuf,
    /// Replace the file if it is there already. [default: refuse to]
    #[arg(long)]
    pub(crate) force: bool,
    /// How many events; k, M and G stand for thousands, millions and billions.
    #[arg(long, value_name = "COUNT", default_value = "10M", value_parser = amount::count)]
    pub(crate) events: u64,
    /// Print no progress line.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The query, or all of them one after the other.
    #[arg(value_parser = queries())]
    pub(crate) query: Option<String>,
    /// How many events; k, M and G stand for thousands, millions and billions.
    /// [default: all of the file, or 10M]
    #[arg(long, value_name = "COUNT", value_parser = amount::count)]
    pub(crate) events: Option<u64>,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Read the events from this file, written by `highwater nexmark generate`.
    /// [default: generate them]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Generate the events before the query, into a temporary file, so that the figures are those of the
    /// query alone. [default: generate them while it runs]
    #[arg(long, conflicts_with_all = ["input", "rate", "snapshots"])]
    pub(crate) generate_first: bool,
    /// Supply this many events per second, whether or not the job keeps up, and measure latency.
    /// [default: as fast as possible]
    #[arg(long, value_name = "EVENTS/S", value_parser = amount::rate)]
    pub(crate) rate: Option<f64>,
    /// Write the rows of the result to this file: as CSV if its name ends in .csv, otherwise as JSON lines.
    /// With --snapshots it is a directory of files, each of which appears when the snapshot of its rows is
    /// committed, so each row is there exactly once. Files that this query has not written are not touched.
    /// [default: rows are counted]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite an output that is in the way: a file that is not empty or, with --snapshots, the parts that
    /// were written after the restored snapshot. [default: refuse to]
    #[arg(long, requires = "output")]
    pub(crate) overwrite: bool,
    /// Print one JSON object for each query, and nothing else, to the standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Number of splits that the events are distributed over.
    /// [default: one for each worker, or that of the restored snapshot]
    #[arg(long, value_name = "COUNT")]
    pub(crate) splits: Option<std::num::NonZeroUsize>,
    /// Compare the rows with those of a slow and simple recomputation. It keeps all rows and events in
    /// memory, so use it for up to some millions of events.
    #[arg(long, conflicts_with = "restore")]
    pub(crate) verify: bool,
    /// How many epochs a source may run ahead of the sinks.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub(crate) max_epochs_in_flight: usize,
    /// Print no progress line and no notes.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten, next_help_heading = "Snapshots")]
    pub(crate) saving: SavingArgs,
}

fn queries() -> PossibleValuesParser {
    let queries = QUERIES.iter().map(|query| PossibleValue::new(query.name).help(query.about));
    PossibleValuesParser::new(
        queries.chain([PossibleValue::new("all").help("all of them, one after the other")]),
    )
}

const EXAMPLES: &str = "\
Examples:
  highwater nexmark q5 --events 10M --workers 2
  highwater nexmark generate events.nex --events 10M
  highwater nexmark all --input events.nex --workers 2
  highwater nexmark --help
  highwater nexmark q5 --input events.nex --snapshots state --restore latest
  highwater snapshot list state
  highwater fork state --into other -- highwater nexmark q5 --input events.nex --workers 2
  highwater diff rows others
  highwater lab compare --plot trade-off.svg

Exit codes: 0 done; 1 --verify found other rows, or diff a difference; 2 or 64 a wrong argument; 65 a damaged file or snapshot; 70 a fault in the program; \
74 a file that cannot be read or written; 130 interrupted.";

const FORK: &str = "\
Examples:
  Restore the latest snapshot a second time, with two workers, and compare:
    highwater fork state --into other -- highwater nexmark q5 --input events.nex --workers 2 --output others
  Fork a snapshot that was kept, and start the job later:
    highwater fork state --snapshot good --into other

The state is that at the end of the snapshot's epoch. Watermarks do not go back: a strategy that waits longer takes effect once its watermark passes the one
in the snapshot. What sinks had prepared for the snapshot is committed by the first job, and not by the second.

Exit codes: those of the job if one is started; 0 done; 2 or 64 a wrong argument; 65 a damaged snapshot; 74 a file that cannot be read or written.";

const DIFF: &str = "\
Examples:
  How another watermark strategy changed the rest of the output, after a fork:
    highwater diff rows others
  Whether two runs of a rolling result agree in the end:
    highwater diff sums.jsonl sums-of-two-workers --changes

Memory: a line is held until the other output has the same one, at some 100 bytes and its text for each different line. That is little if both have a similar
order, and at most all different lines of both. A record that contains a newline counts as several lines.

Exit codes: 0 the same; 1 a difference; 2 or 64 a wrong argument; 65 a line that is no change; 74 a file that cannot be read; 130 interrupted.";

const NEXMARK: &str = "\
Examples:
  Measure one query, with the events generated first:
    highwater nexmark q5 --events 10M --workers 2 --generate-first
  The same with the events generated meanwhile, which costs more than most queries do:
    highwater nexmark q5 --events 10M --workers 2
  Generate events once, and measure all queries on them:
    highwater nexmark generate events.nex --events 10M
    highwater nexmark all --input events.nex --workers 2
  See the result, and whether it is correct:
    highwater nexmark q4 --events 200k --output averages.csv --verify
  Suspend a query with Ctrl-C, and continue it on another number of workers:
    highwater nexmark q5 --input events.nex --rate 500k --snapshots state --output rows --workers 1
    highwater nexmark q5 --input events.nex --rate 500k --snapshots state --output rows --workers 2 --restore latest
  Measure latency at a million events per second, for other programs to read:
    highwater nexmark q5 --input events.nex --rate 1M --json

q10 is missing, because it writes files by the clock. The windows of q12 follow the wall clock, so its rows differ from run to run, and --verify compares how
many bids each person has over all windows. The state of some queries grows with the number of events (q3, q6, q15 to q20), most of all that of q20, a join
that keeps every bid: about 200 bytes each.

What is measured:
  events/s        events read, by the wall-clock time from the start of the job until the last worker knows that all results are written.
  events/CPU-s    events read, by the processor time of all threads of the process in that time.
  memory          peak memory of the process since the query began, without pages of files. Where the kernel cannot reset
                  the peak, it is that of the whole process, and a note says so.
  In JSON these are events_per_second and events_per_cpu_second, plain numbers, and peak_memory_bytes; generation_seconds is the time
  that generating events first took, which is in no other figure.
  rows, changes   rows of the result. Some results are corrected as events come (q4, q6, q9, q15 to q19): then the rows that are left
                  after all changes, and the number of changes.

Latency, with --rate:
  Event n is due n / rate seconds after the first. The latency of an event counts from when it was due, not from when it was read, so
  a stall counts for all events that were due in it.
  result          from when an event was due to the arrival of its result at the sink, once for each row. The event is found by the
                  time t of the row: it is the first event at or after t, or, where rows are of windows (q5, q7, q8, q11), the first one
                  after the window's last moment, which completes it. The last windows, which end with the stream and not by an
                  event, do not count.
  epoch           from when each event was due to when the epoch it was read in is known to be complete.

With --snapshots, all figures are those of this run alone, from the restored snapshot on. The rows of runs that were suspended one after the other add up to
those of a query that was never interrupted.
  taken, failed   snapshots that were committed, and those that could not be written, whose rows the next one contains
  bytes           written for them: pages that had changed since the one before
  last            time from the first acknowledgement of the last snapshot by an operator to its commit

Ctrl-C stops reading, completes what was read and reports on that; a second one ends the program at once. With --snapshots the first takes a last
snapshot instead, and the program prints the command that continues. After a second Ctrl-C, or if the program was killed, the next run restores the
snapshot before.";
