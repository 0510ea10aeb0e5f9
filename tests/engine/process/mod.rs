//! Process functions against an independent simulation, and what happens when users err.

mod as_of;
mod ending;
mod lives;
mod machine;
mod mistakes;
mod ordered;
mod readers;
mod rules;
mod timers;
