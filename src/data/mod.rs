//! What flows: values with their stamps, changes with their signs, and the text in them.

mod change;
mod hash;
mod record;
mod text;

pub use change::{Change, Diff, consolidate};
pub(crate) use hash::worker_of;
pub use hash::{Hash64, hash64};
pub use record::{Data, Exchange, Key, Record, Stamp};
pub use text::Text;
