//! The local files that pages of state go to, and the memory that they spare.
//!
//! Files are segments without a name: the operating system takes them back when the last page in one is gone,
//! or the process is, however it ends. So there is nothing to clean up after a crash. A segment that a page
//! is left in keeps its whole length; merges replace old pages together, so what is kept in vain stays below
//! what is in use.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// What one worker's state may take of memory, and where the rest goes.
pub(crate) struct SharedBudget {
    /// The bytes that all state of this worker may take.
    share: usize,
    /// The bytes that it takes, as its operators have told.
    used: Cell<usize>,
    directory: PathBuf,
    stored: Arc<AtomicU64>,
    fail: Arc<dyn Fn(Error) + Send + Sync>,
}

impl SharedBudget {
    pub(crate) fn new(
        share: usize,
        directory: PathBuf,
        fail: Arc<dyn Fn(Error) + Send + Sync>,
    ) -> Rc<SharedBudget> {
        Rc::new(SharedBudget { share, used: Cell::new(0), directory, stored: Arc::default(), fail })
    }

    /// The bytes that all state of the worker may take.
    pub(in crate::state) fn share(&self) -> usize {
        self.share
    }

    /// Takes note that what took `before` bytes now takes `now`.
    pub(in crate::state) fn account(&self, before: usize, now: usize) {
        self.used.set((self.used.get() + now).saturating_sub(before));
    }

    /// What someone who takes `bytes` must come down to. `None` if there is room.
    ///
    /// All who take part give up the same portion, and a little more than they must, so that not every epoch
    /// has to write.
    pub(in crate::state) fn allowance(&self, bytes: usize) -> Option<usize> {
        if self.used.get() <= self.share {
            return None;
        }
        let portion = bytes as f64 / self.used.get() as f64;
        Some((portion * (self.share - self.spare()) as f64) as usize)
    }

    /// The bytes that are written beyond what must be. As much may be read at once of what is read in order.
    pub(in crate::state) fn spare(&self) -> usize {
        (self.share / 16).min(SPARE)
    }

    /// True if someone who takes `before` bytes may take `now`.
    pub(in crate::state) fn has_room(&self, before: usize, now: usize) -> bool {
        (self.used.get() + now).saturating_sub(before) <= self.share
    }

    /// Ends the job.
    pub(in crate::state) fn fail(&self, error: Error) {
        (self.fail)(error);
    }

    /// What ends the job, for pages that outlive this.
    pub(in crate::state) fn failure(&self) -> Arc<dyn Fn(Error) + Send + Sync> {
        Arc::clone(&self.fail)
    }
}

/// The most bytes that are written beyond what must be.
const SPARE: usize = 2 << 20;

/// Where the pages of one state are written.
pub(crate) struct Files {
    pub(in crate::state) memory: Rc<SharedBudget>,
    open: RefCell<Option<(Arc<Segment>, u64)>>,
}

/// A file of pages.
struct Segment {
    file: File,
    /// The bytes of all segments of the worker.
    stored: Arc<AtomicU64>,
    len: AtomicU64,
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.stored.fetch_sub(self.len.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// A page's place in a file.
pub(in crate::state) struct Extent {
    segment: Arc<Segment>,
    offset: u64,
}

impl Files {
    pub(crate) fn new(memory: Rc<SharedBudget>) -> Files {
        Files { memory, open: RefCell::new(None) }
    }

    /// Writes a page's bytes.
    pub(in crate::state) fn write(&self, bytes: &[u8]) -> io::Result<Extent> {
        let mut open = self.open.borrow_mut();
        let (segment, end) = match open.take() {
            Some((segment, end)) if end < self.segment_len() => (segment, end),
            _ => (Arc::new(self.segment()?), 0),
        };
        let written = segment.file.write_all_at(bytes, end);
        let len = bytes.len() as u64;
        if written.is_ok() {
            segment.len.fetch_add(len, Ordering::Relaxed);
            segment.stored.fetch_add(len, Ordering::Relaxed);
            *open = Some((Arc::clone(&segment), end + len));
        }
        written.map(|()| Extent { segment, offset: end })
    }

    fn segment(&self) -> io::Result<Segment> {
        let file = tempfile::tempfile_in(&self.memory.directory)?;
        Ok(Segment { file, stored: Arc::clone(&self.memory.stored), len: AtomicU64::new(0) })
    }

    /// A segment holds a file open, so there must not be too many; and it is as much as one page can keep
    /// from being freed.
    fn segment_len(&self) -> u64 {
        (self.memory.stored.load(Ordering::Relaxed) / 32).clamp(4 << 20, 1 << 30)
    }

    /// The error of a write.
    pub(in crate::state) fn full(&self, error: io::Error) -> Error {
        let directory = self.memory.directory.display();
        let what = format!(
            "cannot write state to {directory}: make room there, name another directory, or allow state more memory"
        );
        Error::io(what, error)
    }
}

impl Extent {
    /// Reads `len` bytes from `start`, counted from where the page begins.
    pub(in crate::state) fn read(&self, start: usize, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.segment.file.read_exact_at(&mut bytes, self.offset + start as u64)?;
        Ok(bytes)
    }
}
