//! What can be said of every job on the command line, with the manual.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::amount;
use super::selector::selector;
use crate::config::Options;
use crate::snapshot::Selector;
use crate::time::Epochs;

/// How a job runs.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// How many worker threads.
    #[arg(long, short, value_name = "COUNT", default_value_t = 1)]
    pub workers: usize,
    /// When an epoch ends: after a time (10ms, 1s), after a number of records (100000records), or as soon as
    /// the last one is complete (done).
    #[arg(long, value_name = "WHEN", default_value = "10ms", value_parser = amount::epochs)]
    pub epoch: Epochs,
    /// How much memory state may take; k, M and G stand for thousands, millions and billions of bytes. What
    /// is more lies in files. Holds for process functions with their timers, windows, rolling aggregates,
    /// joins and patterns. [default: all state is in memory]
    #[arg(long, value_name = "BYTES", value_parser = amount::count)]
    pub state_memory: Option<u64>,
    /// Where those files are: a directory on a fast local disk. They have no names, and are gone when the
    /// program is. [default: that for temporary files]
    #[arg(long, value_name = "DIR", requires = "state_memory")]
    pub state_directory: Option<PathBuf>,
}

impl JobArgs {
    /// The options that say so.
    pub fn options(&self) -> Options {
        let options = Options::default().workers(self.workers).epochs(self.epoch);
        let Some(bytes) = self.state_memory else { return options };
        let directory = self.state_directory.clone().unwrap_or_else(std::env::temp_dir);
        options.state_memory(usize::try_from(bytes).unwrap_or(usize::MAX), directory)
    }
}

/// What is said of snapshots when a job runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Snapshots")]
pub struct SavingArgs {
    /// Take snapshots into this directory, which is made if there is none, and let Ctrl-C suspend the job: it
    /// takes a last snapshot and can go on. Or into a bucket, s3://bucket/prefix, if the program was built
    /// with the feature `s3`; keys and region come from AWS_... in the environment.
    /// [default: no snapshots, and Ctrl-C ends the job for good]
    #[arg(long, value_name = "DIR")]
    pub snapshots: Option<PathBuf>,
    /// How much wall-clock time passes between two snapshots, such as 500ms, 1s or 5m; at least 1ms. One is
    /// taken when the first epoch after that ends, and one at the end of the input.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = amount::interval, requires = "snapshots")]
    pub every: Duration,
    /// Go on from a snapshot: `latest`, the number of an epoch, or the name that one was kept under. Any
    /// number of workers will do. If there is none yet, `latest` begins at the beginning.
    /// [default: begin at the beginning, and only if the directory has no snapshots]
    #[arg(long, value_name = "SNAPSHOT", value_parser = selector, requires = "snapshots", conflicts_with = "fresh")]
    pub restore: Option<Selector>,
    /// Begin at the beginning although the directory has snapshots. They stay until newer ones take their
    /// place; what sinks of the job have written to files is deleted, unless the job asks first.
    /// [default: refuse to]
    #[arg(long, requires = "snapshots")]
    pub fresh: bool,
    /// How many of the latest snapshots stay; at least 1. Those that were kept by name stay as well. What is
    /// older is deleted now and then.
    #[arg(long, value_name = "COUNT", default_value = "3", requires = "snapshots")]
    pub retain: NonZeroUsize,
}

/// What can be said to the program of a user's job.
#[derive(Debug, Args)]
pub(super) struct ProgramArgs {
    #[command(flatten)]
    pub(super) job: JobArgs,
    /// Print the graph of the job instead of running it: as text, as JSON, or in the language of Graphviz.
    #[arg(long, value_name = "FORMAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub(super) explain: Option<Format>,
    /// Show no notes.
    #[arg(long, short)]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) saving: SavingArgs,
}

/// What a graph is printed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
    Dot,
}

pub(super) const MANUAL: &str = "\
Ctrl-C stops reading, and completes what was read; a second one ends the program at once. With --snapshots the first takes a last snapshot instead, and the
program says how to go on. After a second one, or when it was killed, it goes on from the snapshot before. `highwater snapshot --help` tells what can be
done with snapshots.

Exit codes: 0 done; 2 or 64 a wrong argument; 65 damaged input or a damaged snapshot; 70 a fault in the program; 74 a file that cannot be read or \
written; 130 interrupted.";
