//! A file that rows of a result are written to, by one worker or by all, whole lines at a time.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use highwater::{Error, Result};
use serde::Serialize;

use super::answer::Form;

/// Bytes that a worker gathers before it writes them.
const PIECE: usize = 1 << 16;

/// A file that workers share.
pub(crate) struct Output {
    path: PathBuf,
    is_csv: bool,
    file: Mutex<Opened>,
}

struct Opened {
    file: File,
    has_header: bool,
}

impl Output {
    /// Makes the file, or empties it.
    pub(crate) fn create(path: &Path) -> Result<Output> {
        let file = File::create(path).map_err(|error| cannot_write(path, error))?;
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let file = Mutex::new(Opened { file, has_header: false });
        Ok(Output { path: path.to_owned(), is_csv, file })
    }
}

fn cannot_write(path: &Path, error: std::io::Error) -> Error {
    Error::io(format!("cannot write the rows to {}", path.display()), error)
}

/// The lines of one worker.
pub(crate) struct Lines {
    output: Arc<Output>,
    /// The names of the columns, as a line; CSV only.
    header: Vec<u8>,
    lines: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(output: Arc<Output>) -> Lines {
        Lines { output, header: Vec::new(), lines: Vec::new() }
    }

    /// Writes a row as a line.
    pub(crate) fn write<I: Serialize, F: Form<I>>(&mut self, item: &I) -> Result<()> {
        let written = if self.output.is_csv { self.write_csv::<I, F>(item) } else { self.write_json(item) };
        written.map_err(|error| cannot_write(&self.output.path, error))?;
        if self.lines.len() < PIECE { Ok(()) } else { self.flush() }
    }

    fn write_json<I: Serialize>(&mut self, item: &I) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.lines, item)?;
        self.lines.push(b'\n');
        Ok(())
    }

    fn write_csv<I: Serialize, F: Form<I>>(&mut self, item: &I) -> std::io::Result<()> {
        let encode = |has_headers, lines| -> std::io::Result<Vec<u8>> {
            let mut out = csv::WriterBuilder::new().has_headers(has_headers).from_writer(lines);
            F::write_csv(item, &mut out)?;
            out.into_inner().map_err(|error| error.into_error())
        };
        if self.header.is_empty() {
            self.header = encode(true, Vec::new())?;
            let end = self.header.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.header.truncate(end);
        }
        self.lines = encode(false, std::mem::take(&mut self.lines))?;
        Ok(())
    }

    /// Hands the lines gathered so far to the file.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut opened = self.output.file.lock().unwrap_or_else(PoisonError::into_inner);
        let header: &[u8] = if opened.has_header { &[] } else { &self.header };
        let written = opened.file.write_all(header).and_then(|()| opened.file.write_all(&self.lines));
        opened.has_header = true;
        self.lines.clear();
        written.map_err(|error| cannot_write(&self.output.path, error))
    }

    /// Waits until what was written outlives a loss of power.
    pub(crate) fn sync(&self) -> Result<()> {
        let opened = self.output.file.lock().unwrap_or_else(PoisonError::into_inner);
        opened.file.sync_all().map_err(|error| cannot_write(&self.output.path, error))
    }
}
