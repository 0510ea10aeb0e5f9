//! Keyed state: items of keys in columns, their expiry, eviction, copies for snapshots, and views from
//! outside.

pub(super) mod meta;
pub(super) mod items;
pub(super) mod time_domain;
pub(super) mod view;
pub(super) mod published_state;
pub(super) mod pins;
pub(super) mod store;
pub(super) mod evicted_keys;
pub(super) mod entry;
pub(super) mod ttl_sweep;
pub(super) mod snapshot_copy;
pub(super) mod write_back;
mod entry_cache;
pub(super) mod keyed_state;
mod keyed_eviction;
pub(super) mod keyed_snapshots;
pub(super) mod column;
pub(super) mod by_time;
pub(super) mod multiset;
pub(super) mod copying;
pub(super) mod epoch_close;
#[cfg(test)]
mod snapshot_copy_tests;
#[cfg(test)]
mod eviction_tests;
#[cfg(test)]
mod keyed_state_tests;
