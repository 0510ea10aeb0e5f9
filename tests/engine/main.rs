//! What jobs do, by the public interface: one program, for each links the engine anew.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

#[cfg(feature = "lab")]
mod cases;
mod joins;
mod misuse;
#[cfg(feature = "nexmark")]
mod nexmark_windows;
mod operators;
mod overflow;
mod process;
mod sources;
mod text_files;
mod windows;
