//! Sources and sinks: where records come from and where they go.

mod collection;
mod read;
mod sink;
mod source;

pub use collection::{Collected, Collection};
pub use collection::{CollectionReader, Current, Numbered};
pub use read::Timestamps;
pub use read::{AtSource, Timed};
pub use sink::{Sink, Writer};
pub use source::Position;
pub use source::{Malformed, OnMalformed, Reader, Source, Split, Status};
