//! `highwater lab`: the event-time laboratory.
//!
//! `usage` says what can be asked for, `cases` and `compare` do it, and `table` tells of a comparison.

mod cases;
mod compare;
mod table;
mod usage;

pub(super) use usage::LabArgs;

use highwater::Result;
use usage::LabCommand;

/// Does what is asked for, and gives the exit code.
pub(super) fn run(args: &LabArgs) -> Result<u8> {
    match &args.command {
        Some(LabCommand::Compare(args)) => compare::run(args),
        None => cases::run(&args.cases),
    }
}
