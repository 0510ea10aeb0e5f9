//! Prefetches the memory that many values point to, in one pass.
//!
//! Encoding a value with texts stalls at each text that is not in the cache, and does so much work per value
//! that the processor cannot run ahead to the next one. A pass that only touches memory overlaps these
//! misses. Of the time to encode rows of bids, with texts all over a file of gigabytes, two thirds were
//! stalls.
//!
//! The pass is a serializer that writes nothing. It touches one byte in each cache line of texts and byte
//! strings, and everything else by visiting it.

use std::fmt;
use std::hint::black_box;

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Prefetches what these values point to into the processor's cache, which should be able to hold it. Costs
/// one more pass of each value's `Serialize`, without the writing.
pub(crate) fn look_ahead<T: Serialize>(values: &[T]) {
    // An error here is met again, and reported, by the encoder that follows.
    let seen = values.iter().map(|value| value.serialize(Look { is_raw: false }).unwrap_or(0));
    black_box(seen.fold(0, |all, seen| all ^ seen));
}

/// The name of a newtype whose content serializes as raw bytes when [`Look`] visits it.
pub(super) const RAW: &str = "highwater::data::Raw";

/// The serializer. It returns a value computed from the touched bytes, or the compiler would drop the reads.
#[derive(Clone, Copy)]
struct Look {
    is_raw: bool,
}

type Seen = Result<u8, fmt::Error>;

/// A composite value.
struct Parts {
    look: Look,
    seen: u8,
}

impl Parts {
    fn add<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), fmt::Error> {
        self.seen ^= part.serialize(self.look)?;
        Ok(())
    }
}

const LINE: usize = 64;

#[inline]
fn touch(bytes: &[u8]) -> Seen {
    let (mut seen, mut at) = (bytes.last().copied().unwrap_or(0), 0);
    while let Some(byte) = bytes.get(at) {
        (seen, at) = (seen ^ byte, at + LINE);
    }
    Ok(seen)
}

/// Values without pointers.
macro_rules! scalars {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(#[inline]
        fn $method(self, _: $type) -> Seen {
            Ok(0)
        })*
    };
}

/// Composite values.
macro_rules! parts {
    ($($method:ident($($argument:ty),*)),* $(,)?) => {
        $(#[inline]
        fn $method(self, $(_: $argument),*) -> Result<Parts, fmt::Error> {
            Ok(Parts { look: self, seen: 0 })
        })*
    };
}

/// How each part is added.
macro_rules! adds {
    ($($of:ident::$method:ident($($name:ty)?)),* $(,)?) => {
        $(impl $of for Parts {
            type Ok = u8;
            type Error = fmt::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? part: &T) -> Result<(), fmt::Error> {
                self.add(part)
            }

            #[inline]
            fn end(self) -> Seen {
                Ok(self.seen)
            }
        })*
    };
}

adds! {
    SerializeSeq::serialize_element(),
    SerializeTuple::serialize_element(),
    SerializeTupleStruct::serialize_field(),
    SerializeTupleVariant::serialize_field(),
    SerializeStruct::serialize_field(&'static str),
    SerializeStructVariant::serialize_field(&'static str),
}

impl SerializeMap for Parts {
    type Ok = u8;
    type Error = fmt::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), fmt::Error> {
        self.add(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        self.add(value)
    }

    #[inline]
    fn end(self) -> Seen {
        Ok(self.seen)
    }
}

impl Serializer for Look {
    type Ok = u8;
    type Error = fmt::Error;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    scalars! {
        serialize_bool: bool, serialize_char: char,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64, serialize_unit_struct: &'static str,
    }

    parts! {
        serialize_seq(Option<usize>),
        serialize_tuple(usize),
        serialize_tuple_struct(&'static str, usize),
        serialize_tuple_variant(&'static str, u32, &'static str, usize),
        serialize_map(Option<usize>),
        serialize_struct(&'static str, usize),
        serialize_struct_variant(&'static str, u32, &'static str, usize),
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Seen {
        touch(text.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Seen {
        touch(bytes)
    }

    #[inline]
    fn serialize_none(self) -> Seen {
        Ok(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Seen {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Seen {
        Ok(0)
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Seen {
        Ok(0)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Seen {
        value.serialize(Look { is_raw: name == RAW })
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Seen {
        value.serialize(self)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Seen {
        Ok(0)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.is_raw
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::data::Text;

    #[derive(Serialize)]
    enum Kind {
        Nothing,
        Named { text: Text, list: Vec<String> },
        Pair(Text, Box<str>),
        One(Text),
    }

    fn seen<T: Serialize>(value: T) -> u8 {
        value.serialize(Look { is_raw: false }).unwrap()
    }

    #[test]
    fn all_texts_are_touched_wherever_they_are() {
        assert_eq!((seen(7u8), seen("ab"), seen(Text::from("ab"))), (0, b'a' ^ b'b', b'a' ^ b'b'));
        let long = format!("x{}yz", "_".repeat(LINE - 1));
        assert_eq!(seen(Text::from(long)), b'x' ^ b'y' ^ b'z');
        let map: BTreeMap<_, _> = [(Text::from("kl"), Some(Text::from("mn")))].into();
        assert_eq!(seen(map), b'k' ^ b'l' ^ b'm' ^ b'n');
        let kinds = [
            Kind::Nothing,
            Kind::Named { text: Text::from("ab"), list: vec!["cd".to_owned()] },
            Kind::Pair(Text::from("ef"), "gh".into()),
            Kind::One(Text::from("ij")),
        ];
        assert_eq!(seen(&kinds[..]), b"abcdefghij".iter().fold(0, |all, byte| all ^ byte));
    }

    #[test]
    fn bytes_that_are_no_text_are_touched_as_they_are() {
        let bytes: std::sync::Arc<[u8]> = [0xff, 0x01].into();
        assert_eq!(seen((3, Text::from(bytes))), 0xfe);
    }
}
