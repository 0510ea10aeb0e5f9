//! The `Deserializer` that records what it is asked for.

use std::any::type_name;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::de::value::{BorrowedStrDeserializer, U32Deserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde_reflection::Format;

use crate::snapshot::schema::infer::abort::{Abort, DEPTH, Path};
use crate::snapshot::schema::infer::foreign::{self, Question};
use crate::snapshot::schema::infer::graph::{Choice, FAR, Form, Graph, ROOT, Request};
use crate::snapshot::schema::infer::samples::show;

/// A place, which is asked for one thing.
pub(in crate::snapshot) struct TypeSlot<'g> {
    graph: &'g mut Graph,
    node: usize,
    way: Path,
}

impl<'g> TypeSlot<'g> {
    /// The place of the type itself.
    pub(in crate::snapshot) fn root(graph: &'g mut Graph) -> TypeSlot<'g> {
        TypeSlot { graph, node: ROOT, way: Path { is_ending: false, sample: 0, depth: 0 } }.sampled()
    }

    fn below(graph: &'g mut Graph, node: usize, way: Path) -> TypeSlot<'g> {
        TypeSlot { graph, node, way: Path { depth: way.depth + 1, ..way } }.sampled()
    }

    fn sampled(mut self) -> TypeSlot<'g> {
        self.way.sample += self.graph.nodes[self.node].sample;
        self
    }

    fn ask(&mut self, asked: Request) -> Result<(), Abort> {
        if self.graph.nodes[self.node].is_shut || self.way.depth > DEPTH {
            return Err(Abort::Stuck);
        }
        self.graph.ask(self.node, asked)
    }

    fn plain<'de, V: Visitor<'de>>(mut self, format: Format, visitor: V) -> Result<V::Value, Abort> {
        self.ask(Request::Plain(format.clone()))?;
        let read = show(&format, self.way.sample, visitor);
        self.graph.settle(self.node, read)
    }

    /// Nothing can be made for what asks for something that codecs of snapshots do not have.
    fn unknown<T>(self) -> Result<T, Abort> {
        self.graph.shut(self.node, type_name::<T>());
        Err(Abort::Blamed)
    }

    /// Whether what may be left out is there, and how one comes to it. Every second sample has something, for
    /// types that refuse what is empty.
    fn fill(&self) -> Option<Path> {
        let nodes = &self.graph.nodes;
        let mut below = nodes[self.node].below.iter().map(|node| &nodes[*node]);
        if below.clone().any(|node| node.is_shut) {
            None
        } else if !self.way.is_ending && below.any(|node| node.distance < FAR) {
            Some(self.way)
        } else {
            (self.way.sample % 2 == 1).then_some(Path { is_ending: true, sample: 0, ..self.way })
        }
    }

    /// Blames what could have been left out.
    fn leave_out<T>(graph: &mut Graph, node: usize, read: Result<T, Abort>) -> Result<T, Abort> {
        read.map_err(|halt| match halt {
            Abort::Stuck => {
                for below in graph.nodes[node].below.clone() {
                    graph.shut(below, inside(type_name::<T>()));
                }
                Abort::Blamed
            }
            halt => halt,
        })
    }

    /// Asks for a struct; `read` is given the places in it.
    fn body<'de, V: Visitor<'de>>(
        mut self,
        name: &'static str,
        form: Form,
        visitor: V,
        read: impl FnOnce(V, Elements<'_>) -> Result<V::Value, Abort>,
    ) -> Result<V::Value, Abort> {
        let container = self.graph.container((name, type_name::<V::Value>(), form));
        self.ask(Request::Named(container))?;
        let TypeSlot { graph, node, way } = self;
        let way = explore(graph, container, way);
        let below = graph.form(container, 0, form)?;
        // Before the parts are read: a body that is met again within itself has no end.
        let is_first = begin(graph, container, 0, way)?;
        let parts = Elements { graph: &mut *graph, below: below.into_iter(), way };
        let read = read(visitor, parts);
        end(graph, (container, 0), is_first, read.is_ok());
        graph.settle(node, read)
    }
}

impl Question {
    /// Asks a type what it reads.
    pub(in crate::snapshot) fn of<T: DeserializeOwned>() -> Question {
        Question { ask: ask_as::<T>, name: type_name::<T> }
    }
}

/// Asks a type what it reads in a place.
fn ask_as<T: DeserializeOwned>(graph: &mut Graph, node: usize, way: Path) -> Result<(), Abort> {
    let read = T::deserialize(TypeSlot { graph: &mut *graph, node, way });
    graph.settle(node, read).map(drop)
}

/// The name of the type in an option, or else the name itself.
fn inside(name: &str) -> &str {
    let option = name.strip_prefix("core::option::Option<").and_then(|name| name.strip_suffix('>'));
    option.unwrap_or(name)
}

/// Explores a container, if it has something unseen and was not met before in this round.
fn explore(graph: &mut Graph, container: usize, way: Path) -> Path {
    let round = graph.round;
    let container = &mut graph.containers[container];
    let is_ending = way.is_ending || container.round == round || container.distance == FAR;
    if !is_ending {
        container.round = round;
    }
    Path { is_ending, ..way }
}

/// Begins to bring a body to an end, if that is so. True if it has never been.
fn begin(graph: &mut Graph, container: usize, body: usize, way: Path) -> Result<bool, Abort> {
    let body = &mut graph.containers[container].bodies[body];
    if !way.is_ending || body.rank.is_some() {
        return Ok(false);
    }
    // It is being brought to an end further up the stack: within itself there is no end.
    if std::mem::replace(&mut body.is_ending, true) {
        return Err(Abort::Stuck);
    }
    Ok(true)
}

fn end(graph: &mut Graph, (container, body): (usize, usize), is_first: bool, is_complete: bool) {
    if is_first {
        graph.containers[container].bodies[body].is_ending = false;
    }
    if is_complete {
        graph.complete(container, body);
    }
}

macro_rules! plain {
    ($($method:ident $format:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Abort> {
            self.plain(Format::$format, visitor)
        })*
    };
}

macro_rules! unknown {
    ($($method:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Abort> {
            self.unknown()
        })*
    };
}

impl<'de> Deserializer<'de> for TypeSlot<'_> {
    type Error = Abort;

    plain!(deserialize_bool Bool, deserialize_char Char, deserialize_unit Unit);
    plain!(deserialize_i8 I8, deserialize_i16 I16, deserialize_i32 I32, deserialize_i64 I64, deserialize_i128 I128);
    plain!(deserialize_u8 U8, deserialize_u16 U16, deserialize_u32 U32, deserialize_u64 U64, deserialize_u128 U128);
    plain!(deserialize_f32 F32, deserialize_f64 F64, deserialize_str Str, deserialize_string Str);
    plain!(deserialize_bytes Bytes, deserialize_byte_buf Bytes);
    unknown!(deserialize_any, deserialize_identifier, deserialize_ignored_any);

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Abort> {
        self.ask(Request::Option)?;
        let way = self.fill();
        let TypeSlot { graph, node, .. } = self;
        let Some(way) = way else {
            let read = visitor.visit_none();
            return graph.settle(node, read);
        };
        let below = graph.nodes[node].below[0];
        let read = visitor.visit_some(TypeSlot::below(graph, below, way));
        match Self::leave_out(graph, node, read) {
            Err(Abort::Refused) => {
                graph.refuse(below, inside(type_name::<V::Value>()));
                Err(Abort::Blamed)
            }
            read => read,
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Abort> {
        self.ask(Request::List)?;
        let parts = Elements::filling(&mut self);
        let read = visitor.visit_seq(parts);
        let read = Self::leave_out(self.graph, self.node, read);
        self.graph.settle(self.node, read)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Abort> {
        self.ask(Request::Map)?;
        let parts = Elements::filling(&mut self);
        let read = visitor.visit_map(parts);
        let read = Self::leave_out(self.graph, self.node, read);
        self.graph.settle(self.node, read)
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, Abort> {
        self.ask(Request::Tuple(len))?;
        let TypeSlot { graph, node, way } = self;
        let below = graph.nodes[node].below.clone().into_iter();
        let read = visitor.visit_seq(Elements { graph: &mut *graph, below, way });
        graph.settle(node, read)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Abort> {
        self.body(name, Form::Unit, visitor, |visitor, _| visitor.visit_unit())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Abort> {
        // The place of a type that is known elsewhere: that type is asked here instead.
        if name == foreign::NAME {
            let TypeSlot { graph, node, way } = self;
            return foreign::ask(graph, node, way).and_then(|()| visitor.visit_unit());
        }
        self.body(name, Form::NewType, visitor, |visitor, mut parts| {
            let place = parts.next().ok_or(Abort::Over)?;
            visitor.visit_newtype_struct(place)
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Abort> {
        self.body(name, Form::Tuple(len), visitor, |visitor, parts| visitor.visit_seq(parts))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Abort> {
        self.body(name, Form::Struct(fields), visitor, |visitor, parts| visitor.visit_seq(parts))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Abort> {
        let container = self.graph.container((name, type_name::<V::Value>(), Form::Enum(variants)));
        self.ask(Request::Named(container))?;
        let TypeSlot { graph, node, way } = self;
        let way = explore(graph, container, way);
        let (choice, is_ending) = graph.choose(container, way.is_ending)?;
        let way = Path { is_ending, ..way };
        let read = match choice {
            Choice::Name(_) => {
                visitor.visit_enum(ChosenVariant { graph: &mut *graph, container, choice, way })
            }
            Choice::Number(body) => {
                let is_first = begin(graph, container, body, way)?;
                let read = visitor.visit_enum(ChosenVariant { graph: &mut *graph, container, choice, way });
                end(graph, (container, body), is_first, read.is_ok());
                read.map_err(|halt| match halt {
                    // No end within this variant: it is left alone until another one is complete.
                    Abort::Stuck => {
                        graph.block(container, body);
                        Abort::Blamed
                    }
                    // Refused before it asked for anything: the variant exists, and cannot be read.
                    Abort::Refused if graph.containers[container].bodies[body].form.is_none() => {
                        graph.containers[container].bodies[body].is_refused = true;
                        graph.changes += 1;
                        Abort::Blamed
                    }
                    halt => halt,
                })
            }
        };
        graph.settle(node, read)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Places one after the other.
struct Elements<'g> {
    graph: &'g mut Graph,
    below: std::vec::IntoIter<usize>,
    way: Path,
}

impl<'g> Elements<'g> {
    /// What is in a list or a map.
    fn filling<'p>(place: &'p mut TypeSlot<'g>) -> Elements<'p> {
        let (below, way) = match place.fill() {
            Some(way) => (place.graph.nodes[place.node].below.clone(), way),
            None => (Vec::new(), place.way),
        };
        Elements { graph: place.graph, below: below.into_iter(), way }
    }

    fn next(&mut self) -> Option<TypeSlot<'_>> {
        self.below.next().map(|node| TypeSlot::below(self.graph, node, self.way))
    }

    fn read<'de, T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Abort> {
        let Some(place) = self.next() else { return Ok(None) };
        let node = place.node;
        let read = seed.deserialize(place);
        self.graph.settle(node, read).map(Some)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Abort;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Abort> {
        self.read(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.below.len())
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Abort;

    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Abort> {
        self.read(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Abort> {
        self.read(seed)?.ok_or(Abort::Refused)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.below.len() / 2)
    }
}

/// The variant that an enum is shown.
struct ChosenVariant<'g> {
    graph: &'g mut Graph,
    container: usize,
    choice: Choice,
    way: Path,
}

/// What a value of an enum is known by.
fn tag<T>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::mem::discriminant(value).hash(&mut hasher);
    hasher.finish()
}

impl<'de, 'g> EnumAccess<'de> for ChosenVariant<'g> {
    type Error = Abort;
    type Variant = Content<'g>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Content<'g>), Abort> {
        let ChosenVariant { graph, container, choice, way } = self;
        let (value, body) = match choice {
            Choice::Number(body) => {
                let number: U32Deserializer<Abort> = U32Deserializer::new(body as u32);
                // An enum with aliases has more names than variants, and refuses the numbers above.
                let Ok(value) = seed.deserialize(number) else {
                    graph.lacks(container, body);
                    return Err(Abort::Blamed);
                };
                graph.containers[container].bodies[body].tag = Some(tag(&value));
                (value, body)
            }
            Choice::Name(number) => {
                let (_, _, Form::Enum(names)) = graph.containers[container].key else {
                    return Err(Abort::Over);
                };
                graph.changes += 1;
                let container = &mut graph.containers[container];
                container.names[number].is_tried = true;
                let name: BorrowedStrDeserializer<'_, Abort> = BorrowedStrDeserializer::new(names[number]);
                let value = seed.deserialize(name).map_err(|_| Abort::Blamed)?;
                let tag = Some(tag(&value));
                container.names[number].tag = tag;
                // A name that is another one's alias makes a value of the same variant.
                let body = container.bodies.iter().position(|body| body.tag == tag).ok_or(Abort::Blamed)?;
                (value, body)
            }
        };
        Ok((value, Content { graph, container, body, way }))
    }
}

/// What is in a variant.
struct Content<'g> {
    graph: &'g mut Graph,
    container: usize,
    body: usize,
    way: Path,
}

impl<'g> Content<'g> {
    fn parts(self, form: Form) -> Result<Elements<'g>, Abort> {
        let below = self.graph.form(self.container, self.body, form)?;
        Ok(Elements { graph: self.graph, below: below.into_iter(), way: self.way })
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Abort;

    fn unit_variant(self) -> Result<(), Abort> {
        self.parts(Form::Unit).map(drop)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Abort> {
        self.parts(Form::NewType)?.read(seed)?.ok_or(Abort::Over)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Abort> {
        visitor.visit_seq(self.parts(Form::Tuple(len))?)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Abort> {
        visitor.visit_seq(self.parts(Form::Struct(fields))?)
    }
}
