//! The side outputs of an operator, and a check of those that are read.

use crate::error::{Error, Result};

/// A side output: its identity and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SideKey {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
}

/// The side outputs that an operator emits to.
#[derive(Clone, Debug)]
pub(crate) enum GivenSides {
    /// These.
    Known(Vec<SideKey>),
    /// Any: its function has no `open` to register them in.
    Any,
}

impl GivenSides {
    /// None at all.
    pub(crate) const NONE: GivenSides = GivenSides::Known(Vec::new());

    /// Rejects a side output that the operator does not have.
    pub(crate) fn check(&self, uid: &str, read: SideKey) -> Result<()> {
        let known = match self {
            GivenSides::Known(known) if !known.contains(&read) => known,
            GivenSides::Known(_) | GivenSides::Any => return Ok(()),
        };
        let names: Vec<_> = known.iter().map(|side| format!("{:?}", side.name)).collect();
        let there = match names.as_slice() {
            [] => "it has none".to_owned(),
            [one] => format!("it has {one}"),
            [others @ .., last] => format!("it has {} and {last}", others.join(", ")),
        };
        Err(Error::config(format!(
            "the operator {uid:?} has no side output {:?}: {there}. Read it from the operator that gives it; a function's \
             side outputs are those that its `open` registers, with `States::side`",
            read.name
        )))
    }
}
