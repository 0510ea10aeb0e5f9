//! The engine against oracles: one binary, one scenario or family of properties in each file.

mod files;
mod rolling;
mod socket;
