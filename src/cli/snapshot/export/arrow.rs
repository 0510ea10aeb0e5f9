//! Rows as an Arrow IPC file.
//!
//! Each type is what Arrow has for it: structs and tuples are structs, lists are lists, options are what may
//! be null. Numbers of 128 bits are decimals of 39 digits, which hold them all. Enums are texts: the name of
//! a variant without content, and JSON if some of its variants have content. So is what is part of itself.
//!
//! Rows are gathered and written as batches.

use std::io::Write;
use std::sync::Arc;

use arrow_array::types::Decimal256Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, ListArray, MapArray, NullArray, PrimitiveArray, RecordBatch, RecordBatchOptions, StringArray,
    StructArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, i256};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use highwater::export::{Column, Type, Value};
use highwater::{Error, Result};

use super::writer::Out;

/// The rows of a batch.
const ROWS: usize = 4096;

/// The digits of the greatest number of 128 bits.
const DIGITS: u8 = 39;

/// Rows on their way into a file.
pub(super) struct Batches {
    columns: Vec<Column>,
    schema: SchemaRef,
    rows: Vec<Vec<Value>>,
    to: FileWriter<Out>,
}

/// What is in some rows at one place; nothing where it is null.
type Cells<'a> = Vec<Option<&'a Value>>;

impl Batches {
    pub(super) fn begin(out: Out, columns: &[Column]) -> Result<Batches> {
        let fields: Vec<Field> = columns.iter().map(|column| field(column.name, &column.ty)).collect();
        let schema = Arc::new(Schema::new(fields));
        let to = FileWriter::try_new(out, &schema).map_err(cannot)?;
        Ok(Batches { columns: columns.to_vec(), schema, rows: Vec::new(), to })
    }

    pub(super) fn out(&self) -> &Out {
        self.to.get_ref()
    }

    pub(super) fn row(&mut self, row: Vec<Value>) -> Result<()> {
        self.rows.push(row);
        if self.rows.len() < ROWS { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<()> {
        let column = |(at, column): (usize, &Column)| {
            array(&column.ty, &self.rows.iter().map(|row| row.get(at)).collect::<Cells<'_>>())
        };
        let arrays =
            self.columns.iter().enumerate().map(column).collect::<Result<Vec<_>, _>>().map_err(cannot)?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        let batch =
            RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(cannot)?;
        self.rows.clear();
        self.to.write(&batch).map_err(cannot)
    }

    pub(super) fn end(mut self) -> Result<()> {
        if !self.rows.is_empty() {
            self.write()?;
        }
        self.to.finish().map_err(cannot)?;
        let out = self.to.get_mut();
        out.flush().map_err(|error| out.cannot(error))
    }
}

fn cannot(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(what, error) => Error::io(format!("cannot write the rows: {what}"), error),
        error => Error::data("the rows cannot be written as Arrow: choose csv or json").because(error),
    }
}

fn field(name: &str, ty: &Type) -> Field {
    Field::new(name, data_type(ty), true)
}

fn data_type(ty: &Type) -> DataType {
    match ty {
        Type::Unit => DataType::Null,
        Type::Bool => DataType::Boolean,
        Type::I8 => DataType::Int8,
        Type::I16 => DataType::Int16,
        Type::I32 => DataType::Int32,
        Type::I64 => DataType::Int64,
        Type::U8 => DataType::UInt8,
        Type::U16 => DataType::UInt16,
        Type::U32 => DataType::UInt32,
        Type::U64 => DataType::UInt64,
        Type::I128 | Type::U128 => DataType::Decimal256(DIGITS, 0),
        Type::F32 => DataType::Float32,
        Type::F64 => DataType::Float64,
        Type::Bytes => DataType::Binary,
        Type::Option(inner) => data_type(inner),
        Type::List(inner) | Type::Array(inner, _) => DataType::List(Arc::new(field("item", inner))),
        Type::Map(key, value) => DataType::Map(Arc::new(entries(key, value)), false),
        Type::Tuple(types) if types.is_empty() => DataType::Null,
        Type::Tuple(types) => DataType::Struct(numbered(types)),
        Type::Struct(fields) if fields.types.is_empty() => DataType::Null,
        Type::Struct(fields) => DataType::Struct(
            fields.names.iter().zip(&fields.types).map(|(name, ty)| field(name, ty)).collect(),
        ),
        _ => DataType::Utf8,
    }
}

fn numbered(types: &[Type]) -> Fields {
    types.iter().enumerate().map(|(number, ty)| field(&number.to_string(), ty)).collect()
}

/// The field of a map's keys and values.
fn entries(key: &Type, value: &Type) -> Field {
    let key = Field::new("key", data_type(key), false);
    Field::new("entries", DataType::Struct(vec![key, field("value", value)].into()), false)
}

/// An array of numbers, out of what is of these variants.
macro_rules! numbers {
    ($array:ty, $cells:expr, $($variant:ident)|+) => {
        Arc::new($cells.iter().map(|cell| match cell {
            $(Some(Value::$variant(value)) => (*value).try_into().ok(),)+
            _ => None,
        }).collect::<$array>())
    };
}

fn array(ty: &Type, cells: &Cells<'_>) -> Result<ArrayRef, ArrowError> {
    Ok(match ty {
        Type::Unit => Arc::new(NullArray::new(cells.len())),
        Type::Bool => numbers!(BooleanArray, cells, Bool),
        Type::I8 => numbers!(Int8Array, cells, Integer),
        Type::I16 => numbers!(Int16Array, cells, Integer),
        Type::I32 => numbers!(Int32Array, cells, Integer),
        Type::I64 => numbers!(Int64Array, cells, Integer),
        Type::U8 => numbers!(UInt8Array, cells, Natural),
        Type::U16 => numbers!(UInt16Array, cells, Natural),
        Type::U32 => numbers!(UInt32Array, cells, Natural),
        Type::U64 => numbers!(UInt64Array, cells, Natural),
        Type::F32 => numbers!(Float32Array, cells, Float),
        Type::F64 => numbers!(Float64Array, cells, Double),
        Type::I128 | Type::U128 => long(cells)?,
        Type::Bytes => {
            let bytes = |cell: &Option<&'_ Value>| {
                if let Some(Value::Bytes(bytes)) = cell { Some(bytes.to_vec()) } else { None }
            };
            let bytes: Vec<Option<Vec<u8>>> = cells.iter().map(bytes).collect();
            check(bytes.iter().flatten().map(Vec::len))?;
            Arc::new(bytes.iter().map(Option::as_deref).collect::<BinaryArray>())
        }
        Type::Option(inner) => array(inner, &cells.iter().map(|cell| some(*cell)).collect())?,
        Type::List(inner) | Type::Array(inner, _) => list(inner, cells)?,
        Type::Map(key, value) => map(key, value, cells)?,
        Type::Tuple(types) if types.is_empty() => Arc::new(NullArray::new(cells.len())),
        Type::Tuple(types) => fields(numbered(types), types, cells)?,
        Type::Struct(all) if all.types.is_empty() => Arc::new(NullArray::new(cells.len())),
        Type::Struct(all) => match data_type(ty) {
            DataType::Struct(names) => fields(names, &all.types, cells)?,
            _ => texts(cells)?,
        },
        _ => texts(cells)?,
    })
}

/// What is in an option.
fn some(cell: Option<&Value>) -> Option<&Value> {
    if let Some(Value::Present(value)) = cell { Some(value) } else { None }
}

fn long(cells: &Cells<'_>) -> Result<ArrayRef, ArrowError> {
    let number = |cell: &Option<&'_ Value>| match cell {
        Some(Value::LongInteger(value)) => Some(i256::from_i128(*value)),
        Some(Value::LongNatural(value)) => Some(i256::from_parts(*value, 0)),
        _ => None,
    };
    let numbers: PrimitiveArray<Decimal256Type> = cells.iter().map(number).collect();
    Ok(Arc::new(numbers.with_precision_and_scale(DIGITS, 0)?))
}

/// Texts as they are, and what Arrow has no type for as JSON.
fn texts(cells: &Cells<'_>) -> Result<ArrayRef, ArrowError> {
    let text = |cell: &Option<&'_ Value>| {
        cell.map(|value| match value {
            Value::Text(text) => text.to_string(),
            Value::Char(letter) => letter.to_string(),
            Value::Variant(name, None) => name.to_string(),
            value => value.to_string(),
        })
    };
    let texts: Vec<Option<String>> = cells.iter().map(text).collect();
    check(texts.iter().flatten().map(String::len))?;
    Ok(Arc::new(texts.into_iter().collect::<StringArray>()))
}

/// An error if a column of a batch is longer than it can tell.
fn check(lengths: impl Iterator<Item = usize>) -> Result<(), ArrowError> {
    let len: usize = lengths.sum();
    i32::try_from(len).map(|_| ()).map_err(|_| ArrowError::OffsetOverflowError(len))
}

/// Which cells are not null.
fn valid(cells: &Cells<'_>) -> Option<NullBuffer> {
    Some(cells.iter().map(Option::is_some).collect())
}

/// The values in each cell, which are lists.
fn values(cell: Option<&Value>) -> &[Value] {
    match cell {
        Some(Value::List(values) | Value::Tuple(values) | Value::Struct(_, values)) => values,
        _ => &[],
    }
}

fn fields(names: Fields, types: &[Type], cells: &Cells<'_>) -> Result<ArrayRef, ArrowError> {
    let child = |(at, ty)| array(ty, &cells.iter().map(|cell| values(*cell).get(at)).collect());
    let children = types.iter().enumerate().map(child).collect::<Result<_, _>>()?;
    Ok(Arc::new(StructArray::try_new(names, children, valid(cells))?))
}

fn list(inner: &Type, cells: &Cells<'_>) -> Result<ArrayRef, ArrowError> {
    let lengths = || cells.iter().map(|cell| values(*cell).len());
    check(lengths())?;
    let items = array(inner, &cells.iter().flat_map(|cell| values(*cell)).map(Some).collect())?;
    let offsets = OffsetBuffer::from_lengths(lengths());
    Ok(Arc::new(ListArray::try_new(Arc::new(field("item", inner)), offsets, items, valid(cells))?))
}

fn map(key: &Type, value: &Type, cells: &Cells<'_>) -> Result<ArrayRef, ArrowError> {
    let (mut keys, mut items, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for cell in cells {
        let before = keys.len();
        match cell {
            Some(Value::Map(entries)) => entries.iter().for_each(|(key, value)| {
                keys.push(Some(key));
                items.push(Some(value));
            }),
            // A map by what cannot be a name in JSON.
            Some(Value::List(pairs)) => pairs.iter().for_each(|pair| {
                keys.push(values(Some(pair)).first());
                items.push(values(Some(pair)).get(1));
            }),
            _ => {}
        }
        lengths.push(keys.len() - before);
    }
    check(lengths.iter().copied())?;
    let entry = entries(key, value);
    let DataType::Struct(names) = entry.data_type().clone() else {
        return Err(ArrowError::SchemaError("entries of a map are pairs".to_owned()));
    };
    let both = StructArray::try_new(names, vec![array(key, &keys)?, array(value, &items)?], None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(Arc::new(entry), offsets, both, valid(cells), false)?))
}
