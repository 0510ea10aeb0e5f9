//! The data in streams: records with their stamps, changes with their signs, hashes, text, JSON.

mod prefetch;
mod change;
mod hash;
mod json;
mod ownership;
#[cfg(feature = "nexmark")]
mod map;
mod record;
mod hashed;
mod sort;
mod text;
mod visit;

pub use change::{Change, Diff, consolidate};
pub(crate) use hash::worker_of;
pub use hash::{Hash64, hash64};
pub use hashed::Hashed;
pub(crate) use hashed::Owner;
pub use json::write_json;
#[cfg(feature = "nexmark")]
pub(crate) use map::map;
pub use ownership::Ownership;
pub(crate) use prefetch::look_ahead;
pub use record::{Data, EventTime, Exchange, Key, Record, Stamp};
pub(crate) use sort::sort_by;
pub use text::Text;
pub use visit::Visit;
