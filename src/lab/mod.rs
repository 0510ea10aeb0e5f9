//! The event-time laboratory: one disordered stream under several watermark strategies and late policies at
//! once.
//!
//! How long to wait for records that come out of order is a trade-off: a watermark that waits longer loses
//! less, and its results come later. The laboratory shows the trade-off for a stream of one's own. A
//! [`Recording`] is read from a file or made from a seed ([`Traffic`]); a [`Comparison`] runs it as one job,
//! in which one source feeds each [`Strategy`], and each strategy's windows feed each [`Policy`]; and a
//! [`Report`] tells how late results came and what was wrong in them.
//!
//! ```
//! use highwater::config::Options;
//! use highwater::lab::{Comparison, Traffic};
//!
//! let recording = Traffic { events: 20_000, ..Traffic::default() }.record()?;
//! let comparison = Comparison {
//!     windows: "10s".parse()?,
//!     strategies: vec!["monotone".parse()?, "bounded:5s".parse()?],
//!     policies: vec!["drop".parse()?, "correct:1m".parse()?],
//! };
//! let report = comparison.run(&recording, Options::default().workers(2))?;
//! let row = |strategy, policy| report.rows.iter().find(|row| row.strategy == strategy && row.policy == policy).unwrap();
//! assert!(row("monotone", "drop").completeness < row("bounded:5s", "drop").completeness);
//! assert!(row("monotone", "drop").first.p50 < row("bounded:5s", "drop").first.p50);
//! assert_eq!(row("monotone", "correct:1m").wrong_results, 0);
//! # Ok::<(), highwater::Error>(())
//! ```
//!
//! # Two clocks of a recording
//!
//! Each record has an event time and an arrival time, both in milliseconds on one scale. The arrivals are the
//! laboratory's only clock: a result is emitted at the arrival of the record whose reading lets the watermark
//! reach the window's end, and idle splits are told by it. The wall clock, the number of workers and the
//! lengths of epochs have no part in a report, so a report is the same in every run.
//!
//! # What is lost, and what is wrong
//!
//! A record counts once for each window it falls into. It is late for a window if its split had promised not
//! to fall behind the window's end, which is what [stamps](crate::data::Stamp) say everywhere in the engine:
//! a split is held to its own word, even if others hold the stream's watermark, and so the window, back. What
//! a late record becomes is the policy's business. What is right is the recomputation: every record of the
//! recording in every window it falls into. A result that differs from that, or is missing, is wrong.
//!
//! # Corrections
//!
//! The engine's windows fire once. So corrections are put together here from what they give, as any job
//! could: the late records, each as a contribution to a window and key, meet the window's result in a
//! [reduce](crate::stream::KeyedStream::reduce), whose result is restated by [changes](crate::data::Change).
//! A late record that comes before the window's result is there, which happens when its split was ahead of
//! the others, is part of the first result.

pub mod case;
mod random;
mod recording;
mod text;
mod disorder;
mod policy;
mod strategy;
mod traffic;
mod windows;
mod tally;
mod report;
mod measure;
mod compare;
mod plot;

#[cfg(test)]
mod tests;

pub use compare::{Comparison, Prepared};
pub use disorder::Disorder;
pub use policy::Policy;
pub use recording::{Event, Recording};
pub use report::{Latency, Report, Row};
pub use strategy::{Rule, Strategy};
pub use traffic::Traffic;
pub use windows::Windows;
