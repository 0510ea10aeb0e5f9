//! `highwater snapshot list`: all snapshots, oldest first.

use highwater::Result;
use highwater::snapshot::{Cause, Kept, Manifest};
use serde::Serialize;

use super::content::{difference, note_bytes, pages, size};
use super::grid::{grid, head};
use super::usage::ListArgs;
use super::{existing, with_hint};
use crate::cli::amount::{date, whole};
use crate::cli::print;

/// A snapshot in the list.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    number: u64,
    epoch: u64,
    /// Milliseconds since 1970.
    at: u64,
    cause: &'static str,
    workers: u32,
    operators: usize,
    pages: u64,
    bytes: u64,
    new_bytes: u64,
    job: String,
    names: Vec<String>,
}

/// Lists; returns the exit code.
pub(super) fn run(args: &ListArgs) -> Result<u8> {
    let repository = existing(&args.directory)?;
    let list = || Ok((repository.list()?, repository.names()?));
    let (snapshots, names) = list().map_err(|error| with_hint(error, &args.directory))?;
    let rows = rows(&snapshots, &names);
    if args.json {
        let json = |row: &Row| format!("{}\n", serde_json::json!(row));
        return print(&rows.iter().map(json).collect::<String>()).map(|()| 0);
    }
    if rows.is_empty() {
        return print(&format!("no snapshot yet in {}\n", args.directory.display())).map(|()| 0);
    }
    print(&table(&rows)).map(|()| 0)
}

/// The cause of a snapshot, in a word.
pub(super) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Interval => "interval",
        Cause::Request => "request",
        Cause::End => "end",
        Cause::Stop => "stop",
    }
}

fn rows(snapshots: &[(u64, Manifest)], names: &[Kept]) -> Vec<Row> {
    let before = std::iter::once(None).chain(snapshots.iter().map(|(_, manifest)| Some(manifest)));
    let row = |((number, manifest), before): (&(u64, Manifest), Option<&Manifest>)| {
        let (own, notes) = (pages(manifest.pages()), note_bytes(manifest));
        let new = difference(&own, &before.map(|before| pages(before.pages())).unwrap_or_default()).only_a;
        Row {
            number: *number,
            epoch: manifest.epoch,
            at: manifest.at,
            cause: cause(manifest.cause),
            workers: manifest.workers,
            operators: manifest.operators.len(),
            pages: size(&own).pages,
            bytes: size(&own).bytes + notes,
            new_bytes: new.bytes + notes,
            job: manifest.job.clone(),
            names: names.iter().filter(|kept| kept.number == *number).map(|kept| kept.name.clone()).collect(),
        }
    };
    snapshots.iter().zip(before).map(row).collect()
}

fn table(rows: &[Row]) -> String {
    let count = |count: u64| whole(count.cast_signed());
    let mut cells = vec![head(&[
        "number",
        "epoch",
        "when",
        "cause",
        "workers",
        "operators",
        "pages",
        "bytes",
        "new",
        "names",
    ])];
    cells.extend(rows.iter().map(|row| {
        vec![
            row.number.to_string(),
            row.epoch.to_string(),
            date(row.at.cast_signed()),
            row.cause.to_owned(),
            row.workers.to_string(),
            row.operators.to_string(),
            count(row.pages),
            count(row.bytes),
            count(row.new_bytes),
            row.names.join(" "),
        ]
    }));
    grid(&cells, "rrllrrrrrl")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use highwater::object::Memory;
    use highwater::snapshot::{Note, OperatorState, PageRef, Repository};

    use super::super::content::tests::{page, table as state};
    use super::*;

    fn manifest(epoch: u64, pages: Vec<PageRef>) -> Manifest {
        let repository = Repository::open(Arc::new(Memory::default()));
        let empty = repository.claim("job").unwrap().manifest(epoch, Cause::Interval, 1);
        let note = Note { name: "n".to_owned(), worker: 0, bytes: vec![0; 3] };
        let operator = OperatorState {
            uid: "o".to_owned(),
            kind: "k".to_owned(),
            tables: vec![state("t", vec![pages])],
            notes: vec![note],
        };
        Manifest { operators: vec![operator], ..empty }
    }

    #[test]
    fn what_is_new_is_what_the_one_before_does_not_have() {
        let first = manifest(1, vec![page("a", 0, 100)]);
        let second = manifest(5, vec![page("a", 0, 100), page("b", 0, 40)]);
        let kept = Kept { name: "good".to_owned(), number: 4, epoch: 5, checksum: 0 };
        let rows = rows(&[(2, first), (4, second)], &[kept]);
        let told: Vec<_> = rows.iter().map(|row| (row.number, row.pages, row.bytes, row.new_bytes)).collect();
        assert_eq!(told, [(2, 1, 103, 103), (4, 2, 143, 43)]);
        assert_eq!((rows[0].names.len(), rows[1].names.join(" ")), (0, "good".to_owned()));
        let shown = table(&rows);
        assert_eq!(shown.lines().count(), 3);
        assert!(shown.lines().next_back().unwrap().ends_with("good"), "{shown}");
    }
}
