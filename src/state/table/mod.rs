//! The hash table in front of an arrangement, and the memory that it lies in.

pub(super) mod index;
pub(super) mod segmented_vec;
pub(super) mod key_table;
