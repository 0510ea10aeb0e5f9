//! How sources deal with their splits: whose turn it is, which are silent, which wait for others, and how
//! many are open at a time.

#![allow(clippy::unwrap_used)]

#[path = "../engine/scripted.rs"]
#[allow(dead_code)]
mod scripted;

mod many;
mod silence;
mod turns;
