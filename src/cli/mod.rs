//! The command line: what is asked for, done, and told.
//!
//! `usage` says what can be asked for, `nexmark` does it with the sink in `answer`, and `report` tells of it. `saving` is what snapshots
//! have to do with it, and `snapshot` looks at those that there are. `lab` is the event-time laboratory.

mod amount;
mod answer;
mod lab;
mod measure;
mod nexmark;
mod output;
mod parts;
mod progress;
mod query;
mod report;
mod saving;
mod selector;
mod signal;
mod snapshot;
mod usage;

pub(crate) use usage::Cli;

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use highwater::{Error, Result};
use usage::{Command, NexmarkCommand};

/// Does what the command line asks for, and gives the exit code.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let done = signal::listen().and_then(|()| match cli.command {
        Command::Nexmark(args) => match &args.command {
            Some(NexmarkCommand::Generate(generate)) => nexmark::generate(generate),
            None => nexmark::run(&args.run),
        },
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Lab(args) => lab::run(&args),
    });
    match done {
        Ok(code) => code.into(),
        Err(error) => {
            complain(&error);
            error.exit_code().into()
        }
    }
}

/// Tells of an error and of what caused it.
fn complain(error: &Error) {
    let mut text = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("  because: {error}\n"));
        cause = error.source();
    }
    warn(&text);
}

/// Writes to the standard error.
fn warn(text: &str) {
    // If that fails, there is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes to the standard output. A reader who has seen enough, as `head` has, is no error.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to the standard output", error))
        }
        _ => Ok(()),
    }
}
