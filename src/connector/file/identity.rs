//! The identity of the file that a position belongs to.
//!
//! A path is not enough: files are renamed, replaced and rewritten while they are read, and between two runs.
//! The identity consists of the file's inode, with its time of birth where the file system has it, because
//! inode numbers are reused; and of checksums of the content that was read: of the first kibibyte, and of the
//! last 256 bytes before the position.
//!
//! A file that only grows keeps all of these. One that was rewritten in place keeps the inode, and is
//! detected by the checksums or because it is shorter. A change in the middle of the content that was read is
//! not detected.
//!
//! Costs two short reads at each poll of a followed file, and two when a file is opened at a position.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Deserializer, Serialize};

/// Bytes of the beginning that are compared.
const HEAD: u64 = 1 << 10;

/// Bytes before the position that are compared.
const TAIL: u64 = 256;

/// The position of a reader in a file, with the identity of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePosition {
    /// The number of bytes before it; in a compressed file, of its unpacked content.
    pub offset: u64,
    /// The number of lines before it.
    pub line: u64,
    /// The file; `None` from snapshots of versions that did not save it.
    #[serde(deserialize_with = "if_any")]
    pub(super) of: Option<Identity>,
}

impl FilePosition {
    /// How the file differs from the one of this position, if it does.
    pub(super) fn differs(&self, file: &File) -> io::Result<Option<String>> {
        match &self.of {
            Some(of) => of.read.difference(file),
            None => Read { end: self.offset, ..Read::default() }.difference(file),
        }
    }
}

/// Reads a field that older notes end before: missing means `None`.
fn if_any<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Identity>, D::Error> {
    Ok(Option::deserialize(from).unwrap_or_default())
}

/// The identity of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Its last path.
    pub(super) path: String,
    pub(super) node: Node,
    pub(super) read: Read,
}

/// The file that a path refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Node {
    device: u64,
    inode: u64,
    /// The time of its birth in nanoseconds, where it is known.
    born: Option<u64>,
}

impl Node {
    pub(super) fn of(metadata: &Metadata) -> Node {
        let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let born = born.map(|since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        Node { device: metadata.dev(), inode: metadata.ino(), born }
    }

    pub(super) fn inode(&self) -> u64 {
        self.inode
    }

    /// The numbers by which to look it up, which stay the same while the system runs.
    pub(super) fn key(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// True unless the inode of a file that is gone was reused for another. Devices are not compared: they
    /// may have other numbers after a restart of the system.
    pub(super) fn may_be(&self, other: &Node) -> bool {
        self.inode == other.inode && self.born.zip(other.born).is_none_or(|(one, other)| one == other)
    }

    /// True if both are certainly one file, whatever its content is.
    pub(super) fn is(&self, other: &Node) -> bool {
        self.may_be(other) && self.born.is_some() && other.born.is_some()
    }
}

/// A checksum of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    length: u64,
    sum: u32,
}

impl Sum {
    fn of(bytes: &[u8]) -> Sum {
        Sum { length: bytes.len() as u64, sum: crc32c::crc32c(bytes) }
    }

    /// True if these bytes are at `offset`.
    fn is_at(&self, file: &File, offset: u64) -> io::Result<bool> {
        Ok(Sum::of(&bytes_at(file, offset, self.length)?) == *self)
    }
}

/// Up to `length` bytes.
fn bytes_at(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The content of a file that was read, as checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Read {
    /// Bytes of the file that were read.
    pub(super) end: u64,
    head: Sum,
    tail: Sum,
}

impl Read {
    /// The checksums after the first `end` bytes of a file have been read. `self` has those of before, which
    /// are of content that is unchanged in the file.
    pub(super) fn up_to(&self, file: &File, end: u64) -> io::Result<Read> {
        if end == self.end {
            return Ok(*self);
        }
        // A complete head never changes as the file grows.
        let head = match self.head.length {
            HEAD if end >= HEAD => self.head,
            _ => Sum::of(&bytes_at(file, 0, end.min(HEAD))?),
        };
        let length = end.min(TAIL);
        Ok(Read { end, head, tail: Sum::of(&bytes_at(file, end - length, length)?) })
    }

    /// How the file differs from the content that was read, if it does.
    pub(super) fn difference(&self, file: &File) -> io::Result<Option<String>> {
        let length = file.metadata()?.len();
        Ok(match () {
            () if length < self.end => Some(format!("it has {length} bytes now")),
            () if !self.head.is_at(file, 0)? => Some("it begins otherwise now".to_owned()),
            () if !self.tail.is_at(file, self.end - self.tail.length)? => {
                Some("what was read last is not there any more".to_owned())
            }
            () => None,
        })
    }

    /// True if `content`, which is at its beginning, begins with all that was read. If that is little, the
    /// content must also end there.
    pub(super) fn is_in(&self, content: &mut impl io::Read) -> io::Result<bool> {
        let mut head = Vec::new();
        content.by_ref().take(self.head.length).read_to_end(&mut head)?;
        if Sum::of(&head) != self.head {
            return Ok(false);
        }
        // The tail overlaps the head if little was read.
        let between = (self.end - self.tail.length).saturating_sub(self.head.length);
        let passed = io::copy(&mut content.by_ref().take(between), &mut io::sink())?;
        let overlap = head.len() - (self.end - self.tail.length).min(self.head.length) as usize;
        let mut tail = head.split_off(head.len() - overlap);
        content.by_ref().take(self.tail.length - tail.len() as u64).read_to_end(&mut tail)?;
        if passed < between || Sum::of(&tail) != self.tail {
            return Ok(false);
        }
        // If little was read, the copy must be equal to all of it, and no longer.
        Ok(self.end > 0 && (self.is_telling() || content.read(&mut [0])? == 0))
    }

    /// True if so much was read that another file would not begin with the same bytes by chance.
    pub(super) fn is_telling(&self) -> bool {
        self.head.length == HEAD
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::connector::LinePosition;
    use crate::snapshot::{decode_note, encode_note};

    #[test]
    fn what_is_rewritten_is_noticed_and_what_grows_is_not() {
        let text: Vec<u8> = (0..5_000u32).flat_map(u32::to_le_bytes).collect();
        for end in [0, 1, 200, 1023, 1024, 1025, 9_999] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&text[..end + 10]).unwrap();
            let read =
                Read::default().up_to(&file, end as u64 / 2).unwrap().up_to(&file, end as u64).unwrap();
            assert_eq!(read, Read::default().up_to(&file, end as u64).unwrap());
            assert_eq!(read.difference(&file).unwrap(), None, "{end}");
            file.write_all(&text).unwrap();
            assert_eq!(read.difference(&file).unwrap(), None, "{end}");
            if end > 0 {
                for at in [0, end - 1] {
                    file.write_all_at(&[text[at] ^ 1], at as u64).unwrap();
                    assert!(read.difference(&file).unwrap().is_some(), "{end} {at}");
                    file.write_all_at(&text[at..=at], at as u64).unwrap();
                }
                file.set_len(end as u64 - 1).unwrap();
                assert!(read.difference(&file).unwrap().is_some(), "{end}");
            }
        }
    }

    #[test]
    fn copies_are_known() {
        let text: Vec<u8> = (0..5_000u32).flat_map(u32::to_le_bytes).collect();
        for end in [1, 200, 300, 1023, 1024, 1100, 1290, 9_999] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&text[..end]).unwrap();
            let read = Read::default().up_to(&file, end as u64).unwrap();
            assert!(read.is_in(&mut &text[..end]).unwrap(), "{end}");
            assert_eq!(read.is_in(&mut &text[..]).unwrap(), end >= 1024, "{end}");
            assert!(!read.is_in(&mut &text[..end - 1]).unwrap(), "{end}");
            let mut other = text.clone();
            other[end - 1] ^= 1;
            assert!(!read.is_in(&mut &other[..end]).unwrap(), "{end}");
        }
        assert!(!Read::default().is_in(&mut &b""[..]).unwrap());
    }

    #[test]
    fn positions_that_name_no_file_are_read() {
        let old = encode_note(&LinePosition { offset: 70_000, line: 300 }).unwrap();
        let place: FilePosition = decode_note(&old, "a.txt", "position").unwrap();
        assert_eq!(place, FilePosition { offset: 70_000, line: 300, of: None });
        let node = Node::of(&tempfile::tempfile().unwrap().metadata().unwrap());
        let of = Some(Identity { path: "a".to_owned(), node, read: Read::default() });
        let place = FilePosition { of, ..place };
        assert_eq!(decode_note::<FilePosition>(&encode_note(&place).unwrap(), "", "").unwrap(), place);
    }
}
