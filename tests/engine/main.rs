//! The engine against oracles: one binary, one scenario or family of properties in each file.

mod nexmark;
mod rolling;
mod streams;
mod windows;
