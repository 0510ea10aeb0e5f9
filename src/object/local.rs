//! A store in a directory of a local or shared file system.
//!
//! An object is created by writing a temporary file, syncing it, giving it a second, hard link under the
//! object's name, and syncing the directory. A link to a name that exists fails, on every file system that
//! has links, so exactly one of two writers wins; and since the file was whole before it had its name, no one
//! ever reads half of it. Temporary files lie in a hidden folder until a sweep finds them.
//!
//! After a failed sync, what was written may be lost though it can still be read: Linux marks the pages
//! clean. So a sync is never tried again, and nothing that is read from then on can be trusted: all calls
//! fail until the directory is opened again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind as IoErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::object::name::{check_name, check_prefix};
use crate::object::{PutError, Store, nonce};

/// The folder of temporary files. No object's name begins with a dot.
const TEMPORARY: &str = ".temporary";

/// A store in a directory.
///
/// It does not follow symbolic links below the directory: a name that leads through one is an error. That is
/// a guard against mistakes, not against someone who writes into the directory at the same time.
#[derive(Debug)]
pub struct Local {
    directory: PathBuf,
    sync: Sync,
    /// Set when a sync has failed.
    is_broken: AtomicBool,
    /// The directories below that are known to outlive a loss of power.
    made: Mutex<BTreeSet<PathBuf>>,
}

/// What is done so that a file outlives a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    Do,
    Skip,
    #[cfg(test)]
    Fail,
}

impl Local {
    /// The store in a directory, which is made if need be.
    pub fn open(directory: impl AsRef<Path>) -> Result<Local> {
        Local::with(directory.as_ref(), Sync::Do)
    }

    /// The same without syncs, some hundred times faster. After a loss of power anything may be missing: for
    /// tests.
    pub fn open_unsynced(directory: impl AsRef<Path>) -> Result<Local> {
        Local::with(directory.as_ref(), Sync::Skip)
    }

    pub(super) fn with(directory: &Path, sync: Sync) -> Result<Local> {
        let cannot = |error| Error::io(format!("cannot make {}", directory.display()), error);
        fs::create_dir_all(directory.join(TEMPORARY)).map_err(cannot)?;
        Ok(Local {
            directory: directory.to_owned(),
            sync,
            is_broken: AtomicBool::new(false),
            made: Mutex::default(),
        })
    }

    /// The path of a name that is valid; an error if a symbolic link is on the way, or after a failed sync.
    fn path(&self, name: &str) -> Result<PathBuf> {
        // The kernel marks lost pages clean, so what is read after a failed sync may not be on the disk.
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(Error::new(
                crate::error::ErrorKind::Io,
                format!(
                    "a sync failed in {}, so what is read there may be lost: check the disk, then run again",
                    self.directory.display()
                ),
            ));
        }
        let mut path = self.directory.clone();
        for part in name.split('/').filter(|part| !part.is_empty()) {
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_symlink() => {
                    let path = path.display();
                    return Err(Error::config(format!(
                        "{path} is a symbolic link, which a snapshot store does not follow: remove it"
                    )));
                }
                _ => {}
            }
        }
        Ok(path)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let outcome = match self.sync {
            Sync::Do => file.sync_all(),
            Sync::Skip => Ok(()),
            #[cfg(test)]
            Sync::Fail => Err(io::Error::other("the disk is on fire")),
        };
        if outcome.is_err() {
            self.is_broken.store(true, Ordering::SeqCst);
        }
        outcome
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        if self.sync == Sync::Skip { Ok(()) } else { self.sync(&File::open(path)?) }
    }

    /// Makes the directories down to one, each synced into the one above it. One that is there may have been
    /// made by a process that did not come to sync it, so each is synced once.
    fn make(&self, path: &Path) -> io::Result<()> {
        if path == self.directory || self.made().contains(path) {
            return Ok(());
        }
        let above = path.parent().unwrap_or(&self.directory);
        self.make(above)?;
        // Synced also if it exists: the process that made it may have crashed before its sync.
        match fs::create_dir(path) {
            Err(error) if error.kind() != IoErrorKind::AlreadyExists => return Err(error),
            _ => self.sync_directory(above)?,
        }
        self.made().insert(path.to_owned());
        Ok(())
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        lock(&self.made)
    }

    /// Writes a file and links it to its path. True if that was taken already.
    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<bool> {
        let above = path.parent().unwrap_or(&self.directory);
        self.make(above)?;
        let temporary = self.directory.join(TEMPORARY).join(format!("{:016x}", nonce()));
        let outcome = (|| {
            let mut file = File::create_new(&temporary)?;
            file.write_all(bytes)?;
            // Before the link: once it has its name, the object is whole, also after a loss of power.
            self.sync(&file)?;
            // Fails if the name exists, so one of several writers wins.
            fs::hard_link(&temporary, path)
        })();
        // A leftover is swept later.
        let _ = fs::remove_file(&temporary);
        match outcome {
            // The bytes are synced already; the name is only when its directory is.
            Ok(()) => self.sync_directory(above).map(|()| false),
            // The temporary name may be what exists; the object's is taken only if it is there.
            Err(error) if error.kind() == IoErrorKind::AlreadyExists && path.symlink_metadata().is_ok() => {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Adds the files below a directory whose names begin so.
    fn walk(
        &self,
        folder: &Path,
        name: &str,
        prefix: &str,
        found: &mut Vec<(String, u64)>,
    ) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let part = entry.file_name();
            // No object has such a name.
            let Some(part) = part.to_str() else { continue };
            let name = if name.is_empty() { part.to_owned() } else { format!("{name}/{part}") };
            let kind = entry.file_type()?;
            if kind.is_dir() && (name.starts_with(prefix) || prefix.starts_with(&name)) && name != TEMPORARY {
                self.walk(&entry.path(), &name, prefix, found)?;
            } else if kind.is_file() && name.starts_with(prefix) {
                match entry.metadata() {
                    // Deleted since the directory was read.
                    Err(error) if error.kind() == IoErrorKind::NotFound => {}
                    metadata => found.push((name, metadata?.len())),
                }
            }
        }
        Ok(())
    }

    fn cannot(&self, what: &str, name: &str) -> impl FnOnce(io::Error) -> Error {
        let message = format!("cannot {what} {name} in {}", self.directory.display());
        move |error| Error::io(message, error)
    }
}

/// Opens a file, if it is there.
fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == IoErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    }
}

impl Store for Local {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), PutError> {
        check_name(name)?;
        let path = self.path(name)?;
        match self.put(&path, bytes).map_err(self.cannot("write", name))? {
            true => Err(PutError::Exists),
            false => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        check_name(name)?;
        let path = self.path(name)?;
        let read = || -> io::Result<Option<Vec<u8>>> {
            let Some(mut file) = open(&path)? else { return Ok(None) };
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        };
        read().map_err(self.cannot("read", name))
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        check_name(name)?;
        let path = self.path(name)?;
        let Some(mut file) = open(&path).map_err(self.cannot("read", name))? else { return Ok(None) };
        let ends = file.metadata().map_err(self.cannot("read", name))?.len();
        // Before memory is allocated.
        if offset.checked_add(len as u64).is_none_or(|end| end > ends) {
            return Err(Error::data(format!("{name} has no {len} bytes at {offset}: it ends at {ends}")));
        }
        let mut bytes = vec![0; len];
        let mut fill = || file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes));
        fill().map_err(self.cannot("read", name))?;
        Ok(Some(bytes))
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        check_prefix(prefix)?;
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = self.path(folder)?;
        let mut found = Vec::new();
        self.walk(&path, folder, prefix, &mut found).map_err(self.cannot("list", prefix))?;
        found.sort();
        Ok(found)
    }

    fn delete(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(()),
            outcome => outcome.map_err(self.cannot("delete", name))?,
        }
        let above = path.parent().unwrap_or(&self.directory);
        // Otherwise the object could be back after a loss of power.
        self.sync_directory(above).map_err(self.cannot("delete", name))
    }

    fn file(&self, name: &str) -> Result<Option<PathBuf>> {
        check_name(name)?;
        let path = self.path(name)?;
        Ok(path.is_file().then_some(path))
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.directory)
    }

    fn is_near(&self) -> bool {
        true
    }

    fn link(&self, name: &str, from: &dyn Store) -> Result<bool> {
        check_name(name)?;
        let path = self.path(name)?;
        let Some(file) = from.file(name)? else { return Ok(false) };
        let above = path.parent().unwrap_or(&self.directory);
        self.make(above).map_err(self.cannot("write", name))?;
        // Not on another file system, nor on one without links, nor to a name that is taken.
        if fs::hard_link(&file, &path).is_err() {
            return Ok(false);
        }
        // The other store may not have synced it.
        let synced = File::open(&path).and_then(|file| self.sync(&file));
        synced.and_then(|()| self.sync_directory(above)).map_err(self.cannot("write", name))?;
        Ok(true)
    }

    fn sweep(&self, age: Duration) -> Result<u64> {
        let folder = self.path("")?.join(TEMPORARY);
        let now = Duration::from_millis(u64::try_from(Clock::system().millis()).unwrap_or(0));
        let sweep = || -> io::Result<u64> {
            let mut swept = 0;
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                // Removed meanwhile by its own put.
                let Ok(metadata) = entry.metadata() else { continue };
                let written = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                if metadata.is_file()
                    && now.saturating_sub(written) >= age
                    && fs::remove_file(entry.path()).is_ok()
                {
                    swept += 1;
                }
            }
            Ok(swept)
        };
        sweep().map_err(self.cannot("sweep", TEMPORARY))
    }
}
