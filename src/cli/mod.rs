//! The command line: what is asked for, done, and told.
//!
//! `usage` says what can be asked for, `nexmark` does it with the sink in `answer`, and `report` tells of it.
//! `snapshot` looks at the snapshots that there are, and `fork` begins a second job from one; `diff` compares
//! what the two have written. `lab` is the event-time laboratory. What the programs of users have as well is
//! `highwater::program`.

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
mod whole;

pub(crate) use usage::Cli;

use std::process::ExitCode;

use highwater::program::console::{end, print, warn};
use highwater::program::{amount, saving, selector, signal};
use usage::{Command, NexmarkCommand};

/// Does what the command line asks for, and gives the exit code.
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
