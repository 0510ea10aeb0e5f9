//! Snapshots: where they are kept, and how they are told from what is not yet one.

mod store;
mod envelope;
mod codec;
mod page;
mod manifest;

pub use codec::Codec;
pub use manifest::{
    Cause, Claim, Entry, Manifest, Note, OperatorState, PageRef, RunState, Schema, Shard, TableState,
};
pub use page::{Compression, MAX_PAGE, PageHead};
pub use store::{Change, Faults, Faulty, Local, Memory, PutError, Store, check};
