//! Sources and sinks: where records come from and where they go.
//!
//! The two traits are [`Source`] and [`Sink`]. The connectors here implement them, and users can do so for
//! other systems. A source consists of splits that can be read again from any position; a sink prepares and
//! commits its output epoch by epoch.
//!
//! | from | to |
//! |---|---|
//! | [`Collection`], [`Iter`], [`Generator`] | [`collect`](crate::stream::Stream::collect), [`for_each`](crate::stream::Stream::for_each), [`discard`](crate::stream::Stream::discard) |
//! | [`TextFile`], [`CsvFile`], [`JsonFile`]: files and directories, also growing ones | [`write_text`](crate::stream::Stream::write_text), [`write_csv`](crate::stream::Stream::write_csv), [`write_json`](crate::stream::Stream::write_json) |
//! | [`Socket`] | [`print`](crate::stream::Stream::print) |
//!
//! Input that is not a record ends the job, is skipped and counted ([`OnMalformed`]), or becomes a stream of
//! its own ([`Checked`]).

mod bytes_in_flight;
mod shared_progress;
mod split_schedule;
mod source;
mod split_offsets;
mod handle;
mod sink;
mod discard;
mod origin;
mod readers;
mod read;
mod source_operator;
mod collection;
mod generator;
mod lines;
mod file;
mod socket;
mod malformed;
mod print;
mod callback;

pub use collection::{Collected, Collection, CollectionReader, Materialized, Numbered};
pub(crate) use file::try_formats;
#[cfg(feature = "lab")]
pub(crate) use file::value_of;
pub use file::{
    Csv, CsvFile, FilePosition, FileReader, FileSplit, Files, Json, JsonFile, OnRewritten, Plain, TextFile,
};
pub use file::{CsvRows, Encode, FileSink, FileWriter, JsonLines, TextLines, Written};
pub use generator::{Generator, GeneratorReader, Iter, IterReader};
pub use handle::SinkHandle;
pub use lines::LinePosition;
pub use malformed::{Checked, CheckedReader};
pub use origin::{AtSource, Timed, Timestamps};
pub use sink::{PreparedOutput, Recovery, Sink, Writer};
pub use socket::{Socket, SocketReader};
pub use source::{Earlier, Malformed, OnMalformed, Position, Reader, Source, Split, Status};
pub use split_offsets::{SplitState, splits_of};

/// The origin of a stream whose source has no event times.
pub type Untimed<S> = AtSource<S, fn(&<S as Source>::Item) -> crate::time::EventTime>;
