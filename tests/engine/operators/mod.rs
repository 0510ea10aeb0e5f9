//! The engine against oracles: one binary, one scenario or family of properties in each file.

mod arranged;
mod attached;
mod call_faults;
mod call_limits;
mod calls;
mod closed_epochs;
mod determinism;
mod errors;
mod files;
mod flow;
mod iterate;
mod nexmark;
mod patterns;
mod retime;
mod rolling;
pub(crate) mod scripted;
mod socket;
mod streams;
mod differential;
mod windows;
