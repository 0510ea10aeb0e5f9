//! Windows of every kind: published cases driven by hand, and random input against recomputations.

mod cases;
mod composed;
mod extremes;
mod growing;
pub(crate) mod oracle;
mod options;
mod script;
mod triggers;
