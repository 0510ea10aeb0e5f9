//! Rows in a directory, each there once however often the job was interrupted.
//!
//! A worker writes the rows between two snapshots to a file of their own, which is hidden until the snapshot that names it is safe, and then gets
//! its name. A file whose snapshot never came to be is removed when the job goes on, and its rows are written again. To give a file its name twice
//! does it once, so it does not matter when the program was interrupted.
//!
//! | name | what |
//! |---|---|
//! | `<epoch>-<worker>.json` or `.csv` | rows that are there for good; the last of them are of that epoch |
//! | `.<epoch>-<worker>.json` | rows that wait for their snapshot |
//! | `.writing-<worker>.json` | rows that are being written |
//!
//! Epochs ascend over all runs of a job, so no name is used twice. A part costs two syncs and two renames.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use highwater::{Error, Result};
use serde::Serialize;

use super::answer::Form;
use super::output::{Lines, Output};

/// A directory of rows.
pub(crate) struct Parts {
    directory: PathBuf,
    extension: &'static str,
}

impl Parts {
    /// The rows in a directory, as CSV if its name ends in `.csv`, otherwise as JSON lines. Makes the directory.
    pub(crate) fn open(directory: &Path) -> Result<Parts> {
        let is_csv = directory.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let parts = Parts { directory: directory.to_owned(), extension: if is_csv { "csv" } else { "json" } };
        fs::create_dir_all(directory).map_err(|error| parts.cannot("make the directory", error))?;
        Ok(parts)
    }

    /// An error if there are rows of an earlier run, which a job that begins anew would mix with its own.
    pub(crate) fn check_unused(&self) -> Result<()> {
        if !self.names()?.iter().any(|name| self.is_part(name)) {
            return Ok(());
        }
        let directory = self.directory.display();
        Err(Error::config(format!(
            "{directory} has rows of an earlier run, and this one begins at the beginning: remove it, or name another --output"
        )))
    }

    /// Makes visible what a snapshot names, though it may be already, and removes what none names.
    pub(crate) fn recover(&self, named: &[String]) -> Result<()> {
        named.iter().try_for_each(|name| self.commit(name))?;
        for name in self.names()? {
            let hidden = name.strip_prefix('.');
            if hidden.is_some_and(|hidden| self.is_part(hidden) || hidden.starts_with("writing-")) {
                fs::remove_file(self.directory.join(name))
                    .map_err(|error| self.cannot("remove rows in", error))?;
            }
        }
        Ok(())
    }

    /// Makes rows visible. Doing it twice does it once.
    pub(crate) fn commit(&self, name: &str) -> Result<()> {
        match fs::rename(self.hidden(name), self.directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.directory.join(name).is_file() => {
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let directory = self.directory.display();
                Err(Error::config(format!(
                    "the snapshot has rows in {name}, and {directory} has no such file: give the --output that the earlier run had"
                )))
            }
            outcome => {
                outcome.and_then(|()| self.sync()).map_err(|error| self.cannot("write the rows to", error))
            }
        }
    }

    /// The names of all that is there.
    fn names(&self) -> Result<Vec<String>> {
        let read = || -> io::Result<Vec<String>> {
            fs::read_dir(&self.directory)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        };
        read().map_err(|error| self.cannot("list", error))
    }

    /// True if rows lie in a file of this name.
    fn is_part(&self, name: &str) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let stem = name.strip_suffix(self.extension).and_then(|name| name.strip_suffix('.'));
        stem.and_then(|stem| stem.split_once('-'))
            .is_some_and(|(epoch, worker)| epoch.len() == 20 && is_number(epoch) && is_number(worker))
    }

    fn hidden(&self, name: &str) -> PathBuf {
        self.directory.join(format!(".{name}"))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn cannot(&self, what: &str, error: io::Error) -> Error {
        Error::io(format!("cannot {what} {}", self.directory.display()), error)
    }
}

/// Writes the rows of one worker, a part after the other.
pub(crate) struct PartWriter {
    parts: Arc<Parts>,
    worker: usize,
    lines: Option<Lines>,
    /// The epoch of the last row.
    epoch: u64,
}

impl PartWriter {
    pub(crate) fn new(parts: Arc<Parts>, worker: usize) -> PartWriter {
        PartWriter { parts, worker, lines: None, epoch: 0 }
    }

    fn writing(&self) -> PathBuf {
        self.parts.hidden(&format!("writing-{}.{}", self.worker, self.parts.extension))
    }

    /// Writes a row of an epoch.
    pub(crate) fn write<I: Serialize, F: Form<I>>(&mut self, epoch: u64, item: &I) -> Result<()> {
        self.epoch = epoch;
        if self.lines.is_none() {
            self.lines = Some(Lines::new(Arc::new(Output::create(&self.writing())?)));
        }
        self.lines.as_mut().map_or(Ok(()), |lines| lines.write::<I, F>(item))
    }

    /// Completes the part, and says its name; `None` if there are no rows.
    pub(crate) fn prepare(&mut self) -> Result<Option<String>> {
        let Some(mut lines) = self.lines.take() else { return Ok(None) };
        lines.flush()?;
        lines.sync()?;
        let name = format!("{:020}-{}.{}", self.epoch, self.worker, self.parts.extension);
        let renamed = fs::rename(self.writing(), self.parts.hidden(&name)).and_then(|()| self.parts.sync());
        renamed.map_err(|error| self.parts.cannot("write the rows to", error))?;
        Ok(Some(name))
    }

    /// Makes a part visible.
    pub(crate) fn commit(&self, name: &str) -> Result<()> {
        self.parts.commit(name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Plain;
    use super::*;

    fn listed(parts: &Parts) -> Vec<String> {
        let mut names = parts.names().unwrap();
        names.sort();
        names
    }

    fn write(writer: &mut PartWriter, epoch: u64, row: u64) -> String {
        writer.write::<u64, Plain>(epoch, &row).unwrap();
        writer.prepare().unwrap().unwrap()
    }

    #[test]
    fn rows_are_there_once_their_snapshot_is() {
        let folder = tempfile::tempdir().unwrap();
        let parts = Arc::new(Parts::open(&folder.path().join("rows.json")).unwrap());
        let mut writer = PartWriter::new(Arc::clone(&parts), 3);
        assert_eq!(writer.prepare().unwrap(), None);
        let first = write(&mut writer, 7, 70);
        let second = write(&mut writer, 8, 80);
        writer.write::<u64, Plain>(9, &90).unwrap();
        assert_eq!(listed(&parts).iter().filter(|name| !name.starts_with('.')).count(), 0);
        writer.commit(&first).unwrap();
        writer.commit(&first).unwrap();
        parts.check_unused().unwrap_err();
        // The program ends here. The snapshot knows of the first two.
        parts.recover(&[first.clone(), second.clone()]).unwrap();
        assert_eq!(listed(&parts), [first.clone(), second.clone()]);
        assert_eq!(fs::read_to_string(parts.directory.join(&second)).unwrap(), "80\n");
        // Another does not know of what comes next.
        write(&mut PartWriter::new(Arc::clone(&parts), 3), 10, 100);
        parts.recover(std::slice::from_ref(&first)).unwrap();
        assert_eq!(listed(&parts), [first, second]);
    }

    #[test]
    fn another_directory_is_not_taken_for_that_of_the_earlier_run() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.json"), "mine").unwrap();
        let parts = Parts::open(folder.path()).unwrap();
        parts.check_unused().unwrap();
        let told = parts.recover(&["00000000000000000007-0.json".to_owned()]).unwrap_err().to_string();
        assert!(told.contains("--output"), "{told}");
        parts.recover(&[]).unwrap();
        assert_eq!(listed(&parts), ["notes.json"]);
    }
}
