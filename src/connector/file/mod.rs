//! Files as sources and as sinks: text lines, CSV, JSON lines.
//!
//! A path names a file or a directory. Each file is a split, so several workers read a directory, and within
//! a file records keep their order. The position of a reader is the offset after the last complete record,
//! with the identity of the file.

mod compression;
mod identity;
mod input;
mod format;
mod values;
mod csv;
mod fuzz_entry;
mod followed;
mod watch;
mod reader;
mod read;
mod parts;
mod write;

pub use csv::Csv;
pub use followed::OnRewritten;
pub use format::{Json, Plain};
pub(crate) use fuzz_entry::try_formats;
pub use identity::FilePosition;
pub use read::{FileSplit, Files};
pub use reader::FileReader;
#[cfg(feature = "lab")]
pub(crate) use values::value_of;
pub use write::{CsvRows, Encode, FileSink, FileWriter, JsonLines, TextLines, Written};

/// A source of the lines of text files.
pub type TextFile = Files<Plain>;

/// A source of the records of CSV files.
pub type CsvFile<T> = Files<Csv<T>>;

/// A source of the records of files with a JSON value on each line.
pub type JsonFile<T> = Files<Json<T>>;
