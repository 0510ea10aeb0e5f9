//! `highwater snapshot show`: the operators, tables, notes and splits of a snapshot.

use std::collections::BTreeMap;
use std::fmt::Write;

use highwater::Result;
use highwater::connector::splits_of;
use highwater::snapshot::{Manifest, OperatorState};
use serde::Serialize;

use super::content::{Size, of_table, size};
use super::grid::{grid, head};
use super::list::cause;
use super::usage::ShowArgs;
use super::{existing, found};
use crate::cli::amount::{date, several, whole};
use crate::cli::{print, progress};

/// A snapshot as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    number: u64,
    epoch: u64,
    /// Milliseconds since 1970.
    at: u64,
    cause: &'static str,
    job: String,
    workers: u32,
    generation: u64,
    operators: Vec<Operator>,
}

#[derive(Debug, Serialize)]
struct Operator {
    uid: String,
    kind: String,
    tables: Vec<Table>,
    notes: Vec<Notes>,
    splits: Vec<Split>,
}

#[derive(Debug, Serialize)]
struct Table {
    name: String,
    #[serde(flatten)]
    size: Size,
    /// Of the worker that has most.
    runs: usize,
    schema: String,
    fingerprint: String,
}

/// The notes of one name.
#[derive(Debug, PartialEq, Serialize)]
struct Notes {
    name: String,
    /// How many workers wrote one.
    workers: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Split {
    split: String,
    /// Milliseconds of event time.
    watermark: i64,
    is_done: bool,
}

/// Shows; returns the exit code.
pub(super) fn run(args: &ShowArgs) -> Result<u8> {
    let repository = existing(&args.directory)?;
    let (number, manifest) = found(&repository, &args.selector, &args.directory)?;
    let shown = shown(number, &manifest)?;
    let text = if args.json { format!("{}\n", serde_json::json!(shown)) } else { text(&shown) };
    print(&text).map(|()| 0)
}

fn shown(number: u64, manifest: &Manifest) -> Result<Shown> {
    Ok(Shown {
        number,
        epoch: manifest.epoch,
        at: manifest.at,
        cause: cause(manifest.cause),
        job: manifest.job.clone(),
        workers: manifest.workers,
        generation: manifest.generation,
        operators: manifest.operators.iter().map(operator).collect::<Result<_>>()?,
    })
}

fn operator(state: &OperatorState) -> Result<Operator> {
    let table = |table: &highwater::snapshot::TableState| Table {
        name: table.name.clone(),
        size: size(&of_table(table)),
        runs: table.shards.iter().map(|shard| shard.runs.len()).max().unwrap_or(0),
        schema: table.schema.text.clone(),
        fingerprint: format!("{:016x}", table.schema.fingerprint),
    };
    let mut notes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for note in &state.notes {
        let (workers, bytes) = notes.entry(&note.name).or_default();
        *workers += 1;
        *bytes += note.bytes.len() as u64;
    }
    let notes =
        notes.into_iter().map(|(name, (workers, bytes))| Notes { name: name.to_owned(), workers, bytes });
    let splits = if state.kind == "source" { splits_of(state)? } else { Vec::new() };
    let splits = splits.into_iter().map(|found| Split {
        split: found.split,
        watermark: found.watermark,
        is_done: found.is_done,
    });
    Ok(Operator {
        uid: state.uid.clone(),
        kind: state.kind.clone(),
        tables: state.tables.iter().map(table).collect(),
        notes: notes.collect(),
        splits: splits.collect(),
    })
}

fn text(shown: &Shown) -> String {
    let count = |count: u64| whole(count.cast_signed());
    let Shown { number, epoch, cause, job, workers, generation, .. } = shown;
    let mut text = format!(
        "epoch {epoch}, number {number}, taken {} (cause: {cause}) by run {generation} of {job:?} on {}\n",
        date(shown.at.cast_signed()),
        several(u64::from(*workers), "worker")
    );
    for operator in &shown.operators {
        let _ = writeln!(text, "\n{} ({})", operator.uid, operator.kind);
        if !operator.tables.is_empty() {
            let mut cells = vec![head(&["  table", "rows", "bytes", "pages", "runs"])];
            cells.extend(operator.tables.iter().map(|table| {
                let Size { pages, bytes, rows } = table.size;
                let runs = table.runs as u64;
                vec![format!("  {}", table.name), count(rows), count(bytes), count(pages), count(runs)]
            }));
            text.push_str(&grid(&cells, "lrrrr"));
        }
        for table in &operator.tables {
            let _ = writeln!(text, "  {} is {}", table.name, table.schema);
        }
        for Notes { name, workers, bytes } in &operator.notes {
            let _ = writeln!(
                text,
                "  note {name:?} of {}, {}",
                several(*workers, "worker"),
                several(*bytes, "byte")
            );
        }
        for split in &operator.splits {
            let end = if split.is_done { ", read to its end" } else { "" };
            let watermark = progress::watermark(split.watermark);
            let _ = writeln!(text, "  split {:?} at watermark {watermark}{end}", split.split);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use highwater::snapshot::Note;

    use super::super::content::tests::{page, table};
    use super::*;

    #[test]
    fn an_operator_is_shown_with_its_tables_and_notes() {
        let note = |name: &str, worker| Note { name: name.to_owned(), worker, bytes: vec![0; 5] };
        let state = OperatorState {
            uid: "counts".to_owned(),
            kind: "rolling".to_owned(),
            tables: vec![table("values", vec![vec![page("a", 0, 2_000)], vec![page("b", 0, 10)]])],
            notes: vec![note("clock", 0), note("clock", 1), note("seen", 0)],
        };
        let operator = operator(&state).unwrap();
        let notes = [("clock", 2, 10), ("seen", 1, 5)];
        let notes = notes.map(|(name, workers, bytes)| Notes { name: name.to_owned(), workers, bytes });
        assert_eq!(operator.notes, notes);
        let shown = Shown {
            number: 2,
            epoch: 9,
            at: 0,
            cause: "stop",
            job: "nexmark q5".to_owned(),
            workers: 2,
            generation: 1,
            operators: vec![operator],
        };
        let text = text(&shown);
        for word in [
            "epoch 9",
            "stop",
            "counts (rolling)",
            "1,005",
            "2,010",
            "values is u64",
            "\"clock\" of 2 workers",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(serde_json::json!(shown)["operators"][0]["tables"][0]["bytes"], 2_010);
    }
}
