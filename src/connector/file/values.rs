//! The deserialization of values from the fields of a CSV record.
//!
//! It follows the `csv` crate, except for numbers: that crate reads `1e400` as infinity and `0x10` as
//! sixteen, so its result differs from the content of the file. Here a number is decimal and within the range
//! of its type, and infinity is only what is written as `inf`.

use std::fmt::{self, Display};
use std::iter::Peekable;

use csv::{ByteRecord, ByteRecordIter};
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};

/// Deserializes a record, by the names of a header or by the order of its fields.
pub(crate) fn value_of<T: DeserializeOwned>(
    record: &ByteRecord,
    header: Option<&ByteRecord>,
) -> Result<T, Wrong> {
    let names = header.map(ByteRecord::iter);
    let mut fields = Fields { fields: record.iter().peekable(), names, name: None, number: 0 };
    T::deserialize(&mut fields).map_err(|wrong| fields.in_place(wrong))
}

/// The reason why a record is malformed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong(String);

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl serde::de::Error for Wrong {
    fn custom<T: Display>(message: T) -> Wrong {
        Wrong(message.to_string())
    }
}

/// The fields of a record that have not been read.
struct Fields<'r> {
    fields: Peekable<ByteRecordIter<'r>>,
    names: Option<ByteRecordIter<'r>>,
    /// The name of the field that is being read.
    name: Option<&'r str>,
    /// The number of fields that were read.
    number: usize,
}

impl<'r> Fields<'r> {
    fn next(&mut self) -> Result<&'r str, Wrong> {
        let field = self
            .fields
            .next()
            .ok_or_else(|| Wrong("a field is missing at the end of the record".to_owned()))?;
        self.number += 1;
        text(field)
    }

    /// The reason, with the field that was read last.
    fn in_place(&self, Wrong(what): Wrong) -> Wrong {
        match (self.name, self.number) {
            (Some(name), _) => Wrong(format!("column {name:?}: {what}")),
            (None, 0) => Wrong(what),
            (None, number) => Wrong(format!("field {number}: {what}")),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, Wrong> {
    str::from_utf8(bytes).map_err(Wrong::custom)
}

/// Reads a number with a fraction or an exponent.
fn float<T: std::str::FromStr<Err: Display> + Into<f64> + Copy>(text: &str) -> Result<T, Wrong> {
    let number: T = text.parse().map_err(Wrong::custom)?;
    match number.into().is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) {
        true => Err(Wrong(format!("{text} is beyond the greatest number of its type"))),
        false => Ok(number),
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            visitor.$visit(self.next()?.parse().map_err(Wrong::custom)?)
        })*
    };
}

impl<'de: 'a, 'a> Deserializer<'de> for &'a mut Fields<'de> {
    type Error = Wrong;

    numbers!(
        deserialize_bool visit_bool,
        deserialize_u8 visit_u8,
        deserialize_u16 visit_u16,
        deserialize_u32 visit_u32,
        deserialize_u64 visit_u64,
        deserialize_u128 visit_u128,
        deserialize_i8 visit_i8,
        deserialize_i16 visit_i16,
        deserialize_i32 visit_i32,
        deserialize_i64 visit_i64,
        deserialize_i128 visit_i128,
    );

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_f32(float(self.next()?)?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_f64(float(self.next()?)?)
    }

    /// The first type that a field can be parsed as, where the target does not determine one.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let text = self.next()?;
        if let Ok(value) = text.parse() {
            visitor.visit_bool(value)
        } else if let Ok(value) = text.parse() {
            visitor.visit_u64(value)
        } else if let Ok(value) = text.parse() {
            visitor.visit_i64(value)
        } else if let Ok(value) = text.parse() {
            visitor.visit_u128(value)
        } else if let Ok(value) = text.parse() {
            visitor.visit_i128(value)
        } else if let Ok(value) = float(text) {
            visitor.visit_f64(value)
        } else {
            visitor.visit_borrowed_str(text)
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let text = self.next()?;
        let mut letters = text.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => visitor.visit_char(letter),
            _ => Err(Wrong(format!("{text:?} is not one character"))),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_borrowed_str(self.next()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_borrowed_str(self.next()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_borrowed_bytes(self.next()?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_byte_buf(self.next()?.as_bytes().to_vec())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.fields.peek() {
            None => visitor.visit_none(),
            Some([]) => self.next().and_then(|_| visitor.visit_none()),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_seq(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.names.is_some() { visitor.visit_map(self) } else { visitor.visit_seq(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_enum(self)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    /// A column that the type does not have.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.next()?;
        visitor.visit_unit()
    }
}

impl<'de: 'a, 'a> SeqAccess<'de> for &'a mut Fields<'de> {
    type Error = Wrong;

    fn next_element_seed<U: DeserializeSeed<'de>>(&mut self, seed: U) -> Result<Option<U::Value>, Wrong> {
        self.fields.peek().is_some().then(|| seed.deserialize(&mut **self)).transpose()
    }
}

impl<'de: 'a, 'a> MapAccess<'de> for &'a mut Fields<'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.name = self.names.as_mut().and_then(Iterator::next).map(text).transpose()?;
        let name: Option<StrDeserializer<'_, Wrong>> = self.name.map(IntoDeserializer::into_deserializer);
        name.map(|name| seed.deserialize(name)).transpose()
    }

    fn next_value_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<K::Value, Wrong> {
        seed.deserialize(&mut **self)
    }
}

impl<'de: 'a, 'a> EnumAccess<'de> for &'a mut Fields<'de> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Wrong> {
        let variant: StrDeserializer<'_, Wrong> = self.next()?.into_deserializer();
        seed.deserialize(variant).map(|variant| (variant, self))
    }
}

impl<'de: 'a, 'a> VariantAccess<'de> for &'a mut Fields<'de> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        Ok(())
    }

    fn newtype_variant_seed<U: DeserializeSeed<'de>>(self, _: U) -> Result<U::Value, Wrong> {
        Err(Wrong::invalid_type(Unexpected::UnitVariant, &"newtype variant"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Wrong> {
        Err(Wrong::invalid_type(Unexpected::UnitVariant, &"tuple variant"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Wrong> {
        Err(Wrong::invalid_type(Unexpected::UnitVariant, &"struct variant"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Side {
        Left,
        Right,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        id: u64,
        name: String,
        side: Side,
        letter: char,
        some: Option<i128>,
        is_so: bool,
        x: f64,
        y: Option<f32>,
        nested: (u8, i16),
    }

    fn record(fields: &[&str]) -> ByteRecord {
        ByteRecord::from(fields.to_vec())
    }

    fn read<T: DeserializeOwned>(field: &str) -> Result<T, String> {
        value_of::<(T,)>(&record(&[field]), None).map(|(value,)| value).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn numbers_are_decimal_and_within_their_types() {
        for text in ["0x10", "1e400", "-1e400", "1.8e308", "", "1_000", " 1", "1,5"] {
            assert!(read::<f64>(text).is_err(), "{text:?}");
        }
        assert!(read::<f32>("1e39").unwrap_err().contains("1e39 is beyond"));
        for text in ["0x10", "0X10", "1e3", "1.0", "256", "-1"] {
            assert!(read::<u8>(text).is_err(), "{text:?}");
        }
        assert!(read::<u64>("18446744073709551616").is_err() && read::<i128>("0x1").is_err());
        assert_eq!(read::<f64>("inf"), Ok(f64::INFINITY));
        assert_eq!(read::<f64>("-inf"), Ok(f64::NEG_INFINITY));
        assert!(read::<f64>("NaN").unwrap().is_nan());
        assert_eq!(read::<f64>("1e-400"), Ok(0.0));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_column() {
        let header = record(&["id", "x"]);
        let told = value_of::<BTreeMap<String, u8>>(&record(&["7", "1e3"]), Some(&header)).unwrap_err();
        assert_eq!(told.to_string(), "column \"x\": invalid digit found in string");
        let told = value_of::<(u8, u8)>(&record(&["7", "300"]), None).unwrap_err();
        assert!(told.to_string().starts_with("field 2: "), "{told}");
    }

    proptest! {
        #[test]
        fn all_that_is_written_is_read(
            (id, name, right, letter) in (any::<u64>(), "[ -~\n\r]{0,9}", any::<bool>(), any::<char>()),
            (some, is_so, x, y, nested) in
                (any::<Option<i128>>(), any::<bool>(), any::<u64>(), any::<Option<u32>>(), any::<(u8, i16)>()),
        ) {
            let side = if right { Side::Right } else { Side::Left };
            let (x, y) = (f64::from_bits(x), y.map(f32::from_bits));
            let row = Row { id, name, side, letter, some, is_so, x, y, nested };
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
            writer.serialize(&row).unwrap();
            let bytes = writer.into_inner().unwrap();
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
            let record = reader.byte_records().next().unwrap().unwrap();
            let again: Row = value_of(&record, None).unwrap();
            // A value that is not a number is not equal to itself.
            prop_assert_eq!(format!("{again:?}"), format!("{row:?}"));
        }

        #[test]
        fn what_is_no_number_is_read_as_the_csv_crate_does(
            fields in prop::collection::vec("true|false|[0-9]{1,3}|-[0-9]{1,3}|[a-z]{0,3}|[0-9]\\.[0-9]|", 1..5),
        ) {
            let record = ByteRecord::from(fields);
            type Bag = Vec<serde_json::Value>;
            prop_assert_eq!(value_of::<Bag>(&record, None).ok(), record.deserialize::<Bag>(None).ok());
            type Pair = (Option<String>, Option<i32>);
            prop_assert_eq!(value_of::<Pair>(&record, None).ok(), record.deserialize::<Pair>(None).ok());
        }
    }
}
