//! `highwater diff`: the exact difference between two outputs, in any order of lines.
//!
//! An output is a file, or a directory of parts, of which only those of committed epochs are visible: others
//! have hidden names. Lines are compared as multisets. Both outputs are read once, a line of each in turn,
//! and a line is held until the other output has the same one. So memory is that of the lines seen in one
//! output and not yet in the other: some 100 bytes and the text for each different line. For equal outputs in
//! similar orders these are few; otherwise at most the different lines of both.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use highwater::{Error, Result};

use super::amount::several;
use super::print;
use super::signal::{INTERRUPTED_CODE, is_interrupted};
use super::usage::DiffArgs;

/// The exit code if there is a difference.
const DIFFERENT_CODE: u8 = 1;

/// How many lines are read between two checks for Ctrl-C.
const LOOK: u64 = 1 << 14;

/// Compares; returns the exit code.
pub(crate) fn run(args: &DiffArgs) -> Result<u8> {
    let (mut a, mut b) = (Lines::open(&args.a, args)?, Lines::open(&args.b, args)?);
    let mut difference = Difference::default();
    for turn in 1u64.. {
        let (one, other) = (a.next()?, b.next()?);
        let is_end = one.is_none() && other.is_none();
        one.into_iter().for_each(|(line, times)| difference.add(line, times));
        other.into_iter().for_each(|(line, times)| difference.add(line, -times));
        if is_end {
            break;
        }
        if turn.is_multiple_of(LOOK) && is_interrupted() {
            return Ok(INTERRUPTED_CODE);
        }
    }
    print(&difference.told(args.limit, (a.count, b.count)))?;
    Ok(if difference.0.is_empty() { 0 } else { DIFFERENT_CODE })
}

/// How much more often each line is in A than in B; lines that are as often in both are left out.
#[derive(Default)]
struct Difference(BTreeMap<Box<[u8]>, i64>);

impl Difference {
    fn add(&mut self, line: Vec<u8>, times: i64) {
        let line = line.into_boxed_slice();
        let sum = self.0.get(&line).copied().unwrap_or(0) + times;
        match sum {
            0 => drop(self.0.remove(&line)),
            sum => drop(self.0.insert(line, sum)),
        }
    }

    /// The report, with the numbers of lines read.
    fn told(&self, limit: usize, lines: (u64, u64)) -> String {
        let (mut told, mut only) = (String::new(), [0; 2]);
        for (place, (sign, name)) in [(1, "A"), (-1, "B")].into_iter().enumerate() {
            let mark = if sign > 0 { '-' } else { '+' };
            let mut shown = 0;
            for (line, times) in self.0.iter().filter(|(_, times)| times.signum() == sign) {
                only[place] += times.unsigned_abs();
                if shown < limit {
                    let line = String::from_utf8_lossy(line);
                    let often =
                        if times.abs() > 1 { format!("  ({} times)", times.abs()) } else { String::new() };
                    let _ = writeln!(told, "{mark} {line}{often}");
                }
                shown += 1;
            }
            if shown > limit {
                let _ = writeln!(
                    told,
                    "{mark} and {} only in {name}",
                    several((shown - limit) as u64, "other line")
                );
            }
        }
        let (a, b) = (several(lines.0, "line"), several(lines.1, "line"));
        let _ = match only {
            [0, 0] => writeln!(told, "A has {a}, B has {b}: the same"),
            [more, less] => writeln!(told, "A has {a}, B has {b}: {more} only in A, {less} only in B"),
        };
        told
    }
}

/// The lines of an output.
struct Lines {
    files: IntoIter<PathBuf>,
    /// The file that is being read, with its path.
    open: Option<(PathBuf, BufReader<File>)>,
    has_header: bool,
    /// True once a header was read: those of all parts are the same.
    is_after_header: bool,
    is_changes: bool,
    count: u64,
}

impl Lines {
    fn open(path: &Path, args: &DiffArgs) -> Result<Lines> {
        let files = if path.is_dir() { parts(path)? } else { vec![path.to_owned()] };
        let mut lines = Lines {
            files: files.into_iter(),
            open: None,
            has_header: !args.no_header,
            is_after_header: false,
            is_changes: args.changes,
            count: 0,
        };
        // A missing file is reported before much is read.
        lines.begin()?;
        Ok(lines)
    }

    /// Opens the next file; `false` if there is none.
    fn begin(&mut self) -> Result<bool> {
        let Some(path) = self.files.next() else { return Ok(false) };
        let file = File::open(&path).map_err(|error| cannot_read(&path, error))?;
        let mut file = BufReader::with_capacity(1 << 16, file);
        if self.has_header && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
        {
            // The first one is compared like a line, since it names the columns.
            if std::mem::replace(&mut self.is_after_header, true) {
                file.skip_until(b'\n').map_err(|error| cannot_read(&path, error))?;
            }
        }
        self.open = Some((path, file));
        Ok(true)
    }

    /// The next line without its newline, with its multiplicity.
    fn next(&mut self) -> Result<Option<(Vec<u8>, i64)>> {
        loop {
            let Some((path, file)) = &mut self.open else { return Ok(None) };
            let mut line = Vec::new();
            if file.read_until(b'\n', &mut line).map_err(|error| cannot_read(path, error))? > 0 {
                line.pop_if(|byte| *byte == b'\n');
                self.count += 1;
                return if self.is_changes { change(&line, path).map(Some) } else { Ok(Some((line, 1))) };
            }
            if !self.begin()? {
                self.open = None;
            }
        }
    }
}

/// A change: the record as JSON, and its diff.
fn change(line: &[u8], path: &Path) -> Result<(Vec<u8>, i64)> {
    let read = serde_json::from_slice::<highwater::data::Change<serde_json::Value>>(line);
    let change = read.map_err(|error| {
        let (path, line) = (path.display(), String::from_utf8_lossy(line));
        Error::data(format!("{path} has a line that is no change: {line}. Leave --changes out"))
            .because(error)
    })?;
    Ok((change.record.to_string().into_bytes(), change.diff))
}

/// The files in a directory that are visible, in the order of their names.
fn parts(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| cannot_read(directory, error))? {
        let entry = entry.map_err(|error| cannot_read(directory, error))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.path().is_dir() {
            return Err(Error::config(format!(
                "{} is a directory in {}, and outputs have none: name a file, or a directory of parts",
                entry.path().display(),
                directory.display()
            )));
        }
        files.push(entry.path());
    }
    files.sort();
    Ok(files)
}

fn cannot_read(path: &Path, error: std::io::Error) -> Error {
    let message = format!("cannot read {}: name a file or directory that a job has written", path.display());
    Error::io(message, error)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn args(a: PathBuf, b: PathBuf) -> DiffArgs {
        DiffArgs { a, b, limit: 20, changes: false, no_header: false }
    }

    /// A directory of parts with these names and texts.
    fn directory(parts: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in parts {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    fn all(path: &Path, args: &DiffArgs) -> Vec<String> {
        let mut lines = Lines::open(path, args).unwrap();
        let mut all = Vec::new();
        while let Some((line, times)) = lines.next().unwrap() {
            all.push(format!("{times} {}", String::from_utf8(line).unwrap()));
        }
        all
    }

    proptest! {
        #[test]
        fn a_difference_is_that_of_multisets(
            lines in vec((0..2i64, 0..5u8), 0..40),
        ) {
            let (mut difference, mut counts) = (Difference::default(), [0i64; 5]);
            for (side, line) in lines {
                let times = 1 - 2 * side;
                difference.add(vec![line], times);
                counts[line as usize] += times;
            }
            let found: Vec<(u8, i64)> = difference.0.iter().map(|(line, times)| (line[0], *times)).collect();
            let expected: Vec<(u8, i64)> = (0..5).zip(counts).filter(|(_, times)| *times != 0).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn lines_are_told_with_how_often_they_are_there() {
        let mut difference = Difference::default();
        for (line, times) in [("b", 1), ("a", 3), ("c", -1), ("d", 1), ("e", -2)] {
            difference.add(line.as_bytes().to_vec(), times);
        }
        let told = difference.told(2, (1_005, 3));
        assert_eq!(
            told,
            "- a  (3 times)\n- b\n- and 1 other line only in A\n+ c\n+ e  (2 times)\n\
             A has 1,005 lines, B has 3 lines: 5 only in A, 3 only in B\n"
        );
        assert_eq!(Difference::default().told(2, (1, 1)), "A has 1 line, B has 1 line: the same\n");
    }

    #[test]
    fn parts_that_are_hidden_are_not_there() {
        let parts = directory(&[("part-1.txt", "c"), ("part-0.txt", "a\nb\n\n"), (".writing-7-0", "d\n")]);
        let args = args(PathBuf::new(), PathBuf::new());
        assert_eq!(all(parts.path(), &args), ["1 a", "1 b", "1 ", "1 c"]);
        fs::create_dir(parts.path().join("log")).unwrap();
        assert!(Lines::open(parts.path(), &args).is_err());
    }

    #[test]
    fn the_header_of_parts_counts_once() {
        let parts = directory(&[("1.csv", "k,v\na,1\n"), ("2.csv", "k,v\nb,2\n"), ("3.csv", "")]);
        let mut args = args(PathBuf::new(), PathBuf::new());
        assert_eq!(all(parts.path(), &args), ["1 k,v", "1 a,1", "1 b,2"]);
        args.no_header = true;
        assert_eq!(all(parts.path(), &args).len(), 4);
    }

    #[test]
    fn changes_count_as_often_as_they_say() {
        let parts = directory(&[("1.jsonl", "{\"record\":{\"b\":1,\"a\":[2]},\"diff\":-2}\n")]);
        let mut args = args(PathBuf::new(), PathBuf::new());
        args.changes = true;
        assert_eq!(all(parts.path(), &args), ["-2 {\"a\":[2],\"b\":1}"]);
        fs::write(parts.path().join("2.jsonl"), "7\n").unwrap();
        let mut lines = Lines::open(parts.path(), &args).unwrap();
        lines.next().unwrap();
        assert!(lines.next().unwrap_err().to_string().contains("Leave --changes out"));
    }
}
