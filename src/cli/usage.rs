//! What can be asked for on the command line, with the manual.

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

/// Streams with event time and keyed state, on timely dataflow.
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
    /// Look at the snapshots in a directory, check, compare, keep and delete them.
    Snapshot(SnapshotArgs),
    /// Start a second job from a snapshot of a first, with other workers, watermarks or late policy.
    ///
    /// The new directory begins with that snapshot, and the two jobs know nothing of each other from then on.
    /// Files of state are hard links if both directories lie on one file system, and copies otherwise. What
    /// comes out of the second job is what comes after the snapshot, so give it an output of its own.
    #[command(after_long_help = FORK)]
    Fork(ForkArgs),
    /// Tell the exact difference of what two jobs have written, whatever the order of its lines.
    ///
    /// Prints lines that are only in A with `- `, those only in B with `+ `, how often if more than once, and
    /// a line with counts. Each is a file, or a directory of parts, of which those count whose epochs are
    /// committed.
    #[command(after_long_help = DIFF)]
    Diff(DiffArgs),
    /// The event-time laboratory: what watermarks and late policies make of a disordered stream.
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
    /// Write events to a file, to be read with --input.
    ///
    /// The file appears when it is complete. A million events take about 200 MB. The same events are written
    /// each time.
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ForkArgs {
    /// The directory that the first job was given with `--snapshots`. It stays as it is, and the job may be
    /// running.
    pub(crate) directory: PathBuf,
    /// Which snapshot: `latest`, the number of an epoch, or a name.
    #[arg(long, value_name = "SNAPSHOT", default_value = "latest", value_parser = selector)]
    pub(crate) snapshot: Selector,
    /// The new directory. It must be empty, or not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) into: PathBuf,
    /// The program of the second job, and its arguments; `--snapshots` with the new directory and
    /// `--restore latest` are added. [default: nothing is started, and what to start is told]
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
    /// How many different lines of each are printed; the others are counted.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) limit: usize,
    /// The lines are changes as JSON, {"record":…,"diff":…}: compare the records that they leave. Two runs of
    /// a job may correct a result another number of times and come to the same.
    /// [default: compare the lines as they are]
    #[arg(long)]
    pub(crate) changes: bool,
    /// Files that end in .csv have no header. [default: the first line of each is one, and counts once]
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
    /// Show no progress line.
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
    /// Read the events from this file, which `highwater nexmark generate` has written.
    /// [default: generate them on the way]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Give the events at so many per second, whether or not the job keeps up, and measure latency.
    /// [default: as fast as possible]
    #[arg(long, value_name = "EVENTS/S", value_parser = amount::rate)]
    pub(crate) rate: Option<f64>,
    /// Write the rows of the result to this file: as CSV if its name ends in .csv, otherwise as JSON lines.
    /// With --snapshots it is a directory of files, each of which appears when the snapshot is safe that its
    /// rows belong to, so each row is there once. What is there and not of this query's is not touched.
    /// [default: rows are counted]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Let an output be lost that is in the way: a file that is not empty or, with --snapshots, the parts
    /// that were written after the snapshot that the query goes on from. [default: refuse to]
    #[arg(long, requires = "output")]
    pub(crate) overwrite: bool,
    /// Print one JSON object for each query, and nothing else, to the standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// How many splits the events are dealt to.
    /// [default: one for each worker, or as many as the snapshot has that --restore names]
    #[arg(long, value_name = "COUNT")]
    pub(crate) splits: Option<std::num::NonZeroUsize>,
    /// Compare the rows with those of a slow and plain recomputation. All rows and events are kept in memory
    /// for that, so it is for up to some millions of events.
    #[arg(long, conflicts_with = "restore")]
    pub(crate) verify: bool,
    /// How many epochs a source may run ahead of the sinks.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub(crate) max_epochs_in_flight: usize,
    /// Show no progress line and no notes.
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
  Go on from the latest snapshot a second time, with two workers, and compare:
    highwater fork state --into other -- highwater nexmark q5 --input events.nex --workers 2 --output others
  Begin with one that was kept, and start the job later:
    highwater fork state --snapshot good --into other

The state is that of the end of the snapshot's epoch. Watermarks do not go back: a strategy that waits longer takes effect once it would promise more than
was promised by then. What sinks had prepared for the snapshot is shown by the first job, and not by the second.

Exit codes: those of the job if one is started; 0 done; 2 or 64 a wrong argument; 65 a damaged snapshot; 74 a file that cannot be read or written.";

const DIFF: &str = "\
Examples:
  What another watermark strategy made of the rest of the input, after a fork:
    highwater diff rows others
  Whether two runs of a rolling result come to the same:
    highwater diff sums.jsonl sums-of-two-workers --changes

Memory: a line is held until the other output has the same; some 100 bytes and the text for each different line that is waiting. That is little if both are
in like orders, and at most all different lines of both. A record that has a newline in it counts as several lines.

Exit codes: 0 the same; 1 a difference; 2 or 64 a wrong argument; 65 a line that is no change; 74 a file that cannot be read; 130 interrupted.";

const NEXMARK: &str = "\
Examples:
  Measure one query, with the events generated on the way:
    highwater nexmark q5 --events 10M --workers 2
  Measure all queries as such. Generating an event costs more than most queries, so write them to a file first:
    highwater nexmark generate events.nex --events 10M
    highwater nexmark all --input events.nex --workers 2
  See what comes out, and whether it is right:
    highwater nexmark q4 --events 200k --output averages.csv --verify
  Interrupt a query with Ctrl-C, and go on where it was, on another number of workers:
    highwater nexmark q5 --input events.nex --rate 500k --snapshots state --output rows --workers 1
    highwater nexmark q5 --input events.nex --rate 500k --snapshots state --output rows --workers 2 --restore latest
  Measure latency at a million events per second, for other programs to read:
    highwater nexmark q5 --input events.nex --rate 1M --json

What is not there: q10 writes files by the clock. The windows of q12 are those of the wall clock, so its rows differ from run to run, and
--verify compares how many bids each person has over all windows. What some queries remember grows with the number of events (q3, q6, q15 to q20), and most so with q20, a join that keeps every bid: about 200 bytes each.

What is measured:
  events/s        events read, by wall-clock time from the start of the job to the last worker's knowing that all results are out.
  events/CPU-s    events read, by the processor time of all threads of the process in that time.
  memory          the most that the process had since the query began, without pages of files. Where the kernel does not let
                  the peak begin anew, it is the peak of the whole process, and a note says so.
  rows, changes   rows of the result. Some results are corrected as events come (q4, q6, q9, q15 to q19): then these are the rows that
                  are there after all changes, and the number of changes.

Latency, with --rate:
  Event n is due n / rate seconds after the first. An event that is read late counts from when it was due, so a
  stall is not excused for the events that came in it.
  result          from when an event was due to the arrival of its result at the sink, once for each row. The event is found by the
                  time t of the row: it is the first event at or after t, or, where rows are of windows (q5, q7, q8, q11), the first one
                  after the window's last moment, which completes it. The last windows, which end with the stream and not by an
                  event, do not count.
  epoch           from when each event was due to when the epoch it was read in is known to be complete.

With --snapshots, all figures are those of this run alone, from where it went on. The rows of runs that were suspended one after the other add up to
those of a query that was never interrupted.
  taken, failed   snapshots that are there, and those that could not be written, whose rows the next one has
  bytes           what was written of them: pages that had changed since the one before
  last            from when all parts of the last one were there to when it was safe

Ctrl-C stops reading, completes what was read and reports on that; a second one ends the program at once. With --snapshots the first takes a last
snapshot instead, and the program says how to go on. After a second one, or when it was killed, it goes on from the snapshot before.";
