//! Fuzz entries: the decoders of snapshots, for arbitrary bytes.
//!
//! Checksums would refuse all but one in four billion of them. So each entry reads bytes as they are, and
//! then again with the right checksum, to reach the code behind it.

use std::collections::BTreeMap;
use std::hint::black_box;

use crate::snapshot::log::envelope::{self, Kind};
use crate::snapshot::log::manifest::Entry;
use crate::snapshot::log::repository::Kept;
use crate::snapshot::page::codec::Codec;
use crate::snapshot::page::format::PageHead;

/// Reads a page, and its body as rows of some types.
pub(crate) fn page(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), forged(bytes)] {
        if let Ok((head, body)) = PageHead::decode(&bytes) {
            rows(head.codec, &body, head.rows as usize);
        }
    }
}

/// Reads the body of a page: a byte for the codec, two for how many rows there are, and the rows.
pub(crate) fn body(bytes: &[u8]) {
    if let Some((head, body)) = bytes.split_first_chunk::<3>() {
        let codec = if head[0] % 2 == 0 { Codec::Columnar } else { Codec::Rows };
        rows(codec, body, usize::from(u16::from_le_bytes([head[1], head[2]])));
    }
}

/// Types that are made of all that codecs know.
fn rows(codec: Codec, body: &[u8], count: usize) {
    type Many = (String, Vec<(u8, Option<bool>)>, BTreeMap<i16, f64>);
    type Choice = Result<(char, [u32; 3]), Option<Box<i128>>>;
    black_box(codec.decode::<(u64, (), Option<(u32, i64)>)>(body, count).is_ok());
    black_box(codec.decode::<Many>(body, count).is_ok());
    black_box(codec.decode::<Choice>(body, count).is_ok());
}

/// Reads an entry of the log: a claim or a manifest.
pub(crate) fn entry(bytes: &[u8]) {
    let number = number_of(bytes);
    for bytes in [bytes.to_vec(), sealed(bytes)] {
        if let Ok(entry) = Entry::decode(number, &bytes, "log/x") {
            if let Entry::Manifest(manifest) = &entry {
                black_box((manifest.bytes(), manifest.rows()));
            }
            black_box(entry.encode(number).is_ok());
        }
    }
}

/// Reads a name that a snapshot is kept by.
pub(crate) fn name(bytes: &[u8]) {
    let number = number_of(bytes);
    for bytes in [bytes.to_vec(), sealed(bytes)] {
        black_box(envelope::open::<Kept>(Kind::Name, number, &bytes, "names/x").is_ok());
    }
}

/// With the right checksum at the end.
fn forged(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some((rest, end)) = bytes.split_last_chunk_mut::<4>() {
        *end = crc32c::crc32c(rest).to_le_bytes();
    }
    bytes
}

/// With the right length as well.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(body) = bytes.len().checked_sub(22) {
        bytes[14..18].copy_from_slice(&(body as u32).to_le_bytes());
    }
    forged(&bytes)
}

/// The number that is in an envelope.
fn number_of(bytes: &[u8]) -> u64 {
    bytes.get(6..).and_then(|rest| rest.first_chunk()).map_or(0, |number| u64::from_le_bytes(*number))
}
