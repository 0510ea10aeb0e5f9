//! Rows on their way into a file or to the standard output, in one of the formats.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use highwater::data::write_json;
use highwater::export::{Column, Value};
use highwater::{Error, Result};
use serde::{Serialize, Serializer};

use super::csv;
use crate::cli::snapshot::usage::Format;

/// Where bytes go. A reader of the standard output who has seen enough, as `head` has, is no error.
pub(super) struct Out {
    to: BufWriter<To>,
    what: String,
}

enum To {
    File(File),
    Stdout { closed: bool },
}

impl Out {
    pub(super) fn file(file: File, path: &Path) -> Out {
        Out { to: BufWriter::new(To::File(file)), what: path.display().to_string() }
    }

    pub(super) fn stdout() -> Out {
        Out { to: BufWriter::new(To::Stdout { closed: false }), what: "the standard output".to_owned() }
    }

    fn is_closed(&self) -> bool {
        matches!(self.to.get_ref(), To::Stdout { closed: true })
    }

    /// That rows cannot be written.
    pub(super) fn cannot(&self, error: io::Error) -> Error {
        Error::io(format!("cannot write the rows to {}", self.what), error)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            To::File(file) => file.write(bytes),
            To::Stdout { closed: true } => Ok(bytes.len()),
            To::Stdout { closed } => match io::stdout().lock().write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    *closed = true;
                    Ok(bytes.len())
                }
                done => done,
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            To::File(file) => file.flush(),
            To::Stdout { closed: true } => Ok(()),
            To::Stdout { .. } => match io::stdout().lock().flush() {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                done => done,
            },
        }
    }
}

/// Writes rows.
pub(super) enum Writer {
    Csv(Out, Vec<Column>),
    Json(Out, Vec<Column>),
    #[cfg(feature = "arrow")]
    Arrow(Box<super::arrow::Batches>),
}

impl Writer {
    /// Begins with what comes before all rows.
    pub(super) fn begin(format: Format, mut out: Out, columns: &[Column]) -> Result<Writer> {
        match format {
            Format::Csv => {
                csv::head(columns, &mut out).map_err(|error| out.cannot(error))?;
                Ok(Writer::Csv(out, columns.to_vec()))
            }
            Format::Json => Ok(Writer::Json(out, columns.to_vec())),
            #[cfg(feature = "arrow")]
            Format::Arrow => Ok(Writer::Arrow(Box::new(super::arrow::Batches::begin(out, columns)?))),
            #[cfg(not(feature = "arrow"))]
            Format::Arrow => Err(super::without_arrow()),
        }
    }

    /// Writes a row.
    pub(super) fn row(&mut self, row: Vec<Value>) -> Result<()> {
        match self {
            Writer::Csv(out, columns) => csv::row(columns, &row, out).map_err(|error| out.cannot(error)),
            Writer::Json(out, columns) => line(columns, &row, out).map_err(|error| out.cannot(error)),
            #[cfg(feature = "arrow")]
            Writer::Arrow(batches) => batches.row(row),
        }
    }

    /// True if nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Writer::Csv(out, _) | Writer::Json(out, _) => out.is_closed(),
            #[cfg(feature = "arrow")]
            Writer::Arrow(batches) => batches.out().is_closed(),
        }
    }

    /// Ends with what comes after all rows.
    pub(super) fn end(self) -> Result<()> {
        match self {
            Writer::Csv(mut out, _) | Writer::Json(mut out, _) => {
                out.flush().map_err(|error| out.cannot(error))
            }
            #[cfg(feature = "arrow")]
            Writer::Arrow(batches) => batches.end(),
        }
    }
}

/// A row as an object, by the names of the columns.
struct Object<'a>(&'a [Column], &'a [Value]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
        out.collect_map(self.0.iter().map(|column| column.name).zip(self.1))
    }
}

fn line(columns: &[Column], row: &[Value], out: &mut Out) -> io::Result<()> {
    let mut line = Vec::new();
    write_json(&Object(columns, row), &mut line)
        .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, format!("{reason}: choose csv")))?;
    line.push(b'\n');
    out.write_all(&line)
}
