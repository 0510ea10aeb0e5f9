//! The command line of `highwater lab`, with the manual.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use highwater::lab::{Disorder, Policy, Strategy, Windows};

use crate::cli::amount;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true, after_long_help = CASES)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    pub(crate) command: Option<LabCommand>,
    #[command(flatten)]
    pub(crate) cases: CasesArgs,
}

/// Run event-time cases: an operator's output for given records and watermarks, against the expected one.
#[derive(Debug, Args)]
pub(crate) struct CasesArgs {
    /// Files of cases in JSON: each case states an operator, its configuration, its input and the expected
    /// output. The module `lab::case` documents the format. Ends with code 1 if the output of a case differs.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Run only the cases whose names contain this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Print the timeline only of cases whose output differs.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Read one disordered stream under several watermark strategies and late policies at once, and compare
    /// the results.
    ///
    /// A job reads the stream once. Each strategy assigns watermarks anew, and counts and sums the records by
    /// window and key; each policy handles late records. The report is the same in every run, on any number
    /// of workers.
    #[command(after_long_help = COMPARE)]
    Compare(Box<CompareArgs>),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("outputs").args(["record", "csv", "plot"]).multiple(true)))]
pub(crate) struct CompareArgs {
    /// Read the stream from this file: CSV if its name ends in .csv, otherwise JSON lines.
    /// [default: generate one from the seed]
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["disorder", "events", "rate", "splits", "keys", "seed"])]
    pub(crate) input: Option<PathBuf>,
    /// Causes of disorder; several add up.
    #[arg(long, value_name = "CAUSE", value_delimiter = ',', default_value = "lognormal:200ms:1", value_parser = spec::<Disorder>)]
    pub(crate) disorder: Vec<Disorder>,
    /// Number of records; k and M stand for thousands and millions.
    #[arg(long, value_name = "COUNT", default_value = "200k", value_parser = amount::count)]
    pub(crate) events: u64,
    /// Records per second of event time.
    #[arg(long, value_name = "EVENTS/S", default_value = "1k", value_parser = amount::rate)]
    pub(crate) rate: f64,
    /// Number of splits that they are distributed over.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub(crate) splits: u32,
    /// Number of keys.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) keys: u32,
    /// Seed of all random numbers.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The windows: their size, and after a slash their slide if they overlap, as in 10s/2s.
    #[arg(long, value_name = "SIZE", default_value = "10s", value_parser = spec::<Windows>)]
    pub(crate) window: Windows,
    /// The watermark strategies.
    #[arg(
        long, short, value_name = "STRATEGY", value_delimiter = ',', value_parser = spec::<Strategy>,
        default_value = "monotone,bounded:500ms,bounded:2s,bounded:8s,punctuated:100,percentile:99,percentile:99.9,perfect"
    )]
    pub(crate) strategy: Vec<Strategy>,
    /// The late policies.
    #[arg(
        long, short, value_name = "POLICY", value_delimiter = ',', value_parser = spec::<Policy>,
        default_value = "drop,correct:1m"
    )]
    pub(crate) policy: Vec<Policy>,
    /// Number of worker threads. The report does not depend on it.
    #[arg(long, short, value_name = "COUNT", default_value_t = 1)]
    pub(crate) workers: usize,
    /// Write the stream to this file, for --input: as CSV if its name ends in .csv, otherwise as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Write the rows of the report to this file, as CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Plot latency against completeness into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Replace the files of --record, --csv and --plot if they are there already. [default: refuse to]
    #[arg(long, requires = "outputs")]
    pub(crate) force: bool,
    /// Print the report as one JSON object, and nothing else, to the standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no progress line and no notes.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Parses a value of the laboratory.
fn spec<T: std::str::FromStr<Err = highwater::Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: highwater::Error| error.to_string())
}

const CASES: &str = "\
A file of cases:
  [{\"id\": \"a late record\", \"operator\": \"window\",
    \"config\": {\"assigner\": {\"type\": \"tumble\", \"size\": 10}, \"function\": \"sum\"},
    \"input\": [[\"k\", 1, 3], [\"k\", 2, 9], {\"watermark\": 9}, [\"k\", 5, 4], {\"watermark\": 30}],
    \"expected\": [{\"out\": [\"k\", 3, 0, 10]}, {\"watermark\": 9}, {\"late\": [\"k\", 5, 4]}, {\"watermark\": 30}]}]

  Times and lengths of time are integers in milliseconds. Anything that the notation does not have is an error, and then no case runs.

Operators, and the keys of their config (required ones first):
  window                    assigner, function; time, trigger, purging, evictor, allowed_lateness, late
  interval_join             lower, upper; lower_inclusive, upper_inclusive, join, condition
  window_join               assigner; join, condition, allowed_lateness
  co_group                  assigner; allowed_lateness
  temporal_join             join
  cep                       pattern; within, after_match
  bounded_out_of_orderness  bound
  watermark_merge           channels; resume

  The documentation of the module `lab::case` has all keys, types and defaults, and an example of each operator.

Exit codes: 0 all as expected; 1 something else came out, or a case could not be run; 65 a file that is not in the notation.";

const COMPARE: &str = "\
Examples:
  Plot the trade-off between latency and completeness for a stream with heavy-tailed delays:
    highwater lab compare --disorder pareto:50ms:1.2 --plot trade-off.svg
  Let a split fall silent, with and without an idle timeout:
    highwater lab compare --disorder uniform:1s,idle:60s:60s --strategy bounded:1s,bounded:1s+idle:5s
  Read a stream of your own:
    highwater lab compare --input arrivals.csv --window 1m --strategy bounded:5s,percentile:99.9 --csv report.csv

The stream:
  Each record has an arrival and an event time, both in milliseconds, a key, a split, and a value; in a file these are the columns arrival,
  event, key, split and, if it is not 1 throughout, value. A seed always generates the same stream.

Causes of disorder:
  none                     records arrive when they happen
  uniform:MOST             delays of up to that
  lognormal:MEDIAN:SIGMA   most delays near the median, some many times as long
  pareto:LEAST:ALPHA       a heavy tail: one record in 10^ALPHA takes ten times the least delay, and so on
  bursty:EVERY:LENGTH      each split has an outage in each such interval; its records arrive at the end of the outage
  idle:FROM:LENGTH         the first split is silent for that time
  skew:MOST                the clocks of the splits are wrong by up to that

Strategies:
  monotone                 a split's watermark is its greatest event time so far
  bounded:DISORDER         the same, less a fixed delay
  punctuated:EVERY         every n-th record promises the greatest event time so far
  percentile:PERCENT       the greatest event time so far, less the delay that this share of recent records keeps to
  perfect                  the least event time that is still to come: an oracle, nothing is late
  ...+idle:TIME            splits that are silent for longer do not hold the others back

Policies:
  drop                     late records are counted and dropped
  side                     they go to a side output
  correct, correct:TIME    they correct the result; until that long after the end of the window

What is reported:
  emitted     results, corrections included
  p50 ...     from the end of a window to its first result, on the arrival clock: to the arrival of the record by which the watermark
              reached the end. Results that only the end of the stream triggered do not count.
  settled     the same to the last correction of the result
  late        records behind the watermark of their split; each counts once for each window it is late for
  wrong       windows with a wrong or missing result, and such results, compared with a recomputation over all records
  complete    the share of records that are in the results

Ctrl-C ends the comparison without a report.";
