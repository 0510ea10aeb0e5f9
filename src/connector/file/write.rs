//! Files as sinks: text, CSV and JSON lines.
//!
//! All workers write to one file. A worker encodes the records of an epoch in memory and appends them in one
//! write when the epoch is complete, so what is in the file is always a whole number of epochs of each
//! worker, in the order of the epochs. The workers' shares of an epoch stand one after the other, in no
//! particular order.
//!
//! The file is created, or emptied, when the job starts: a run replaces what an earlier one has written.
//! Memory is the encoded output of the current epoch, so a job that writes much in one epoch needs that much.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::Serialize;

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
    fn encode(&self, value: &T, lines: &mut Vec<u8>, _: &mut Vec<u8>) -> Result<(), String> {
        writeln!(lines, "{value}").map_err(|error| error.to_string())
    }
}

impl<T: Serialize> Encode<T> for JsonLines {
    fn encode(&self, value: &T, lines: &mut Vec<u8>, _: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(&mut *lines, value).map_err(|error| error.to_string())?;
        lines.push(b'\n');
        Ok(())
    }
}

impl<T: Serialize> Encode<T> for CsvRows {
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
    file: Arc<Mutex<Option<Open>>>,
}

struct Open {
    file: File,
    /// True once something stands in it.
    begun: bool,
}

impl<E> FileSink<E> {
    /// Writes lines, as `encode` makes them, to the file at `path`.
    pub fn new(path: impl Into<PathBuf>, encode: E) -> FileSink<E> {
        FileSink { path: path.into(), encode, file: Arc::default() }
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
        *lock(&self.file) = Some(Open { file, begun: false });
        Ok(())
    }

    fn open(&self, _: usize, _: usize) -> Result<FileWriter<E>> {
        Ok(FileWriter {
            path: self.path.clone(),
            encode: self.encode.clone(),
            file: Arc::clone(&self.file),
            lines: Vec::new(),
            header: Vec::new(),
        })
    }
}

/// Writes one worker's records to the file that all workers share.
pub struct FileWriter<E> {
    path: PathBuf,
    encode: E,
    file: Arc<Mutex<Option<Open>>>,
    lines: Vec<u8>,
    header: Vec<u8>,
}

impl<T: Data, E: Encode<T>> Writer<T> for FileWriter<E> {
    /// The lines of the epoch.
    type Prepared = Vec<u8>;

    fn write(&mut self, _: u64, batch: &mut Vec<Record<T>>) -> Result<()> {
        for record in batch.drain(..) {
            self.encode.encode(&record.value, &mut self.lines, &mut self.header).map_err(|reason| {
                Error::data(format!("a record cannot be written to {}: {reason}", self.path.display()))
            })?;
        }
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Vec<u8>> {
        Ok(std::mem::take(&mut self.lines))
    }

    fn commit(&mut self, _: u64, mut lines: Vec<u8>) -> Result<()> {
        let mut file = lock(&self.file);
        let Some(open) = &mut *file else {
            return Err(Error::config(format!(
                "{} was not opened before it was written to",
                self.path.display()
            )));
        };
        if !open.begun && !lines.is_empty() {
            lines.splice(0..0, self.header.iter().copied());
            open.begun = true;
        }
        let written = open.file.write_all(&lines);
        written.map_err(|error| Error::io(format!("cannot write to {}", self.path.display()), error))
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Writes each record to a file, as it displays itself, one on a line.
    ///
    /// The file is created when the job starts, and what was in it is lost. It grows when an epoch is
    /// complete.
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
