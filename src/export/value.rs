//! A value whose type is only known while the program runs.
//!
//! As JSON it is what the typed value is as JSON: a struct is an object, a tuple is an array, a variant
//! without content is its name and one with content an object of one field. Numbers keep all their digits.
//! What JSON does not have, the floats that are no numbers, is `null`. Maps whose keys are no texts or
//! numbers, which `serde_json` refuses, are lists of pairs.
//!
//! A value takes 32 bytes, and what it holds.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// A value of a [`Type`](crate::export::Type) that the program does not have.
///
/// [`Display`](fmt::Display) and [`Serialize`] show it as JSON. Values of one type are ordered, floats by
/// their bits.
///
/// ```
/// use highwater::export::Value;
///
/// let pair = Value::Tuple(vec![Value::Text("bids".into()), Value::Natural(u64::MAX)]);
/// assert_eq!(pair.to_string(), r#"["bids",18446744073709551615]"#);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value {
    /// What has no content: `()`, or a struct without fields or parentheses.
    Unit,
    /// True or false.
    Bool(bool),
    /// A number with a sign, of up to 64 bits.
    Integer(i64),
    /// A number without a sign, of up to 64 bits.
    Natural(u64),
    /// A number with a sign, of 128 bits.
    LongInteger(i128),
    /// A number without a sign, of 128 bits.
    LongNatural(u128),
    /// A float of 32 bits.
    Float(f32),
    /// A float of 64 bits.
    Double(f64),
    /// A character.
    Char(char),
    /// A text.
    Text(Box<str>),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// An option that has nothing.
    Absent,
    /// An option that has something.
    Present(Box<Value>),
    /// A list or an array; pairs, if it is a map whose keys cannot be names in JSON.
    List(Vec<Value>),
    /// A map whose keys are texts, numbers, or variants without content; in the order in which it was
    /// written.
    Map(Vec<(Value, Value)>),
    /// A tuple, or a struct whose fields have no names.
    Tuple(Vec<Value>),
    /// A struct: the names of its fields, and as many values.
    Struct(Arc<Vec<String>>, Vec<Value>),
    /// A variant of an enum: its name, and its content if it has some.
    Variant(Arc<str>, Option<Box<Value>>),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Unit | Value::Absent => out.serialize_unit(),
            Value::Bool(value) => out.serialize_bool(*value),
            Value::Integer(value) => out.serialize_i64(*value),
            Value::Natural(value) => out.serialize_u64(*value),
            Value::LongInteger(value) => out.serialize_i128(*value),
            Value::LongNatural(value) => out.serialize_u128(*value),
            Value::Float(value) => out.serialize_f32(*value),
            Value::Double(value) => out.serialize_f64(*value),
            Value::Char(value) => out.serialize_char(*value),
            Value::Text(value) => out.serialize_str(value),
            Value::Bytes(value) => out.serialize_bytes(value),
            Value::Present(value) => value.serialize(out),
            Value::List(values) | Value::Tuple(values) => {
                let mut list = out.serialize_seq(Some(values.len()))?;
                values.iter().try_for_each(|value| list.serialize_element(value))?;
                list.end()
            }
            Value::Map(entries) => out.collect_map(entries.iter().map(|(key, value)| (key, value))),
            Value::Struct(names, values) => out.collect_map(names.iter().zip(values)),
            Value::Variant(name, None) => out.serialize_str(name),
            Value::Variant(name, Some(content)) => {
                let mut map = out.serialize_map(Some(1))?;
                map.serialize_entry(&**name, content)?;
                map.end()
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What JSON has no form for.
            Value::Float(number) if !number.is_finite() => write!(out, "{number}"),
            Value::Double(number) if !number.is_finite() => write!(out, "{number}"),
            _ => out.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?),
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        use Value::*;
        match (self, other) {
            (Bool(one), Bool(other)) => one.cmp(other),
            (Integer(one), Integer(other)) => one.cmp(other),
            (Natural(one), Natural(other)) => one.cmp(other),
            (LongInteger(one), LongInteger(other)) => one.cmp(other),
            (LongNatural(one), LongNatural(other)) => one.cmp(other),
            (Float(one), Float(other)) => one.total_cmp(other),
            (Double(one), Double(other)) => one.total_cmp(other),
            (Char(one), Char(other)) => one.cmp(other),
            (Text(one), Text(other)) => one.cmp(other),
            (Bytes(one), Bytes(other)) => one.cmp(other),
            (Present(one), Present(other)) => one.cmp(other),
            (List(one), List(other)) | (Tuple(one), Tuple(other)) => one.cmp(other),
            (Map(one), Map(other)) => one.cmp(other),
            (Struct(names, one), Struct(others, other)) => one.cmp(other).then_with(|| names.cmp(others)),
            (Variant(name, one), Variant(another, other)) => name.cmp(another).then_with(|| one.cmp(other)),
            _ => self.place().cmp(&other.place()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

impl Value {
    /// Orders values that are not of one form, as options are that have something or nothing.
    fn place(&self) -> usize {
        match self {
            Value::Unit => 0,
            Value::Bool(_) => 1,
            Value::Integer(_) => 2,
            Value::Natural(_) => 3,
            Value::LongInteger(_) => 4,
            Value::LongNatural(_) => 5,
            Value::Float(_) => 6,
            Value::Double(_) => 7,
            Value::Char(_) => 8,
            Value::Text(_) => 9,
            Value::Bytes(_) => 10,
            Value::Absent => 11,
            Value::Present(_) => 12,
            Value::List(_) => 13,
            Value::Map(_) => 14,
            Value::Tuple(_) => 15,
            Value::Struct(..) => 16,
            Value::Variant(..) => 17,
        }
    }
}
