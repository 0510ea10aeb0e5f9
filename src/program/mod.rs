//! A job as a program: command line, Ctrl-C, errors and exit codes. Only with the feature `cli`.
//!
//! [`main`] makes a program of a job, with the options of `highwater nexmark`:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     highwater::program::main("words", |job| {
//!         let words = job.text_file("words.txt").flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
//!         words.key_by(|word| word.clone()).count().uid("counts").write_json("counts");
//!         Ok(())
//!     })
//! }
//! ```
//!
//! | option | meaning |
//! |---|---|
//! | `--workers 4` | number of worker threads |
//! | `--epoch 10ms` | when an epoch ends |
//! | `--state-memory 1G`, `--state-directory DIR` | memory budget of state, and where the rest spills to |
//! | `--snapshots DIR` | where snapshots go; none are taken without it |
//! | `--every 1s`, `--retain 3` | how often they are taken, and how many are retained |
//! | `--restore latest`, `--restore NAME`, `--restore EPOCH` | which snapshot to restore; `latest` starts at the beginning if there is none, and says so |
//! | `--fresh` | start over although there are snapshots, which is refused otherwise |
//! | `--explain`, `--explain=json`, `--explain=dot` | print the graph of the job instead of running it |
//! | `--quiet` | show no notes |
//!
//! Ctrl-C suspends a job that takes snapshots: it takes a last one, and prints the command that continues. It
//! stops any other job. A second Ctrl-C ends the program at once. Errors go to the standard error, with what
//! to do next, and the [exit code](crate::Error::exit_code) gives their kind. `--help` is the manual.
//!
//! [`main_with`] adds options of your own.

#[doc(hidden)]
pub mod amount;
#[doc(hidden)]
pub mod selector;
#[doc(hidden)]
pub mod signal;
#[doc(hidden)]
pub mod console;
mod usage;
#[doc(hidden)]
pub mod saving;
#[doc(hidden)]
pub mod monitor;

#[doc(hidden)]
pub use usage::{JobArgs, SavingArgs};

use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser};

use crate::error::Result;
use crate::stream::Job;
use console::{end, print, warn};
use monitor::monitor;
use saving::{Saved, Saving, suspended};
use signal::{INTERRUPTED_CODE, is_interrupted};
use usage::{Format, MANUAL, ProgramArgs};

#[derive(Parser)]
#[command(after_long_help = MANUAL)]
struct Line<A: Args> {
    #[command(flatten)]
    own: A,
    #[command(flatten)]
    program: ProgramArgs,
}

// No options but those of every job. Not a doc comment, because clap would print that as help.
#[derive(Args)]
struct Nothing;

/// Runs the job that `build` builds, with the options of this process's command line, and returns the exit
/// code.
///
/// `name` is the name of the job: it is written into snapshots, and snapshots of another job are refused.
/// Ends the process for `--help` and for invalid arguments. Call it once, and last: it handles Ctrl-C.
pub fn main(name: &'static str, build: impl FnOnce(&Job) -> Result<()>) -> ExitCode {
    main_with(name, |job, _: Nothing| build(job))
}

/// The same with arguments of your own, which are passed to `build`: any type with clap's `derive(Args)`.
///
/// Their names must differ from those that every job has.
///
/// ```no_run
/// use std::path::PathBuf;
/// use std::process::ExitCode;
///
/// #[derive(clap::Args)]
/// struct Files {
///     /// The text to count the words of.
///     input: PathBuf,
///     /// Where the counts go.
///     #[arg(long, default_value = "counts")]
///     output: PathBuf,
/// }
///
/// fn main() -> ExitCode {
///     highwater::program::main_with("words", |job, files: Files| {
///         let words = job.text_file(files.input).flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
///         words.key_by(|word| word.clone()).count().uid("counts").write_json(files.output);
///         Ok(())
///     })
/// }
/// ```
pub fn main_with<A: Args>(name: &'static str, build: impl FnOnce(&Job, A) -> Result<()>) -> ExitCode {
    let matches = command::<A>(name).get_matches();
    match Line::from_arg_matches(&matches) {
        Ok(line) => end(signal::listen().and_then(|()| run(name, line, build))),
        Err(error) => error.exit(),
    }
}

/// The command line. The program's description is the doc comment of its own arguments.
fn command<A: Args>(name: &'static str) -> Command {
    let own = A::augment_args(Command::new(name));
    let about = Resettable::from(own.get_about().cloned());
    let long = Resettable::from(own.get_long_about().cloned());
    Line::<A>::command().name(name).about(about).long_about(long)
}

/// Builds the job, runs or explains it, and returns the exit code.
fn run<A: Args>(name: &str, line: Line<A>, build: impl FnOnce(&Job, A) -> Result<()>) -> Result<u8> {
    let (job, args) = (Job::new(), line.program);
    build(&job, line.own)?;
    if let Some(format) = args.explain {
        return print(&explained(&job, format)).map(|()| 0);
    }
    let saving = Saving::open(&args.saving, name)?;
    let options = args.job.options();
    let options = match &saving {
        Some(saving) => options.snapshots(saving.snapshots.clone()),
        None => options,
    };
    if let Some(saving) = saving.as_ref().filter(|_| !args.quiet) {
        warn(&saving.note(&args.saving));
    }
    monitor(job.start(options)?, saving.is_some(), args.quiet, &mut |_| ())?;
    if !is_interrupted() {
        return Ok(0);
    }
    let saved = saving.map(|saving| saving.tell(job.metrics(), true));
    if let Some(epoch) = saved.as_ref().and_then(Saved::suspended_at) {
        warn(&suspended(epoch));
    }
    Ok(INTERRUPTED_CODE)
}

/// The graph of a job as text.
fn explained(job: &Job, format: Format) -> String {
    let graph = job.explain();
    match format {
        Format::Text => graph.to_string(),
        Format::Json => format!("{}\n", graph.json()),
        Format::Dot => graph.dot(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        command::<Nothing>("job").debug_assert();
        assert_eq!(command::<Nothing>("job").get_about(), None);
        let read =
            |line: &str| Line::<Nothing>::try_parse_from(line.split_whitespace()).map(|line| line.program);
        assert_eq!(read("job --explain").ok().and_then(|args| args.explain), Some(Format::Text));
        assert_eq!(read("job --explain=dot").ok().and_then(|args| args.explain), Some(Format::Dot));
        assert!(read("job --state-directory d").is_err() && read("job words.txt").is_err());
    }

    #[test]
    fn a_graph_is_shown_in_three_languages() {
        let job = Job::new();
        job.collection([1, 2]).discard();
        assert!(explained(&job, Format::Text).contains("source"));
        assert!(explained(&job, Format::Dot).starts_with("digraph job {"));
        let read: serde_json::Value = serde_json::from_str(&explained(&job, Format::Json)).unwrap();
        assert!(read["operators"].is_array(), "{read}");
    }
}
