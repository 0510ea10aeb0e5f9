//! Highwater.
pub mod error;
pub mod clock;
pub mod metric;
pub mod data;
pub mod time;
pub mod config;
mod state;
pub mod stream;
pub mod window;
pub mod connector;
pub mod runtime;
#[cfg(feature = "nexmark")]
pub mod nexmark;
pub use error::{Error, ErrorKind, Result};
