//! Object stores: directories, memory, buckets of S3, and what a snapshot store asks of them.
//!
//! A place is a flat set of named objects that never change. The one thing it must do well is to create: an
//! object appears under its name whole or not at all, and only one of several that try ever succeeds. Nothing
//! else is built upon: a list may be out of date, and a call may fail although it did what it should. File
//! systems do this by hard links, object stores by conditional puts.

mod name;
mod store;
mod local;
mod memory;
mod faulty;
#[cfg(feature = "object-store")]
mod remote;
#[cfg(feature = "s3")]
mod s3;
mod url;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[cfg(feature = "object-store")]
pub(crate) mod remote_tests;

pub use faulty::{Faults, Faulty};
pub use local::Local;
pub use memory::{Change, Memory};
#[cfg(feature = "object-store")]
pub use remote::Remote;
pub(crate) use store::nonce;
pub use store::{PutError, Store, check};
pub use url::store_at;
