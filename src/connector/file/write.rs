//! Files as sinks: text, CSV and JSON lines.
//!
//! All workers write to one file. A worker encodes the records of an epoch in memory and appends them in one
//! write when the epoch is complete, so what is in the file is always a whole number of epochs of each
//! worker, in the order of the epochs. The workers' shares of an epoch stand one after the other, in no
//! particular order.
//!
//! The file is created, or emptied, when the job starts: a run replaces what an earlier one has written.
//! Memory is the encoded output of the current epoch, so a job that writes much in one epoch needs that much.
//!
//! If the job takes snapshots, the path is that of a [directory](super::parts), with a file for each snapshot and worker that has something to write: readers see exactly the
//! output of epochs that are committed, whatever happens.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::parts::{Hidden, Part, Parts};
use crate::connector::{Sink, Writer};
use crate::data::{Data, Record};
use crate::error::{Error, Result};
use crate::stream::{Chain, Stream, lock};

/// How values become lines.
pub trait Encode<T>: Clone + Send + Sync + 'static {
    /// Appends a value to `lines`. `header` is empty until a value has told what stands at the top of the
    /// file.
    ///
    /// # Errors
    ///
    /// What keeps the value from being written.
    fn encode(&self, value: &T, lines: &mut Vec<u8>, header: &mut Vec<u8>) -> Result<(), String>;

    /// What the names of files in a directory end with, with its dot.
    const EXTENSION: &'static str;
}

/// A line for each value, as it displays itself. A value that shows a newline takes several lines.
#[derive(Clone, Copy, Debug)]
pub struct TextLines;

/// A row for each value, after a row with the names of the fields if the values have such.
#[derive(Clone, Copy, Debug)]
pub struct CsvRows;

/// A line of JSON for each value.
#[derive(Clone, Copy, Debug)]
pub struct JsonLines;

impl<T: std::fmt::Display> Encode<T> for TextLines {
    const EXTENSION: &'static str = ".txt";

    fn encode(&self, value: &T, lines: &mut Vec<u8>, _: &mut Vec<u8>) -> Result<(), String> {
        writeln!(lines, "{value}").map_err(|error| error.to_string())
    }
}

impl<T: Serialize> Encode<T> for JsonLines {
    const EXTENSION: &'static str = ".jsonl";

    fn encode(&self, value: &T, lines: &mut Vec<u8>, _: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(&mut *lines, value).map_err(|error| error.to_string())?;
        lines.push(b'\n');
        Ok(())
    }
}

impl<T: Serialize> Encode<T> for CsvRows {
    const EXTENSION: &'static str = ".csv";

    fn encode(&self, value: &T, lines: &mut Vec<u8>, header: &mut Vec<u8>) -> Result<(), String> {
        let start = lines.len();
        csv_row(value, lines, false)?;
        if header.is_empty() {
            let mut both = Vec::new();
            csv_row(value, &mut both, true)?;
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
    target: Arc<Mutex<Target>>,
}

/// Where lines go.
#[derive(Default)]
enum Target {
    /// The sink is not open.
    #[default]
    Nowhere,
    /// One file.
    File {
        file: File,
        /// True once something stands in it.
        begun: bool,
    },
    /// A directory.
    Parts(Arc<Parts>),
}

impl<E> FileSink<E> {
    /// Writes lines, as `encode` makes them, to the file at `path`.
    pub fn new(path: impl Into<PathBuf>, encode: E) -> FileSink<E> {
        FileSink { path: path.into(), encode, target: Arc::default() }
    }
}

impl<T: Data, E: Encode<T>> Sink<T> for FileSink<E> {
    type Writer = FileWriter<E>;

    fn name(&self) -> String {
        format!("write {}", self.path.display())
    }

    fn prepare(&self) -> Result<()> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(&self.path);
        let file = file.map_err(|error| {
            let path = self.path.display();
            Error::io(
                format!("cannot create {path}: is its directory there, and may it be written to?"),
                error,
            )
        })?;
        *lock(&self.target) = Target::File { file, begun: false };
        Ok(())
    }

    fn recover(&self, restored: Option<Vec<Written>>) -> Result<()> {
        let parts = restored.map(|all| all.into_iter().filter_map(Written::part).collect());
        *lock(&self.target) = Target::Parts(Arc::new(Parts::open(&self.path, E::EXTENSION, parts)?));
        Ok(())
    }

    fn open(&self, _: usize, _: usize) -> Result<FileWriter<E>> {
        Ok(FileWriter {
            path: self.path.clone(),
            encode: self.encode.clone(),
            target: Arc::clone(&self.target),
            parts: match &*lock(&self.target) {
                Target::Parts(parts) => Some(Arc::clone(parts)),
                _ => None,
            },
            open: None,
            lines: Vec::new(),
            header: Vec::new(),
        })
    }
}

/// Writes one worker's records to the file that all workers share.
pub struct FileWriter<E> {
    path: PathBuf,
    encode: E,
    target: Arc<Mutex<Target>>,
    parts: Option<Arc<Parts>>,
    /// What is being written of the next part.
    open: Option<Hidden>,
    lines: Vec<u8>,
    header: Vec<u8>,
}

/// What is prepared to be seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Written(Prepared);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Prepared {
    Lines(Vec<u8>),
    Part(Part),
}

impl Written {
    fn part(self) -> Option<Part> {
        match self.0 {
            Prepared::Part(part) => Some(part),
            Prepared::Lines(_) => None,
        }
    }
}

/// Lines go to a part when there are so many bytes of them.
const CHUNK: usize = 1 << 20;

impl<E> FileWriter<E> {
    /// Moves the lines to the part that is being written.
    fn spill(&mut self, parts: &Parts) -> Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        if self.open.is_none() {
            self.lines.splice(0..0, self.header.iter().copied());
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(parts.begin()?),
        };
        parts.write(open, &self.lines)?;
        self.lines.clear();
        Ok(())
    }
}

impl<T: Data, E: Encode<T>> Writer<T> for FileWriter<E> {
    type Prepared = Written;
    const TRANSACTIONAL: bool = true;

    fn write(&mut self, _: u64, batch: &mut Vec<Record<T>>) -> Result<()> {
        for record in batch.drain(..) {
            self.encode.encode(&record.value, &mut self.lines, &mut self.header).map_err(|reason| {
                Error::data(format!("a record cannot be written to {}: {reason}", self.path.display()))
            })?;
        }
        match self.parts.clone() {
            Some(parts) if self.lines.len() > CHUNK => self.spill(&parts),
            _ => Ok(()),
        }
    }

    fn prepare(&mut self, _: u64) -> Result<Written> {
        if let Some(parts) = self.parts.clone() {
            self.spill(&parts)?;
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
        let mut target = lock(&self.target);
        let Target::File { file, begun } = &mut *target else {
            return Err(Error::config(format!(
                "{} was not opened before it was written to",
                self.path.display()
            )));
        };
        if !*begun && !lines.is_empty() {
            lines.splice(0..0, self.header.iter().copied());
            *begun = true;
        }
        let written = file.write_all(&lines);
        written.map_err(|error| Error::io(format!("cannot write to {}", self.path.display()), error))
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Writes each record to a file, as it displays itself, one on a line.
    ///
    /// The file is created when the job starts, and what was in it is lost. It grows when an epoch is
    /// complete. If the job takes [snapshots](crate::snapshot), `path` is a directory instead, and a file with what was written since the
    /// last snapshot appears there when a snapshot is safe.
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
    pub fn write_text(self, path: impl Into<PathBuf>)
    where
        T: std::fmt::Display,
    {
        self.sink(FileSink::new(path, TextLines));
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
    pub fn write_csv(self, path: impl Into<PathBuf>)
    where
        T: Serialize,
    {
        self.sink(FileSink::new(path, CsvRows));
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
    pub fn write_json(self, path: impl Into<PathBuf>)
    where
        T: Serialize,
    {
        self.sink(FileSink::new(path, JsonLines));
    }
}
