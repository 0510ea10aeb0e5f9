//! A directory of files that show the output of snapshots, exactly once.
//!
//! A writer gathers lines in a hidden file. When a snapshot is taken it syncs the file and gives it the name that it will have, `part-` and a number; when the snapshot
//! is safe the file gets that name. To give it twice is to find it given. So what readers see of the directory is what epochs have
//! written that are committed, in whole files: readers skip hidden names, as `ls` and shells do.
//!
//! When a job goes on from a snapshot, the files that the snapshot names get their names, and all other hidden ones are deleted: what is in them will be
//! written again. Parts that have their names are never touched. So whoever goes back to a snapshot that is not the latest finds parts of
//! what came after it, and should write to another directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A file that waits for its snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    hidden: String,
    name: String,
}

/// The directory.
pub(super) struct Parts {
    directory: PathBuf,
    extension: &'static str,
    /// The number of the next part.
    next: AtomicU64,
    /// The number of the next hidden file.
    hidden: AtomicU64,
}

/// What the names of parts, and of hidden files, begin with.
const PART: &str = "part-";
const HIDDEN: &str = ".writing-";

impl Parts {
    /// Makes the directory if there is none. If the job goes on from a snapshot, gives the parts that it names their names; if it begins anew, deletes those
    /// that are there.
    pub(super) fn open(
        directory: &Path,
        extension: &'static str,
        restored: Option<Vec<Part>>,
    ) -> Result<Parts> {
        let show = directory.display();
        if directory.is_file() {
            return Err(Error::config(format!(
                "{show} is a file, and with snapshots the output is a directory of files: move it away, or name another"
            )));
        }
        fs::create_dir_all(directory).map_err(|error| Error::io(format!("cannot make {show}"), error))?;
        let begins = restored.is_none();
        let (next, hidden) = (AtomicU64::new(0), AtomicU64::new(0));
        let parts = Parts { directory: directory.to_owned(), extension, next, hidden };
        restored.iter().flatten().try_for_each(|part| parts.commit(part))?;
        let read = |error| Error::io(format!("cannot read {show}"), error);
        for entry in fs::read_dir(directory).map_err(read)? {
            let path = entry.map_err(read)?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if name.starts_with(HIDDEN) || (begins && name.starts_with(PART)) {
                fs::remove_file(&path)
                    .map_err(|error| Error::io(format!("cannot delete {}", path.display()), error))?;
            } else if let Some(number) = number(name) {
                parts.next.fetch_max(number + 1, Ordering::Relaxed);
            }
        }
        Ok(parts)
    }

    fn failed(&self, what: &str, name: &str, error: std::io::Error) -> Error {
        Error::io(format!("cannot {what} {}", self.directory.join(name).display()), error)
    }

    /// Begins a hidden file.
    pub(super) fn begin(&self) -> Result<Hidden> {
        let name = format!("{HIDDEN}{}-{}", std::process::id(), self.hidden.fetch_add(1, Ordering::Relaxed));
        let file = File::create(self.directory.join(&name));
        Ok(Hidden { file: file.map_err(|error| self.failed("create", &name, error))?, name })
    }

    /// Adds to a hidden file.
    pub(super) fn write(&self, hidden: &mut Hidden, bytes: &[u8]) -> Result<()> {
        hidden.file.write_all(bytes).map_err(|error| self.failed("write to", &hidden.name, error))
    }

    /// Makes a hidden file durable, and says what it will be.
    pub(super) fn prepare(&self, hidden: Hidden) -> Result<Part> {
        hidden.file.sync_all().map_err(|error| self.failed("sync", &hidden.name, error))?;
        let (number, extension) = (self.next.fetch_add(1, Ordering::Relaxed), self.extension);
        Ok(Part { hidden: hidden.name, name: format!("{PART}{number:08}{extension}") })
    }

    /// Gives a file its name, if it has not got it.
    pub(super) fn commit(&self, part: &Part) -> Result<()> {
        let (from, to) = (self.directory.join(&part.hidden), self.directory.join(&part.name));
        match fs::rename(&from, &to) {
            Ok(()) => {}
            Err(_) if !from.exists() && to.exists() => return Ok(()),
            Err(error) => return Err(self.failed("show", &part.name, error)),
        }
        // A name is safe when its directory is.
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| self.failed("sync the directory of", &part.name, error))
    }
}

/// The number of a part.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PART)?;
    digits.split('.').next()?.parse().ok()
}

/// A file that is being written.
pub(super) struct Hidden {
    file: File,
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: &Parts, text: &str) -> Part {
        let mut hidden = parts.begin().unwrap();
        parts.write(&mut hidden, text.as_bytes()).unwrap();
        parts.prepare(hidden).unwrap()
    }

    fn visible(directory: &Path) -> Vec<(String, String)> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
            .into_iter()
            .map(|name| (name.clone(), fs::read_to_string(directory.join(name)).unwrap()))
            .collect()
    }

    #[test]
    fn what_is_named_is_shown_once_and_all_else_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let parts = Parts::open(directory.path(), ".txt", None).unwrap();
        let (first, second, third) = (written(&parts, "a"), written(&parts, "b"), written(&parts, "c"));
        parts.commit(&first).unwrap();
        assert_eq!(visible(directory.path()), [("part-00000000.txt".to_owned(), "a".to_owned())]);
        // It crashed here. The snapshot names the first, which was committed, and the second.
        let parts = Parts::open(directory.path(), ".txt", Some(vec![first, second])).unwrap();
        let shown = visible(directory.path());
        assert_eq!(shown.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(parts.commit(&third).is_err(), "what was dropped cannot be shown");
        let again = written(&parts, "c");
        parts.commit(&again).unwrap();
        assert_eq!(visible(directory.path())[2], ("part-00000002.txt".to_owned(), "c".to_owned()));
        Parts::open(directory.path(), ".txt", None).unwrap();
        assert!(visible(directory.path()).is_empty(), "a job that begins anew begins with nothing");
    }

    #[test]
    fn a_file_is_no_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.txt");
        fs::write(&path, "x").unwrap();
        let error = Parts::open(&path, ".txt", None).err().unwrap().to_string();
        assert!(error.contains("is a file, and with snapshots"), "{error}");
    }
}
