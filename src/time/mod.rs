//! The two clocks, and the one timestamp that carries both.
//!
//! Every record travels under a [`Time`]: an *epoch*, the system clock that the sources advance, and an
//! *event* time, the lower bound of the event times that may still come. `Time` is the timestamp of
//! timely dataflow, so one frontier speaks of both:
//!
//! * its event coordinate is Flink's watermark: event time has advanced this far;
//! * its epoch coordinate replaces Flink's checkpoint barrier: when no element of the frontier has an epoch
//!   at or below `e`, everything that the input up to `e` causes has arrived.
//!
//! # Why a product, and why it stays small
//!
//! The clocks are independent: an hour of event time can pass within one epoch, and a thousand epochs within
//! a millisecond of event time. So the order is the product order, `(e, t) <= (e', t')` if `e <= e'` and
//! `t <= t'`, and a frontier is an antichain. It has at most one element for each worker, because a source
//! operator holds one capability, at its epoch and the least watermark of its splits, however many splits it
//! reads.
//!
//! # What is exact and what is a heuristic
//!
//! The frontier is exact: it passes `t` only when no operator, channel or source can produce anything below
//! `t`, by timely's progress protocol. The watermark is a heuristic: a source's
//! [strategy](Watermarks) declares that no older event will come, and can be wrong. Then the record is
//! [late](crate::data::Stamp), which its own split decides.

mod watermark_board;
mod epoch_claims;
mod timestamp;
mod frontier;
mod epoch;
mod watermark;
mod quantile;
mod splits;

pub use epoch::Epochs;
pub(crate) use epoch::{EpochClock, Policy};
pub(crate) use epoch_claims::EpochClaims;
pub(crate) use frontier::Progress;
pub use quantile::LatenessQuantile;
pub(crate) use splits::{SplitMark, SplitWatermarks, Ticks};
pub(crate) use watermark::{SplitWatermark, Stamps};
pub use watermark::{Strategy, WatermarkGenerator, Watermarks};
pub(crate) use watermark_board::{Reach, WatermarkBoard};

pub use crate::data::EventTime;
pub use timestamp::{Advance, Time};
