//! The source of files: which files it reads, and with which settings.
//!
//! A directory stands for the regular files in it, sorted by name. Names that begin with `.` or `_` and names
//! that end in `.tmp` are skipped, so a writer can prepare a file under such a name and rename it when it is
//! complete.
//!
//! A source that follows never ends by itself: it looks for new files in the directory, and at the end of
//! each file, or in an incomplete last line, it waits for more. `followed` describes how files are recognized
//! that are renamed, replaced or away for a time. A compressed file is read once and not followed; the
//! compressed copy of a file that was read is skipped.
//!
//! A directory can have more files than a process may open. The source has at most an eighth of that limit
//! open at a time; a file that was closed in between is opened at its position when it is read again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::followed::OnRewritten;
use super::format::Format;
use super::identity::FilePosition;
use super::reader::{FileReader, Settings};
use super::watch::Watch;
use super::{Csv, CsvFile, Json, JsonFile, Plain, TextFile};
use crate::connector::lines::MAX_LENGTH;
use crate::connector::{AtSource, Earlier, Source, Split, Timestamps, Untimed};
use crate::data::Data;
use crate::error::{Error, Result};
use crate::stream::{Job, Stream};
use crate::time::Watermarks;

/// A source of the records of a file, or of all files in a directory.
///
/// Write [`TextFile`], [`CsvFile`] or [`JsonFile`] instead of `Files`. The input must be UTF-8 without NUL
/// bytes; input that is not, and records that are longer than the maximum or do not have the format, are
/// [`Malformed`].
///
/// A file that gzip or Zstandard has compressed is unpacked while it is read, whatever its name is, if the
/// crate has the feature `compression`. It must be whole: one that is damaged or cut short ends the job.
///
/// A position identifies its file, by the inode and by checksums of the content that was read. A job that is
/// restored from a snapshot, and finds another file there, ends with an error.
///
/// [`Malformed`]: crate::connector::Malformed
pub struct Files<F> {
    format: F,
    max_length: usize,
    follow: Option<Duration>,
    watch: Arc<Watch>,
}

impl<F: Clone> Clone for Files<F> {
    /// A source of the same files, which follows them independently.
    fn clone(&self) -> Files<F> {
        let watch = Arc::new(self.watch.with(self.watch.linger, self.watch.policy));
        Files { format: self.format.clone(), max_length: self.max_length, follow: self.follow, watch }
    }
}

impl TextFile {
    /// The lines of a text file, or of all files in a directory.
    ///
    /// ```
    /// use highwater::connector::TextFile;
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    ///
    /// let path = std::env::temp_dir().join(format!("highwater-text-{}.txt", std::process::id()));
    /// std::fs::write(&path, "to be\r\nor not\n").unwrap();
    /// let job = Job::new();
    /// let lines = job.source(TextFile::new(&path).max_length(1000), Watermarks::none()).collect();
    /// job.run()?;
    /// assert_eq!(lines.values(), ["to be", "or not"]);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn new(path: impl Into<PathBuf>) -> TextFile {
        Files::of(path.into(), Plain)
    }
}

impl<T> CsvFile<T> {
    /// The records of a CSV file, or of all files in a directory. Each file begins with a header row, and
    /// columns are found by name.
    ///
    /// ```
    /// use highwater::connector::CsvFile;
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    ///
    /// let path = std::env::temp_dir().join(format!("highwater-csv-{}.csv", std::process::id()));
    /// std::fs::write(&path, "1;\"semi;colon\"\n2;\"two\nlines\"\n").unwrap();
    /// let job = Job::new();
    /// let source = CsvFile::<(u32, String)>::new(&path).delimiter(b';').header(false);
    /// let rows = job.source(source, Watermarks::none()).collect();
    /// job.run()?;
    /// assert_eq!(rows.values(), [(1, "semi;colon".to_owned()), (2, "two\nlines".to_owned())]);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn new(path: impl Into<PathBuf>) -> CsvFile<T> {
        Files::of(path.into(), Csv::new())
    }

    /// The delimiter between fields; a comma unless set.
    pub fn delimiter(mut self, delimiter: u8) -> CsvFile<T> {
        self.format.delimiter = delimiter;
        self
    }

    /// Whether each file begins with a header row; true unless set. Without one, columns are found by their
    /// order, and a record may have more fields than `T` takes.
    pub fn header(mut self, header: bool) -> CsvFile<T> {
        self.format.header = header;
        self
    }
}

impl<T> JsonFile<T> {
    /// The records of a file with a JSON value on each line, or of all files in a directory. Blank lines are
    /// skipped.
    ///
    /// ```
    /// use highwater::connector::JsonFile;
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    ///
    /// let path = std::env::temp_dir().join(format!("highwater-json-{}.json", std::process::id()));
    /// std::fs::write(&path, "[1, \"one\"]\n\n[2, \"two\"]\n").unwrap();
    /// let job = Job::new();
    /// let rows = job.source(JsonFile::<(u32, String)>::new(&path), Watermarks::none()).collect();
    /// job.run()?;
    /// assert_eq!(rows.values(), [(1, "one".to_owned()), (2, "two".to_owned())]);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn new(path: impl Into<PathBuf>) -> JsonFile<T> {
        Files::of(path.into(), Json::new())
    }
}

impl<F> Files<F> {
    fn of(path: PathBuf, format: F) -> Files<F> {
        Files { format, max_length: MAX_LENGTH, follow: None, watch: Arc::new(Watch::new(path)) }
    }

    /// The greatest length of a record in bytes; 1 MiB unless set. A longer one is malformed, and is skipped
    /// without being held in memory.
    pub fn max_length(mut self, bytes: usize) -> Files<F> {
        self.max_length = bytes;
        self
    }

    /// Follows the files: polls at this interval for more at the end of each file, and for new files in the
    /// directory. The job then runs until it is stopped.
    ///
    /// A file that is renamed within the directory stays the same file, and another file under its old name
    /// is read from its beginning. One that leaves the directory, or is deleted, is read to its end, and a
    /// while [longer](Files::linger). If the path is that of one file, the file there is followed, and when
    /// it has been replaced, the next one.
    ///
    /// A poll costs some system calls for each file, and a listing of the directory on each worker.
    pub fn follow(mut self, every: Duration) -> Files<F> {
        self.follow = Some(every);
        self
    }

    /// How long a followed file is still polled after it has left its place; 5 seconds unless set. Programs
    /// continue to write to a file for a while after it was renamed. Until then its last line is not emitted
    /// if it has no terminator, and its watermark holds back that of others.
    pub fn linger(mut self, time: Duration) -> Files<F> {
        self.watch = Arc::new(self.watch.with(time, self.watch.policy));
        self
    }

    /// The policy for a file that was rewritten or cut short in place, which cannot be read from the reader's
    /// position; [`OnRewritten::Fail`] unless set.
    pub fn on_rewritten(mut self, policy: OnRewritten) -> Files<F> {
        self.watch = Arc::new(self.watch.with(self.watch.linger, policy));
        self
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSplit {
    path: String,
    id: String,
}

impl FileSplit {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        Path::new(&self.path)
    }
}

impl Split for FileSplit {
    /// The path of the file. If files are followed, it is the first path of the file, with a number if
    /// another file had been there before.
    fn id(&self) -> String {
        self.id.clone()
    }
}

impl<F: Format> Source for Files<F> {
    type Item = F::Item;
    type Split = FileSplit;
    type Reader = FileReader<F>;

    fn name(&self) -> String {
        format!("{} {}", F::NAME, self.watch.path.display())
    }

    fn splits(&self) -> Result<Vec<FileSplit>> {
        if self.follow.is_some_and(|every| every.is_zero()) {
            return Err(Error::config("files cannot be followed every 0 s: choose 1 ms or more"));
        }
        if self.follow.is_some() {
            let found = self.watch.look()?;
            return Ok(found.into_iter().map(|(id, path)| FileSplit { path, id }).collect());
        }
        let found = self.watch.list()?.into_iter();
        Ok(found.map(|seen| FileSplit { id: seen.path.clone(), path: seen.path }).collect())
    }

    fn resume(&self, splits: Vec<FileSplit>, earlier: Vec<Earlier<FilePosition>>) -> Result<Vec<FileSplit>> {
        if self.follow.is_none() {
            return Ok(splits);
        }
        let found = self.watch.resume(earlier)?;
        Ok(found.into_iter().map(|(id, path)| FileSplit { path, id }).collect())
    }

    fn open(&self, split: &FileSplit, from: Option<FilePosition>) -> Result<FileReader<F>> {
        let following = self.follow.map(|every| (Arc::clone(&self.watch), every));
        let (format, policy) = (self.format.clone(), self.watch.policy);
        let settings = Settings { format, max_length: self.max_length, following, policy };
        FileReader::open(settings, (&split.id, &split.path), from)
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.watch.path.clone()]
    }

    fn discovers_every(&self) -> Option<Duration> {
        self.follow
    }

    /// An eighth of what the process may have open, so that there is room for other sources, for sinks and
    /// for state.
    fn max_open_readers(&self) -> usize {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        files.map_or(MOST_OPEN, |files| usize::try_from(files / 8).unwrap_or(MOST_OPEN).min(MOST_OPEN))
    }
}

/// The most files that a source has open, whatever the limit of the process is.
const MOST_OPEN: usize = 1024;

impl Job {
    /// Reads the lines of a text file, or of all files in a directory, without event times. See [`TextFile`]
    /// for settings.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let path = std::env::temp_dir().join(format!("highwater-lines-{}.txt", std::process::id()));
    /// std::fs::write(&path, "to be\nor not\n").unwrap();
    /// let job = Job::new();
    /// let lines = job.text_file(&path).collect();
    /// job.run()?;
    /// assert_eq!(lines.values(), ["to be", "or not"]);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn text_file(&self, path: impl Into<PathBuf>) -> Stream<String, Untimed<TextFile>> {
        self.source(TextFile::new(path), Watermarks::none())
    }

    /// Reads a CSV file with a header row, or all files in a directory. See [`CsvFile`] for settings.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// # use highwater::time::Watermarks;
    /// #[derive(Clone, serde::Deserialize)]
    /// struct Trip { at: i64, km: u32 }
    ///
    /// let path = std::env::temp_dir().join(format!("highwater-trips-{}.csv", std::process::id()));
    /// std::fs::write(&path, "km,at\n3,1000\n5,2000\n").unwrap();
    /// let job = Job::new();
    /// let km = job.csv_file(&path, Watermarks::monotone(|trip: &Trip| trip.at)).map(|trip| trip.km).collect();
    /// job.run()?;
    /// assert_eq!(km.values(), [3, 5]);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn csv_file<T, F>(
        &self,
        path: impl Into<PathBuf>,
        watermarks: Watermarks<T, F>,
    ) -> Stream<T, AtSource<CsvFile<T>, F>>
    where
        T: Data + DeserializeOwned,
        F: Timestamps<T>,
    {
        self.source(CsvFile::new(path), watermarks)
    }

    /// Reads a file with a JSON value on each line, or all files in a directory. See [`JsonFile`] for
    /// settings.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// # use highwater::time::Watermarks;
    /// let path = std::env::temp_dir().join(format!("highwater-pairs-{}.json", std::process::id()));
    /// std::fs::write(&path, "[\"a\", 1]\n[\"b\", 2]\n").unwrap();
    /// let job = Job::new();
    /// let pairs = job.json_file(&path, Watermarks::<(String, u32)>::none()).collect();
    /// job.run()?;
    /// assert_eq!(pairs.values(), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn json_file<T, F>(
        &self,
        path: impl Into<PathBuf>,
        watermarks: Watermarks<T, F>,
    ) -> Stream<T, AtSource<JsonFile<T>, F>>
    where
        T: Data + DeserializeOwned,
        F: Timestamps<T>,
    {
        self.source(JsonFile::new(path), watermarks)
    }
}
