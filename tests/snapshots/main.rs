//! Jobs that crash and go on: what is visible in the end is what it would have been.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod draws;
mod ledger;
mod world;
mod kinds;
mod calls;
mod retimed;
mod collections;
mod loops;
mod files;
mod golden;
mod rescale;
mod suspend;
mod forks;
mod offline;
mod untyped;
mod ways;
mod migrated;
mod changed;
mod settings;
mod converted;
mod seeded;
