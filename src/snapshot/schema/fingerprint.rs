//! Schemas and fingerprints: what the rows of a table are made of, so that a program does not take them for
//! something else.
//!
//! A type's `Deserialize` is [asked](crate::snapshot::schema::infer) what it wants to read, field by field,
//! and the answer is the schema: names of structs, fields and variants, and the types of what is in them. Two
//! programs with the same answer read the same bytes, wherever the type is defined in either. Some types
//! cannot be asked, because they refuse what they are shown, such as a number that must not be zero: those
//! are known by their names alone, wherever they lie in a row, and a change inside of them is for their
//! authors to tell.
//!
//! Asking takes a while, and tables are saved by workers at each cut: so a type is asked once in a process.

use std::any::{TypeId, type_name};
use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::de::DeserializeOwned;

use crate::data::hash64;
use crate::lock::lock;
use crate::snapshot::log::manifest::Schema;
use crate::snapshot::schema::infer::foreign::{is_held, rename};
use crate::snapshot::schema::infer::trace;

/// What is known of types by what their rows mean.
static KNOWN: Mutex<BTreeMap<(TypeId, String), Schema>> = Mutex::new(BTreeMap::new());

impl Schema {
    /// The schema of rows of type `T`, which mean what `kind` says.
    pub(crate) fn of<T: DeserializeOwned + 'static>(kind: &str) -> Schema {
        // What is asked in the place of something else has no type of its own to be remembered by.
        if is_held() {
            return Schema::ask::<T>(kind);
        }
        let mut known = lock(&KNOWN);
        known.entry((TypeId::of::<T>(), kind.to_owned())).or_insert_with(|| Schema::ask::<T>(kind)).clone()
    }

    fn ask<T: DeserializeOwned>(kind: &str) -> Schema {
        let name = || rename(type_name::<T>().to_owned());
        let text = format!("{kind} of {}", trace::<T>().unwrap_or_else(name));
        Schema { fingerprint: hash64(text.as_bytes()), text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use std::num::NonZeroU8;

    #[derive(Serialize, Deserialize)]
    struct Point {
        x: i32,
        y: i32,
    }

    #[derive(Serialize, Deserialize)]
    enum Shape {
        Dot(Point),
        Line { from: Point, to: Point },
        None,
    }

    mod later {
        use super::{Deserialize, Serialize};

        #[derive(Serialize, Deserialize)]
        pub(in crate::snapshot) struct Point {
            x: i32,
            y: i64,
        }
    }

    #[test]
    fn a_field_that_changes_changes_the_schema() {
        let before = Schema::of::<Vec<Point>>("rows");
        assert_eq!(before, Schema::of::<Vec<Point>>("rows"));
        assert_ne!(before.fingerprint, Schema::of::<Vec<later::Point>>("rows").fingerprint);
        assert_ne!(before.fingerprint, Schema::of::<Vec<Point>>("sums").fingerprint);
        assert!(before.text.contains("Point"), "{}", before.text);
    }

    #[test]
    fn all_variants_are_seen() {
        let text = Schema::of::<(u64, Option<Shape>)>("rows").text;
        assert!(["Dot", "Line", "None", "from", "to"].iter().all(|name| text.contains(name)), "{text}");
    }

    #[test]
    fn a_change_in_a_variant_changes_the_schema_wherever_the_enum_lies() {
        mod later {
            use super::later::Point;
            use super::{Deserialize, Serialize};

            #[derive(Serialize, Deserialize)]
            pub(super) enum Shape {
                Dot(Point),
                Line { from: Point, to: Point },
                None,
            }
        }
        #[derive(Serialize, Deserialize)]
        struct Row<T> {
            shapes: Option<Vec<T>>,
        }
        let fingerprint = Schema::of::<Row<Shape>>("rows").fingerprint;
        assert_ne!(fingerprint, Schema::of::<Row<later::Shape>>("rows").fingerprint);
        assert_eq!(fingerprint, Schema::of::<Row<Box<Shape>>>("rows").fingerprint);
    }

    #[test]
    fn what_cannot_be_asked_is_known_by_its_name() {
        assert!(Schema::of::<NonZeroU8>("rows").text.contains("NonZero"));
    }
}
