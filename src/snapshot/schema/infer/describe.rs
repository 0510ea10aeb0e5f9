//! The text of a schema, made of all that was seen.
//!
//! Structs and enums are described once and named where they lie. Types that have one name for serde need not
//! be one type, as with generic ones: those that read the same are one, and others have a number after the
//! name. They read the same unless something tells them apart: so all of one name are taken to be one first,
//! and then parted as long as descriptions differ, which finds what is alike in types that are part of
//! themselves too.

use std::collections::{BTreeMap, BTreeSet};

use serde_reflection::{ContainerFormat, Format, FormatHolder, Named, VariantFormat};

use crate::snapshot::schema::infer::graph::{Body, Container, Form, Graph, ROOT, Request};

/// The names of containers, by their numbers.
type Names = BTreeMap<usize, String>;

/// What the root reads, and then each struct and enum in it by name. None if the root refused what it was
/// shown, or something was not seen.
pub(in crate::snapshot) fn describe(graph: &Graph) -> Option<String> {
    if graph.nodes[ROOT].refused.is_some() {
        return None;
    }
    let (names, texts) = part(graph, &find(graph))?;
    let mut text = serde_json::to_string(&format(graph, ROOT, &names)?).ok()?;
    for (name, described) in texts {
        text += &format!(", {name} = {described}");
    }
    Some(text)
}

/// Gives containers names, one name to those that read the same; and what is read by those of each name.
fn part(graph: &Graph, found: &[usize]) -> Option<(Names, BTreeMap<String, String>)> {
    let count = |names: &Names| names.values().collect::<BTreeSet<_>>().len();
    let mut names: Names = found.iter().map(|at| (*at, graph.containers[*at].key.0.to_owned())).collect();
    loop {
        let (mut classes, mut parted) = (BTreeMap::<&str, Vec<(&str, String)>>::new(), Names::new());
        for at in found {
            let name = graph.containers[*at].key.0;
            let class = (names[at].as_str(), container(graph, &graph.containers[*at], &names)?);
            let known = classes.entry(name).or_default();
            let number = known.iter().position(|other| *other == class).unwrap_or(known.len());
            if number == known.len() {
                known.push(class);
            }
            let label = if number == 0 { name.to_owned() } else { format!("{name}#{}", number + 1) };
            parted.insert(*at, label);
        }
        // Nothing more was told apart: all of one name read the same.
        if count(&parted) == count(&names) {
            let texts = classes.into_values().flatten();
            let texts = texts.map(|(name, text)| (name.to_owned(), text)).collect();
            return Some((names, texts));
        }
        names = parted;
    }
}

/// The containers that are not in something that is known by its name alone, as they are met first.
fn find(graph: &Graph) -> Vec<usize> {
    let (mut found, mut places, mut seen) = (vec![], vec![ROOT], BTreeSet::new());
    while let Some(place) = places.pop() {
        let node = &graph.nodes[place];
        if node.refused.is_some() {
            continue;
        }
        places.extend(node.below.iter().rev());
        if let Some(Request::Named(at)) = node.asked
            && seen.insert(at)
        {
            found.push(at);
            let bodies = graph.containers[at].bodies.iter().rev().filter(|body| !body.is_blocked);
            places.extend(bodies.flat_map(|body| body.below.iter().rev()));
        }
    }
    found
}

fn format(graph: &Graph, place: usize, names: &Names) -> Option<Format> {
    let node = &graph.nodes[place];
    if let Some(name) = &node.refused {
        return Some(Format::TypeName(name.clone()));
    }
    let mut below = formats(graph, &node.below, names)?;
    Some(match node.asked.as_ref()? {
        Request::Plain(format) => format.clone(),
        Request::Option => Format::Option(Box::new(below.pop()?)),
        Request::List => Format::Seq(Box::new(below.pop()?)),
        Request::Map => {
            let value = Box::new(below.pop()?);
            Format::Map { key: Box::new(below.pop()?), value }
        }
        Request::Tuple(_) => Format::Tuple(below),
        Request::Named(at) => Format::TypeName(names.get(at)?.clone()),
    })
}

fn formats(graph: &Graph, places: &[usize], names: &Names) -> Option<Vec<Format>> {
    places.iter().map(|place| format(graph, *place, names)).collect()
}

fn fields(fields: &[&str], formats: Vec<Format>) -> Vec<Named<Format>> {
    let named = |(name, value): (&&str, Format)| Named { name: (*name).to_owned(), value };
    fields.iter().zip(formats).map(named).collect()
}

fn container(graph: &Graph, container: &Container, names: &Names) -> Option<String> {
    let (_, _, form) = container.key;
    let mut described = if let Form::Enum(variants) = form {
        let bodies = container.bodies.iter().enumerate().filter(|(_, body)| !body.is_absent);
        let variant = |(number, body): (usize, &Body)| {
            let name = variants[name_of(container, number)];
            Some((
                number as u32,
                Named { name: name.to_owned(), value: variant(graph, container, body, names, name)? },
            ))
        };
        ContainerFormat::Enum(bodies.map(variant).collect::<Option<_>>()?)
    } else {
        let mut formats = formats(graph, &container.bodies.first()?.below, names)?;
        match form {
            Form::Unit | Form::Enum(_) => ContainerFormat::UnitStruct,
            Form::NewType => ContainerFormat::NewTypeStruct(Box::new(formats.pop()?)),
            Form::Tuple(_) => ContainerFormat::TupleStruct(formats),
            Form::Struct(names) => ContainerFormat::Struct(fields(names, formats)),
        }
    };
    described.normalize().ok()?;
    serde_json::to_string(&described).ok()
}

/// The number of a variant's name, which is its own unless variants have more names than one.
fn name_of(container: &Container, number: usize) -> usize {
    let tag = container.bodies[number].tag;
    container.names.iter().position(|name| name.tag.is_some() && name.tag == tag).unwrap_or(number)
}

fn variant(
    graph: &Graph,
    container: &Container,
    body: &Body,
    names: &Names,
    name: &str,
) -> Option<VariantFormat> {
    // No value could be made of the variant, so it is known by its name alone.
    let Some(form) = body.form.filter(|_| !body.is_blocked) else {
        let name = format!("{}::{name}", container.key.1);
        return Some(VariantFormat::NewType(Box::new(Format::TypeName(name))));
    };
    let mut formats = formats(graph, &body.below, names)?;
    Some(match form {
        Form::Unit | Form::Enum(_) => VariantFormat::Unit,
        Form::NewType => VariantFormat::NewType(Box::new(formats.pop()?)),
        Form::Tuple(_) => VariantFormat::Tuple(formats),
        Form::Struct(names) => VariantFormat::Struct(fields(names, formats)),
    })
}
