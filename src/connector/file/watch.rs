//! The listing of a path: which files exist there, and which followed files they are.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::followed::{Followed, Found, OnRewritten, Seen, with_inodes};
use super::identity::{FilePosition, Node};
use crate::connector::Earlier;
use crate::error::{Error, Result};
use crate::lock::lock;

/// The default time for which a file is read after it has left its place.
const LINGER: Duration = Duration::from_secs(5);

/// A path, and the table of the files that are followed there.
pub(super) struct Watch {
    pub(super) path: PathBuf,
    pub(super) linger: Duration,
    pub(super) policy: OnRewritten,
    table: Mutex<Followed>,
}

impl Watch {
    pub(super) fn new(path: PathBuf) -> Watch {
        Watch { path, linger: LINGER, policy: OnRewritten::Fail, table: Mutex::default() }
    }

    /// The same path with other settings and an empty table.
    pub(super) fn with(&self, linger: Duration, policy: OnRewritten) -> Watch {
        Watch { path: self.path.clone(), linger, policy, table: Mutex::default() }
    }

    /// The files that exist now, sorted by name.
    pub(super) fn list(&self) -> Result<Vec<Seen>> {
        let cannot = |error| Error::io(format!("cannot read {}", self.path.display()), error);
        let metadata = fs::metadata(&self.path).map_err(cannot)?;
        if !metadata.is_dir() {
            return Ok(vec![Seen::new(text(self.path.clone())?, &metadata)]);
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(['.', '_']) || name.ends_with(".tmp") {
                continue;
            }
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_file() => files.push((entry.path(), metadata)),
                Ok(_) => {}
                // It has gone since the directory was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(cannot(error)),
            }
        }
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        files.into_iter().map(|(path, metadata)| Ok(Seen::new(text(path)?, &metadata))).collect()
    }

    /// Lists each file once, however many names it has.
    fn list_followed(&self, may_be_away: bool) -> Result<Vec<Seen>> {
        let mut files = match fs::metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound && may_be_away => Vec::new(),
            _ => self.list()?,
        };
        let mut nodes = BTreeSet::new();
        files.retain(|seen| nodes.insert(seen.node().key()));
        Ok(files)
    }

    /// Lists the path. Returns the ids and the paths of the files that are to be read.
    pub(super) fn look(&self) -> Result<Vec<(String, String)>> {
        // Listed under the lock, so that no other worker updates the table with an older listing.
        let mut table = lock(&self.table);
        let files = self.list_followed(table.may_be_away())?;
        table.look(files, self.policy)
    }

    /// Restores the table from the positions of an earlier run. Returns the same as [`Watch::look`].
    ///
    /// If the path is that of one file, a file that was not read to its end may have another name in the same
    /// directory by now.
    pub(super) fn resume(&self, earlier: Vec<Earlier<FilePosition>>) -> Result<Vec<(String, String)>> {
        let mut table = lock(&self.table);
        let mut files = self.list_followed(true)?;
        if !self.path.is_dir() {
            let begun = earlier.iter().filter(|earlier| !earlier.is_done);
            let inodes =
                begun.filter_map(|earlier| Some(earlier.position.of.as_ref()?.node.inode())).collect();
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            for path in with_inodes(folder.unwrap_or(Path::new(".")), &inodes) {
                let Some(metadata) = fs::metadata(&path).ok().filter(|metadata| metadata.is_file()) else {
                    continue;
                };
                let seen = Seen::new(text(path)?, &metadata);
                // The file at the path itself is in the list already.
                if files.iter().any(|file| file.node() == seen.node()) {
                    continue;
                }
                if earlier.iter().any(|earlier| !earlier.is_done && earlier.is_of(&seen)) {
                    files.push(seen);
                }
            }
        }
        table.resume(files, earlier, self.policy)
    }

    /// The file with an id, to be read.
    pub(super) fn open(&self, id: &str) -> Result<Found> {
        let found = lock(&self.table).open(id)?;
        match found {
            // It may have been renamed since the listing.
            Found::Gone(_) => {
                self.look()?;
                lock(&self.table).open(id)
            }
            found => Ok(found),
        }
    }

    /// Records the position of a reader that has nothing to read now.
    pub(super) fn note(&self, id: &str, place: FilePosition, is_done: bool) {
        lock(&self.table).note(id, place, is_done);
    }

    /// The path of a file that was at `path`, if it still exists. If it is not there, the directory is listed
    /// if `looks` is set.
    pub(super) fn still(&self, id: &str, path: &str, node: Node, looks: bool) -> Result<Option<String>> {
        let is_of_source = Path::new(path) == self.path || Path::new(path).parent() == Some(&self.path);
        if is_of_source && fs::metadata(path).is_ok_and(|metadata| Node::of(&metadata) == node) {
            return Ok(Some(path.to_owned()));
        }
        if looks {
            self.look()?;
        }
        Ok(lock(&self.table).path(id).map(str::to_owned))
    }
}

fn text(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        Error::config(format!("the name of the file {} is not UTF-8: rename it", Path::new(&path).display()))
    })
}
