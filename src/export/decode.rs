//! Rows of a page, by a type that is only known while the program runs.
//!
//! Neither codec describes what it holds: it does what it is asked, and a struct asks for its fields one by
//! one. So a reader that asks for the same things in the same order reads the same values. Names are not part
//! of it: a struct is asked for as a tuple of as many, and the content of a variant as what it is alone, for
//! both codecs take these to be alike.
//!
//! `bitcode` wants a type where serde has seeds, which know at run time what to ask for. There the type is
//! [`Rows`], which finds its seed in a variable of the thread, where it is laid just before and taken from at
//! once.
//!
//! # Damage
//!
//! Pages are checked by their checksums before this. Still nothing here panics, or takes memory without end:
//! each value that is read takes a bit of the page at least, but for those that have no content. These are
//! counted, for a list may claim to have any number of them; more than a page could need is an error. So is
//! what lies deeper than [`DEPTH`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, de::DeserializeSeed};

use crate::data::Text;
use crate::error::{Error, Result};
use crate::export::types::Type;
use crate::export::value::Value;
use crate::snapshot::block::unpack;
use crate::snapshot::{BY_COLUMNS, Codec};

/// The greatest depth of values in values.
const DEPTH: u32 = 128;

/// Values without content that a page may have in any case, and for each of its bytes.
const UNITS: (usize, usize) = (1 << 16, 64);

/// The most values that memory is taken for before they are read.
const AHEAD: usize = 1 << 10;

/// A type, and those in it that go by names.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) row: Type,
    pub(super) named: BTreeMap<Arc<str>, Type>,
}

impl Plan {
    /// Reads `rows` rows, which must be all that the bytes hold.
    pub(super) fn decode(self: &Arc<Plan>, bytes: &[u8], rows: usize, codec: Codec) -> Result<Vec<Value>> {
        let cannot =
            |error: String| Error::data(format!("a page does not hold what its schema says: {error}"));
        let units = UNITS.0 + UNITS.1.saturating_mul(bytes.len());
        let decoded = match codec {
            Codec::Columnar => {
                NEXT.with(|next| next.replace(Some((Arc::clone(self), units))));
                bitcode::deserialize(bytes)
                    .map(|Rows(rows)| rows)
                    .map_err(|error| cannot(error.to_string()))?
            }
            Codec::Rows => self.by_row(bytes, rows, units).map_err(|error| cannot(error.to_string()))?,
            Codec::Blocks => return self.decode(&unpack(bytes, rows)?, rows, Codec::Rows),
            Codec::Abomonation => match bytes.split_first() {
                Some((&BY_COLUMNS, columns)) => return self.decode(columns, rows, Codec::Columnar),
                _ => {
                    return Err(Error::config(
                        "its rows are kept as they lie in memory, by abomonation: read them by `Repository::state` in the program that wrote them",
                    ));
                }
            },
        };
        let found = decoded.len();
        if found == rows {
            Ok(decoded)
        } else {
            Err(cannot(format!("it has {found} rows instead of {rows}")))
        }
    }

    fn by_row(&self, bytes: &[u8], rows: usize, units: usize) -> Result<Vec<Value>, postcard::Error> {
        let (units, mut deserializer) = (Cell::new(units), postcard::Deserializer::from_bytes(bytes));
        let seed = Seed { ty: &self.row, plan: self, units: &units, depth: 0 };
        // The count is not trusted with memory before the rows are read.
        let mut decoded = Vec::with_capacity(rows.min(AHEAD));
        for _ in 0..rows {
            decoded.push(seed.deserialize(&mut deserializer)?);
        }
        match deserializer.finalize()? {
            [] => Ok(decoded),
            _ => Err(postcard::Error::DeserializeBadEncoding),
        }
    }
}

thread_local! {
    /// The type of the next [`Rows`] on this thread, and how many units may be in them.
    static NEXT: RefCell<Option<(Arc<Plan>, usize)>> = const { RefCell::new(None) };
}

/// Rows by what [`NEXT`] says.
struct Rows(Vec<Value>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Rows, D::Error> {
        let next = NEXT.with(RefCell::take);
        let (plan, units) = next.ok_or_else(|| de::Error::custom("nothing was said of its type"))?;
        let units = Cell::new(units);
        let seed = Seed { ty: &plan.row, plan: &plan, units: &units, depth: 0 };
        from.deserialize_seq(Many(seed)).map(Rows)
    }
}

/// Reads a value of a type.
#[derive(Clone, Copy)]
struct Seed<'t> {
    ty: &'t Type,
    plan: &'t Plan,
    /// How many values without content may still come.
    units: &'t Cell<usize>,
    depth: u32,
}

impl<'t> Seed<'t> {
    fn of(self, ty: &'t Type) -> Seed<'t> {
        Seed { ty, depth: self.depth + 1, ..self }
    }

    fn count_unit<E: de::Error>(self) -> Result<(), E> {
        let left = self.units.get().checked_sub(1).ok_or_else(|| {
            E::custom(
                "it has more values without content than it could need: it is damaged, or written to do harm",
            )
        })?;
        self.units.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        if self.depth > DEPTH {
            return Err(de::Error::custom(format_args!("it has values in values deeper than {DEPTH}")));
        }
        match self.ty {
            Type::Unit => {
                self.count_unit()?;
                from.deserialize_unit(Scalar)
            }
            Type::Bool => from.deserialize_bool(Scalar),
            Type::I8 => from.deserialize_i8(Scalar),
            Type::I16 => from.deserialize_i16(Scalar),
            Type::I32 => from.deserialize_i32(Scalar),
            Type::I64 => from.deserialize_i64(Scalar),
            Type::I128 => from.deserialize_i128(Scalar),
            Type::U8 => from.deserialize_u8(Scalar),
            Type::U16 => from.deserialize_u16(Scalar),
            Type::U32 => from.deserialize_u32(Scalar),
            Type::U64 => from.deserialize_u64(Scalar),
            Type::U128 => from.deserialize_u128(Scalar),
            Type::F32 => from.deserialize_f32(Scalar),
            Type::F64 => from.deserialize_f64(Scalar),
            Type::Char => from.deserialize_char(Scalar),
            Type::Text => from.deserialize_string(Scalar),
            Type::SharedText => Text::deserialize(from).map(|text| Value::Text(text.as_str().into())),
            Type::Bytes => from.deserialize_byte_buf(Scalar),
            Type::Option(inner) => from.deserialize_option(Maybe(self.of(inner))),
            Type::List(inner) => from.deserialize_seq(Many(self.of(inner))).map(Value::List),
            Type::Map(key, value) => {
                let entries = from.deserialize_map(Entries(self.of(key), self.of(value)))?;
                let pair = |(key, value)| Value::Tuple(vec![key, value]);
                let is_plain = key.is_plain();
                Ok(if is_plain {
                    Value::Map(entries)
                } else {
                    Value::List(entries.into_iter().map(pair).collect())
                })
            }
            Type::Array(inner, size) => from
                .deserialize_tuple(*size, Each(self, std::iter::repeat_n(&**inner, *size)))
                .map(Value::List),
            Type::Tuple(types) => self.each(from, types).map(Value::Tuple),
            Type::Struct(fields) => {
                let values = self.each(from, &fields.types)?;
                Ok(Value::Struct(Arc::clone(&fields.names), values))
            }
            Type::Enum(_) => from.deserialize_enum("", &[], Choice(self)),
            Type::Named(name) => match self.plan.named.get(name) {
                Some(ty) => self.of(ty).deserialize(from),
                None => Err(de::Error::custom(format_args!("its schema does not say what {name} is"))),
            },
        }
    }
}

impl Seed<'_> {
    fn each<'de, D: Deserializer<'de>>(self, from: D, types: &[Type]) -> Result<Vec<Value>, D::Error> {
        // A tuple of nothing takes no bytes, so only the count of units bounds a list of them.
        if types.is_empty() {
            self.count_unit()?;
        }
        from.deserialize_tuple(types.len(), Each(self, types.iter()))
    }
}

/// Takes a value that has no others in it.
struct Scalar;

impl Visitor<'_> for Scalar {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number, a text or bytes")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Unit)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Natural(value))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::LongInteger(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::LongNatural(value))
    }

    fn visit_f32<E>(self, value: f32) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_char<E>(self, value: char) -> Result<Value, E> {
        Ok(Value::Char(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.into()))
    }

    fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(value.into()))
    }
}

/// Takes something or nothing.
struct Maybe<'t>(Seed<'t>);

impl<'de> Visitor<'de> for Maybe<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an option")
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Absent)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        Ok(Value::Present(Box::new(self.0.deserialize(from)?)))
    }
}

/// Takes any number of values of one type.
struct Many<'t>(Seed<'t>);

impl<'de> Visitor<'de> for Many<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<Value>, A::Error> {
        let mut values = Vec::with_capacity(from.size_hint().unwrap_or(0).min(AHEAD));
        while let Some(value) = from.next_element_seed(self.0)? {
            values.push(value);
        }
        Ok(values)
    }
}

/// Takes a value of each of some types.
struct Each<'t, I>(Seed<'t>, I);

impl<'de, 't, I: ExactSizeIterator<Item = &'t Type>> Visitor<'de> for Each<'t, I> {
    type Value = Vec<Value>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} values", self.1.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<Value>, A::Error> {
        let mut values = Vec::with_capacity(self.1.len().min(AHEAD));
        for ty in self.1 {
            let value = from.next_element_seed(self.0.of(ty))?;
            values.push(value.ok_or_else(|| de::Error::custom("a value has too few fields"))?);
        }
        Ok(values)
    }
}

/// Takes keys with values.
struct Entries<'t>(Seed<'t>, Seed<'t>);

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Vec<(Value, Value)>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Vec<(Value, Value)>, A::Error> {
        let mut entries = Vec::with_capacity(from.size_hint().unwrap_or(0).min(AHEAD));
        while let Some(key) = from.next_key_seed(self.0)? {
            entries.push((key, from.next_value_seed(self.1)?));
        }
        Ok(entries)
    }
}

/// Takes a variant of the seed's enum.
struct Choice<'t>(Seed<'t>);

impl<'de> Visitor<'de> for Choice<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an enum")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, from: A) -> Result<Value, A::Error> {
        let (number, content) = from.variant::<u32>()?;
        let variants = if let Type::Enum(variants) = self.0.ty { variants.0.get(&number) } else { None };
        let variant =
            variants.ok_or_else(|| de::Error::custom(format_args!("an enum has no variant {number}")))?;
        let content = match &variant.content {
            None => {
                content.unit_variant()?;
                None
            }
            Some(ty) => Some(Box::new(content.newtype_variant_seed(self.0.of(ty))?)),
        };
        Ok(Value::Variant(Arc::clone(&variant.name), content))
    }
}
