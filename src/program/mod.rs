//! The program of a job: its command line, Ctrl-C, errors and exit codes. Only with the feature `cli`.
//!
//! A job of one's own becomes a program with the options of `highwater nexmark`, in the same words, by being
//! handed to [`main`]:
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
//! | option | what it says |
//! |---|---|
//! | `--workers 4` | how many threads |
//! | `--epoch 10ms` | when an epoch ends |
//! | `--state-memory 1G`, `--state-directory DIR` | what state may take of memory, and where the rest goes |
//! | `--snapshots DIR` | where snapshots go; none are taken without it |
//! | `--every 1s`, `--retain 3` | how often they are taken, and how many stay |
//! | `--restore latest`, `--restore NAME`, `--restore EPOCH` | what to go on from; `latest` begins at the beginning if there is none, and says so |
//! | `--fresh` | begin anew although there are snapshots, which is refused otherwise |
//! | `--explain`, `--explain=json`, `--explain=dot` | show the graph of the job, and do not run it |
//! | `--quiet` | show no notes |
//!
//! Ctrl-C suspends a job that takes snapshots: it takes a last one, and says how to go on. It stops any
//! other. A second one ends the program at once. Errors are told on the standard error, by what to do next,
//! and the [exit code](crate::Error::exit_code) says of which kind they are. With `--help` all is told in
//! full.
//!
//! Options of one's own go beside these: [`main_with`].

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
pub mod attend;

#[doc(hidden)]
pub use usage::{JobArgs, SavingArgs};

use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser};

use crate::error::Result;
use crate::stream::Job;
use attend::attend;
use console::{end, print, warn};
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

// No options but those of every job. This is no documentation, which would be shown.
#[derive(Args)]
struct Nothing;

/// Runs a job as the command line of this process says, and gives the exit code. `build` makes the job.
///
/// `name` is that of the job: it is written into snapshots, and those of another job are refused. Ends the
/// process for `--help` and for arguments that cannot be read. To be called once, and last: it takes Ctrl-C
/// for itself.
pub fn main(name: &'static str, build: impl FnOnce(&Job) -> Result<()>) -> ExitCode {
    main_with(name, |job, _: Nothing| build(job))
}

/// The same with arguments of one's own, which `build` is given: any type with clap's `derive(Args)`.
///
/// They stand beside those of every job and must have other names.
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

/// The command line. What is said about the program is what the documentation of its own arguments says.
fn command<A: Args>(name: &'static str) -> Command {
    let own = A::augment_args(Command::new(name));
    let about = Resettable::from(own.get_about().cloned());
    let long = Resettable::from(own.get_long_about().cloned());
    Line::<A>::command().name(name).about(about).long_about(long)
}

/// Builds the job, runs or explains it, and gives the exit code.
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
    attend(job.start(options)?, saving.is_some(), args.quiet, &mut |_| ())?;
    if !is_interrupted() {
        return Ok(0);
    }
    let saved = saving.map(|saving| saving.tell(job.metrics(), true));
    if let Some(epoch) = saved.as_ref().and_then(Saved::suspended_at) {
        warn(&suspended(epoch));
    }
    Ok(INTERRUPTED_CODE)
}

/// The graph of a job, to be printed.
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
