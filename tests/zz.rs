//! Temporary.
#![allow(clippy::unwrap_used, dead_code)]
#[path = "engine/errors.rs"]
mod errors;
#[path = "engine/iterate.rs"]
mod iterate;
#[path = "engine/through.rs"]
mod through;
#[path = "engine/scripted.rs"]
mod scripted;
