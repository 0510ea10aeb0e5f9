//! Lays out a table with aligned columns.

/// Lays out a table. `ends` gives the alignment of each column: `l` for words, `r` for numbers. The first row
/// is the head.
pub(super) fn grid(rows: &[Vec<String>], ends: &str) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).zip(ends.chars()).map(|((cell, width), end)| match end {
            'l' => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A row of the head.
pub(super) fn head(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_and_numbers_end_below_each_other() {
        let rows = [head(&["what", "n"]), head(&["a", "1,000"]), head(&["longer", "5"])];
        assert_eq!(grid(&rows, "lr"), "what        n\na       1,000\nlonger      5\n");
        assert_eq!(grid(&[], "l"), "");
    }
}
