//! The engine against oracles: one binary, one scenario or family of properties in each file.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod errors;
mod files;
mod nexmark;
mod rolling;
mod socket;
mod streams;
mod windows;
