//! The state in a snapshot as rows of tables: for programs that do not have its types, and for those that do.
//!
//! * [`Repository::rows`](crate::snapshot::Repository::rows) reads any table: [`SavedRows`] has its
//!   [columns](Column) and gives its rows as [`Value`]s, each of a [`Type`]. `highwater snapshot export` is
//!   made of it.
//! * [`Repository::state`](crate::snapshot::Repository::state) reads a state of a process function as the
//!   types that it has: [`SavedState`].
//!
//! # How it reads what it does not know
//!
//! Pages do not describe themselves: their rows are numbers and texts one after the other, or column by
//! column. But each table of a manifest has a [schema](crate::snapshot::Schema) that says what its type
//! reads, field by field. So a program that has never heard of the type can read the same bytes, by asking
//! for the same things in the same order. A type that could not be asked what it reads is known to the schema
//! by its name alone: tables that have one in their rows can be read as their types only.
//!
//! | file | what is in it |
//! |---|---|
//! | `types` | a type, made of a schema's text |
//! | `value` | a value, which shows itself as JSON just as the typed one would |
//! | `decode` | pages into values |
//! | `layout` | what the rows of each kind of table mean, and which columns they make |
//! | `rows` | the rows that are the state, of all that a table's pages have |
//! | `typed` | the same by the types of the program |
//!
//! # What it costs
//!
//! A table is read page by page, once. Where rows lie in order of hashes, as those of keyed state do, some
//! pages of each run are in memory at a time; panes, timers and what patterns wait for are held until all is
//! read.

mod value;
mod types;
mod decode;
mod layout;
mod rows;
mod typed;
pub(crate) mod fuzz_entry;
#[cfg(test)]
mod tests;

pub use layout::Column;
pub use rows::SavedRows;
pub use typed::SavedState;
pub use types::{Fields, Type, Variant, Variants};
pub use value::Value;
