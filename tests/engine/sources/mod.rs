//! How sources deal with their splits: whose turn it is, which are silent, which wait for others, and how
//! many are open at a time.

mod many;
mod silence;
mod turns;
