//! The options that every job has on the command line, with the manual.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::amount;
use super::selector::selector;
use crate::config::Options;
use crate::snapshot::Selector;
use crate::time::Epochs;

/// How a job is run.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// Number of worker threads.
    #[arg(long, short, value_name = "COUNT", default_value_t = 1)]
    pub workers: usize,
    /// When an epoch ends: after a time (10ms, 1s), after a number of records (100000records), or as soon as
    /// the last one is complete (done).
    #[arg(long, value_name = "WHEN", default_value = "10ms", value_parser = amount::epochs)]
    pub epoch: Epochs,
    /// Memory budget of state, in bytes; k, M and G stand for thousands, millions and billions. State that
    /// exceeds it spills to files. Covers process functions with their timers, windows, rolling aggregates,
    /// joins and patterns. [default: all state is in memory]
    #[arg(long, value_name = "BYTES", value_parser = amount::count)]
    pub state_memory: Option<u64>,
    /// Where state spills to: a directory on a fast local disk. The files have no names and disappear with
    /// the program. [default: the directory for temporary files]
    #[arg(long, value_name = "DIR", requires = "state_memory")]
    pub state_directory: Option<PathBuf>,
}

impl JobArgs {
    /// The options of the job.
    pub fn options(&self) -> Options {
        let options = Options::default().workers(self.workers).epochs(self.epoch);
        let Some(bytes) = self.state_memory else { return options };
        let directory = self.state_directory.clone().unwrap_or_else(std::env::temp_dir);
        options.state_memory(usize::try_from(bytes).unwrap_or(usize::MAX), directory)
    }
}

/// The options for snapshots of a job.
#[derive(Debug, Args)]
#[command(next_help_heading = "Snapshots")]
pub struct SavingArgs {
    /// Take snapshots into this directory, which is created if it does not exist, and let Ctrl-C suspend the
    /// job: it takes a last snapshot, and can be continued. Or into a bucket, s3://bucket/prefix, if the
    /// program was built with the feature `s3`; keys and region come from AWS_... in the environment.
    /// [default: no snapshots, and Ctrl-C ends the job for good]
    #[arg(long, value_name = "DIR")]
    pub snapshots: Option<PathBuf>,
    /// Wall-clock time between two snapshots, such as 500ms, 1s or 5m; at least 1ms. A snapshot is cut at the
    /// end of the first epoch after that, and at the end of the input.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = amount::interval, requires = "snapshots")]
    pub every: Duration,
    /// Restore a snapshot: `latest`, the number of an epoch, or the name that one was kept under. The number
    /// of workers may differ. If there is no snapshot yet, `latest` starts at the beginning.
    /// [default: start at the beginning, and only if the directory has no snapshots]
    #[arg(long, value_name = "SNAPSHOT", value_parser = selector, requires = "snapshots", conflicts_with = "fresh")]
    pub restore: Option<Selector>,
    /// Start at the beginning although the directory has snapshots. They stay until newer ones replace them;
    /// what sinks of the job have written to files is deleted, unless the job asks first.
    /// [default: refuse to]
    #[arg(long, requires = "snapshots")]
    pub fresh: bool,
    /// How many of the latest snapshots are retained; at least 1. Snapshots that were kept by name stay as
    /// well. Older ones are garbage-collected from time to time.
    #[arg(long, value_name = "COUNT", default_value = "3", requires = "snapshots")]
    pub retain: NonZeroUsize,
}

/// The options of the program of a user's job.
#[derive(Debug, Args)]
pub(super) struct ProgramArgs {
    #[command(flatten)]
    pub(super) job: JobArgs,
    /// Print the graph of the job instead of running it: as text, as JSON, or for Graphviz.
    #[arg(long, value_name = "FORMAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub(super) explain: Option<Format>,
    /// Print no notes.
    #[arg(long, short)]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) saving: SavingArgs,
}

/// The format in which a graph is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
    Dot,
}

pub(super) const MANUAL: &str = "\
Ctrl-C stops reading and completes what was read; a second one ends the program at once. With --snapshots the first takes a last snapshot instead, and the
program prints the command that continues. After a second Ctrl-C, or if the program was killed, the next run restores the snapshot before. `highwater
snapshot --help` explains what can be done with snapshots.

Exit codes: 0 done; 2 or 64 a wrong argument; 65 damaged input or a damaged snapshot; 70 a fault in the program; 74 a file that cannot be read or \
written; 130 interrupted.";
