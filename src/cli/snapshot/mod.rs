//! `highwater snapshot`: shows, checks, exports and manages the snapshots of a directory.
//!
//! `usage` defines the command line. `list`, `show`, `verify` and `diff` only read; `export` writes state for
//! other programs; `change` keeps, deletes and collects garbage. `content` compares snapshots, and `grid`
//! lays out tables.

mod change;
mod content;
mod diff;
mod export;
mod grid;
mod list;
mod show;
mod usage;
mod verify;

pub(super) use usage::SnapshotArgs;

use std::path::Path;

use highwater::program::saving::existing;
use highwater::snapshot::{Manifest, Repository, Selector};
use highwater::{Error, ErrorKind, Result};
use usage::SnapshotCommand;

use super::selector;

/// Runs the subcommand; returns the exit code.
pub(super) fn run(args: &SnapshotArgs) -> Result<u8> {
    match &args.command {
        SnapshotCommand::List(args) => list::run(args),
        SnapshotCommand::Show(args) => show::run(args),
        SnapshotCommand::Verify(args) => verify::run(args),
        SnapshotCommand::Diff(args) => diff::run(args),
        SnapshotCommand::Export(args) => export::run(args),
        SnapshotCommand::Keep(args) => change::keep(args),
        SnapshotCommand::Delete(args) => change::delete(args),
        SnapshotCommand::Gc(args) => change::gc(args),
    }
}

/// The snapshot that is selected, with the number of its manifest.
fn found(repository: &Repository, wanted: &Selector, directory: &Path) -> Result<(u64, Manifest)> {
    let found = repository.find(wanted).map_err(|error| with_hint(error, directory))?;
    selector::found(found, wanted, directory)
}

/// An error about damage, with what to do about it.
fn with_hint(error: Error, directory: &Path) -> Error {
    match error.kind() {
        ErrorKind::Data => {
            let directory = directory.display();
            let hint = format!(
                "{error}. `highwater snapshot verify {directory}` tells what else is damaged, if anything"
            );
            Error::new(ErrorKind::Data, hint)
        }
        _ => error,
    }
}
