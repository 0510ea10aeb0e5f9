//! The command line of `highwater snapshot`, with the manual.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use highwater::snapshot::Selector;

use crate::cli::amount;
use crate::cli::selector::{name, selector};

#[derive(Debug, Args)]
#[command(arg_required_else_help = true, after_long_help = MANUAL)]
pub(crate) struct SnapshotArgs {
    #[command(subcommand)]
    pub(crate) command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// List all snapshots, oldest first. Reads each one's manifest, and no pages.
    List(ListArgs),
    /// Show a snapshot: operators, tables, notes, offsets of splits. Reads its manifest, and no pages.
    Show(ShowArgs),
    /// Check that all snapshots are undamaged. Reads every page once, so it takes as long as reading the
    /// directory.
    ///
    /// Ends with code 65 if anything is damaged or missing, and names each such object. No garbage collection
    /// may run meanwhile, or what it deletes is reported as missing.
    Verify(VerifyArgs),
    /// Compare two snapshots: the pages that they share, and those of only one. Reads both manifests, and no
    /// pages.
    Diff(DiffArgs),
    /// Write the state in a snapshot as CSV, JSON or Arrow, for other programs: one table, or all. Reads
    /// their pages.
    ///
    /// Writes the state and not its history: the newest row of each key, without deleted and expired ones.
    /// With --operator and --table it writes one table, to the standard output or to the file --output.
    /// Otherwise --output is a new directory, with a file for each table.
    ///
    /// Ends with code 65 if tables were left out: those whose schema, as `show` prints it, is only the name
    /// of a type, or lacks variants of an enum.
    Export(ExportArgs),
    /// Keep a snapshot under a name: it is retained until the name is deleted, however many come after it.
    Keep(KeepArgs),
    /// Delete a name, or the snapshot of an epoch. The next `gc` deletes the segments that only it needed.
    ///
    /// Refused for the latest snapshot, for one that has a name, and for the one that the newest run has
    /// restored.
    Delete(DeleteArgs),
    /// Collect garbage: delete all snapshots but the latest few, those with names, and the one that the
    /// newest run has restored; and the segments that only the deleted ones needed.
    ///
    /// A job that takes snapshots does this by itself from time to time. Both may run at once.
    Gc(GcArgs),
}

/// The directory, and the format of the list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The directory that a job was given with `--snapshots`, or the bucket.
    pub(crate) directory: PathBuf,
    /// Print one JSON object for each snapshot, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The directory that a job was given with `--snapshots`, or the bucket.
    pub(crate) directory: PathBuf,
    /// Which snapshot: `latest`, the number of an epoch, or a name.
    #[arg(value_name = "SNAPSHOT", default_value = "latest", value_parser = selector)]
    pub(crate) selector: Selector,
    /// Print one JSON object, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The directory that a job was given with `--snapshots`, or the bucket.
    pub(crate) directory: PathBuf,
    /// Print one JSON object, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The directory that a job was given with `--snapshots`, or the bucket.
    pub(crate) directory: PathBuf,
    /// One snapshot: `latest`, the number of an epoch, or a name.
    #[arg(value_name = "A", value_parser = selector)]
    pub(crate) one: Selector,
    /// The other.
    #[arg(value_name = "B", value_parser = selector)]
    pub(crate) other: Selector,
    /// Print one JSON object, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The directory that a job was given with `--snapshots`.
    pub(crate) directory: PathBuf,
    /// Which snapshot: `latest`, the number of an epoch, or a name.
    #[arg(value_name = "SNAPSHOT", default_value = "latest", value_parser = selector)]
    pub(crate) selector: Selector,
    /// The operator whose tables are written; `show` lists them. [default: all]
    #[arg(long, value_name = "UID")]
    pub(crate) operator: Option<String>,
    /// The table that is written. [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) table: Option<String>,
    /// The format of the rows.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Format,
    /// The file of one table, or the directory of several.
    #[arg(long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the file of one table if it is there already. [default: refuse to]
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
}

/// A format of exported rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// With column names in the first line. Fields of structs are columns, and other composite values are
    /// JSON.
    Csv,
    /// An object on each line.
    Json,
    /// An Arrow IPC file. Only in programs built with the feature `arrow`.
    Arrow,
}

impl Format {
    /// The file name extension.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Json => "jsonl",
            Format::Arrow => "arrow",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct KeepArgs {
    /// The directory that a job was given with `--snapshots`, or the bucket.
    pub(crate) directory: PathBuf,
    /// Which snapshot: `latest`, the number of an epoch, or another name of it.
    #[arg(value_name = "SNAPSHOT", value_parser = selector)]
    pub(crate) selector: Selector,
    /// The name: 1 to 100 letters, digits, '-', '_' and '.', but not a number and not `latest`.
    #[arg(value_parser = name)]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The directory that a job was given with `--snapshots`, or the bucket.
    pub(crate) directory: PathBuf,
    /// A name, or the number of an epoch.
    #[arg(value_name = "SNAPSHOT", value_parser = selector)]
    pub(crate) selector: Selector,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// The directory that a job was given with `--snapshots`, or the bucket.
    pub(crate) directory: PathBuf,
    /// How many of the latest snapshots are retained; at least 1.
    #[arg(long, value_name = "COUNT", default_value = "3")]
    pub(crate) retain: std::num::NonZeroUsize,
    /// Objects that were needed less than this long ago stay, because others may be reading them: a time such
    /// as 0s, 90s, 10m or 2h.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = amount::age)]
    pub(crate) grace: Duration,
}

const MANUAL: &str = "\
Examples:
  See which snapshots there are, and what is in the latest:
    highwater snapshot list state
    highwater snapshot show state
  Keep one before a risky change, and restore it if that went wrong:
    highwater snapshot keep state latest before-upgrade
    highwater nexmark q5 --input events.nex --snapshots state --restore before-upgrade
  See what changed since then:
    highwater snapshot diff state before-upgrade latest
  Read the state in other programs:
    highwater snapshot export state --format json --output tables
    highwater snapshot export state latest --operator aggregate-1 --table aggregates --format csv
  Check a backup:
    highwater snapshot verify backup
  The same in a bucket of S3, if the program was built with `--features s3`; keys and region come from AWS_... in the environment:
    highwater snapshot list s3://bucket/state

A snapshot is named by `latest`, by the number of its epoch, or by a name that it was kept under.

What is listed:
  number      its place in the log of the directory; numbers in between are claims of runs
  epoch       it holds the state at the end of this epoch, all of it and nothing of the next
  cause       interval: it was due; request: the program asked for it; end: the input had ended; stop: the job was suspended
  pages       encoded rows, the unit that snapshots share
  bytes       size of the pages in the directory, and of the notes in the manifest
  new         how many of these bytes the previous snapshot in the list does not share

What is exported:
  key         the key; `sub` the key below it, of maps and lists
  value       an item, an accumulator, a record of a join, the content of an entry
  expires     when an item expires, in milliseconds; empty if it does not
  time        of a record, a timer or an entry, in milliseconds of its clock
  count       the multiplicity of a record
  first, last the first and last millisecond that a part of a window covers; `part` numbers parts that the window would merge into one

Exit codes: 0 done; 2 or 64 a wrong argument; 65 damage was found, or tables were left out; 74 a file that cannot be read or written.";
