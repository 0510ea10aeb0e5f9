//! Samples: the values that types are shown. Empty ones first, and then some for types that refuse those.

use serde::de::Visitor;
use serde_reflection::Format;

use crate::snapshot::schema::infer::abort::Abort;

/// The number of samples of each kind, some of them more than once.
pub(in crate::snapshot) const SAMPLES: usize = 8;

const NUMBERS: [u8; SAMPLES] = [0, 1, 2, 7, 10, 32, 64, 100];
const FLOATS: [f32; SAMPLES] = [0.0, 1.0, 0.5, -1.0, 2.0, 10.0, 45.0, 100.0];
const CHARS: [char; SAMPLES] = ['A', 'a', '0', '1', ' ', '-', '_', '\u{e9}'];
const TEXTS: [&str; SAMPLES] =
    ["", "a", "0", "A", "1970-01-01", "1970-01-01T00:00:00Z", "00:00:00", "127.0.0.1"];
const BYTES: [&[u8]; SAMPLES] = [&[], &[0], &[1], &[0; 4], &[0; 8], &[0; 12], &[0; 16], &[0; 32]];

/// Shows a visitor the sample of this number and format, which has nothing in it that is asked for in turn.
pub(in crate::snapshot) fn show<'de, V: Visitor<'de>>(
    format: &Format,
    number: usize,
    visitor: V,
) -> Result<V::Value, Abort> {
    let at = number % SAMPLES;
    let value = NUMBERS[at];
    match format {
        Format::Bool => visitor.visit_bool(at % 2 == 1),
        Format::I8 => visitor.visit_i8(value as i8),
        Format::I16 => visitor.visit_i16(value.into()),
        Format::I32 => visitor.visit_i32(value.into()),
        Format::I64 => visitor.visit_i64(value.into()),
        Format::I128 => visitor.visit_i128(value.into()),
        Format::U8 => visitor.visit_u8(value),
        Format::U16 => visitor.visit_u16(value.into()),
        Format::U32 => visitor.visit_u32(value.into()),
        Format::U64 => visitor.visit_u64(value.into()),
        Format::U128 => visitor.visit_u128(value.into()),
        Format::F32 => visitor.visit_f32(FLOATS[at]),
        Format::F64 => visitor.visit_f64(FLOATS[at].into()),
        Format::Char => visitor.visit_char(CHARS[at]),
        Format::Str => visitor.visit_borrowed_str(TEXTS[at]),
        Format::Bytes => visitor.visit_borrowed_bytes(BYTES[at]),
        _ => visitor.visit_unit(),
    }
}
