//! The page format: rows of one table, encoded, compressed, and behind a head that identifies them.
//!
//! A page is read far from where it was written: in another run, on another worker, perhaps by a newer
//! program. So its head names the operator, the table, the fingerprint of its rows' type, the hashes of its
//! keys and the epochs of its changes. A reader states what it expects, and a page of another owner is
//! refused. Everything is checked before memory is allocated for the body: the checksum over head and body,
//! and that so few bytes can hold so many.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `HWPG` |
//! | 2 | version of the format |
//! | 1, 1 | codec, compression |
//! | 8 | fingerprint of the schema |
//! | 8, 8 | first and last hash of a key |
//! | 8, 8 | first and last epoch |
//! | 4 | rows |
//! | 4, 4 | length of the body as it was, and as it is stored |
//! | 2, 2 | lengths of operator and table |
//! | | operator, table, body |
//! | 4 | CRC-32C of all before |
//!
//! Numbers are little-endian. A page costs 68 bytes and its names on top of its body.

use crate::error::{Error, Result};
use crate::snapshot::page::codec::Codec;
use crate::snapshot::page::compression::Compression;

/// The largest body of a page before compression: 1 GiB.
pub const MAX_PAGE: usize = 1 << 30;

const MAGIC: [u8; 4] = *b"HWPG";
const VERSION: u16 = 1;
const HEAD: usize = 64;

/// The head of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageHead {
    /// How its rows are encoded.
    pub codec: Codec,
    /// How its body is compressed. A body that does not become smaller is stored as it is, and the head that
    /// is read says so.
    pub compression: Compression,
    /// The operator whose state it is.
    pub uid: String,
    /// The table in it.
    pub table: String,
    /// The fingerprint of its rows' type.
    pub fingerprint: u64,
    /// The first and the last hash of a key.
    pub hashes: (u64, u64),
    /// The first and the last epoch of a change.
    pub epochs: (u64, u64),
    /// How many rows there are.
    pub rows: u32,
}

impl PageHead {
    /// Wraps a body.
    ///
    /// An error if the body is larger than [`MAX_PAGE`], a name longer than 65,535 bytes, or the compression
    /// one that this program was built without.
    pub fn encode(&self, body: &[u8]) -> Result<Vec<u8>> {
        let (uid, table) = (self.uid.as_str(), self.table.as_str());
        let (Ok(uid_len), Ok(table_len)) = (u16::try_from(uid.len()), u16::try_from(table.len())) else {
            return Err(Error::config(
                "the name of an operator or of a table of its state is longer than 65,535 bytes",
            ));
        };
        if body.len() > MAX_PAGE {
            let len = body.len();
            return Err(Error::data(format!(
                "a page of {uid}/{table} has {len} bytes: split it, 1 GiB is the most"
            )));
        }
        let smaller = self.compression.compress(body)?;
        // The head states how this body is stored, which may not be what was asked for.
        let compression = if smaller.is_some() { self.compression } else { Compression::None };
        let stored = smaller.as_deref().unwrap_or(body);
        let mut page = Vec::with_capacity(HEAD + uid.len() + table.len() + stored.len() + 4);
        page.extend_from_slice(&MAGIC);
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.extend_from_slice(&[number_of(self.codec), compression.number()]);
        for number in [self.fingerprint, self.hashes.0, self.hashes.1, self.epochs.0, self.epochs.1] {
            page.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.rows, body.len() as u32, stored.len() as u32] {
            page.extend_from_slice(&number.to_le_bytes());
        }
        for number in [uid_len, table_len] {
            page.extend_from_slice(&number.to_le_bytes());
        }
        for bytes in [uid.as_bytes(), table.as_bytes(), stored] {
            page.extend_from_slice(bytes);
        }
        let crc = crc32c::crc32c(&page);
        page.extend_from_slice(&crc.to_le_bytes());
        Ok(page)
    }

    /// Unwraps a page: its head, and its body as it was before compression.
    ///
    /// An error if a byte of it is not as it was written, or if this program does not know its format.
    pub fn decode(page: &[u8]) -> Result<(PageHead, Vec<u8>)> {
        let Some((rest, crc)) = page.split_last_chunk::<4>() else {
            return Err(damaged("it is too short"));
        };
        let mut reader = Reader(rest);
        if reader.take::<4>()? != MAGIC {
            return Err(damaged("it does not begin as a page"));
        }
        // A later version may keep its checksum elsewhere, but not its version.
        let version = u16::from_le_bytes(reader.take()?);
        if version != VERSION {
            return Err(Error::data(format!(
                "it has version {version} of the format, and this program reads {VERSION}: use the program that wrote it"
            )));
        }
        // Before any other field is read: none after the version can be trusted without it.
        if u32::from_le_bytes(*crc) != crc32c::crc32c(rest) {
            return Err(damaged("its checksum does not match"));
        }
        let [codec, compression] = reader.take()?;
        let codec = codec_of(codec).ok_or_else(|| damaged("its codec is unknown"))?;
        let [fingerprint, first, last, from, to] = reader.numbers()?;
        let (hashes, epochs) = ((first, last), (from, to));
        let [rows, raw, stored] = [reader.short()?, reader.short()?, reader.short()?];
        let [uid, table] = [u16::from_le_bytes(reader.take()?), u16::from_le_bytes(reader.take()?)];
        let (uid, table) = (reader.text(uid)?, reader.text(table)?);
        // What is left of the bytes under the checksum is the body, so its length must match.
        let body = reader.0;
        if body.len() != stored as usize {
            return Err(damaged("its length does not match"));
        }
        let compression =
            Compression::of_number(compression).ok_or_else(|| damaged("its compression is unknown"))?;
        // Before `decompress` allocates that much.
        if raw as usize > MAX_PAGE {
            return Err(damaged("so few bytes cannot hold so many"));
        }
        let body = compression.decompress(body, raw as usize)?;
        let head = PageHead { codec, compression, uid, table, fingerprint, hashes, epochs, rows };
        Ok((head, body))
    }
}

/// The checksum that an encoded page ends with.
pub(in crate::snapshot) fn checksum(page: &[u8]) -> u32 {
    page.last_chunk().map_or(0, |crc| u32::from_le_bytes(*crc))
}

fn number_of(codec: Codec) -> u8 {
    match codec {
        Codec::Columnar => 1,
        Codec::Rows => 2,
        Codec::Abomonation => 3,
        Codec::Blocks => 4,
    }
}

fn codec_of(number: u8) -> Option<Codec> {
    let all = [Codec::Columnar, Codec::Rows, Codec::Abomonation, Codec::Blocks];
    all.into_iter().find(|codec| number_of(*codec) == number)
}

fn damaged(what: &str) -> Error {
    Error::data(format!("the page is damaged: {what}"))
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn slice(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| damaged("it is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut taken = [0; N];
        taken.copy_from_slice(self.slice(N)?);
        Ok(taken)
    }

    fn short(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn numbers<const N: usize>(&mut self) -> Result<[u64; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = u64::from_le_bytes(self.take()?);
        }
        Ok(numbers)
    }

    fn text(&mut self, len: u16) -> Result<String> {
        let bytes = self.slice(usize::from(len))?;
        String::from_utf8(bytes.to_vec()).map_err(|_| damaged("a name in it is no text"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head() -> impl Strategy<Value = PageHead> {
        let codec =
            prop::sample::select(vec![Codec::Columnar, Codec::Rows, Codec::Abomonation, Codec::Blocks]);
        let compression = prop::sample::select(compressions());
        let names = (".{0,20}", ".{0,20}");
        let ranges = any::<((u64, u64), (u64, u64))>();
        (codec, compression, names, any::<(u64, u32)>(), ranges).prop_map(
            |(codec, compression, (uid, table), (fingerprint, rows), (hashes, epochs))| PageHead {
                codec,
                compression,
                uid,
                table,
                fingerprint,
                hashes,
                epochs,
                rows,
            },
        )
    }

    fn compressions() -> Vec<Compression> {
        let all = [Compression::None, Compression::Lz4, Compression::Zstd];
        all.into_iter().filter(|compression| compression.check().is_ok()).collect()
    }

    fn body() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            (any::<u8>(), 0..100_000usize).prop_map(|(byte, len)| vec![byte; len]),
        ]
    }

    /// Makes the checksum right again, as a forger would.
    fn forge(page: &mut [u8]) {
        let at = page.len() - 4;
        let crc = crc32c::crc32c(&page[..at]);
        page[at..].copy_from_slice(&crc.to_le_bytes());
    }

    proptest! {
        #[test]
        fn a_page_is_read_as_it_was_written(head in head(), body in body()) {
            let page = head.encode(&body).unwrap();
            let (mut read, read_body) = PageHead::decode(&page).unwrap();
            prop_assert_eq!(read_body, body);
            prop_assert!(read.compression == head.compression || read.compression == Compression::None);
            read.compression = head.compression;
            prop_assert_eq!(read, head);
        }

        #[test]
        fn a_page_that_was_changed_is_refused(head in head(), body in body(), at in any::<usize>(), flip in 1..=255u8) {
            let mut page = head.encode(&body).unwrap();
            let at = at % page.len();
            page[at] ^= flip;
            prop_assert!(PageHead::decode(&page).is_err());
            page[at] ^= flip;
            prop_assert!(PageHead::decode(&page[..at]).is_err());
            page.push(flip);
            prop_assert!(PageHead::decode(&page).is_err());
        }

        /// With a checksum that matches, so that all else is reached.
        #[test]
        fn a_forged_page_does_not_panic(head in head(), body in body(), flips in prop::collection::vec(any::<(u16, u8)>(), 1..5)) {
            let mut page = head.encode(&body).unwrap();
            for (at, flip) in flips {
                let at = usize::from(at) % page.len();
                page[at] ^= flip;
            }
            forge(&mut page);
            let _ = PageHead::decode(&page);
        }
    }

    fn plain() -> PageHead {
        let (uid, table) = ("counts".to_owned(), "values".to_owned());
        let (codec, compression) = (Codec::Rows, Compression::Lz4);
        PageHead { codec, compression, uid, table, fingerprint: 1, hashes: (2, 3), epochs: (4, 5), rows: 6 }
    }

    #[test]
    fn a_page_cannot_ask_for_more_memory_than_it_can_fill() {
        for compression in compressions() {
            let mut page = PageHead { compression, ..plain() }.encode(&[7; 1000]).unwrap();
            for raw in [1u32 << 30, u32::MAX] {
                page[52..56].copy_from_slice(&raw.to_le_bytes());
                forge(&mut page);
                let told = PageHead::decode(&page).unwrap_err().to_string();
                assert!(told.contains("so few bytes"), "{compression:?}: {told}");
            }
        }
    }

    #[test]
    fn compression_is_worth_it_or_not_done() {
        for compression in compressions().into_iter().filter(|compression| *compression != Compression::None)
        {
            let wrap = |body: &[u8]| PageHead { compression, ..plain() }.encode(body).unwrap();
            assert_eq!(PageHead::decode(&wrap(&[7; 1000])).unwrap().0.compression, compression);
            let (head, body) = PageHead::decode(&wrap(b"abc")).unwrap();
            assert_eq!((head.compression, &body[..]), (Compression::None, &b"abc"[..]));
            assert_eq!(wrap(b"abc").len(), 68 + "countsvalues".len() + 3);
        }
    }

    /// A page of 5000 times the same byte, as Zstandard compressed it: so that it can be tried with and
    /// without.
    #[test]
    fn a_page_that_zstandard_compressed_is_read_or_the_feature_is_named() {
        let frame = [
            0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x88, 0x12, 0x4d, 0x00, 0x00, 0x10, 0x07, 0x07, 0x01, 0x00, 0x83,
            0xd3, 0x03, 0x2c,
        ];
        let uncompressed = PageHead { compression: Compression::None, ..plain() };
        let mut page = uncompressed.encode(&frame).unwrap();
        page[7] = Compression::Zstd.number();
        page[52..56].copy_from_slice(&5000u32.to_le_bytes());
        forge(&mut page);
        match PageHead::decode(&page) {
            Ok((head, body)) => assert_eq!((head.compression, body), (Compression::Zstd, vec![7; 5000])),
            Err(error) => assert!(error.to_string().contains("the feature `zstd`"), "{error}"),
        }
        assert_eq!(PageHead::decode(&page).is_ok(), cfg!(feature = "zstd"));
        let wrapped = PageHead { compression: Compression::Zstd, ..plain() }.encode(&[7; 5000]);
        assert_eq!(wrapped.is_ok(), cfg!(feature = "zstd"));
    }

    #[test]
    fn a_page_of_another_version_is_told_so() {
        let mut page = plain().encode(b"abc").unwrap();
        page[4] = 9;
        assert!(PageHead::decode(&page).unwrap_err().to_string().contains("version 9"));
    }
}
