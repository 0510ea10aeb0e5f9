//! `highwater snapshot`: looks at the snapshots in a directory, and keeps or deletes them.
//!
//! `usage` says what can be asked for. `list`, `show`, `verify` and `diff` look and change nothing; `export` writes state for
//! other programs; `change` keeps, deletes and collects.
//! `content` knows what two snapshots have in common, and `grid` how a table is set.

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

use highwater::snapshot::{Manifest, Repository, Selector, store_at};
use highwater::{Error, ErrorKind, Result};
use usage::SnapshotCommand;

use super::selector;

/// Does what is asked for, and gives the exit code.
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

/// The snapshots in a directory that is there, or in a bucket that has any; it is not made, and neither is anything in it.
pub(super) fn existing(directory: &Path) -> Result<Repository> {
    let shown = directory.display();
    let what = match directory.metadata() {
        Err(_) if is_address(directory) => {
            let repository = Repository::open(store_at(directory)?);
            if !repository.store().list("log/")?.is_empty() {
                return Ok(repository);
            }
            "there are no snapshots in"
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "there is no directory",
        Err(error) => return Err(Error::io(format!("cannot look into {shown}"), error)),
        Ok(found) if !found.is_dir() => "this is no directory:",
        // What every store has since it was first opened. Without it this is a directory of something else.
        Ok(_) if !directory.join(".temporary").is_dir() && !directory.join("log").is_dir() => {
            "there are no snapshots in"
        }
        Ok(_) => return Ok(Repository::open(store_at(directory)?)),
    };
    Err(Error::config(format!("{what} {shown}: name the one that `highwater nexmark --snapshots` was given")))
}

/// True for what is no directory to [`store_at`] either.
fn is_address(place: &Path) -> bool {
    let scheme = place.to_str().and_then(|place| place.split_once("://"));
    scheme.is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
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
