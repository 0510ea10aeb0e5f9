//! Windows of every kind: published cases driven by hand, and random input against recomputations.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod cases;
mod composed;
mod extremes;
mod growing;
mod oracle;
mod options;
mod script;
mod triggers;
