//! Snapshots: where they are kept, and how they are told from what is not yet one.

mod store;

pub use store::{Change, Faults, Faulty, Local, Memory, PutError, Store, check};
