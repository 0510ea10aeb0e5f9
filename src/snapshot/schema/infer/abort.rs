//! Why asking a type comes to an end, and how far it may go.

use std::fmt;

use serde::de;

/// Why a round has come to nothing.
#[derive(Debug)]
pub(in crate::snapshot) enum Abort {
    /// A type refused what it was shown.
    Refused,
    /// There is no way to an end.
    Stuck,
    /// It is known what will not be done again.
    Blamed,
    /// The type is too large, or is not always the same.
    Over,
}

impl fmt::Display for Abort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

impl std::error::Error for Abort {}

impl de::Error for Abort {
    fn custom<M: fmt::Display>(_: M) -> Abort {
        Abort::Refused
    }
}

/// How one came to a place.
#[derive(Clone, Copy)]
pub(super) struct Path {
    /// True if nothing new is looked for.
    pub(super) is_ending: bool,
    /// What is added to the numbers of samples.
    pub(super) sample: usize,
    pub(super) depth: u32,
}

/// The most things that a type may ask for, and places that may be measured, in all rounds.
pub(super) const STEPS: usize = 20_000_000;

/// The greatest depth of values in values.
pub(super) const DEPTH: u32 = 128;

/// The most places in a type; an array has one for each item.
pub(super) const PLACES: usize = 1 << 18;
