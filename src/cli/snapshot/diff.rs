//! `highwater snapshot diff`: the pages that two snapshots share, and those of only one.
//!
//! Pages are compared by their location. A page of only one snapshot holds rows that changed, or unchanged
//! rows that compaction merged with some that did: so this shows what a snapshot costs, and an upper bound of
//! what has changed.

use std::collections::BTreeSet;

use highwater::Result;
use highwater::snapshot::{Manifest, TableState};
use serde::Serialize;

use super::content::{Difference, Pages, Size, difference, of_table, size};
use super::grid::{grid, head};
use super::usage::DiffArgs;
use super::{existing, found};
use crate::cli::amount::whole;
use crate::cli::print;

/// A table in both, or in one of them.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    operator: String,
    table: String,
    rows_a: u64,
    rows_b: u64,
    #[serde(flatten)]
    difference: Difference,
}

/// Compares; returns the exit code.
pub(super) fn run(args: &DiffArgs) -> Result<u8> {
    let repository = existing(&args.directory)?;
    let (_, a) = found(&repository, &args.one, &args.directory)?;
    let (_, b) = found(&repository, &args.other, &args.directory)?;
    let rows = rows(&a, &b);
    let text = match args.json {
        true => {
            format!("{}\n", serde_json::json!({ "epoch_a": a.epoch, "epoch_b": b.epoch, "tables": rows }))
        }
        false => format!("A is of epoch {}, B of epoch {}\n{}", a.epoch, b.epoch, table(&rows)),
    };
    print(&text).map(|()| 0)
}

fn rows(a: &Manifest, b: &Manifest) -> Vec<Row> {
    let names: BTreeSet<(&str, &str)> = [a, b].into_iter().flat_map(tables).map(|(name, _)| name).collect();
    let row = |name: (&str, &str)| {
        let (a, b) = (pages_of(a, name), pages_of(b, name));
        Row {
            operator: name.0.to_owned(),
            table: name.1.to_owned(),
            rows_a: size(&a).rows,
            rows_b: size(&b).rows,
            difference: difference(&a, &b),
        }
    };
    names.into_iter().map(row).collect()
}

/// The pages of a table, by the names of its operator and itself; none if there is no such table.
fn pages_of<'a>(manifest: &'a Manifest, name: (&str, &str)) -> Pages<'a> {
    tables(manifest).find(|(other, _)| *other == name).map(|(_, table)| of_table(table)).unwrap_or_default()
}

fn tables(manifest: &Manifest) -> impl Iterator<Item = ((&str, &str), &TableState)> {
    manifest.operators.iter().flat_map(|operator| {
        operator.tables.iter().map(|table| ((operator.uid.as_str(), table.name.as_str()), table))
    })
}

fn table(rows: &[Row]) -> String {
    let count = |count: u64| whole(count.cast_signed());
    let columns = ["rows in A", "rows in B", "shared", "bytes", "only in A", "bytes", "only in B", "bytes"];
    let mut cells = vec![head(&[&["operator", "table"], &columns[..]].concat())];
    let mut line = |operator: &str, table: &str, rows: (u64, u64), difference: Difference| {
        let Difference { shared, only_a, only_b } = difference;
        let mut row = vec![operator.to_owned(), table.to_owned(), count(rows.0), count(rows.1)];
        row.extend(
            [shared, only_a, only_b]
                .iter()
                .flat_map(|Size { pages, bytes, .. }| [count(*pages), count(*bytes)]),
        );
        cells.push(row);
    };
    let (mut sum, mut sums) = (Difference::default(), (0, 0));
    for row in rows {
        line(&row.operator, &row.table, (row.rows_a, row.rows_b), row.difference);
        sum += row.difference;
        sums = (sums.0 + row.rows_a, sums.1 + row.rows_b);
    }
    line("all", "", sums, sum);
    grid(&cells, "llrrrrrrrr")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use highwater::object::Memory;
    use highwater::snapshot::{Cause, OperatorState, Repository};

    use super::super::content::tests::{page, table as state};
    use super::*;

    fn manifest(tables: Vec<TableState>) -> Manifest {
        let repository = Repository::open(Arc::new(Memory::default()));
        let empty = repository.claim("job").unwrap().manifest(1, Cause::Interval, 1);
        let operator = OperatorState { uid: "o".to_owned(), kind: "k".to_owned(), tables, notes: Vec::new() };
        Manifest { operators: vec![operator], ..empty }
    }

    #[test]
    fn a_table_of_one_of_them_is_told_too() {
        let a = manifest(vec![
            state("old", vec![vec![page("a", 0, 10)]]),
            state("t", vec![vec![page("a", 10, 4)]]),
        ]);
        let b = manifest(vec![state("t", vec![vec![page("a", 10, 4), page("b", 0, 8)]])]);
        let rows = rows(&a, &b);
        let (old, t) = (&rows[0], &rows[1]);
        assert_eq!((rows.len(), &*old.table, old.rows_a, old.rows_b), (2, "old", 5, 0));
        assert_eq!(old.difference.only_a.bytes, 10);
        assert_eq!((t.difference.shared.bytes, t.difference.only_b.bytes, t.rows_b), (4, 8, 6));
        let shown = table(&rows);
        let last: Vec<&str> = shown.lines().next_back().unwrap().split_whitespace().collect();
        assert_eq!(last, ["all", "7", "6", "1", "4", "1", "10", "1", "8"]);
    }
}
