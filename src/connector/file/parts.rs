//! A directory of part files with the output of snapshots, exactly once.
//!
//! A writer collects lines in a hidden file. When a snapshot is taken, it syncs the file; when the snapshot
//! is durable, it renames the file to its visible name. So readers of the directory see exactly the output of
//! committed epochs, in whole files: readers skip hidden names, as `ls` and shells do.
//!
//! | name | what |
//! |---|---|
//! | `part-<epoch>-<worker>-<generation>.txt` | lines that are committed; the first of them are of that epoch |
//! | `.part-<epoch>-<worker>-<generation>.txt` | the same before their snapshot is durable |
//! | `.generation-<generation>` | the last [run](Generation) that has taken the directory over |
//!
//! # Why it is exactly once
//!
//! * *Names belong to a run.* They contain its generation, including the nonce. So no run creates, renames or
//!   deletes a file of another by mistake, however many are alive.
//! * *A run shows what is committed.* It renames a part to its visible name when the manifest that names the
//!   part is in the log, and then only if its own `.generation` file exists. The next run is restored from
//!   that manifest or a later one, and renames the parts of that again. The second time, it finds that a part
//!   has left its hidden name. So a part of a committed snapshot that has no hidden name has been shown, and
//!   readers may have removed it since.
//! * *A run that is restored from a snapshot* shows the parts that the snapshot names, and deletes hidden
//!   files of earlier runs, whose lines it writes again. It does not touch those of later runs: it may itself
//!   be a run that was stopped for a while and does not know that it has been replaced.
//! * *State and output agree.* If the directory may show lines of epochs after the snapshot's, the job does
//!   not start, because it would write them again. The parts in the directory show that, or later snapshots
//!   in the log. If the user asks for it, or begins anew, the newer parts are deleted. The run that wrote the
//!   snapshot must have written to this directory; otherwise lines of that run would be missing.
//! * *The directory is the job's.* The run that its `.generation` file names must be one that the snapshot
//!   store knows. A directory without such a file is taken over if it contains no parts; the output then
//!   begins where the job does.
//!
//! It does not detect that readers have removed newer parts and the log's entries about them were deleted, or
//! that hidden files were deleted by hand.
//!
//! A part costs a sync of its file and one of the directory, a rename, another sync of the directory, and a
//! look at the `.generation` file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::connector::Recovery;
use crate::error::{Error, Result};
use crate::snapshot::Generation;

/// The prefixes of the names of parts, and of the files that name the run that owns the directory.
const PART: &str = "part-";
const OWNER: &str = ".generation-";

/// A part that waits for its snapshot. It has its path, so that a run with another output finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// The path of the hidden file; a name without a directory is in the sink's own directory.
    hidden: String,
    /// The name that it will have.
    name: String,
}

impl Part {
    /// The part that will be visible under a path.
    pub(super) fn at(path: &str) -> Part {
        let (directory, name) = match path.rfind('/') {
            Some(at) => path.split_at(at + 1),
            None => ("", path),
        };
        Part { hidden: format!("{directory}.{name}"), name: name.to_owned() }
    }

    /// The path under which it will be visible.
    pub(super) fn path(&self) -> String {
        let directory = self.hidden.rfind('/').map_or("", |at| &self.hidden[..=at]);
        format!("{directory}{}", self.name)
    }

    /// True if it was written by a version that did not write `.generation` files.
    fn is_old(&self) -> bool {
        !self.hidden.contains('/')
    }
}

/// The content of a directory.
#[derive(Default)]
struct Found {
    owners: Vec<Generation>,
    /// Parts that are visible, and hidden ones.
    shown: Vec<PartName>,
    hidden: Vec<PartName>,
    /// A file whose name begins like that of a part, but that is not one.
    other: Option<String>,
}

/// The name of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PartName {
    /// The whole name, without the dot of hidden ones.
    name: String,
    epoch: u64,
    generation: Generation,
}

impl PartName {
    /// Parses a name that [`begin`](PartDirectory::begin) has made.
    fn parse(name: &str) -> Option<PartName> {
        let fields = name.strip_prefix(PART)?;
        let fields = fields.split_once('.').map_or(fields, |(fields, _)| fields);
        let (epoch, fields) = fields.split_once('-')?;
        let (worker, generation) = fields.split_once('-')?;
        worker.parse::<u32>().ok()?;
        Some(PartName {
            name: name.to_owned(),
            epoch: epoch.parse().ok()?,
            generation: generation.parse().ok()?,
        })
    }
}

impl Found {
    /// Lists a directory, which may not exist.
    fn look(directory: &Path) -> Result<Found> {
        let mut found = Found::default();
        let cannot = |error| Error::io(format!("cannot read {}", directory.display()), error);
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
            entries => entries.map_err(cannot)?,
        };
        for entry in entries {
            let name = entry.map_err(cannot)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(owner) = name.strip_prefix(OWNER) {
                found.owners.extend(owner.parse::<Generation>());
            } else if let Some(part) = name.strip_prefix('.').and_then(PartName::parse) {
                found.hidden.push(part);
            } else if let Some(part) = PartName::parse(name) {
                found.shown.push(part);
            } else if name.starts_with(PART) {
                found.other = Some(name.to_owned());
            }
        }
        Ok(found)
    }
}

/// Checks that an output may continue in a directory, and changes nothing.
pub(super) fn check(directory: &Path, recovery: &Recovery<Part>, overwrite: bool) -> Result<()> {
    let show = directory.display();
    if directory.is_file() {
        return Err(Error::config(format!(
            "{show} is a file, and with snapshots the output is a directory of files: move it away, or name another"
        )));
    }
    check_writable(directory)?;
    let found = Found::look(directory)?;
    if let Some(other) = found.owners.iter().find(|owner| !recovery.generations.contains(owner)) {
        let is_later = recovery.generations.last().is_some_and(|last| other.number > last.number);
        let why = match is_later {
            true => "a later run of the job, which the snapshots do not know of",
            false => "a job with other snapshots",
        };
        return Err(Error::config(format!("the output in {show} was written by {why}: name another output")));
    }
    // Without an owner file the directory was not written by runs on these snapshots: parts in it are another
    // job's.
    if !is_own(&found, recovery) {
        let stranger = found.shown.first().map(|part| &part.name).or(found.other.as_ref());
        return stranger.map_or(Ok(()), |name| {
            Err(Error::config(format!(
                "{show} has {name}, which no run on these snapshots has written: name another output"
            )))
        });
    }
    // The run of the snapshot never took this directory over, so its committed lines are elsewhere.
    if let (Some(owner), Some(from)) = (found.owners.iter().max(), &recovery.from)
        && owner.number < from.generation.number
    {
        return Err(Error::config(format!(
            "the snapshot of epoch {} is of a run with another output, and {show} has nothing of what that run has written: give the output that it had, \
             or a new one",
            from.epoch
        )));
    }
    let begins = recovery.from.is_none();
    if let Some(name) = found.other.as_ref().filter(|_| begins) {
        return Err(Error::config(format!("{show} has {name} of an earlier run: name another output")));
    }
    let is_ahead = found.shown.iter().any(|part| is_newer(part, recovery)) || knows_later(recovery);
    if is_ahead && !overwrite && !recovery.anew {
        let from = match &recovery.from {
            Some(from) => format!("this one goes on from epoch {}", from.epoch),
            None => "this one begins at the beginning".to_owned(),
        };
        return Err(Error::config(format!(
            "{show} has output of an earlier run, and {from}: lines would be there twice. Name another output, or let the newer parts there be \
             deleted: by `FileSink::overwrite`, or --overwrite"
        )));
    }
    Ok(())
}

/// True if a run on these snapshots has written there.
fn is_own(found: &Found, recovery: &Recovery<Part>) -> bool {
    let prepared = recovery.from.iter().flat_map(|from| &from.prepared);
    !found.owners.is_empty() || prepared.into_iter().any(Part::is_old)
}

/// True if a part has lines of epochs after the snapshot's. Parts end where snapshots do, so the epoch of the
/// first line is enough to know.
fn is_newer(part: &PartName, recovery: &Recovery<Part>) -> bool {
    recovery.from.as_ref().is_none_or(|from| part.epoch > from.epoch)
}

/// True if there is a later snapshot than the restored one, whose parts may have been shown.
fn knows_later(recovery: &Recovery<Part>) -> bool {
    recovery.latest > recovery.from.as_ref().map(|from| from.epoch)
}

/// Tries to create an unnamed file in the directory, or in its nearest existing ancestor.
fn check_writable(directory: &Path) -> Result<()> {
    let there = directory.ancestors().find(|place| place.exists());
    let there = there.filter(|place| !place.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let tried = tempfile::tempfile_in(there);
    tried.map(drop).map_err(|error| {
        let show = directory.display();
        Error::io(format!("cannot write to {show}: name an output that may be written to"), error)
    })
}

/// The directory, as one run writes to it.
pub(super) struct PartDirectory {
    /// Canonical, so that a later run finds the parts from any working directory.
    path: PathBuf,
    extension: &'static str,
    run: Generation,
}

/// A file that is being written.
pub(super) struct Hidden {
    file: File,
    part: Part,
}

impl PartDirectory {
    /// Takes a directory over, and brings it into the state of the restored snapshot. Creates it if there is
    /// none.
    pub(super) fn open(
        directory: &Path,
        extension: &'static str,
        recovery: &Recovery<Part>,
        overwrite: bool,
    ) -> Result<PartDirectory> {
        check(directory, recovery, overwrite)?;
        let show = directory.display();
        let run = recovery.generations.last();
        let run = run.ok_or_else(|| Error::config(format!("{show} is opened by a run that has no claim")))?;
        let made = fs::create_dir_all(directory).and_then(|()| directory.canonicalize());
        let path = made.map_err(|error| Error::io(format!("cannot make {show}"), error))?;
        let parts = PartDirectory { path, extension, run };
        let found = Found::look(&parts.path)?;
        if !is_own(&found, recovery)
            && let Some(from) = &recovery.from
        {
            recovery.notices.tell(format!(
                "the output in {show} begins after epoch {}: what came before is in the output of earlier runs.",
                from.epoch
            ));
        }
        // First the owner file: an earlier run that is still alive then refuses to commit. Only after that
        // are its prepared parts named or deleted.
        parts.take_over(&found)?;
        let prepared = recovery.from.iter().flat_map(|from| &from.prepared);
        prepared.into_iter().try_for_each(|part| parts.show_again(part, recovery))?;
        parts.clear(recovery)?;
        Ok(parts)
    }

    /// Makes this run the owner of the directory, in place of earlier runs.
    fn take_over(&self, found: &Found) -> Result<()> {
        let name = self.owner_name();
        match File::create_new(self.path.join(&name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(self.failed("create", &name, error));
            }
            _ => self.sync(&name)?,
        }
        // After the new owner file is durable, so that a crash leaves the directory with an owner. Files of
        // later runs stay: this run may be the one that was replaced.
        for earlier in found.owners.iter().filter(|owner| owner.number < self.run.number) {
            self.remove(&format!("{OWNER}{earlier}"))?;
        }
        Ok(())
    }

    fn owner_name(&self) -> String {
        format!("{OWNER}{}", self.run)
    }

    /// Shows a part that the snapshot names. It may have been shown before, and removed by its readers. A
    /// part in the directory of an earlier run is shown there, if that directory still belongs to these
    /// snapshots.
    fn show_again(&self, part: &Part, recovery: &Recovery<Part>) -> Result<()> {
        let there = match part.is_old() {
            true => self.path.as_path(),
            false => Path::new(&part.hidden).parent().unwrap_or(&self.path),
        };
        let is_own = there == self.path
            || Found::look(there)?.owners.iter().any(|owner| recovery.generations.contains(owner));
        if !is_own {
            return Ok(());
        }
        match rename(&there.join(&part.hidden), &there.join(&part.name)) {
            Ok(()) => sync(there).map_err(|error| self.failed("sync the directory of", &part.name, error)),
            // It has left its hidden name, so it was shown.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed("show", &part.path(), error)),
        }
    }

    /// Deletes output of earlier runs that this one will write again.
    fn clear(&self, recovery: &Recovery<Part>) -> Result<()> {
        let is_earlier = |part: &&PartName| {
            part.generation.number < self.run.number && recovery.generations.contains(&part.generation)
        };
        for part in Found::look(&self.path)?.hidden.iter().filter(is_earlier) {
            self.remove(&format!(".{}", part.name))?;
        }
        // Listed again, after the hidden files are gone: until then an earlier run could still show a part.
        let shown = Found::look(&self.path)?.shown;
        let newer = shown.iter().filter(is_earlier).filter(|part| is_newer(part, recovery));
        newer.into_iter().try_for_each(|part| self.remove(&part.name))?;
        self.sync(&self.owner_name())
    }

    fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failed("delete", name, error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, what: &str, name: &str, error: io::Error) -> Error {
        Error::io(format!("cannot {what} {}", self.path.join(name).display()), error)
    }

    fn sync(&self, name: &str) -> Result<()> {
        sync(&self.path).map_err(|error| self.failed("sync the directory of", name, error))
    }

    /// Begins a hidden file, whose first lines are of an epoch.
    pub(super) fn begin(&self, epoch: u64, worker: usize) -> Result<Hidden> {
        let name = format!("{PART}{epoch:012}-{worker}-{}{}", self.run, self.extension);
        let part = match self.path.to_str() {
            Some(directory) => Part::at(&format!("{directory}/{name}")),
            None => Part::at(&name),
        };
        // The name has the generation with its nonce. A file of that name would be another run's.
        let file = File::create_new(self.path.join(&part.hidden));
        Ok(Hidden { file: file.map_err(|error| self.failed("create", &part.hidden, error))?, part })
    }

    /// Appends to a hidden file.
    pub(super) fn write(&self, hidden: &mut Hidden, bytes: &[u8]) -> Result<()> {
        hidden.file.write_all(bytes).map_err(|error| self.failed("write to", &hidden.part.hidden, error))
    }

    /// Makes a hidden file durable.
    pub(super) fn prepare(&self, hidden: Hidden) -> Result<Part> {
        hidden.file.sync_all().map_err(|error| self.failed("sync", &hidden.part.hidden, error))?;
        // The directory too: the snapshot will name the file, so its name must be durable as well.
        self.sync(&hidden.part.hidden)?;
        Ok(hidden.part)
    }

    /// Renames a file that this run has prepared to its visible name, unless that is done.
    pub(super) fn commit(&self, part: &Part) -> Result<()> {
        // A later run removes this file when it takes over, and will show or delete this run's parts itself.
        if !self.path.join(self.owner_name()).exists() {
            return Err(Error::config(format!(
                "another run has taken over the output in {}, or it was removed: stop one of the two",
                self.path.display()
            )));
        }
        let (from, to) = (self.path.join(&part.hidden), self.path.join(&part.name));
        match rename(&from, &to) {
            Ok(()) => self.sync(&part.name),
            Err(error) if error.kind() == ErrorKind::NotFound && to.exists() => Ok(()),
            Err(error) => Err(self.failed("show", &part.name, error)),
        }
    }
}

/// Makes the names in a directory durable.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Renames a file, and fails if the new name exists.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some file systems do not support it in one step.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            outcome => return Ok(outcome?),
        }
    }
    match from.exists() && to.exists() {
        true => Err(ErrorKind::AlreadyExists.into()),
        false => fs::rename(from, to),
    }
}

#[cfg(test)]
mod tests;
