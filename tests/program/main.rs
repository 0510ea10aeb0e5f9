//! The `highwater` program, as a user runs it.
#![cfg(feature = "cli")]
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod commands;
mod lab;
mod snapshot_export;
mod snapshots;
