//! A place for a type that is known elsewhere.
//!
//! A caller that asks what rows were made of before a migration knows all of them but one part; the type of
//! that part is known, and can be asked, elsewhere. So rows are asked with a [`Foreign`] for their part,
//! which reveals no more than that it is one, and the type itself is asked in its place. The answer is what
//! it would have been had the rows been asked with the type in them.

use std::any::type_name;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::snapshot::schema::infer::abort::{Abort, Path};
use crate::snapshot::schema::infer::graph::Graph;

/// The name that it is asked for by. No type of a user's has it.
pub(in crate::snapshot) const NAME: &str = "highwater: foreign";

/// How a type is asked.
#[derive(Clone, Copy)]
pub(in crate::snapshot) struct Question {
    pub(super) ask: fn(&mut Graph, usize, Path) -> Result<(), Abort>,
    pub(super) name: fn() -> &'static str,
}

thread_local! {
    /// What stands in the places of the foreign.
    static ASKED: Cell<Option<Question>> = const { Cell::new(None) };
}

impl Question {
    /// Lets the type stand in all places of the foreign meanwhile.
    pub(in crate::snapshot) fn hold<X>(self, meanwhile: impl FnOnce() -> X) -> X {
        // Restored when it is dropped, also after a panic.
        let _before = Before(ASKED.replace(Some(self)));
        meanwhile()
    }
}

/// What stood there before, and will again.
struct Before(Option<Question>);

impl Drop for Before {
    fn drop(&mut self) {
        ASKED.set(self.0);
    }
}

/// True if some type stands in the places of the foreign now.
pub(in crate::snapshot) fn is_held() -> bool {
    ASKED.get().is_some()
}

/// Asks what stands in the place.
pub(super) fn ask(graph: &mut Graph, node: usize, way: Path) -> Result<(), Abort> {
    ASKED.get().map_or(Err(Abort::Over), |question| (question.ask)(graph, node, way))
}

/// A description that names the type, where it names the place that is held for it.
pub(in crate::snapshot) fn rename(text: String) -> String {
    match ASKED.get() {
        Some(question) => text.replace(type_name::<Foreign>(), (question.name)()),
        None => text,
    }
}

/// Part of a row, of a type that is known elsewhere. It can be asked, and not read.
pub(crate) struct Foreign;

impl<'de> Deserialize<'de> for Foreign {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Foreign, D::Error> {
        struct Nothing;

        impl Visitor<'_> for Nothing {
            type Value = Foreign;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type that is known elsewhere")
            }

            fn visit_unit<E>(self) -> Result<Foreign, E> {
                Ok(Foreign)
            }
        }
        deserializer.deserialize_newtype_struct(NAME, Nothing)
    }
}
