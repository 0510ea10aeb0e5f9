//! Sources and sinks: where records come from and where they go.

mod callback;
mod checked;
mod collection;
mod file;
mod generator;
mod lines;
mod print;
mod read;
mod sink;
mod socket;
mod source;

pub use checked::{Checked, CheckedReader};
pub use collection::{Collected, Collection};
pub use collection::{CollectionReader, Current, Numbered};
pub use file::{Csv, CsvFile, FileReader, FileSplit, Files, Json, JsonFile, Plain, TextFile};
pub use file::{CsvRows, Encode, FileSink, FileWriter, JsonLines, TextLines};
pub use generator::{Generator, GeneratorReader, Iter, IterReader};
pub use lines::Place;
pub use read::Timestamps;
pub use read::{AtSource, Timed};
pub use sink::{Sink, Writer};
pub use socket::{Socket, SocketReader};
pub use source::Position;
pub use source::{Malformed, OnMalformed, Reader, Source, Split, Status};

/// Where a stream starts whose source gives no event times.
pub type Untimed<S> = AtSource<S, fn(&<S as Source>::Item) -> crate::time::EventTime>;
