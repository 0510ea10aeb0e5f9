//! Joins in event time: of records within an interval of each other, in the same window, or with the version
//! that was valid.
//!
//! A join without bound in time is [`KeyedStream::join`](crate::stream::KeyedStream::join), over collections
//! that only grow or are given by their changes. The joins here know when a record has met all that it can
//! meet, and forget it then. All of them are process functions over two connected streams: keyed state, and
//! timers.
//!
//! Whether a record takes part is decided by its own [stamp](crate::data::Stamp), and a record is kept until
//! the watermark says that no partner on time can come. So the pairs are those of all records on time, in
//! every run, whatever the order of arrival.

mod group;
mod temporal;
mod interval;
mod interval_matches;
mod interval_join;

pub use group::Group;
pub use interval::{Interval, Offset, Outer};
pub use interval_join::IntervalJoin;
