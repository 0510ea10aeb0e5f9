//! The subcommands of `highwater`.
//!
//! `usage` defines the command line. `nexmark` runs queries into the sink in `answer`, and `report` prints
//! the figures. `snapshot` shows and manages snapshots, `fork` starts a second job from one, and `diff`
//! compares the outputs of two. `lab` is the event-time laboratory. Everything that the programs of users
//! share is in `highwater::program`.

mod answer;
mod diff;
mod fork;
mod lab;
mod measure;
mod nexmark;
mod output;
mod progress;
mod query;
mod report;
mod snapshot;
mod usage;
mod atomic_file;

pub(crate) use usage::Cli;

use std::process::ExitCode;

use highwater::program::console::{end, print, warn};
use highwater::program::{amount, saving, selector, signal};
use usage::{Command, NexmarkCommand};

/// Runs the subcommand; returns the exit code.
pub(crate) fn run(cli: Cli) -> ExitCode {
    end(signal::listen().and_then(|()| match cli.command {
        Command::Nexmark(args) => match &args.command {
            Some(NexmarkCommand::Generate(generate)) => nexmark::generate(generate),
            None => nexmark::run(&args.run),
        },
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Fork(args) => fork::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Lab(args) => lab::run(&args),
    }))
}
