//! A comparison as a table.

use std::fmt::Write;

use highwater::lab::{Latency, Report, Row};

use crate::cli::amount::whole;

const HEAD: [&str; 12] = [
    "emitted",
    "p50 ms",
    "p99 ms",
    "max ms",
    "settled p99",
    "late",
    "corrected",
    "aside",
    "dropped",
    "wrong windows",
    "wrong results",
    "complete %",
];

/// The table, and what it is about.
pub(super) fn table(report: &Report, quiet: bool) -> String {
    let mut lines =
        vec![["strategy", "policy"].into_iter().chain(HEAD).map(str::to_owned).collect::<Vec<_>>()];
    lines.extend(report.rows.iter().map(cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let mut shown = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 | 1 => write!(shown, "{cell:<width$}  "),
                _ => write!(shown, "{cell:>width$}  "),
            };
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    if !quiet {
        let count = |count: u64| whole(count.cast_signed());
        let _ = write!(
            text,
            "\n{}: {} records in {} splits; {} windows of {} with {} results.\n",
            report.recording,
            count(report.records),
            count(report.splits),
            count(report.windows),
            report.window,
            count(report.results)
        );
        let at_end = report.rows.iter().map(|row| row.at_end).max().unwrap_or(0);
        if at_end > 0 {
            let _ = writeln!(
                text,
                "Up to {} results came only with the end, and have no latency.",
                count(at_end)
            );
        }
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let time = |millis: Option<i64>| millis.map_or("-".to_owned(), whole);
    let count = |count: u64| whole(count.cast_signed());
    let Latency { p50, p99, max } = row.first;
    vec![
        row.strategy.clone(),
        row.policy.clone(),
        count(row.emitted),
        time(p50),
        time(p99),
        time(max),
        time(row.settled.p99),
        count(row.late),
        count(row.corrected),
        count(row.aside),
        count(row.dropped),
        count(row.wrong_windows),
        count(row.wrong_results),
        complete(row),
    ]
}

/// To four places, and never 100 if something is missing.
fn complete(row: &Row) -> String {
    let percent = row.completeness * 100.0;
    if percent < 100.0 && percent > 99.9999 { ">99.9999".to_owned() } else { format!("{percent:.4}") }
}
