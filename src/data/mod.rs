//! What flows: records, changes, and the bytes they are made of.
mod text;
pub use text::Text;
