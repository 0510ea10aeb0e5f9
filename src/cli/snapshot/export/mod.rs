//! `highwater snapshot export`: writes the state in a snapshot as data that other programs read.
//!
//! One table goes to the standard output or to a file, several go to a directory with a file for each.
//! `writer` writes rows in one of the three formats.

#[cfg(feature = "arrow")]
mod arrow;
mod csv;
mod writer;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use highwater::export::SavedRows;
use highwater::snapshot::{Manifest, Repository};
use highwater::{Error, ErrorKind, Result};
use writer::{Out, Writer};

use super::grid::{grid, head};
use super::usage::{ExportArgs, Format};
use super::{existing, found, with_hint};
use crate::cli::amount::{several, whole};
use crate::cli::atomic_file::AtomicFile;
use crate::cli::{print, warn};

/// The exit code if some tables could not be written, after `sysexits.h`.
const INCOMPLETE_CODE: u8 = 65;

/// Exports; returns the exit code.
pub(super) fn run(args: &ExportArgs) -> Result<u8> {
    if args.format == Format::Arrow && !cfg!(feature = "arrow") {
        return Err(without_arrow());
    }
    let repository = existing(&args.directory)?;
    let (_, manifest) = found(&repository, &args.selector, &args.directory)?;
    match (&args.operator, &args.table) {
        (Some(uid), Some(table)) => one(args, repository.rows(&manifest, uid, table)?),
        _ => several_tables(args, &repository, &manifest),
    }
}

fn without_arrow() -> Error {
    Error::config(
        "this program was built without the feature `arrow`: build it with `--features arrow`, or choose csv or json",
    )
}

/// Writes one table to a file or to the standard output.
fn one(args: &ExportArgs, rows: SavedRows) -> Result<u8> {
    match &args.output {
        Some(path) => {
            let file = AtomicFile::new(path, args.force)?;
            let count = to_file(args, file.at(), path, rows)?;
            file.finish()?;
            print(&format!("{} in {}\n", several(count, "row"), path.display())).map(|()| 0)
        }
        None if args.format == Format::Arrow && io::stdout().is_terminal() => Err(Error::config(
            "a terminal shows no Arrow: name a file with --output, or send the output elsewhere",
        )),
        None => {
            copy(rows, args.format, Out::stdout()).map_err(|error| with_hint(error, &args.directory))?;
            Ok(0)
        }
    }
}

/// Writes a table to the file at `at`, which is called by `path` and is removed again if that fails, and
/// gives the number of rows.
fn to_file(args: &ExportArgs, at: &Path, path: &Path, rows: SavedRows) -> Result<u64> {
    let cannot = |error| Error::io(format!("cannot write the rows to {}", path.display()), error);
    let file = File::create(at).map_err(cannot)?;
    copy(rows, args.format, Out::file(file, path)).map_err(|error| {
        // What is there is not the table, and the error says more than another one would. A device stays.
        if at.is_file() {
            let _ = fs::remove_file(at);
        }
        with_hint(error, &args.directory)
    })
}

/// Writes all rows, and gives their number.
fn copy(rows: SavedRows, format: Format, out: Out) -> Result<u64> {
    let mut writer = Writer::begin(format, out, rows.columns())?;
    let mut count = 0;
    for row in rows {
        writer.row(row?)?;
        count += 1;
        if writer.is_closed() {
            break;
        }
    }
    writer.end()?;
    Ok(count)
}

/// Writes all tables that are asked for to a directory.
fn several_tables(args: &ExportArgs, repository: &Repository, manifest: &Manifest) -> Result<u8> {
    let wanted = |asked: &Option<String>, name: &str| asked.as_deref().is_none_or(|asked| asked == name);
    let tables = |all: bool| -> Vec<(&str, &str)> {
        let operators = manifest.operators.iter().filter(|known| all || wanted(&args.operator, &known.uid));
        let tables = operators.flat_map(|known| known.tables.iter().map(|table| (&*known.uid, &*table.name)));
        tables.filter(|(_, table)| all || wanted(&args.table, table)).collect()
    };
    let named = |tables: &[(&str, &str)]| {
        let list: Vec<String> = tables.iter().map(|(uid, table)| format!("{table:?} of {uid:?}")).collect();
        list.join(", ")
    };
    let asked = tables(false);
    if asked.is_empty() {
        let known = tables(true);
        let known = if known.is_empty() { "none".to_owned() } else { named(&known) };
        return Err(Error::config(format!("the snapshot has no such table: it has {known}")));
    }
    let Some(directory) = &args.output else {
        return Err(Error::config(format!(
            "several tables need a directory: name one with --output, or one table with --operator and --table: {}",
            named(&asked)
        )));
    };
    begin(directory)?;
    let (mut names, mut untold) = (BTreeSet::new(), String::new());
    let mut cells = vec![head(&["operator", "table", "rows", "file"])];
    for (uid, table) in asked {
        let rows = match repository.rows(manifest, uid, table) {
            Err(error) if error.kind() == ErrorKind::Config => {
                untold.push_str(&format!("left out: {error}\n"));
                continue;
            }
            rows => rows.map_err(|error| with_hint(error, &args.directory))?,
        };
        let name = file_name(uid, table, args.format, &mut names);
        let path = directory.join(&name);
        let count = to_file(args, &path, &path, rows)?;
        cells.push(vec![uid.to_owned(), table.to_owned(), whole(count.cast_signed()), name]);
    }
    warn(&untold);
    print(&grid(&cells, "llrl")).map(|()| if untold.is_empty() { 0 } else { INCOMPLETE_CODE })
}

/// Makes the directory. One with something in it is refused, or nobody could tell what is of which snapshot.
fn begin(directory: &Path) -> Result<()> {
    let shown = directory.display();
    let cannot = |error| Error::io(format!("cannot write into the directory {shown}"), error);
    fs::create_dir_all(directory).map_err(cannot)?;
    match fs::read_dir(directory).map_err(cannot)?.next() {
        None => Ok(()),
        Some(_) => Err(Error::config(format!(
            "there is something in {shown} already: name a new directory with --output"
        ))),
    }
}

/// A name that tells the operator and the table, and is not taken.
fn file_name(uid: &str, table: &str, format: Format, taken: &mut BTreeSet<PathBuf>) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let clean = |name: &str| name.chars().map(plain).collect::<String>();
    let stem = format!("{}.{}", clean(uid), clean(table));
    let ending = format.ending();
    let name = |number: u32| match number {
        1 => format!("{stem}.{ending}"),
        _ => format!("{stem}-{number}.{ending}"),
    };
    let free = (1..).map(name).find(|name| taken.insert(PathBuf::from(name.to_lowercase())));
    free.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_names_of_their_own_on_every_system() {
        let mut taken = BTreeSet::new();
        let mut name = |uid, table| file_name(uid, table, Format::Csv, &mut taken);
        assert_eq!(name("last bid", "state by/key"), "last_bid.state_by_key.csv");
        assert_eq!(name("last_bid", "state by key"), "last_bid.state_by_key-2.csv");
        assert_eq!(name("Last_Bid", "state by key"), "Last_Bid.state_by_key-3.csv");
        assert_eq!(name("..", "a"), "__.a.csv");
    }
}
