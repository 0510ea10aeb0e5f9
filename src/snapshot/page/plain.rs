//! Rows of plain data as the memory holds them, by the crate `abomonation`.
//!
//! That crate copies values byte by byte, and for most types this is unsound: it reads bytes that no one
//! wrote, writes addresses out, and reads back what was never a value
//! ([RUSTSEC-2021-0120](https://rustsec.org/advisories/RUSTSEC-2021-0120.html), which will not be mended). So
//! it is off unless a program is built with the feature `abomonation` and asks for
//! [`Codec::Abomonation`](crate::snapshot::Codec::Abomonation); and then it is given nothing but [`Plain`]
//! types, for which all that is harmless: they have no padding, no pointers, and any bytes are a value. What
//! is left to be unsafe is one call, below. To read, the crate is not needed and not used: its `decode` takes
//! a reference to one byte for one to a value.
//!
//! For such types a safe copy writes the same bytes as the crate, and as fast; a test compares the two. Three
//! or four times as many rows are written a second as by columns, and they take up to two and a half times
//! the room, so it is for stores in memory and fast disks.
//!
//! # The body of a page
//!
//! | bytes | what |
//! |---|---|
//! | 1 | form: 1. With 0, rows by columns follow, as of [`Codec::Columnar`](crate::snapshot::Codec::Columnar) |
//! | 1 | the order of bytes in a number: 1 if the least comes first, 2 if the greatest does |
//! | 2 | version of this layout: 1, the least byte first, as in the next four |
//! | 4 | rows |
//! | 4 × (4, 4) | size and alignment of a key, a sub-key, a value, and an expiry |
//! | | all keys, all sub-keys, for each row 0 or 1 whether it has a value, all values, all expiries |
//!
//! All of it is checked before rows are made of it, and lengths before memory is allocated. The page around
//! it has the checksum, and a fingerprint of the names and types of the fields; what that cannot see is a
//! type that says by `Deserialize` that it is another than it is in memory.

use abomonation::Abomonation;
use bytemuck::Pod;

use crate::error::{Error, Result};
use crate::snapshot::page::plain_registry::{self as form, PlainCodec};

/// Plain data: no padding, no pointers, and any bytes are a value; as `bytemuck::Pod` makes sure. The crate
/// `abomonation` must know how to write it.
///
/// Numbers and arrays of up to 32 of them are. A struct is by `#[repr(C)]`,
/// `#[derive(bytemuck::Pod, bytemuck::Zeroable)]` and an empty `impl Abomonation`.
pub trait Plain: Pod + Abomonation + Send + Sync {}

impl<T: Pod + Abomonation + Send + Sync> Plain for T {}

/// A row of a state: key, sub-key, and the value with its expiry if there is any.
type Row<K, S, V> = (K, S, Option<(V, i64)>);

const FORM: u8 = 1;
const VERSION: u16 = 1;
const ORDER: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
const HEAD: usize = 8 + 4 * 8;

/// Registers state with these keys, sub-keys and values as plain, so that pages of
/// [`Codec::Abomonation`](crate::snapshot::Codec::Abomonation) hold it as it is in memory, and can be read.
/// For the whole program.
///
/// Values of process functions and rolling aggregates have the sub-key `()`, and maps the user's. A program
/// that only [reads](crate::snapshot::Repository::state) such state must register it as well.
pub fn plain<K: Plain, S: Plain, V: Plain>() {
    form::register(PlainCodec::<Row<K, S, V>> { encode: encode::<K, S, V>, decode: decode::<K, S, V> });
}

fn encode<K: Plain, S: Plain, V: Plain>(rows: &[Row<K, S, V>]) -> Result<Vec<u8>> {
    let count =
        u32::try_from(rows.len()).map_err(|_| Error::data("a page of state has more than 4 billion rows"))?;
    let expected = expected_len::<K, S, V>(rows.len())
        .ok_or_else(|| Error::data("a page of plain state is too large"))?;
    let mut bytes = Vec::with_capacity(expected);
    bytes.extend_from_slice(&[FORM, ORDER]);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    layout::<K, S, V>().iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    // Columns have a place for each row, so rows without a value are filled with zeros.
    let (none, zero) = (V::zeroed(), 0);
    for row in rows {
        write(&row.0, &mut bytes)?;
    }
    for row in rows {
        write(&row.1, &mut bytes)?;
    }
    bytes.extend(rows.iter().map(|row| u8::from(row.2.is_some())));
    for row in rows {
        write(row.2.as_ref().map_or(&none, |(value, _)| value), &mut bytes)?;
    }
    for row in rows {
        write(row.2.as_ref().map_or(&zero, |(_, expires)| expires), &mut bytes)?;
    }
    // A type's own `entomb` may write more than the type.
    match bytes.len() == expected {
        true => Ok(bytes),
        false => Err(Error::config(format!(
            "{} is not plain: its `Abomonation` writes more than its bytes; leave its methods as they are",
            std::any::type_name::<Row<K, S, V>>()
        ))),
    }
}

#[allow(unsafe_code)]
fn write<T: Plain>(value: &T, bytes: &mut Vec<u8>) -> Result<()> {
    // SAFETY: `encode` reads the `size_of::<T>()` bytes of the value, which are all written, since a `Pod`
    // type has no padding; and then calls the type's `entomb`, which for types without pointers is empty, and
    // if somebody has made it otherwise, is caught by the length.
    let written = unsafe { abomonation::encode(value, bytes) };
    written.map_err(|error| Error::io("cannot write plain state", error))
}

fn decode<K: Plain, S: Plain, V: Plain>(bytes: &[u8], rows: usize) -> Result<Vec<Row<K, S, V>>> {
    let cannot = |what: &str| {
        let rows = std::any::type_name::<Row<K, S, V>>();
        Error::data(format!(
            "a page of plain state cannot be read as {rows}: {what}; go on with the program that wrote it"
        ))
    };
    let (head, mut body) = bytes.split_at_checked(HEAD).ok_or_else(|| cannot("it is too short"))?;
    if head[..2] != [FORM, ORDER] || head[2..4] != VERSION.to_le_bytes() {
        return Err(cannot("it was written by another kind of machine or a later version"));
    }
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if number(4) as usize != rows {
        return Err(cannot("it has another number of rows"));
    }
    let found = (0..8).map(|place| number(8 + 4 * place));
    if !found.eq(layout::<K, S, V>()) {
        return Err(cannot("the types have other sizes"));
    }
    // Before memory is allocated: the counts of the columns below follow from this length.
    if expected_len::<K, S, V>(rows) != Some(bytes.len()) {
        return Err(cannot("its length does not match"));
    }
    let keys = column::<K>(&mut body, rows).ok_or_else(|| cannot("it is too short"))?;
    let subs = column::<S>(&mut body, rows).ok_or_else(|| cannot("it is too short"))?;
    let are_there = column::<u8>(&mut body, rows).ok_or_else(|| cannot("it is too short"))?;
    let values = column::<V>(&mut body, rows).ok_or_else(|| cannot("it is too short"))?;
    let expiries = column::<i64>(&mut body, rows).ok_or_else(|| cannot("it is too short"))?;
    // Any bytes are a plain value, but a flag is 0 or 1.
    if are_there.iter().any(|is_there| *is_there > 1) {
        return Err(cannot("a row neither has a value nor has none"));
    }
    let kept = are_there.into_iter().zip(values.into_iter().zip(expiries));
    let kept = kept.map(|(is_there, kept)| (is_there == 1).then_some(kept));
    Ok(keys.into_iter().zip(subs).zip(kept).map(|((key, sub), kept)| (key, sub, kept)).collect())
}

/// Takes `rows` values off the front of the bytes, into memory that is aligned for them.
fn column<T: Plain>(bytes: &mut &[u8], rows: usize) -> Option<Vec<T>> {
    // Values of no size have no bytes to be made of.
    if size_of::<T>() == 0 {
        return Some(vec![T::zeroed(); rows]);
    }
    let (column, rest) = bytes.split_at_checked(size_of::<T>().checked_mul(rows)?)?;
    *bytes = rest;
    Some(bytemuck::pod_collect_to_vec(column))
}

/// Sizes and alignments.
fn layout<K, S, V>() -> [u32; 8] {
    let numbers = [
        (size_of::<K>(), align_of::<K>()),
        (size_of::<S>(), align_of::<S>()),
        (size_of::<V>(), align_of::<V>()),
        (size_of::<i64>(), align_of::<i64>()),
    ];
    let mut layout = [0; 8];
    for (two, (size, align)) in layout.chunks_exact_mut(2).zip(numbers) {
        // No type is so large that it would matter.
        two.copy_from_slice(&[size as u32, align as u32]);
    }
    layout
}

/// The bytes of `rows` rows; `None` if they are more than can be counted.
fn expected_len<K, S, V>(rows: usize) -> Option<usize> {
    let row = size_of::<K>()
        .checked_add(size_of::<S>())?
        .checked_add(size_of::<V>())?
        .checked_add(1 + size_of::<i64>())?;
    row.checked_mul(rows)?.checked_add(HEAD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::page::codec::Codec;

    type Sample = Row<u32, [u16; 2], [i64; 2]>;

    fn rows() -> impl Strategy<Value = Vec<Sample>> {
        prop::collection::vec(any::<Sample>(), 0..30)
    }

    fn encoded(rows: &[Sample]) -> Vec<u8> {
        plain::<u32, [u16; 2], [i64; 2]>();
        Codec::Abomonation.encode(rows).unwrap()
    }

    proptest! {
        #[test]
        fn plain_rows_are_read_as_they_were_written(rows in rows()) {
            let bytes = encoded(&rows);
            prop_assert_eq!(bytes.len(), HEAD + 33 * rows.len());
            prop_assert_eq!(Codec::Abomonation.decode::<Sample>(&bytes, rows.len()).unwrap(), rows.clone());
            prop_assert!(Codec::Abomonation.decode::<Sample>(&bytes, rows.len() + 1).is_err());
            let longer = [&bytes[..], &[0]].concat();
            prop_assert!(Codec::Abomonation.decode::<Sample>(&longer, rows.len()).is_err());
            // Where they lie in memory does not matter.
            prop_assert_eq!(Codec::Abomonation.decode::<Sample>(&longer[1..], rows.len()).ok(), None);
            let shifted = [&[0], &bytes[..]].concat();
            prop_assert_eq!(Codec::Abomonation.decode::<Sample>(&shifted[1..], rows.len()).unwrap(), rows);
        }

        /// What the crate writes of plain values is what they are in memory, so it can be read without the
        /// crate.
        #[test]
        fn the_crate_writes_what_a_safe_copy_does(values in prop::collection::vec(any::<[i64; 2]>(), 0..30)) {
            let mut bytes = Vec::new();
            values.iter().for_each(|value| write(value, &mut bytes).unwrap());
            prop_assert_eq!(&bytes[..], bytemuck::cast_slice::<_, u8>(&values));
            prop_assert_eq!(column::<[i64; 2]>(&mut &bytes[..], values.len()).unwrap(), values);
        }

        #[test]
        fn flipped_and_missing_bytes_do_not_panic(rows in rows(), at in any::<usize>(), flip in 1..=255u8) {
            let mut bytes = encoded(&rows);
            let at = at % bytes.len();
            prop_assert!(Codec::Abomonation.decode::<Sample>(&bytes[..at], rows.len()).is_err());
            bytes[at] ^= flip;
            let read = Codec::Abomonation.decode::<Sample>(&bytes, rows.len());
            prop_assert!(at >= HEAD || read.is_err());
        }
    }

    #[test]
    fn rows_that_are_not_plain_go_by_columns() {
        let rows = vec![("a".to_owned(), (), Some((1u64, 2i64))), ("b".to_owned(), (), None)];
        let bytes = Codec::Abomonation.encode(&rows).unwrap();
        assert_eq!(bytes[0], 0);
        assert_eq!(bytes[1..], Codec::Columnar.encode(&rows).unwrap());
        assert_eq!(Codec::Abomonation.decode::<Row<String, (), u64>>(&bytes, 2).unwrap(), rows);
    }

    #[test]
    fn plain_rows_are_refused_by_whoever_expects_others() {
        let bytes = encoded(&[(1, [2, 3], Some(([4, 5], 6)))]);
        let told = Codec::Abomonation.decode::<Row<u16, (), i8>>(&bytes, 1).unwrap_err().to_string();
        assert!(told.contains("snapshot::plain"), "{told}");
        plain::<u32, u32, [u8; 16]>();
        let told = Codec::Abomonation.decode::<Row<u32, u32, [u8; 16]>>(&bytes, 1).unwrap_err().to_string();
        assert!(told.contains("other sizes"), "{told}");
        assert!(Codec::Abomonation.decode::<Sample>(&[], 0).is_err());
    }

    #[test]
    fn a_type_that_writes_more_than_itself_is_refused() {
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        struct Chatty(u8);
        #[allow(unsafe_code)]
        // SAFETY: as that of its only field.
        unsafe impl bytemuck::Zeroable for Chatty {}
        #[allow(unsafe_code)]
        // SAFETY: as that of its only field.
        unsafe impl Pod for Chatty {}
        impl Abomonation for Chatty {
            #[allow(unsafe_code)]
            unsafe fn entomb<W: std::io::Write>(&self, write: &mut W) -> std::io::Result<()> {
                write.write_all(b"and more")
            }
        }
        let told = encode::<Chatty, (), Chatty>(&[(Chatty(1), (), None)]).unwrap_err().to_string();
        assert!(told.contains("not plain"), "{told}");
    }

    /// A format that changes must be a new version: snapshots outlive programs.
    #[cfg(target_endian = "little")]
    #[test]
    fn the_layout_is_what_it_was() {
        let bytes = encode::<u16, (), u8>(&[(0x0102, (), Some((7, -1))), (3, (), None)]).unwrap();
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let head = "0101010002000000020000000200000000000000010000000100000001000000080000000800000";
        assert_eq!(hex, format!("{head}0020103000100{}{}", "0700", "ffffffffffffffff0000000000000000"));
    }
}
