//! `highwater lab`: the event-time laboratory.
//!
//! `usage` says what can be asked for, `compare` does it, and `table` tells of it.

mod compare;
mod table;
mod usage;

pub(super) use usage::LabArgs;

use highwater::Result;
use usage::LabCommand;

/// Does what is asked for, and gives the exit code.
pub(super) fn run(args: &LabArgs) -> Result<u8> {
    match &args.command {
        LabCommand::Compare(args) => compare::run(args),
    }
}
