//! Pages: rows of one table as bytes, by one of several codecs, compressed, with a checksum.

pub(super) mod plain_registry;
mod varint;
pub(crate) mod block;
pub(super) mod codec;
#[cfg(feature = "abomonation")]
pub(super) mod plain;
pub(super) mod compression;
pub(super) mod format;
