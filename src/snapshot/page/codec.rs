//! Codecs: encode rows as the body of a page, and decode them.
//!
//! Three ways, and a fourth that few need: by columns, where all first fields come first, then all second
//! ones, each packed into as few bits as it needs; and row by row. Columns are smaller before compression and
//! still more after it. Rows follow a format that is written down and will not change.
//!
//! Columns are those of `bitcode`, whose format is only promised within one version: so that version is
//! pinned, and another one would be another codec. Both need types that always serialize alike: no
//! `untagged`, `flatten` or `skip_serializing_if`, and no values that describe themselves.
//!
//! The third is as rows lie in memory behind the hash tables of state, in [blocks](super::block): it is row
//! by row again, with keys and values apart, and costs next to nothing to write. The fourth is `abomonation`,
//! for rows of plain data alone, in programs that ask for it; others go by columns there.
//!
//! No codec panics on bytes that it did not write. Row by row, decoding takes no more memory than the bytes
//! justify. Columns spend a bit on a value that is always zero, and so may take some hundred times their
//! bytes; lists of units in them take no bytes at all, so a few bytes can ask for hours of work. Therefore
//! the page's checksum is verified before. Rows that are units themselves are encoded row by row.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::snapshot::page::block::{BLOCK_ROWS, BlockBuilder, EncodedRow, RowKind, finish_page, unpack};
use crate::snapshot::page::plain_registry::form;

/// How the rows of a page are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Codec {
    /// Field by field, bit-packed.
    Columnar,
    /// Row by row, in Postcard's format.
    Rows,
    /// As it lies in memory, by the crate `abomonation`, if all of a row is plain data and `snapshot::plain`
    /// was told so; by columns otherwise. It needs the feature `abomonation`, to write and to read. Not for
    /// pages that come from others: see
    /// [RUSTSEC-2021-0120](https://rustsec.org/advisories/RUSTSEC-2021-0120.html).
    Abomonation,
    /// In blocks of rows, of which keys lie together and values do, in Postcard's format: as state lies in
    /// memory beside its hash tables, and so without any work but for compression.
    #[default]
    Blocks,
}

/// What the body of a page of [`Codec::Abomonation`] begins with if rows by columns follow.
pub(crate) const BY_COLUMNS: u8 = 0;

impl Codec {
    /// Encodes rows. An error if the type's `Serialize` fails or asks for what the codec does not have, or if
    /// the program was built without the codec.
    pub fn encode<T: Serialize + 'static>(self, rows: &[T]) -> Result<Vec<u8>> {
        match form::<T>().filter(|_| self == Codec::Abomonation) {
            Some(form) => (form.encode)(rows),
            None => self.encode_views(rows),
        }
    }

    /// True if rows of this type are encoded as they lie in memory, and so must be rows and not references to
    /// their fields.
    pub(crate) fn is_plain<T: 'static>(self) -> bool {
        self == Codec::Abomonation && form::<T>().is_some()
    }

    /// Encodes rows that consist of references to their fields.
    pub(crate) fn encode_views<T: Serialize>(self, rows: &[T]) -> Result<Vec<u8>> {
        let cannot = |error: String| {
            Error::data(format!(
                "state cannot be encoded for a snapshot: {error}; see its type's `Serialize`"
            ))
        };
        match self.of::<T>() {
            Codec::Columnar => bitcode::serialize(rows).map_err(|error| cannot(error.to_string())),
            Codec::Rows => rows
                .iter()
                .try_fold(Vec::new(), |bytes, row| postcard::to_extend(row, bytes))
                .map_err(|error| cannot(error.to_string())),
            Codec::Blocks => encode_blocks(rows).map_err(|error| cannot(error.to_string())),
            Codec::Abomonation => {
                self.check()?;
                // Not plain, or only views of rows: by columns, which the first byte tells the reader.
                let mut bytes = Codec::Columnar.encode_views(rows)?;
                bytes.insert(0, BY_COLUMNS);
                Ok(bytes)
            }
        }
    }

    /// An error if this program was built without the codec.
    pub(in crate::snapshot) fn check(self) -> Result<()> {
        match self {
            Codec::Abomonation if !cfg!(feature = "abomonation") => Err(Error::config(
                "pages are encoded by abomonation, which this program was built without: build it with the feature `abomonation`",
            )),
            _ => Ok(()),
        }
    }

    /// The codec that a type is encoded by in fact.
    fn of<T>(self) -> Codec {
        // By columns, rows of no size take no bytes, so that a few bytes could ask for any number of them.
        if size_of::<T>() == 0 && self != Codec::Blocks { Codec::Rows } else { self }
    }

    /// Decodes `rows` rows, which must be all that the bytes hold.
    pub fn decode<T: DeserializeOwned + 'static>(self, bytes: &[u8], rows: usize) -> Result<Vec<T>> {
        let cannot = |error: String| {
            let what = std::any::type_name::<T>();
            Error::data(format!(
                "a page does not hold {rows} rows of {what}: {error}; it was written by another type or is damaged"
            ))
        };
        let decoded = match self.of::<T>() {
            Codec::Columnar => bitcode::deserialize(bytes).map_err(|error| cannot(error.to_string()))?,
            Codec::Rows => decode_rows(bytes, rows).map_err(|error| cannot(error.to_string()))?,
            Codec::Blocks => {
                decode_rows(&unpack(bytes, rows)?, rows).map_err(|error| cannot(error.to_string()))?
            }
            Codec::Abomonation => {
                self.check()?;
                // The first byte tells how this page was written, whatever the program knows of the type now.
                match (bytes.split_first(), form::<T>()) {
                    (Some((&BY_COLUMNS, columns)), _) => Codec::Columnar.decode(columns, rows)?,
                    (None, _) => return Err(cannot("there is nothing".to_owned())),
                    (Some(_), Some(form)) => (form.decode)(bytes, rows)?,
                    (Some(_), None) => {
                        return Err(Error::config(format!(
                            "a page holds {} as plain data: say so by `Snapshots::plain` or `snapshot::plain`",
                            std::any::type_name::<T>()
                        )));
                    }
                }
            }
        };
        let found: usize = Vec::<T>::len(&decoded);
        if found == rows { Ok(decoded) } else { Err(cannot(format!("there are {found}"))) }
    }
}

/// Encodes something small.
pub(crate) fn encode_note<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    postcard::to_allocvec(value)
        .map_err(|error| Error::data("something small of a snapshot cannot be encoded").because(error))
}

/// Decodes something small that `whose` has noted under `name`.
pub(crate) fn decode_note<T: DeserializeOwned>(bytes: &[u8], whose: &str, name: &str) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| {
        let what = format!(
            "what the snapshot has of {whose:?} under {name:?} is of another type than the program expects: go on with the program that wrote it"
        );
        Error::data(what).because(error)
    })
}

/// Rows of which nothing is known, as values without keys.
fn encode_blocks<T: Serialize>(rows: &[T]) -> Result<Vec<u8>, postcard::Error> {
    let (mut block, mut bytes, mut ends) = (BlockBuilder::new(RowKind::Plain), Vec::new(), Vec::new());
    for some in rows.chunks(BLOCK_ROWS) {
        for row in some {
            let value = postcard::to_allocvec(row)?;
            block.push(EncodedRow { key: &[], value: Some(&value), expires: i64::MAX });
        }
        block.finish(&mut bytes);
        ends.push(u32::try_from(bytes.len()).map_err(|_| postcard::Error::SerializeBufferFull)?);
    }
    finish_page(&mut bytes, &ends, RowKind::Plain);
    Ok(bytes)
}

fn decode_rows<T: DeserializeOwned>(mut bytes: &[u8], rows: usize) -> Result<Vec<T>, postcard::Error> {
    // A count alone justifies no memory: a row takes a byte at least, unless it is of no size.
    let mut decoded = Vec::with_capacity(rows.min(bytes.len()));
    for _ in 0..rows {
        let (row, rest) = postcard::take_from_bytes(bytes)?;
        decoded.push(row);
        bytes = rest;
    }
    if bytes.is_empty() { Ok(decoded) } else { Err(postcard::Error::DeserializeBadEncoding) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Nothing,
        Some(Option<i64>),
        Named { text: String, list: Vec<(u8, bool)> },
    }

    type Row = (u64, Kind, std::collections::BTreeMap<String, f64>);

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Nothing),
            any::<Option<i64>>().prop_map(Kind::Some),
            (".{0,9}", prop::collection::vec(any::<(u8, bool)>(), 0..5))
                .prop_map(|(text, list)| Kind::Named { text, list }),
        ]
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let map = prop::collection::btree_map(".{0,3}", -1e9..1e9, 0..3);
        prop::collection::vec((any::<u64>(), kind(), map), 0..20)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(rows in rows()) {
            for codec in [Codec::Columnar, Codec::Rows, Codec::Blocks] {
                let bytes = codec.encode(&rows).unwrap();
                prop_assert_eq!(codec.decode::<Row>(&bytes, rows.len()).unwrap(), rows.clone());
                prop_assert!(codec.decode::<Row>(&bytes, rows.len() + 1).is_err());
                let longer = [&bytes[..], &[0]].concat();
                prop_assert!(codec.decode::<Row>(&longer, rows.len()).is_err());
            }
        }

        /// There is no checksum here, so some of them decode to something else; none panics.
        #[test]
        fn flipped_bytes_do_not_panic(rows in rows(), flips in prop::collection::vec(any::<(u16, u8)>(), 1..9)) {
            for codec in [Codec::Columnar, Codec::Rows, Codec::Blocks] {
                let mut bytes = codec.encode(&rows).unwrap();
                for (at, flip) in &flips {
                    let len = bytes.len();
                    if let Some(byte) = bytes.get_mut(usize::from(*at) % len.max(1)) {
                        *byte ^= flip;
                    }
                }
                let _ = codec.decode::<Row>(&bytes, rows.len());
            }
        }

        #[test]
        fn noise_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), rows in 0..50usize) {
            for codec in [Codec::Columnar, Codec::Rows, Codec::Blocks] {
                let _ = codec.decode::<Row>(&bytes, rows);
                let _ = codec.decode::<(String, [u16; 3])>(&bytes, rows);
            }
        }
    }

    #[cfg(not(feature = "abomonation"))]
    #[test]
    fn what_the_program_was_built_without_is_named() {
        let codec = Codec::Abomonation;
        for error in [codec.encode(&[1u64]).unwrap_err(), codec.decode::<u64>(&[0, 0], 1).unwrap_err()] {
            assert!(error.to_string().contains("the feature `abomonation`"), "{error}");
        }
    }

    #[test]
    fn units_are_counted_and_not_decoded_without_end() {
        let rows = vec![(); 1000];
        for codec in [Codec::Columnar, Codec::Rows, Codec::Blocks] {
            let bytes = codec.encode(&rows).unwrap();
            assert!(bytes.is_empty() || codec == Codec::Blocks);
            assert_eq!(codec.decode::<()>(&bytes, 1000).unwrap(), rows);
        }
    }

    #[test]
    fn columns_are_smaller_where_values_are_alike() {
        let rows: Vec<(u64, u64)> = (0..1000).map(|n| (n / 100, 0)).collect();
        let (columns, by_row) = (Codec::Columnar.encode(&rows).unwrap(), Codec::Rows.encode(&rows).unwrap());
        assert!(columns.len() * 3 < by_row.len(), "{} {}", columns.len(), by_row.len());
    }

    /// A format that changes must be a new codec: snapshots outlive versions.
    #[test]
    fn the_formats_are_what_they_were() {
        let rows = [(1u64, "one".to_owned(), Some(-1i32)), (300, String::new(), None)];
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(Codec::Rows.encode(&rows).unwrap()), "01036f6e650101ac020000");
        assert_eq!(hex(Codec::Columnar.encode(&rows).unwrap()), "020401002c0103006f6e65010000ffffffff");
        let mut block = BlockBuilder::new(RowKind::Expiring);
        for (key, value, expires) in
            [(1, Some(&[7][..]), i64::MAX), (2, None, i64::MAX), (3, Some(&[8, 9]), -5)]
        {
            block.push(EncodedRow { key: &[key], value, expires });
        }
        let mut bytes = Vec::new();
        block.finish(&mut bytes);
        let end = bytes.len() as u32;
        finish_page(&mut bytes, &[end], RowKind::Expiring);
        assert_eq!(hex(bytes.clone()), "03090301020001000001030b010203070809120000000100000001");
        assert_eq!(hex(unpack(&bytes, 3).unwrap()), "010107feffffffffffffffff0102000301080909");
    }
}
