//! Output files that appear under their names when they are complete, and replace no other file unless asked
//! to.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use highwater::{Error, Result};

/// A file that will appear.
pub(crate) struct AtomicFile {
    path: PathBuf,
    /// Its temporary file; none if it is written in place, as a device is.
    temporary: Option<PathBuf>,
    force: bool,
}

impl AtomicFile {
    /// Checks that a file may appear at a path. Creates nothing under that name yet.
    pub(crate) fn new(path: &Path, force: bool) -> Result<AtomicFile> {
        let cannot = |error| Error::io(format!("cannot write {}", path.display()), error);
        let found = match fs::metadata(path) {
            Ok(found) => Some(found),
            // A dangling symbolic link counts as an existing file.
            Err(error) if error.kind() == ErrorKind::NotFound => fs::symlink_metadata(path).ok(),
            Err(error) => return Err(cannot(error)),
        };
        // A symbolic link is kept, and its target is replaced.
        let path = match &found {
            Some(found) if !found.is_symlink() => fs::canonicalize(path).map_err(cannot)?,
            _ => path.to_owned(),
        };
        match found {
            Some(found) if found.is_dir() => {
                Err(Error::config(format!("{} is a directory: name a file", path.display())))
            }
            Some(found) if !found.is_file() && !found.is_symlink() => {
                Ok(AtomicFile { path, temporary: None, force })
            }
            Some(_) if !force => Err(taken(&path)),
            _ => {
                let name = path
                    .file_name()
                    .ok_or_else(|| Error::config(format!("{} is not the name of a file", path.display())))?;
                let temporary =
                    path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
                Ok(AtomicFile { path, temporary: Some(temporary), force })
            }
        }
    }

    /// Where to write.
    pub(crate) fn at(&self) -> &Path {
        self.temporary.as_deref().unwrap_or(&self.path)
    }

    /// The file is complete: lets it appear.
    pub(crate) fn finish(mut self) -> Result<()> {
        let Some(temporary) = self.temporary.take() else { return Ok(()) };
        let named = match self.force {
            true => fs::rename(&temporary, &self.path),
            // Unlike a rename, a hard link never replaces another file.
            false => match fs::hard_link(&temporary, &self.path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
                // A file system without hard links.
                Err(_) if !self.path.exists() => fs::rename(&temporary, &self.path),
                linked => linked,
            },
        };
        // After a rename there is nothing to remove.
        let _ = fs::remove_file(&temporary);
        match named {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(taken(&self.path)),
            named => named.map_err(|error| Error::io(format!("cannot write {}", self.path.display()), error)),
        }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The first error is the one to report.
            let _ = fs::remove_file(temporary);
        }
    }
}

fn taken(path: &Path) -> Error {
    Error::config(format!(
        "{} is there already: name another file, or replace it with --force",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_no_place_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let write = |whole: &AtomicFile, text: &str| fs::write(whole.at(), text).unwrap();
        let whole = AtomicFile::new(&path, false).unwrap();
        write(&whole, "first");
        assert!(!path.exists());
        whole.finish().unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names()), ("first", 1));
        assert!(AtomicFile::new(&path, false).is_err());

        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(AtomicFile::new(&link, false).is_err());
        let whole = AtomicFile::new(&link, true).unwrap();
        write(&whole, "second");
        whole.finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names()), ("second", 2));

        // One that comes while another is written.
        let other = folder.path().join("other");
        let whole = AtomicFile::new(&other, false).unwrap();
        write(&whole, "mine");
        fs::write(&other, "theirs").unwrap();
        assert!(whole.finish().unwrap_err().to_string().contains("--force"));
        assert_eq!((fs::read_to_string(&other).unwrap().as_str(), names()), ("theirs", 3));

        let whole = AtomicFile::new(&folder.path().join("never"), false).unwrap();
        write(&whole, "part");
        drop(whole);
        assert_eq!(names(), 3);
        assert!(AtomicFile::new(folder.path(), true).is_err());
        let null = AtomicFile::new(Path::new("/dev/null"), false).unwrap();
        assert_eq!(null.at(), Path::new("/dev/null"));
        null.finish().unwrap();
    }
}
