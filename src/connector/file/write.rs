//! Files as sinks: text, CSV and JSON lines.
//!
//! All workers write to one file. A worker encodes the records of an epoch in memory and appends them in one
//! write when the epoch is complete, so the file always contains whole epochs of each worker, in the order of
//! the epochs. The workers' shares of an epoch come one after the other, in no particular order.
//!
//! A file that is not empty is not changed, unless the sink is set to [overwrite](FileSink::overwrite) it,
//! because nothing shows that an earlier run has written it. While a job writes to a file, it holds an
//! advisory lock, so a second job is rejected. The encoded output of the current epoch is held in memory.
//!
//! If the job takes snapshots, the path is that of a [directory](super::parts), with a file for each snapshot
//! and worker that has output: readers see exactly the output of committed epochs, whatever happens, and
//! readers may remove files. Only output of runs on the same snapshots is ever deleted there, and that only
//! if it is not committed, or if the sink is set to overwrite.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::parts::{self, Hidden, Part, PartDirectory};
use crate::connector::{Recovery, Sink, SinkHandle, Writer};
use crate::data::{Data, Record, write_json};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::stream::{Chain, Stream};

/// How values become lines.
pub trait Encode<T>: Clone + Send + Sync + 'static {
    /// Appends a value to `lines`. `header` is empty until a value has determined the header of the file.
    ///
    /// # Errors
    ///
    /// The reason why the value cannot be written.
    fn encode(&self, value: &T, lines: &mut Vec<u8>, header: &mut Vec<u8>) -> Result<(), String>;

    /// The extension of the names of files in a directory, with its dot.
    fn extension(&self) -> &'static str;
}

/// A line for each value, in its `Display` form. A value with a newline takes several lines.
#[derive(Clone, Copy, Debug)]
pub struct TextLines;

/// A row for each value, after a row with the names of the fields if the values have names.
#[derive(Clone, Copy, Debug)]
pub struct CsvRows;

/// A line of JSON for each value. Infinities and NaN, which JSON cannot represent, end the job.
#[derive(Clone, Copy, Debug)]
pub struct JsonLines;

impl<T: std::fmt::Display> Encode<T> for TextLines {
    fn extension(&self) -> &'static str {
        ".txt"
    }

    fn encode(&self, value: &T, lines: &mut Vec<u8>, _: &mut Vec<u8>) -> Result<(), String> {
        writeln!(lines, "{value}").map_err(|error| error.to_string())
    }
}

impl<T: Serialize> Encode<T> for JsonLines {
    fn extension(&self) -> &'static str {
        ".jsonl"
    }

    fn encode(&self, value: &T, lines: &mut Vec<u8>, _: &mut Vec<u8>) -> Result<(), String> {
        write_json(value, lines)?;
        lines.push(b'\n');
        Ok(())
    }
}

impl<T: Serialize> Encode<T> for CsvRows {
    fn extension(&self) -> &'static str {
        ".csv"
    }

    fn encode(&self, value: &T, lines: &mut Vec<u8>, header: &mut Vec<u8>) -> Result<(), String> {
        let start = lines.len();
        csv_row(value, lines, false)?;
        if header.is_empty() {
            let mut both = Vec::new();
            csv_row(value, &mut both, true)?;
            // The `csv` crate writes a header only before a row, so the row is cut off again.
            both.truncate(both.len() - (lines.len() - start));
            *header = both;
        }
        Ok(())
    }
}

/// Room for a row before the `csv` crate asks for more.
const ROW: usize = 256;

fn csv_row(value: impl Serialize, lines: &mut Vec<u8>, header: bool) -> Result<(), String> {
    let mut writer = csv::WriterBuilder::new().has_headers(header).buffer_capacity(ROW).from_writer(lines);
    writer.serialize(value).map_err(|error| error.to_string())?;
    writer.flush().map_err(|error| error.to_string())
}

/// A sink that writes to a file.
pub struct FileSink<E> {
    path: PathBuf,
    encode: E,
    overwrite: bool,
    target: Arc<Mutex<Target>>,
}

/// Where lines go.
#[derive(Default)]
enum Target {
    /// The sink is not open.
    #[default]
    Nowhere,
    /// One file.
    File(Arc<Mutex<SharedFile>>),
    /// A directory.
    Parts(Arc<PartDirectory>),
}

/// The file that all workers of a run write to. It is closed, and its lock released, with the run's last
/// writer.
struct SharedFile {
    file: File,
    /// True once something has been written to it.
    begun: bool,
}

impl<E> FileSink<E> {
    /// Writes lines, as `encode` makes them, to the file at `path`.
    pub fn new(path: impl Into<PathBuf>, encode: E) -> FileSink<E> {
        FileSink { path: path.into(), encode, overwrite: false, target: Arc::default() }
    }

    /// Allows the content of the file to be lost; without this a file that is not empty is rejected. With
    /// snapshots, allows the deletion of parts that runs on the same snapshots have written after the
    /// restored snapshot; without this a restore from another snapshot than the latest with the same output
    /// is rejected. A job that begins [anew](crate::snapshot::Restore::Anew) implies it.
    ///
    /// ```
    /// use highwater::connector::{FileSink, TextLines};
    /// use highwater::stream::Job;
    ///
    /// let path = std::env::temp_dir().join(format!("highwater-overwrite-{}.txt", std::process::id()));
    /// std::fs::write(&path, "of yesterday\n").unwrap();
    /// let write = |sink: FileSink<TextLines>| {
    ///     let job = Job::new();
    ///     job.collection(["of today"]).sink(sink);
    ///     job.run()
    /// };
    /// let told = write(FileSink::new(&path, TextLines)).unwrap_err();
    /// assert!(told.to_string().contains("is not empty"));
    /// write(FileSink::new(&path, TextLines).overwrite())?;
    /// assert_eq!(std::fs::read_to_string(&path).unwrap(), "of today\n");
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn overwrite(mut self) -> FileSink<E> {
        self.overwrite = true;
        self
    }

    /// Makes output visible that was prepared for a durable snapshot, if the job has ended before its sink
    /// could commit it. Idempotent.
    ///
    /// # Errors
    ///
    /// If a part cannot be renamed.
    pub fn show(&self, written: &Written) -> Result<()> {
        match (&written.0, &*lock(&self.target)) {
            (Prepared::Part(part), Target::Parts(parts)) => parts.commit(part),
            _ => Ok(()),
        }
    }

    /// Opens the file; rejects one with content, unless it is to be overwritten.
    fn open_file(&self) -> Result<File> {
        let path = self.path.display();
        if self.path.is_dir() {
            return Err(Error::config(format!(
                "{path} is a directory, and without snapshots the output is a file: name one, or take snapshots"
            )));
        }
        // Not truncated here: the lock and the check of its content come first.
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path);
        let file = file.map_err(|error| {
            Error::io(
                format!("cannot create {path}: is its directory there, and may it be written to?"),
                error,
            )
        })?;
        let cannot = |error| Error::io(format!("cannot write to {path}"), error);
        let found = file.metadata().map_err(cannot)?;
        // Terminals, pipes and /dev/null have no content to lose, and may have several writers.
        if !found.is_file() {
            return Ok(file);
        }
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Error::config(format!(
                    "{path} is being written to by another job: name another"
                )));
            }
            // Some file systems have no locks. The lock is advisory, so the job runs without it.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        if found.len() > 0 && !self.overwrite {
            return Err(Error::config(format!(
                "{path} is not empty, and what is in it would be lost: name another, remove it, or let it be overwritten: by \
                 `FileSink::overwrite`, or --overwrite"
            )));
        }
        file.set_len(0).map_err(cannot)?;
        Ok(file)
    }
}

impl<T: Data, E: Encode<T>> Sink<T> for FileSink<E> {
    type Writer = FileWriter<E>;

    fn name(&self) -> String {
        format!("write {}", self.path.display())
    }

    fn prepare(&self) -> Result<()> {
        // Closes the file that an earlier run of this job has opened and not written to, and with it the lock
        // that would reject this one. The writers of a run that still runs keep both.
        *lock(&self.target) = Target::Nowhere;
        let file = SharedFile { file: self.open_file()?, begun: false };
        *lock(&self.target) = Target::File(Arc::new(Mutex::new(file)));
        Ok(())
    }

    fn check(&self, recovery: &Recovery<Written>) -> Result<()> {
        parts::check(&self.path, &recovery.clone().map(Written::part), self.overwrite)
    }

    fn recover(&self, recovery: Recovery<Written>) -> Result<()> {
        let recovery = recovery.map(Written::part);
        let parts = PartDirectory::open(&self.path, self.encode.extension(), &recovery, self.overwrite)?;
        *lock(&self.target) = Target::Parts(Arc::new(parts));
        Ok(())
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn open(&self, worker: usize, _: usize) -> Result<FileWriter<E>> {
        let (parts, shared) = match &*lock(&self.target) {
            Target::Parts(parts) => (Some(Arc::clone(parts)), None),
            Target::File(shared) => (None, Some(Arc::clone(shared))),
            Target::Nowhere => (None, None),
        };
        Ok(FileWriter {
            path: self.path.clone(),
            worker,
            epoch: None,
            encode: self.encode.clone(),
            target: Arc::clone(&self.target),
            parts,
            shared,
            open: None,
            lines: Vec::new(),
            header: Vec::new(),
        })
    }
}

/// Writes one worker's records to the file that all workers share.
pub struct FileWriter<E> {
    path: PathBuf,
    worker: usize,
    /// The epoch of the first line since the last part.
    epoch: Option<u64>,
    encode: E,
    target: Arc<Mutex<Target>>,
    parts: Option<Arc<PartDirectory>>,
    shared: Option<Arc<Mutex<SharedFile>>>,
    /// The hidden file of the next part.
    open: Option<Hidden>,
    lines: Vec<u8>,
    header: Vec<u8>,
}

impl<E> Drop for FileWriter<E> {
    fn drop(&mut self) {
        let mut target = lock(&self.target);
        // Under the lock, so that of two writers that go at once one sees that it is the last.
        let Some(shared) = self.shared.take() else { return };
        if let Target::File(current) = &*target
            && Arc::ptr_eq(current, &shared)
            // Two references, those of the target and of this writer: no other writer is left.
            && Arc::strong_count(current) == 2
        {
            *target = Target::Nowhere;
        }
    }
}

/// Prepared output, not visible yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Written(Prepared);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Prepared {
    Lines(Vec<u8>),
    Part(Part),
}

impl Written {
    /// The path under which it will be visible, if it is a part.
    pub fn path(&self) -> Option<String> {
        match &self.0 {
            Prepared::Part(part) => Some(part.path()),
            Prepared::Lines(_) => None,
        }
    }

    /// The prepared output with that [path](Written::path).
    pub fn at(path: &str) -> Written {
        Written(Prepared::Part(Part::at(path)))
    }

    fn part(self) -> Option<Part> {
        match self.0 {
            Prepared::Part(part) => Some(part),
            Prepared::Lines(_) => None,
        }
    }
}

/// The bytes of lines in memory beyond which they are written to a part.
const CHUNK: usize = 1 << 20;

impl<E> FileWriter<E> {
    /// Moves the lines to the part that is being written, whose first lines are of an epoch.
    fn spill(&mut self, parts: &PartDirectory, epoch: Option<u64>) -> Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        // The header is known only once a value was encoded. Each part is a file of its own and needs it.
        if self.open.is_none() {
            self.lines.splice(0..0, self.header.iter().copied());
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(parts.begin(epoch.unwrap_or_default(), self.worker)?),
        };
        parts.write(open, &self.lines)?;
        self.lines.clear();
        Ok(())
    }
}

impl<T: Data, E: Encode<T>> Writer<T> for FileWriter<E> {
    type Prepared = Written;
    const TRANSACTIONAL: bool = true;

    fn write(&mut self, epoch: u64, batch: &mut Vec<Record<T>>) -> Result<()> {
        self.epoch.get_or_insert(epoch);
        for record in batch.drain(..) {
            self.encode.encode(&record.value, &mut self.lines, &mut self.header).map_err(|reason| {
                Error::data(format!("a record cannot be written to {}: {reason}", self.path.display()))
            })?;
        }
        match self.parts.clone() {
            Some(parts) if self.lines.len() > CHUNK => self.spill(&parts, self.epoch),
            _ => Ok(()),
        }
    }

    fn prepare(&mut self, _: u64) -> Result<Written> {
        let epoch = self.epoch.take();
        if let Some(parts) = self.parts.clone() {
            self.spill(&parts, epoch)?;
            if let Some(open) = self.open.take() {
                return Ok(Written(Prepared::Part(parts.prepare(open)?)));
            }
        }
        Ok(Written(Prepared::Lines(std::mem::take(&mut self.lines))))
    }

    fn commit(&mut self, _: u64, prepared: Written) -> Result<()> {
        let mut lines = match (prepared.0, &self.parts) {
            (Prepared::Part(part), Some(parts)) => return parts.commit(&part),
            (Prepared::Lines(lines), None) => lines,
            // Nothing was written.
            _ => return Ok(()),
        };
        let Some(shared) = &self.shared else {
            return Err(Error::config(format!(
                "{} was not opened before it was written to",
                self.path.display()
            )));
        };
        let SharedFile { file, begun } = &mut *lock(shared);
        // All workers write to one file: the first of them writes the header.
        if !*begun && !lines.is_empty() {
            lines.splice(0..0, self.header.iter().copied());
            *begun = true;
        }
        let written = file.write_all(&lines);
        written.map_err(|error| Error::io(format!("cannot write to {}", self.path.display()), error))
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Writes each record to a file in its `Display` form, one on a line.
    ///
    /// The file is created when the job starts; one that is not empty is rejected, unless a [`FileSink`] is
    /// set to overwrite it. It grows when an epoch is complete. If the job takes
    /// [snapshots](crate::snapshot), `path` is a directory instead: when a snapshot is durable, a file with
    /// the output since the snapshot before appears there.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let path = std::env::temp_dir().join(format!("highwater-write-{}.txt", std::process::id()));
    /// let job = Job::new();
    /// job.collection(["to be", "or not"]).write_text(&path);
    /// job.run()?;
    /// assert_eq!(std::fs::read_to_string(&path).unwrap(), "to be\nor not\n");
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn write_text(self, path: impl Into<PathBuf>) -> SinkHandle
    where
        T: std::fmt::Display,
    {
        self.sink(FileSink::new(path, TextLines))
    }

    /// Writes each record to a CSV file, after a row with the names of its fields.
    ///
    /// The names come with the first record: tuples have none, and without records there is no header row.
    /// See [`write_text`](Stream::write_text) for when the file is written.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// #[derive(Clone, serde::Serialize)]
    /// struct Trip { km: u32, to: String }
    ///
    /// let path = std::env::temp_dir().join(format!("highwater-write-{}.csv", std::process::id()));
    /// let job = Job::new();
    /// job.collection([Trip { km: 3, to: "Ulm, Neu-Ulm".to_owned() }]).write_csv(&path);
    /// job.run()?;
    /// assert_eq!(std::fs::read_to_string(&path).unwrap(), "km,to\n3,\"Ulm, Neu-Ulm\"\n");
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn write_csv(self, path: impl Into<PathBuf>) -> SinkHandle
    where
        T: Serialize,
    {
        self.sink(FileSink::new(path, CsvRows))
    }

    /// Writes each record to a file as JSON, one on a line. See [`write_text`](Stream::write_text) for when
    /// the file is written.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let path = std::env::temp_dir().join(format!("highwater-write-{}.json", std::process::id()));
    /// let job = Job::new();
    /// job.collection([("a", 1), ("b", 2)]).write_json(&path);
    /// job.run()?;
    /// assert_eq!(std::fs::read_to_string(&path).unwrap(), "[\"a\",1]\n[\"b\",2]\n");
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn write_json(self, path: impl Into<PathBuf>) -> SinkHandle
    where
        T: Serialize,
    {
        self.sink(FileSink::new(path, JsonLines))
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
