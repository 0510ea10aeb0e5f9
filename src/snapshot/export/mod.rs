//! State of a snapshot, read by programs that do not have its types.
//!
//! Pages do not describe themselves: their rows are numbers and texts one after the other, or column by
//! column. But each table of a manifest has a [schema](crate::snapshot::Schema) that says what its type
//! reads, field by field. So a program that has never heard of the type can read the same bytes, by asking
//! for the same things in the same order.
//!
//! * [`types`] makes a [`Type`] of the schema's text.
//! * [`value`] is what is read of it: a [`Value`] shows itself as JSON just as the typed one would.
//! * [`decode`] reads pages.
//! * [`layout`] knows what the rows of each kind of table mean, and which columns they make.
//! * [`rows`] reads a table: the rows that are the state, of all that its pages have.
//!
//! A type that could not be asked what it reads is known to the schema by its name alone. Tables that have
//! one in their rows can be read by [`Repository::state`](crate::snapshot::Repository::state) only.

pub(super) mod value;
pub(super) mod types;
pub(super) mod decode;
pub(super) mod layout;
pub(super) mod rows;
pub(super) mod typed;
pub(super) mod fuzz_entry;
#[cfg(test)]
mod tests;
