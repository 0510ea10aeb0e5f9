//! The source of files: which files there are, and how one is read.
//!
//! A directory stands for the regular files in it, sorted by name. Names that begin with `.` or `_` and names
//! that end in `.tmp` are passed over, so a writer can prepare a file under such a name and rename it when it
//! is whole.
//!
//! A source that follows never ends by itself: it looks for new files in the directory, and at the end of
//! each file it waits for more, an incomplete last line included. A file that has become shorter ends the
//! job, since what was read from it is no longer there to be read again.
//!
//! A directory can have more files than a process may open. No more than an eighth of these are open at a time; one that is read again when it was closed
//! meanwhile is opened where it stood.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::format::{Decoder, Format, Next, cannot_read};
use super::{Csv, CsvFile, Json, JsonFile, Plain, TextFile};
use crate::connector::lines::{Lines, MAX_LENGTH, Place, TURN};
use crate::connector::{AtSource, Malformed, Reader, Source, Split, Status, Timestamps, Untimed};
use crate::data::{Data, Visit};
use crate::error::{Error, Result};
use crate::stream::{Job, Stream};
use crate::time::Watermarks;

/// A source of the records of a file, or of all files in a directory.
///
/// Write [`TextFile`], [`CsvFile`] or [`JsonFile`] instead of `Files`. The input must be UTF-8 without NUL
/// bytes; what is not, and what is longer than the maximum or does not have the format, is [`Malformed`].
#[derive(Clone)]
pub struct Files<F> {
    path: PathBuf,
    format: F,
    max_length: usize,
    follow: Option<Duration>,
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

    /// What stands between fields; a comma unless set.
    pub fn delimiter(mut self, delimiter: u8) -> CsvFile<T> {
        self.format.delimiter = delimiter;
        self
    }

    /// Whether each file begins with a header row, as it does unless set. Without one, columns are found by
    /// their order, and a record may have more fields than `T` takes.
    pub fn header(mut self, header: bool) -> CsvFile<T> {
        self.format.header = header;
        self
    }
}

impl<T> JsonFile<T> {
    /// The records of a file with a JSON value on each line, or of all files in a directory. Blank lines are
    /// passed over.
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
        Files { path, format, max_length: MAX_LENGTH, follow: None }
    }

    /// The greatest length of a record in bytes; 1 MiB unless set. A longer one is malformed, and is passed
    /// over without being held.
    pub fn max_length(mut self, bytes: usize) -> Files<F> {
        self.max_length = bytes;
        self
    }

    /// Keeps looking for more, this often: at the end of each file, and for new files in the directory. The
    /// job then runs until it is stopped.
    ///
    /// A look costs a system call for each file and a listing of the directory on each worker.
    pub fn follow(mut self, every: Duration) -> Files<F> {
        self.follow = Some(every);
        self
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSplit {
    path: String,
}

impl FileSplit {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        Path::new(&self.path)
    }
}

impl Split for FileSplit {
    fn id(&self) -> String {
        self.path.clone()
    }
}

impl<F: Format> Source for Files<F> {
    type Item = F::Item;
    type Split = FileSplit;
    type Reader = FileReader<F>;

    fn name(&self) -> String {
        format!("{} {}", F::NAME, self.path.display())
    }

    fn splits(&self) -> Result<Vec<FileSplit>> {
        if self.follow.is_some_and(|every| every.is_zero()) {
            return Err(Error::config("files cannot be followed every 0 s: choose 1 ms or more"));
        }
        let cannot = |error| Error::io(format!("cannot read {}", self.path.display()), error);
        if !fs::metadata(&self.path).map_err(cannot)?.is_dir() {
            return Ok(vec![split(self.path.clone())?]);
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(['.', '_']) || name.ends_with(".tmp") {
                continue;
            }
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_file() => paths.push(entry.path()),
                Ok(_) => {}
                // It has gone since the directory was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(cannot(error)),
            }
        }
        paths.sort();
        paths.into_iter().map(split).collect()
    }

    fn open(&self, split: &FileSplit, from: Option<Place>) -> Result<FileReader<F>> {
        let file = File::open(&split.path)
            .map_err(|error| Error::io(format!("cannot open {}", split.path), error))?;
        let mut lines = Lines::new(file, split.path.clone(), self.max_length, self.follow.is_some());
        let mut decoder = self.format.decoder();
        if let Some(place) = from {
            check_length(&lines, place)?;
            decoder.seek(&mut lines, place)?;
        }
        Ok(FileReader { lines, decoder, follow: self.follow, malformed: Vec::new() })
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn discovers_every(&self) -> Option<Duration> {
        self.follow
    }

    /// An eighth of what the process may have open, so that there is room for other sources, for sinks and for state.
    fn max_open_readers(&self) -> usize {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        files.map_or(MOST_OPEN, |files| usize::try_from(files / 8).unwrap_or(MOST_OPEN).min(MOST_OPEN))
    }
}

/// The most files that a source has open, whatever the process may.
const MOST_OPEN: usize = 1024;

fn split(path: PathBuf) -> Result<FileSplit> {
    match path.into_os_string().into_string() {
        Ok(path) => Ok(FileSplit { path }),
        Err(path) => {
            Err(Error::config(format!("the name of the file {} is not UTF-8: rename it", path.display())))
        }
    }
}

fn check_length(lines: &Lines<File>, place: Place) -> Result<()> {
    let length = lines.input().metadata().map_err(|error| cannot_read(lines, error))?.len();
    if length < place.offset {
        return Err(Error::data(format!(
            "{} has {length} bytes, and {} were read from it before: files that are read must only grow",
            lines.name(),
            place.offset
        )));
    }
    Ok(())
}

/// Reads a file.
pub struct FileReader<F: Format> {
    lines: Lines<File>,
    decoder: F::Decoder,
    follow: Option<Duration>,
    malformed: Vec<Malformed>,
}

impl<F: Format> Reader for FileReader<F> {
    type Item = F::Item;
    type Position = Place;

    fn read<V: Visit<F::Item>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        let start = self.lines.looked_at();
        let mut count = 0;
        while count < limit && self.lines.looked_at().saturating_sub(start) < TURN {
            let before = self.lines.looked_at();
            match self.decoder.next(&mut self.lines)? {
                Next::Record(record) => {
                    count += 1;
                    visit.visit(record);
                }
                Next::Malformed(malformed) => {
                    count += 1;
                    self.malformed.push(malformed);
                    if self.lines.looked_at() < before {
                        // An open quote: much may have been looked at in vain.
                        return Ok(Status::More);
                    }
                }
                Next::Busy => {}
                Next::Nothing => {
                    check_length(&self.lines, self.lines.after())?;
                    return Ok(self.follow.map_or(Status::Done, Status::Wait));
                }
                Next::End => return Ok(Status::Done),
            }
        }
        Ok(Status::More)
    }

    fn position(&self) -> Place {
        self.decoder.position(&self.lines)
    }

    fn malformed(&mut self) -> Vec<Malformed> {
        std::mem::take(&mut self.malformed)
    }
}

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
