//! The log of a snapshot store: its objects, the protocol by which runs commit to it and fence each other,
//! and what is done to it from outside.

pub(super) mod envelope;
pub mod names;
pub(super) mod manifest;
pub mod protocol;
pub(super) mod entries;
pub(super) mod head;
pub(super) mod generation;
pub(super) mod lease;
pub(super) mod repository;
pub(super) mod gc;
pub(super) mod verify;
pub(super) mod fork;
