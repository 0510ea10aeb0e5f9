//! `highwater lab`: the event-time laboratory.
//!
//! `usage` defines the command line, `cases` and `compare` run it, and `table` prints a comparison.

mod cases;
mod compare;
mod table;
mod usage;

pub(super) use usage::LabArgs;

use highwater::Result;
use usage::LabCommand;

/// Runs the subcommand; returns the exit code.
pub(super) fn run(args: &LabArgs) -> Result<u8> {
    match &args.command {
        Some(LabCommand::Compare(args)) => compare::run(args),
        None => cases::run(&args.cases),
    }
}
