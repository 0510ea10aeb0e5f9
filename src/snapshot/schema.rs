//! What the rows of a table are made of, so that a program does not take them for something else.
//!
//! A type's `Deserialize` is asked what it wants to read, field by field, and the answer is the schema: names of structs, fields and variants, and the
//! types of what is in them. Two programs with the same answer read the same bytes, wherever the type is defined in either. Some types
//! cannot be asked, because they refuse what they are shown, such as a number that must not be zero: those are known by their names alone, and a change inside of
//! them is for their authors to tell.

use std::any::type_name;
use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_reflection::{Error, Format, Samples, Tracer, TracerConfig};

use super::manifest::Schema;
use crate::data::hash64;

impl Schema {
    /// The schema of rows of type `T`, which mean what `kind` says.
    pub(crate) fn of<T: DeserializeOwned>(kind: &str) -> Schema {
        let text = format!("{kind} of {}", trace::<T>().unwrap_or_else(|| type_name::<T>().to_owned()));
        Schema { fingerprint: hash64(text.as_bytes()), text }
    }
}

/// What a type wants to read, if it can be asked.
fn trace<T: DeserializeOwned>() -> Option<String> {
    let (mut enums, samples) = (BTreeSet::new(), Samples::new());
    loop {
        let mut tracer = Tracer::new(TracerConfig::default().is_human_readable(false));
        let format = trace_all::<T>(&mut tracer, &enums, &samples)?;
        match tracer.registry() {
            Ok(registry) => {
                let mut text = serde_json::to_string(&format).ok()?;
                for (name, container) in registry {
                    text += &format!(", {name} = {}", serde_json::to_string(&container).ok()?);
                }
                return Some(text);
            }
            Err(Error::MissingVariants(names)) if names.iter().any(|name| !enums.contains(name)) => {
                enums.extend(names);
            }
            Err(_) => return None,
        }
    }
}

/// Asks again and again, since each answer shows one more variant of each of these enums.
fn trace_all<T: DeserializeOwned>(
    tracer: &mut Tracer,
    enums: &BTreeSet<String>,
    samples: &Samples,
) -> Option<Format> {
    for _ in 0..ROUNDS {
        let (format, _) = tracer.trace_type_once::<T>(samples).ok()?;
        let missing = enums.iter().filter(|name| tracer.check_incomplete_enum(name).is_some());
        if missing.count() == 0 {
            return Some(format);
        }
    }
    None
}

/// An enum with more variants than this is known by its name alone.
const ROUNDS: usize = 1000;

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
        pub(super) struct Point {
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
    fn what_cannot_be_asked_is_known_by_its_name() {
        assert!(Schema::of::<NonZeroU8>("rows").text.contains("NonZero"));
    }
}
