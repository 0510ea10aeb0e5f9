//! Random jobs under seeded schedules, against recomputations from scratch: well over a thousand
//! interleavings in each run of the tests.
//!
//! A case makes its input, its options and its schedule from one seed. A seed that fails is told with the
//! command that runs it again; `HIGHWATER_SEEDS` sets how many seeds each case takes.

mod by_hand;
mod calls;
mod collections;
mod faults;
mod joins;
mod loops;
mod patterns;
mod process;
mod retimed;
mod streams;
mod windows;
mod world;
