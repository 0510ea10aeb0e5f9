//! What every small object of a store is wrapped in: what it is, its number, its length, its checksum.
//!
//! Any flipped, missing, added or exchanged byte is noticed before anything is decoded; so is an object that
//! lies under another's name, for the number in its name is inside too. The checksum is CRC-32C: it guards
//! against accidents, not against forgers.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | what it is: [`Kind`] |
//! | 2 | version of the format |
//! | 8 | number of the object |
//! | 4 | length of the body |
//! | | body |
//! | 4 | CRC-32C of all before |
//!
//! Numbers are little-endian.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// What an object is, by its first four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::snapshot) enum Kind {
    /// An entry of the log.
    Entry,
    /// The name of a snapshot.
    Name,
    /// What a garbage collection is about to delete.
    Intent,
}

const HEAD: usize = 18;

impl Kind {
    /// The version of the format that is written.
    pub(in crate::snapshot) fn version(self) -> u16 {
        match self {
            Kind::Entry => 2,
            Kind::Name | Kind::Intent => 1,
        }
    }

    fn magic(self) -> [u8; 4] {
        match self {
            Kind::Entry => *b"HWLG",
            Kind::Name => *b"HWNM",
            Kind::Intent => *b"HWGC",
        }
    }
}

/// Encodes a value and wraps it. `what` names it in errors.
pub(in crate::snapshot) fn seal<T: Serialize>(
    kind: Kind,
    number: u64,
    value: &T,
    what: &str,
) -> Result<Vec<u8>> {
    let mut bytes = vec![0; HEAD];
    bytes = postcard::to_extend(value, bytes)
        .map_err(|error| Error::data(format!("{what} cannot be encoded: {error}")))?;
    let len = u32::try_from(bytes.len() - HEAD);
    let len =
        len.map_err(|_| Error::data(format!("{what} is larger than 4 GiB: keep less state or fewer pages")))?;
    bytes[..4].copy_from_slice(&kind.magic());
    bytes[4..6].copy_from_slice(&kind.version().to_le_bytes());
    bytes[6..14].copy_from_slice(&number.to_le_bytes());
    bytes[14..18].copy_from_slice(&len.to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// The version of the format that an object says it has, if it is long enough.
pub(in crate::snapshot) fn version(bytes: &[u8]) -> Option<u16> {
    bytes.get(4..)?.first_chunk().map(|version| u16::from_le_bytes(*version))
}

/// Unwraps and decodes a value of the version that is written; `object` is where it lies, which errors name.
pub(in crate::snapshot) fn open<T: DeserializeOwned>(
    kind: Kind,
    number: u64,
    bytes: &[u8],
    object: &str,
) -> Result<T> {
    open_version((kind, kind.version()), number, bytes, object)
}

/// The same, of a version that may be an earlier one.
pub(in crate::snapshot) fn open_version<T: DeserializeOwned>(
    (kind, version): (Kind, u16),
    number: u64,
    bytes: &[u8],
    object: &str,
) -> Result<T> {
    let damaged = |what: String| {
        Error::data(format!(
            "{object} is damaged: {what}. Restore it from a copy, or go on from another snapshot by name"
        ))
    };
    let Some((rest, crc)) = bytes.split_last_chunk::<4>().filter(|(rest, _)| rest.len() >= HEAD) else {
        return Err(damaged(format!("it has only {} bytes", bytes.len())));
    };
    let (head, body) = rest.split_at(HEAD);
    if head[..4] != kind.magic() {
        return Err(damaged("it does not begin as it should".to_owned()));
    }
    // A later version may keep its checksum elsewhere, but not its version.
    let found = u16::from_le_bytes([head[4], head[5]]);
    if found != version {
        return Err(Error::data(format!(
            "{object} has version {found} of the format, and this program reads up to {version}: use the program that wrote it"
        )));
    }
    if u32::from_le_bytes(*crc) != crc32c::crc32c(rest) {
        return Err(damaged("its checksum does not match".to_owned()));
    }
    // The number is under the checksum: an object that was copied to another name is refused.
    if u64::from_le_bytes(number_in(head)) != number {
        return Err(damaged("it is another object under this name".to_owned()));
    }
    if u32::from_le_bytes([head[14], head[15], head[16], head[17]]) as usize != body.len() {
        return Err(damaged("its length does not match".to_owned()));
    }
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(damaged("there is something behind its end".to_owned())),
        Err(error) => Err(damaged(format!("it cannot be decoded: {error}"))),
    }
}

fn number_in(head: &[u8]) -> [u8; 8] {
    let mut number = [0; 8];
    number.copy_from_slice(&head[6..14]);
    number
}

/// The checksum that a sealed object ends with: what others refer to it by.
pub(in crate::snapshot) fn checksum(sealed: &[u8]) -> u32 {
    sealed.last_chunk().map_or(0, |crc| u32::from_le_bytes(*crc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_opened_but_what_was_sealed() {
        let value = ("name".to_owned(), 7u64);
        let sealed = seal(Kind::Name, 3, &value, "a value").unwrap();
        let open = |kind, number, bytes: &[u8]| open::<(String, u64)>(kind, number, bytes, "names/x");
        assert_eq!(open(Kind::Name, 3, &sealed).unwrap(), value);
        assert!(open(Kind::Name, 4, &sealed).unwrap_err().to_string().contains("another object"));
        assert!(open(Kind::Entry, 3, &sealed).is_err());
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(open(Kind::Name, 3, &flipped).unwrap_err().to_string().contains("names/x"), "{at}");
            assert!(open(Kind::Name, 3, &sealed[..at]).is_err(), "{at}");
        }
        assert!(open(Kind::Name, 3, &[&sealed[..], &[0]].concat()).is_err());
    }
}
