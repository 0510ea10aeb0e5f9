//! Process functions against an independent simulation, and what happens when users err.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod ending;
mod lives;
mod machine;
mod mistakes;
mod ordered;
mod readers;
mod rules;
mod timers;
