//! The coordinator: decides when a snapshot is taken, collects the operators' acknowledgements, writes their
//! new pages, and commits.

pub(super) mod segments;
pub(super) mod operator_snapshot;
pub(super) mod trigger;
pub(super) mod acks;
pub(super) mod options;
pub(super) mod thread;
