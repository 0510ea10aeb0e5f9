//! `highwater snapshot keep`, `delete` and `gc`: which snapshots are retained.

use highwater::snapshot::{Reclaimed, Selector};
use highwater::{Error, Result};

use super::usage::{DeleteArgs, GcArgs, KeepArgs};
use super::{existing, found};
use crate::cli::amount::several;
use crate::cli::print;

/// Keeps a snapshot under a name; returns the exit code.
pub(super) fn keep(args: &KeepArgs) -> Result<u8> {
    let repository = existing(&args.directory)?;
    found(&repository, &args.selector, &args.directory)?;
    let kept = repository.keep(&args.selector, &args.name)?;
    print(&format!("{} is the snapshot of epoch {}\n", kept.name, kept.epoch)).map(|()| 0)
}

/// Deletes a name or a snapshot; returns the exit code.
pub(super) fn delete(args: &DeleteArgs) -> Result<u8> {
    let repository = existing(&args.directory)?;
    let (_, manifest) = found(&repository, &args.selector, &args.directory)?;
    if args.selector == Selector::Latest {
        return Err(Error::config(
            "the latest snapshot stays, for it is what the next run goes on from: remove the directory if none is to",
        ));
    }
    repository.delete(&args.selector)?;
    let epoch = manifest.epoch;
    let text = match &args.selector {
        Selector::Name(name) => {
            format!("{name} is gone; the snapshot of epoch {epoch} stays while it is among the latest\n")
        }
        _ => format!("the snapshot of epoch {epoch} is gone; the next gc frees what only it needed\n"),
    };
    print(&text).map(|()| 0)
}

/// Collects; returns the exit code.
pub(super) fn gc(args: &GcArgs) -> Result<u8> {
    let repository = existing(&args.directory)?;
    let collected = repository.gc(args.retain.get(), args.grace)?;
    let left = repository.list()?.len() as u64;
    print(&told(collected, left)).map(|()| 0)
}

fn told(collected: Reclaimed, left: u64) -> String {
    let Reclaimed { manifests, segments, bytes, leftovers } = collected;
    format!(
        "{} deleted and {left} left; {} of pages deleted, {}; {} of interrupted work removed\n",
        several(manifests, "snapshot"),
        several(segments, "file"),
        several(bytes, "byte"),
        several(leftovers, "leftover")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_collected_is_told() {
        let told = told(Reclaimed { manifests: 2, segments: 3, bytes: 4_000, leftovers: 1 }, 5);
        assert!(
            told.starts_with("2 snapshots deleted and 5 left; 3 files of pages deleted, 4,000 bytes; 1 "),
            "{told}"
        );
    }
}
