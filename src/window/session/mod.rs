//! Session windows: stretches of activity of a key, ended by a gap without any.
//!
//! A record at `t` covers `[t, t + gap)`. Stretches that overlap are one session, so a session ends a gap
//! after its last record. A record exactly a gap after another begins a new session (Flink would join the
//! two; Beam would not), unless they are to be [`touching`](Sessions::touching).
//!
//! # Which records count
//!
//! When the watermark has reached a session's end, the session is over, and what comes then is not joined to
//! it. How far the watermark has come is different on each run; so "then" is decided by records' own
//! [stamps](crate::data::Stamp): *sessions are those that come about if the records of a key are taken in
//! order of the watermarks in their stamps*, those of one watermark in order of their own times, then of
//! their ends. Among records of one split that is the order of arrival. A record that is over before it comes
//! counts if it reaches into a session that is not over, and is late otherwise.
//!
//! To take all records in that order they would have to wait for the watermark, all of them. Only a few need
//! to: those that are *behind*, with an event time before their split's watermark. All others are taken as
//! they come, and the outcome is the same:
//!
//! * Let `y` not be behind, with time `t` and watermark `w <= t`. Whatever overlaps `y` ends after `t`, so
//!   after `w`: when it is `y`'s turn, nothing that it overlaps is over, and it joins all of it, now or then.
//! * Let `z` be behind, with watermark `v`, and `y` later than `z` in the order, `v <= w`, yet taken before
//!   it. If they overlap, `z` ends after `t`, so after `v`, and `y` would join `z`, or the session that `z`
//!   has joined. If `z` overlaps a session that is over at `v` and that `y` is in by now, then `y` had
//!   overlapped something that ended at or before `v <= w`, which it cannot.
//!
//! # Cost
//!
//! Records that are not behind meet the session of their key where they are read; what is sent is one piece
//! for each key and round. The owner has one table entry for each key, with its sessions inside. A key has
//! one timer, which is moved when it goes off too early, not with each record. With many keys it is memory
//! that is waited for, so an entry is small, and pieces are looked up some at a time.
//!
//! If memory is limited, keys that have not been touched for a while [leave it](crate::state) with their
//! sessions, and come back when a piece or their alarm does.

mod assigner;
mod entry;
mod preaggregate;
mod operator;

pub use assigner::{Fixed, Gap, PerRecord, Sessions, Touching};
pub(super) use entry::SESSIONS;
pub(super) use operator::aggregate;
pub(super) use preaggregate::{Behind, SETTINGS, waiting_in};
