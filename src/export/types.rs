//! Types of rows, as parsed from the text of a schema.
//!
//! The text says what a type reads, and then what each struct and enum in it reads, which may be each other.
//! Here all names are replaced by what they stand for, each once and shared, but for those that are part of
//! themselves: these stay names, to be looked up.
//!
//! Structs around one value are that value, as they are in JSON and in the bytes. Structs whose fields have
//! no names are tuples.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_reflection::{ContainerFormat, Format, Named, VariantFormat};

/// What a value is made of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Type {
    /// Nothing.
    Unit,
    /// True or false.
    Bool,
    /// A number with a sign and 8 bits.
    I8,
    /// A number with a sign and 16 bits.
    I16,
    /// A number with a sign and 32 bits.
    I32,
    /// A number with a sign and 64 bits.
    I64,
    /// A number with a sign and 128 bits.
    I128,
    /// A number without a sign, of 8 bits.
    U8,
    /// A number without a sign, of 16 bits.
    U16,
    /// A number without a sign, of 32 bits.
    U32,
    /// A number without a sign, of 64 bits.
    U64,
    /// A number without a sign, of 128 bits.
    U128,
    /// A float of 32 bits.
    F32,
    /// A float of 64 bits.
    F64,
    /// A character.
    Char,
    /// A text.
    Text,
    /// A [`Text`](crate::data::Text), which is kept as a text or as bytes, and shown as a text.
    SharedText,
    /// Bytes.
    Bytes,
    /// Something or nothing.
    Option(Arc<Type>),
    /// Any number of them.
    List(Arc<Type>),
    /// Keys with values.
    Map(Arc<Type>, Arc<Type>),
    /// An array of this many, more than a few: shorter arrays cannot be told from tuples.
    Array(Arc<Type>, usize),
    /// A tuple, a short array, or a struct whose fields have no names.
    Tuple(Arc<[Type]>),
    /// A struct.
    Struct(Arc<Fields>),
    /// An enum.
    Enum(Arc<Variants>),
    /// A struct or an enum of this name, which is part of itself.
    Named(Arc<str>),
}

/// The fields of a struct, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields {
    /// Their names.
    pub names: Arc<Vec<String>>,
    /// As many types.
    pub types: Vec<Type>,
}

/// The variants of an enum, by their numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Variants(pub BTreeMap<u32, Variant>);

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its name.
    pub name: Arc<str>,
    /// Its content, if it has some.
    pub content: Option<Type>,
}

/// Arrays of up to this many are tuples.
const FEW: usize = 8;

/// The longest array that is accepted.
const LONGEST: usize = 1 << 16;

/// A schema: what kind of rows they are, their type, and the types that are part of themselves.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) kind: String,
    pub(super) root: Type,
    pub(super) named: BTreeMap<Arc<str>, Type>,
}

impl Type {
    /// True if a value of this type can be a name in JSON: it is a text, a number without a fraction, or a
    /// variant without content.
    pub(super) fn is_plain(&self) -> bool {
        use Type::*;
        match self {
            Bool | I8 | I16 | I32 | I64 | I128 | U8 | U16 | U32 | U64 | U128 | Char | Text | SharedText => {
                true
            }
            Enum(variants) => variants.0.values().all(|variant| variant.content.is_none()),
            _ => false,
        }
    }

    /// True if it names one of itself somewhere.
    pub fn is_recursive(&self) -> bool {
        match self {
            Type::Named(_) => true,
            Type::Option(inner) | Type::List(inner) | Type::Array(inner, _) => inner.is_recursive(),
            Type::Map(key, value) => key.is_recursive() || value.is_recursive(),
            Type::Tuple(types) => types.iter().any(Type::is_recursive),
            Type::Struct(fields) => fields.types.iter().any(Type::is_recursive),
            Type::Enum(variants) => {
                variants.0.values().filter_map(|variant| variant.content.as_ref()).any(Type::is_recursive)
            }
            _ => false,
        }
    }
}

impl Described {
    /// Reads the text of a schema. None if it is not one, or if it has the name of a type alone, for the
    /// whole row or somewhere in it.
    pub(super) fn parse(text: &str) -> Option<Described> {
        let (kind, rest) = text.split_once(" of ")?;
        let (root, mut rest) = json::<Format>(rest)?;
        let mut formats = BTreeMap::new();
        while !rest.is_empty() {
            let (name, json_and_rest) = rest.strip_prefix(", ")?.split_once(" = ")?;
            let (format, after) = json::<ContainerFormat>(json_and_rest)?;
            formats.insert(name, format);
            rest = after;
        }
        let mut reader = Reader { formats, done: BTreeMap::new(), open: Vec::new(), named: BTreeMap::new() };
        let root = reader.format(&root)?;
        Some(Described { kind: kind.to_owned(), root, named: reader.named })
    }
}

/// The value that a text begins with, and the rest of the text.
fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Option<(T, &'a str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

struct Reader<'a> {
    formats: BTreeMap<&'a str, ContainerFormat>,
    done: BTreeMap<String, Type>,
    /// The names that are being read, and whether they were met in themselves.
    open: Vec<(String, bool)>,
    /// Those that were.
    named: BTreeMap<Arc<str>, Type>,
}

impl Reader<'_> {
    fn format(&mut self, format: &Format) -> Option<Type> {
        Some(match format {
            Format::Variable(_) => return None,
            Format::TypeName(name) => self.named(name)?,
            Format::Unit => Type::Unit,
            Format::Bool => Type::Bool,
            Format::I8 => Type::I8,
            Format::I16 => Type::I16,
            Format::I32 => Type::I32,
            Format::I64 => Type::I64,
            Format::I128 => Type::I128,
            Format::U8 => Type::U8,
            Format::U16 => Type::U16,
            Format::U32 => Type::U32,
            Format::U64 => Type::U64,
            Format::U128 => Type::U128,
            Format::F32 => Type::F32,
            Format::F64 => Type::F64,
            Format::Char => Type::Char,
            Format::Str => Type::Text,
            Format::Bytes => Type::Bytes,
            Format::Option(inner) => Type::Option(Arc::new(self.format(inner)?)),
            Format::Seq(inner) => Type::List(Arc::new(self.format(inner)?)),
            Format::Map { key, value } => {
                Type::Map(Arc::new(self.format(key)?), Arc::new(self.format(value)?))
            }
            Format::Tuple(formats) => self.tuple(formats)?,
            Format::TupleArray { content, size } => array(self.format(content)?, *size)?,
        })
    }

    fn tuple(&mut self, formats: &[Format]) -> Option<Type> {
        match formats {
            // Schemas describe arrays in two ways, which must give one type.
            [first, rest @ ..] if rest.len() >= FEW && rest.iter().all(|other| other == first) => {
                array(self.format(first)?, formats.len())
            }
            _ => Some(Type::Tuple(formats.iter().map(|format| self.format(format)).collect::<Option<_>>()?)),
        }
    }

    fn fields(&mut self, fields: &[Named<Format>]) -> Option<Type> {
        let types = fields.iter().map(|field| self.format(&field.value)).collect::<Option<_>>()?;
        let names = Arc::new(fields.iter().map(|field| field.name.clone()).collect());
        Some(Type::Struct(Arc::new(Fields { names, types })))
    }

    fn named(&mut self, name: &str) -> Option<Type> {
        if let Some(known) = self.done.get(name) {
            return Some(known.clone());
        }
        // The type is part of itself: it stays a name, which a reader looks up.
        if let Some((_, met)) = self.open.iter_mut().find(|(open, _)| open == name) {
            *met = true;
            return Some(Type::Named(name.into()));
        }
        self.open.push((name.to_owned(), false));
        let read = match self.formats.get(name)?.clone() {
            ContainerFormat::UnitStruct => Type::Unit,
            ContainerFormat::NewTypeStruct(inner) => self.format(&inner)?,
            ContainerFormat::TupleStruct(formats) => self.tuple(&formats)?,
            ContainerFormat::Struct(fields) => self.fields(&fields)?,
            ContainerFormat::Enum(variants) if is_shared_text(name, &variants) => Type::SharedText,
            ContainerFormat::Enum(variants) => {
                // A reader picks a variant by its number, so none may be missing.
                if !variants.keys().copied().eq(0..variants.len() as u32) {
                    return None;
                }
                let variants =
                    variants.iter().map(|(number, variant)| Some((*number, self.variant(variant)?)));
                Type::Enum(Arc::new(Variants(variants.collect::<Option<_>>()?)))
            }
        };
        if self.open.pop()?.1 {
            self.named.insert(name.into(), read.clone());
        }
        self.done.insert(name.to_owned(), read.clone());
        Some(read)
    }

    fn variant(&mut self, variant: &Named<VariantFormat>) -> Option<Variant> {
        let content = match &variant.value {
            VariantFormat::Variable(_) => return None,
            VariantFormat::Unit => None,
            VariantFormat::NewType(inner) => Some(self.format(inner)?),
            VariantFormat::Tuple(formats) => Some(self.tuple(formats)?),
            VariantFormat::Struct(fields) => Some(self.fields(fields)?),
        };
        Some(Variant { name: variant.name.as_str().into(), content })
    }
}

/// True for the enum that a [`Text`](crate::data::Text) is kept as.
fn is_shared_text(name: &str, variants: &BTreeMap<u32, Named<VariantFormat>>) -> bool {
    let is = |number, name, content| {
        let is = |variant: &Named<VariantFormat>| variant.name == name && variant.value == content;
        variants.get(&number).is_some_and(is)
    };
    let text = VariantFormat::NewType(Box::new(Format::Str));
    let bytes = VariantFormat::NewType(Box::new(Format::Seq(Box::new(Format::U8))));
    name == "Text" && variants.len() == 2 && is(0, "Text", text) && is(1, "Bytes", bytes)
}

fn array(content: Type, size: usize) -> Option<Type> {
    match size {
        0..=FEW => Some(Type::Tuple(vec![content; size].into())),
        _ => (size <= LONGEST).then(|| Type::Array(Arc::new(content), size)),
    }
}
