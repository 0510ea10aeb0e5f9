//! Snapshots: where they are kept, and how they are told from what is not yet one.

mod store;
mod envelope;
mod codec;
mod page;

pub use codec::Codec;
pub use page::{Compression, MAX_PAGE, PageHead};
pub use store::{Change, Faults, Faulty, Local, Memory, PutError, Store, check};
