//! Highwater.
pub mod data;
#[cfg(feature = "nexmark")]
pub mod nexmark;
