//! The coordinator: decides when a snapshot is taken, gathers what operators acknowledge it with, writes what
//! is new of that, and commits.

pub(super) mod segments;
pub(super) mod operator_snapshot;
pub(super) mod trigger;
pub(super) mod acks;
pub(super) mod options;
pub(super) mod thread;
