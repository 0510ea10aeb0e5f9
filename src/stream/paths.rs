//! The files that a job reads and writes: none of them may be in the way of another.
//!
//! Before a job starts, each output is compared with every input, every other output and the directory of the
//! snapshots. Paths are compared as the file system resolves them, and files also by their inodes, so
//! symbolic and hard links are seen through. An output may lie beside an input. It may not be one, be a file
//! of a directory that is read, or be another output; and it may neither lie in the directory of the
//! snapshots nor hold it. Directories in a directory that is read are not read, so an output that is a
//! directory, as those of jobs with snapshots are, may lie there.
//!
//! What is not seen: the same directory that is mounted twice, and what other programs do.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The paths of an operator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    /// Files that are read, and directories whose files are.
    pub(crate) inputs: Vec<PathBuf>,
    /// Files and directories that are written.
    pub(crate) outputs: Vec<PathBuf>,
}

/// A path as it was given, and where it leads.
struct Resolved {
    given: PathBuf,
    path: PathBuf,
    found: Option<Metadata>,
}

impl Resolved {
    fn new(given: &Path) -> Resolved {
        Resolved { given: given.to_owned(), path: resolve(given), found: fs::metadata(given).ok() }
    }

    fn is_same(&self, other: &Resolved) -> bool {
        let identity = |file: &Resolved| file.found.as_ref().filter(|found| found.is_file()).map(identity);
        self.path == other.path || identity(self).is_some_and(|file| Some(file) == identity(other))
    }

    fn is_in(&self, directory: &Resolved) -> bool {
        directory.found.as_ref().is_none_or(Metadata::is_dir) && self.path.starts_with(&directory.path)
    }

    /// True if it is a file of a directory, or would be when it is made.
    fn is_file_of(&self, directory: &Resolved, is_made_directory: bool) -> bool {
        let is_directory = self.found.as_ref().map_or(is_made_directory, Metadata::is_dir);
        !is_directory && self.path.parent() == Some(&directory.path)
    }

    /// True for terminals, pipes and `/dev/null`, which many may write to and nothing is lost in.
    fn is_special(&self) -> bool {
        self.found.as_ref().is_some_and(|found| !found.is_file() && !found.is_dir())
    }
}

#[cfg(unix)]
fn identity(found: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

/// Without inodes, files are known by their paths alone: no two of these numbers are equal.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    (0, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A path without links and dots. Of what is not there, the part that is counts.
fn resolve(given: &Path) -> PathBuf {
    if let Ok(path) = fs::canonicalize(given) {
        return path;
    }
    match (given.parent(), given.file_name()) {
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => resolve(Path::new(".")).join(name),
        (Some(parent), Some(name)) => resolve(parent).join(name),
        _ => given.to_owned(),
    }
}

/// Checks the paths of all operators and, if snapshots are taken, the directory that they are kept in, if
/// they are kept in one.
///
/// # Errors
///
/// If one is in the way of another.
pub(crate) fn check(operators: &[Paths], snapshots: Option<Option<&Path>>) -> Result<()> {
    let all = |of: fn(&Paths) -> &Vec<PathBuf>| -> Vec<Resolved> {
        operators.iter().flat_map(of).map(|path| Resolved::new(path)).collect()
    };
    let (inputs, outputs) = (all(|paths| &paths.inputs), all(|paths| &paths.outputs));
    let (has_snapshots, snapshots) = (snapshots.is_some(), snapshots.flatten().map(Resolved::new));
    for (at, output) in outputs.iter().enumerate().filter(|(_, output)| !output.is_special()) {
        let shown = output.given.display();
        if let Some(input) =
            inputs.iter().find(|input| output.is_same(input) || output.is_file_of(input, has_snapshots))
        {
            let input = input.given.display();
            return Err(Error::config(format!(
                "the output {shown} would be read with {input}: the job reads that: name another place"
            )));
        }
        if outputs[..at].iter().any(|other| output.is_same(other)) {
            return Err(Error::config(format!(
                "two sinks write to {shown}: give each a place of its own, or unite the streams before one sink"
            )));
        }
        if let Some(store) = snapshots.as_ref().filter(|store| output.is_in(store) || store.is_in(output)) {
            let store = store.given.display();
            return Err(Error::config(format!(
                "the output {shown} and the snapshots in {store} are in each other's way: name a place beside them"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_in_nobodys_way() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir(at("in")).unwrap();
        fs::write(at("in/a.txt"), "a").unwrap();
        fs::write(at("b.txt"), "b").unwrap();
        fs::hard_link(at("b.txt"), at("link.txt")).unwrap();
        let store = at("snapshots");
        let check = |input: &str, outputs: &[&str], snapshots: bool| {
            let outputs = outputs.iter().map(|output| at(output)).collect();
            check(&[Paths { inputs: vec![at(input)], outputs }], snapshots.then_some(Some(store.as_path())))
                .is_ok()
        };
        let is_fine = |input: &str, outputs: &[&str]| {
            assert_eq!(check(input, outputs, true), check(input, outputs, false), "{input} {outputs:?}");
            check(input, outputs, true)
        };
        assert!(is_fine("b.txt", &["c.txt", "in/c.txt", "in/d.txt"]) && is_fine("in", &["b.txt", "out"]));
        assert!(is_fine("b.txt", &["/dev/null", "/dev/null"]), "nothing is lost there");
        for outputs in [&["b.txt"][..], &["in/../b.txt"], &["link.txt"], &["c.txt", "d.txt", "in/../c.txt"]] {
            assert!(!is_fine("b.txt", outputs), "{outputs:?}");
        }
        assert!(
            !is_fine("in", &["in"]) && !is_fine("in", &["in/a.txt"]) && is_fine("in", &["in/deep/c.txt"])
        );
        // It will be a directory, whose files are not read.
        assert!(check("in", &["in/c"], true) && !check("in", &["in/c"], false));
        for output in ["snapshots", "snapshots/out", "."] {
            assert!(!check("b.txt", &[output], true), "{output}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_seen_through() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("in")).unwrap();
        std::os::unix::fs::symlink(place.path().join("in"), place.path().join("other")).unwrap();
        let paths = |input: &str, output: &str| {
            let (input, output) = (place.path().join(input), place.path().join(output));
            check(&[Paths { inputs: vec![input], outputs: vec![output] }], None)
        };
        let told = paths("in", "other/out.txt").unwrap_err().to_string();
        assert!(told.contains("out.txt") && told.contains("the job reads"), "{told}");
        assert!(paths("other", "in/out.txt").is_err() && paths("in", "out.txt").is_ok());
    }
}
