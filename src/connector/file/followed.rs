//! The files that a source follows, across renames and replacements.
//!
//! All workers' instances of a source share one table, so they agree on which file is which split, whichever
//! lists the directory first. A file gets its id when it is first seen, and keeps it: the id is its path,
//! with a number if an earlier file at that path has the id already. Each listing of the directory finds the
//! files of the table again by their inodes, under any name in the directory; a file that is not in the table
//! is a new one. A new file is held open until its reader takes it, so it may be renamed or deleted in
//! between.
//!
//! After a restart the table begins with the positions of the snapshot. Files are found again by inode and by
//! the content that was read. A file with another inode at the same path that begins with all of that content
//! is a copy if the content was a kibibyte or more; with less, a copy cannot be distinguished from a new
//! file, which is an error.
//!
//! Costs some 300 bytes for each file that was ever seen, and an open file for each that no reader has begun
//! to read, up to a limit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::identity::{FilePosition, Node};
use super::input::Input;
use crate::connector::Earlier;
use crate::error::{Error, Result};

/// What to do when a file was rewritten after it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRewritten {
    /// End the job with an error that names the file. Data that was written to it since the last look, and is
    /// gone, would be missing in the results, and it cannot be known whether there was any.
    #[default]
    Fail,
    /// Read it from its beginning, as is necessary for a log that is truncated each time it has been copied.
    /// Data that was removed before it was read is missing, and data that is in the file again is read again.
    ReadAnew,
}

/// The most files that are held open until a reader takes them.
const WAITING: usize = 64;

/// The files of one source.
#[derive(Default)]
pub(super) struct Followed {
    files: Vec<Known>,
    /// The files that had an inode, the last one last.
    by_inode: BTreeMap<u64, Vec<usize>>,
    by_id: BTreeMap<String, usize>,
    /// The files that are at a path, or were there last.
    by_path: BTreeMap<String, Vec<usize>>,
    /// How many are held open here.
    waiting: usize,
    /// True if a file was there, or the job is restored from a snapshot.
    has_looked: bool,
    was_away: bool,
}

struct Known {
    id: String,
    path: String,
    /// Its node; `None` for one from a snapshot without nodes, until it is found.
    node: Option<Node>,
    /// Its length when it was last seen.
    length: u64,
    is_there: bool,
    /// The position of its reader when that last had nothing to read.
    place: FilePosition,
    /// True if its reader has reached its end.
    is_done: bool,
    /// True if it is a compressed copy of another, and is skipped.
    is_copy: bool,
    held: Option<Arc<File>>,
    /// The file that its reader reads.
    open: Weak<File>,
}

impl Known {
    /// A file of which nothing has been read, and that no reader has open.
    fn new(id: String, path: String, node: Option<Node>) -> Known {
        let (place, length, is_there, is_done, is_copy) = (FilePosition::default(), 0, false, false, false);
        Known { id, path, node, length, is_there, place, is_done, is_copy, held: None, open: Weak::new() }
    }
}

/// A file that exists.
pub(super) struct Seen {
    pub(super) path: String,
    node: Node,
    length: u64,
}

impl Seen {
    pub(super) fn new(path: String, metadata: &Metadata) -> Seen {
        Seen { path, node: Node::of(metadata), length: metadata.len() }
    }

    pub(super) fn node(&self) -> Node {
        self.node
    }
}

/// The state of a file that is to be opened.
pub(super) enum Found {
    /// The open file, its path, and whether it is a copy of a file that is read too.
    Here(Arc<File>, String, bool),
    /// It is gone; it had this many bytes when it was last seen.
    Gone(u64),
    /// It was never seen here.
    Unknown,
}

impl Followed {
    /// True if nothing need be at the path: once something was there, and at the very first look, when it is
    /// not known yet whether the job is restored from a snapshot.
    pub(super) fn may_be_away(&mut self) -> bool {
        self.has_looked || !std::mem::replace(&mut self.was_away, true)
    }

    /// Updates the table with the files that exist now. Returns the id and the path of each that is to be
    /// read.
    pub(super) fn look(&mut self, seen: Vec<Seen>, policy: OnRewritten) -> Result<Vec<(String, String)>> {
        self.files.iter_mut().for_each(|known| known.is_there = false);
        let mut strange = Vec::new();
        for seen in seen {
            match self.known(&seen)? {
                Some(at) => self.see(at, seen)?,
                None => strange.push(seen),
            }
        }
        // After all known files are placed: whether a new file replaces a known one depends on whether that
        // one is still somewhere.
        for seen in strange {
            self.meet(seen, policy)?;
        }
        self.has_looked |= !self.files.is_empty();
        let files = self.files.iter().filter(|known| known.is_there || known.held.is_some());
        Ok(files.map(|known| (known.id.clone(), known.path.clone())).collect())
    }

    /// The file of the table that is certainly this one. Several may have had its inode, one after the other.
    fn known(&self, seen: &Seen) -> Result<Option<usize>> {
        for &at in self.by_inode.get(&seen.node.inode()).into_iter().flatten().rev() {
            let known = &self.files[at];
            let Some(node) = known.node.filter(|node| node.may_be(&seen.node)) else { continue };
            // The system does not reuse the inode of a file that is open.
            let is_open = known.held.is_some() || known.open.strong_count() > 0 || !self.has_looked;
            let is_there = is_open && node.key() == seen.node.key();
            if node.is(&seen.node) || is_there || is_in(&known.place, &seen.path)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Handles a listed file that is in the table.
    fn see(&mut self, at: usize, seen: Seen) -> Result<()> {
        let known = &self.files[at];
        let end = known.place.of.as_ref().map_or(0, |of| of.read.end);
        if known.is_done && seen.length > end {
            return Err(Error::data(format!(
                "{} has {} bytes more than when it was read to its end: a compressed file is read once, and a file that goes away is read for a while, for which see `linger`",
                seen.path,
                seen.length - end
            )));
        }
        self.put(at, seen);
        Ok(())
    }

    fn put(&mut self, at: usize, Seen { path, node, length }: Seen) {
        let known = &mut self.files[at];
        if known.path != path {
            self.by_path.entry(known.path.clone()).or_default().retain(|file| *file != at);
            self.by_path.entry(path.clone()).or_default().push(at);
        }
        (known.path, known.length, known.node, known.is_there) = (path, length, Some(node), true);
        let files = self.by_inode.entry(node.inode()).or_default();
        files.retain(|file| *file != at);
        files.push(at);
    }

    /// Handles a listed file whose inode is not in the table.
    fn meet(&mut self, seen: Seen, policy: OnRewritten) -> Result<()> {
        // It was replaced or deleted since the listing; the next one will find it.
        let Some(file) = open_as(&seen.path, seen.node)? else { return Ok(()) };
        for &at in self.by_path.get(&seen.path).into_iter().flatten() {
            let known = &self.files[at];
            let of =
                known.place.of.as_ref().filter(|of| of.read.end > 0 && !known.is_there && !known.is_done);
            let Some(of) = of else { continue };
            // A file that still has a name elsewhere was renamed, not replaced.
            let open = known.open.upgrade();
            if open.as_ref().is_some_and(|open| is_linked(open))
                || known.place.differs(&file).map_err(|error| cannot_read(&seen.path, error))?.is_some()
            {
                continue;
            }
            match policy {
                _ if open.is_none() && of.read.is_telling() => return self.see(at, seen),
                OnRewritten::ReadAnew => {}
                OnRewritten::Fail => return Err(ambiguous(&seen.path, of.read.end)),
            }
        }
        let file = Arc::new(file);
        let is_copy = self.is_copy(&file, &seen.path)?;
        // Beyond this number, open files would use up the limit of the process.
        let hold = self.waiting < WAITING;
        self.waiting += usize::from(hold);
        let mut known = Known::new(self.free_id(&seen.path), seen.path, Some(seen.node));
        (known.length, known.is_there, known.is_copy) = (seen.length, true, is_copy);
        known.held = hold.then_some(file);
        self.add(known);
        Ok(())
    }

    fn add(&mut self, known: Known) {
        let at = self.files.len();
        if let Some(node) = known.node {
            self.by_inode.entry(node.inode()).or_default().push(at);
        }
        self.by_id.insert(known.id.clone(), at);
        self.by_path.entry(known.path.clone()).or_default().push(at);
        self.files.push(known);
    }

    /// A free id for a new file at a path.
    fn free_id(&self, path: &str) -> String {
        let id = |number: u64| if number == 1 { path.to_owned() } else { format!("{path} ({number})") };
        (1..).map(id).find(|id| !self.by_id.contains_key(id)).unwrap_or_default()
    }

    /// Restores the table from the positions of an earlier run.
    pub(super) fn resume(
        &mut self,
        seen: Vec<Seen>,
        earlier: Vec<Earlier<FilePosition>>,
        policy: OnRewritten,
    ) -> Result<Vec<(String, String)>> {
        let mut same = Same { of: vec![None; seen.len()], is_taken: vec![false; earlier.len()] };
        // By inode first: a renamed file must not be taken for a replacement of another at its new path.
        same.by_node(&seen, &earlier);
        same.by_content(&seen, &earlier, policy)?;
        self.begin(seen, &same.of, earlier)
    }

    /// Fills the table. `marks` has the earlier file that each file is, if any.
    fn begin(
        &mut self,
        seen: Vec<Seen>,
        marks: &[Option<usize>],
        earlier: Vec<Earlier<FilePosition>>,
    ) -> Result<Vec<(String, String)>> {
        *self = Followed { has_looked: true, ..Followed::default() };
        for Earlier { split, position, is_done } in earlier {
            let of = position.of.as_ref();
            let path = of.map_or_else(|| split.clone(), |of| of.path.clone());
            let mut known = Known::new(split, path, of.map(|of| of.node));
            (known.place, known.is_done) = (position, is_done);
            self.add(known);
        }
        let mut files = Vec::new();
        for (seen, mark) in seen.into_iter().zip(marks) {
            let path = seen.path.clone();
            let id = match mark {
                Some(mark) => {
                    // A file that was done and has grown is reported at the first listing.
                    self.put(*mark, seen);
                    self.files[*mark].id.clone()
                }
                None => {
                    let id = self.free_id(&path);
                    let mut known = Known::new(id.clone(), seen.path, Some(seen.node));
                    (known.length, known.is_there) = (seen.length, true);
                    known.is_copy = match open_as(&path, seen.node)? {
                        Some(file) => self.is_copy(&Arc::new(file), &path)?,
                        None => false,
                    };
                    self.add(known);
                    id
                }
            };
            files.push((id, path));
        }
        Ok(files)
    }

    /// True if a file is a compressed copy of another that has been read, or is read under its own name.
    fn is_copy(&self, file: &Arc<File>, path: &str) -> Result<bool> {
        let is_compressed = |input: &Input| input.kind().is_some();
        // A file that cannot be unpacked is reported by its reader.
        let unpack = || Input::new(Arc::clone(file)).ok().filter(is_compressed);
        if unpack().is_none() {
            return Ok(false);
        }
        for known in &self.files {
            let Some(of) = &known.place.of else { continue };
            if !unpack().is_some_and(|mut content| of.read.is_in(&mut content).unwrap_or(false)) {
                continue;
            }
            if known.is_done || known.open.strong_count() > 0 || known.is_there {
                return Ok(true);
            }
            return Err(Error::data(format!(
                "{path} is a compressed copy of {}, of which {} bytes were read and which is gone: unpack it under that name, or move it elsewhere if all of it was read",
                known.path, of.read.end
            )));
        }
        Ok(false)
    }

    /// The file with an id, to be read.
    pub(super) fn open(&mut self, id: &str) -> Result<Found> {
        let Some(&at) = self.by_id.get(id) else { return Ok(Found::Unknown) };
        let known = &mut self.files[at];
        let held = known.held.take();
        self.waiting -= usize::from(held.is_some());
        let file = match (held, known.node) {
            (Some(file), _) => Some(file),
            (None, Some(node)) => open_as(&known.path, node)?.map(Arc::new),
            (None, None) => None,
        };
        let Some(file) = file else { return Ok(Found::Gone(known.length)) };
        known.open = Arc::downgrade(&file);
        Ok(Found::Here(file, known.path.clone(), known.is_copy))
    }

    /// Records the position of a reader that has nothing to read now.
    pub(super) fn note(&mut self, id: &str, place: FilePosition, is_done: bool) {
        if let Some(&at) = self.by_id.get(id) {
            let known = &mut self.files[at];
            (known.place, known.is_done) = (place, is_done);
        }
    }

    /// The path of a file, if it exists.
    pub(super) fn path(&self, id: &str) -> Option<&str> {
        let known = &self.files[*self.by_id.get(id)?];
        known.is_there.then_some(known.path.as_str())
    }
}

/// The earlier file that each file is.
struct Same {
    of: Vec<Option<usize>>,
    /// True for the earlier files that were found.
    is_taken: Vec<bool>,
}

impl Same {
    /// Finds files by their inodes, whatever their names and their content are.
    fn by_node(&mut self, seen: &[Seen], earlier: &[Earlier<FilePosition>]) {
        let mut by_inode: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (mark, earlier) in earlier.iter().enumerate() {
            if let Some(of) = &earlier.position.of {
                by_inode.entry(of.node.inode()).or_default().push(mark);
            }
        }
        for (seen, of) in seen.iter().zip(&mut self.of) {
            let marks = by_inode.get(&seen.node.inode()).into_iter().flatten().copied();
            let mut marks: Vec<usize> =
                marks.filter(|mark| !self.is_taken[*mark] && earlier[*mark].may_be(seen)).collect();
            // Of several files that had the inode, the one whose content is in the file.
            marks.sort_by_key(|mark| !earlier[*mark].is_same(seen).unwrap_or(false));
            *of = marks.first().copied();
            if let Some(mark) = *of {
                self.is_taken[mark] = true;
            }
        }
    }

    /// Finds the others by their paths and by the content that was read.
    fn by_content(
        &mut self,
        seen: &[Seen],
        earlier: &[Earlier<FilePosition>],
        policy: OnRewritten,
    ) -> Result<()> {
        let mut by_path: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (mark, earlier) in earlier.iter().enumerate() {
            let path = earlier.position.of.as_ref().map_or(&earlier.split, |of| &of.path);
            by_path.entry(path).or_default().push(mark);
        }
        for (seen, same) in seen.iter().zip(&mut self.of).filter(|(_, same)| same.is_none()) {
            for &mark in by_path.get(seen.path.as_str()).into_iter().flatten() {
                let place = &earlier[mark].position;
                let read = place.of.as_ref().map(|of| of.read);
                if self.is_taken[mark] || read.is_some_and(|read| read.end == 0) || !is_in(place, &seen.path)?
                {
                    continue;
                }
                match read {
                    Some(read) if !read.is_telling() => match policy {
                        OnRewritten::ReadAnew => continue,
                        OnRewritten::Fail => return Err(ambiguous(&seen.path, read.end)),
                    },
                    // Old snapshots name no file; their position is that of the file at the path.
                    _ => *same = Some(mark),
                }
                self.is_taken[mark] = true;
                break;
            }
        }
        Ok(())
    }
}

impl Earlier<FilePosition> {
    fn may_be(&self, seen: &Seen) -> bool {
        self.position.of.as_ref().is_some_and(|of| of.node.may_be(&seen.node))
    }

    /// True if a file has the content that was read.
    fn is_same(&self, seen: &Seen) -> Result<bool> {
        is_in(&self.position, &seen.path)
    }

    /// True if this is the file, wherever it is.
    pub(super) fn is_of(&self, seen: &Seen) -> bool {
        self.may_be(seen) && self.is_same(seen).unwrap_or(false)
    }
}

/// True if the file at a path has the content that was read.
fn is_in(place: &FilePosition, path: &str) -> Result<bool> {
    match File::open(path) {
        Ok(file) => Ok(place.differs(&file).map_err(|error| cannot_read(path, error))?.is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot_read(path, error)),
    }
}

/// Opens the file at a path, unless it is not there any more.
fn open_as(path: &str, node: Node) -> Result<Option<File>> {
    let opened = File::open(path).and_then(|file| Ok((Node::of(&file.metadata()?), file)));
    match opened {
        Ok((found, file)) => Ok((found == node).then_some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_read(path, error)),
    }
}

fn is_linked(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
}

fn cannot_read(path: &str, error: std::io::Error) -> Error {
    Error::io(format!("cannot read {path}"), error)
}

/// The error that a new file may or may not be a copy of an old one.
fn ambiguous(path: &str, bytes: u64) -> Error {
    Error::data(format!(
        "{path} was replaced by a file that begins with all {bytes} bytes that were read of it: whether that is a copy which goes on or a new file cannot be told. Append to files in place; rename the old one before there is a new one; or let the source read it from its beginning, with `on_rewritten(OnRewritten::ReadAnew)`"
    ))
}

/// The files of a folder with one of these inodes.
pub(super) fn with_inodes(folder: &Path, inodes: &BTreeSet<u64>) -> Vec<PathBuf> {
    use std::os::unix::fs::DirEntryExt;
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().filter(|entry| inodes.contains(&entry.ino())).map(|entry| entry.path()).collect()
}
