//! How the bodies of pages are compressed: by LZ4, which is fast, by Zstandard, which is smaller, or not at
//! all.
//!
//! The length that a page states is checked before memory is allocated for it: that so few bytes can hold so
//! many.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the body of a page is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: some GB/s to read, a fraction of one to write.
    #[default]
    Lz4,
    /// Zstandard at its first level: half of LZ4's bytes where there is text, and down to a third of its
    /// speed. It needs the feature `zstd`, to write and to read.
    Zstd,
}

/// A byte of LZ4 stands for at most 255, and the first and last for some more.
const LZ4_RATIO: usize = 255;

/// A block of Zstandard has at least four bytes, of which three are its head, and stands for at most this
/// many.
const ZSTD_BLOCK: usize = 128 << 10;

impl Compression {
    /// An error if this program was built without the compression.
    pub(in crate::snapshot) fn check(self) -> Result<()> {
        match self {
            Compression::Zstd if !cfg!(feature = "zstd") => {
                Err(without_zstd("pages cannot be compressed by Zstandard"))
            }
            _ => Ok(()),
        }
    }

    pub(in crate::snapshot) fn number(self) -> u8 {
        match self {
            Compression::None => 0,
            Compression::Lz4 => 1,
            Compression::Zstd => 2,
        }
    }

    pub(in crate::snapshot) fn of_number(number: u8) -> Option<Compression> {
        let all = [Compression::None, Compression::Lz4, Compression::Zstd];
        all.into_iter().find(|compression| compression.number() == number)
    }

    /// The body in fewer bytes; `None` if they would not be fewer.
    pub(in crate::snapshot) fn compress(self, body: &[u8]) -> Result<Option<Vec<u8>>> {
        let smaller = match self {
            Compression::None => return Ok(None),
            Compression::Lz4 => lz4_flex::block::compress(body),
            Compression::Zstd => zstd_compress(body)?,
        };
        // A body that does not shrink is stored as it is, so that reading it costs no decompression.
        Ok(Some(smaller).filter(|smaller| smaller.len() < body.len()))
    }

    /// The body of `raw` bytes that these hold.
    pub(in crate::snapshot) fn decompress(self, bytes: &[u8], raw: usize) -> Result<Vec<u8>> {
        // Before memory is allocated: a damaged length must not ask for more than these bytes can stand for.
        let can_hold = match self {
            Compression::None => bytes.len() == raw,
            Compression::Lz4 => raw / LZ4_RATIO <= bytes.len(),
            Compression::Zstd => raw / ZSTD_BLOCK <= bytes.len() / 4,
        };
        if !can_hold {
            return Err(damaged("so few bytes cannot hold so many"));
        }
        let body = match self {
            Compression::None => bytes.to_vec(),
            Compression::Lz4 => lz4_flex::block::decompress(bytes, raw)
                .map_err(|error| damaged("it cannot be decompressed").because(error))?,
            Compression::Zstd => zstd_decompress(bytes, raw)?,
        };
        if body.len() == raw { Ok(body) } else { Err(damaged("it decompresses to another length")) }
    }
}

/// The level that Zstandard is used at. The third takes a tenth longer and saves next to nothing: see
/// `cargo bench --bench snapshot -- codecs`.
#[cfg(feature = "zstd")]
const LEVEL: i32 = 1;

#[cfg(feature = "zstd")]
fn zstd_compress(body: &[u8]) -> Result<Vec<u8>> {
    zstd::bulk::compress(body, LEVEL)
        .map_err(|error| Error::io("a page cannot be compressed by Zstandard", error))
}

#[cfg(feature = "zstd")]
fn zstd_decompress(bytes: &[u8], raw: usize) -> Result<Vec<u8>> {
    zstd::bulk::decompress(bytes, raw).map_err(|error| damaged("it cannot be decompressed").because(error))
}

#[cfg(not(feature = "zstd"))]
fn zstd_compress(_: &[u8]) -> Result<Vec<u8>> {
    Err(without_zstd("pages cannot be compressed by Zstandard"))
}

#[cfg(not(feature = "zstd"))]
fn zstd_decompress(_: &[u8], _: usize) -> Result<Vec<u8>> {
    Err(without_zstd("the page is compressed by Zstandard"))
}

fn without_zstd(what: &str) -> Error {
    Error::config(format!("{what}, which this program was built without: build it with the feature `zstd`"))
}

fn damaged(what: &str) -> Error {
    Error::data(format!("the page is damaged: {what}"))
}
