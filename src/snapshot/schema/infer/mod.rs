//! Schema inference: finds out what a type reads by letting it read.
//!
//! `Deserialize` does not declare what it reads; it asks a `Deserializer` for one thing after the other.
//! [`deserializer`] has one that records what it is asked for and answers with made-up values. One round
//! shows one variant of an enum, so the type is asked again and again, and led each time to the nearest
//! [place](graph) that has not been seen; [`describe`] makes a text of all that was.
//!
//! # Why it sees all, and ends
//!
//! * Before each round the distance of every place from what is still unseen is measured. Options are given,
//!   lists have an item and variants are chosen where that leads to something unseen, and the nearest such is
//!   taken. No way to the nearest passes a type twice, so a type is explored only where it is met first in a
//!   round; everywhere else it is brought to an end. So a round sees something new, or fails.
//! * To be brought to an end an option is left out, a list is empty, and of an enum the variant is taken that
//!   was complete first: all that is in it was complete before, so this goes down and down. While no variant
//!   has been complete, one is tried after the other, none within itself.
//! * A round that fails blames a place or a variant for it, and does not fail the same way again: a visitor
//!   that refused what it was shown is shown something else, and after a few [samples] nothing any more; a
//!   variant within which there was no end is left alone until another variant has been complete.
//!
//! A round costs what it takes to build one value. There are as many rounds as there are variants, at most,
//! if variants are not nested, and [`STEPS`](abort::STEPS) bounds all that is done in all rounds; a type that
//! goes beyond it, or has more than [`PLACES`](abort::PLACES), is not described. What is more than
//! [`DEPTH`](abort::DEPTH) deep is taken to have no end.
//!
//! # Why not the tracer of `serde-reflection`
//!
//! Its format of types is used here. Its `Tracer` takes enums one by one and by their types, which a state of
//! a user's type does not tell: of enums in options, lists and maps it misses variants. Two types of one name
//! are an error, as is a value that a type refuses, unless there are samples of that type. On types within
//! each other it runs out of stack. Measured with version 0.6; a test checks that this is still so.
//!
//! # What is not seen
//!
//! A type that refused something may refuse more, by rules that cannot be seen, so it is described by its
//! name alone, as is what no value could be made of: the smallest option, list, map or variant around it that
//! could be left out. If there is none, there is no description. Types that ask for different things at
//! different times, and by what they have read, are described by what they have asked for.

mod abort;
mod samples;
mod graph;
pub(in crate::snapshot) mod foreign;
mod deserializer;
mod describe;
#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;

use crate::snapshot::schema::infer::abort::Abort;
use crate::snapshot::schema::infer::deserializer::TypeSlot;

use crate::snapshot::schema::infer::graph::{Graph, ROOT};

/// What the type reads, as JSON: what it is, and then each struct and enum in it. None if the type as a whole
/// refuses to say.
pub(in crate::snapshot) fn trace<T: DeserializeOwned>() -> Option<String> {
    let mut graph = Graph::new();
    while graph.measure() {
        let before = graph.changes;
        graph.round += 1;
        let read = T::deserialize(TypeSlot::root(&mut graph));
        // A round that has learnt nothing would repeat itself for ever.
        if matches!(graph.settle(ROOT, read), Err(Abort::Stuck | Abort::Over)) || graph.changes == before {
            return None;
        }
    }
    describe::describe(&graph).map(foreign::rename)
}
