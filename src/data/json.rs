//! Writes values as JSON that reads back as the same value.
//!
//! JSON has no infinities and no NaN. `serde_json` writes `null` for them, which readers refuse or take for a
//! missing value; so they are refused here. Only a value in which a `null` was written is visited a second
//! time, to distinguish a missing value from such a number; others cost nothing more.

use std::fmt::{self, Display};
use std::io;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::ser::Formatter;

/// Appends a value as JSON, on one line, without the newline.
///
/// ```
/// use highwater::data::write_json;
/// let mut line = Vec::new();
/// write_json(&("x", 0.5, None::<u8>), &mut line).unwrap();
/// assert_eq!(line, b"[\"x\",0.5,null]");
/// let error = write_json(&[0.0, f64::NAN], &mut line).unwrap_err();
/// assert_eq!(error, "JSON has no form for the number NaN");
/// ```
///
/// # Errors
///
/// If a number is not finite, a map has keys other than texts, or the type refuses. What has been appended by
/// then is incomplete.
pub fn write_json<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) -> Result<(), String> {
    let mut nulls = Nulls(false);
    let mut serializer = serde_json::Serializer::with_formatter(to, &mut nulls);
    value.serialize(&mut serializer).map_err(|error| error.to_string())?;
    if nulls.0 { value.serialize(Finite).map_err(|NotFinite(what)| what) } else { Ok(()) }
}

/// Writes JSON, and remembers whether it contains a null.
struct Nulls(bool);

impl Formatter for &mut Nulls {
    fn write_null<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0 = true;
        writer.write_all(b"null")
    }
}

/// A serializer that finds numbers that are not finite, and writes nothing.
#[derive(Clone, Copy)]
struct Finite;

/// What is wrong.
#[derive(Debug)]
struct NotFinite(String);

impl Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotFinite {}

impl serde::ser::Error for NotFinite {
    fn custom<T: Display>(message: T) -> NotFinite {
        NotFinite(message.to_string())
    }
}

type Looked = Result<(), NotFinite>;

fn look(number: f64) -> Looked {
    if number.is_finite() {
        Ok(())
    } else {
        Err(NotFinite(format!("JSON has no form for the number {number}")))
    }
}

macro_rules! fine {
    ($($method:ident $ty:ty,)*) => { $(fn $method(self, _: $ty) -> Looked { Ok(()) })* };
}

impl Serializer for Finite {
    type Ok = ();
    type Error = NotFinite;
    type SerializeSeq = Finite;
    type SerializeTuple = Finite;
    type SerializeTupleStruct = Finite;
    type SerializeTupleVariant = Finite;
    type SerializeMap = Finite;
    type SerializeStruct = Finite;
    type SerializeStructVariant = Finite;

    fine!(
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
        serialize_char char, serialize_str &str, serialize_bytes &[u8], serialize_unit_struct &'static str,
    );

    fn serialize_f32(self, number: f32) -> Looked {
        look(number.into())
    }

    fn serialize_f64(self, number: f64) -> Looked {
        look(number)
    }

    fn serialize_none(self) -> Looked {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Looked {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Looked {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Looked {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Looked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Looked {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Finite, NotFinite> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Finite, NotFinite> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Finite, NotFinite> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Finite, NotFinite> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Finite, NotFinite> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Finite, NotFinite> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Finite, NotFinite> {
        Ok(self)
    }
}

macro_rules! parts {
    ($($of:ident $method:ident($($name:ty)?),)*) => {
        $(impl $of for Finite {
            type Ok = ();
            type Error = NotFinite;

            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Looked {
                value.serialize(*self)
            }

            fn end(self) -> Looked {
                Ok(())
            }
        })*
    };
}

parts!(
    SerializeSeq serialize_element(),
    SerializeTuple serialize_element(),
    SerializeTupleStruct serialize_field(),
    SerializeTupleVariant serialize_field(),
    SerializeStruct serialize_field(&'static str),
    SerializeStructVariant serialize_field(&'static str),
);

impl SerializeMap for Finite {
    type Ok = ();
    type Error = NotFinite;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Looked {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
        value.serialize(*self)
    }

    fn end(self) -> Looked {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Point,
        Circle(f64),
        Pair(f32, Option<f64>),
        Box { sides: Vec<f64>, names: BTreeMap<String, f64> },
    }

    fn json(value: &impl Serialize) -> Result<String, String> {
        let mut line = b"[".to_vec();
        write_json(value, &mut line)?;
        Ok(String::from_utf8(line[1..].to_vec()).unwrap())
    }

    #[test]
    fn what_is_no_number_is_refused_wherever_it_is() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let shapes = [
                Shape::Circle(bad),
                Shape::Pair(bad as f32, None),
                Shape::Pair(0.0, Some(bad)),
                Shape::Box { sides: vec![1.0, bad], names: BTreeMap::new() },
                Shape::Box { sides: vec![], names: BTreeMap::from([("a".to_owned(), bad)]) },
            ];
            for shape in shapes {
                assert!(json(&(1, Some(&shape))).unwrap_err().contains(&bad.to_string()), "{shape:?}");
            }
        }
        assert_eq!(
            json(&(None::<f64>, (), Shape::Pair(1.5, None))).unwrap(),
            r#"[null,null,{"Pair":[1.5,null]}]"#
        );
        assert_eq!(json(&Shape::Point).unwrap(), r#""Point""#);
    }

    proptest! {
        #[test]
        fn numbers_come_back_as_they_were(x in any::<u64>(), y in any::<u32>(), z in any::<(i128, u128, i64, u64)>()) {
            let (x, y) = (f64::from_bits(x), f32::from_bits(y));
            prop_assume!(x.is_finite() && y.is_finite());
            let again: (f64, f32, (i128, u128, i64, u64)) =
                serde_json::from_str(&json(&(x, y, z)).unwrap()).unwrap();
            prop_assert_eq!((again.0.to_bits(), again.1.to_bits(), again.2), (x.to_bits(), y.to_bits(), z));
        }
    }
}
