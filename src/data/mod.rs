//! What flows: records, changes, and the bytes they are made of.
#[cfg(feature = "nexmark")]
pub(crate) mod map;
mod text;
pub use text::Text;
