//! Windows of every kind: any assigner, any trigger, any function.
//!
//! A window is keyed state plus a trigger. For each key and each of its windows there is a row of state: the
//! content, which is an accumulator or the records; what the trigger remembers; what the function remembers.
//! A record is assigned to windows, shown to their triggers and added to their contents; a timer is shown to
//! the trigger alone. When the trigger says so, the function makes results of the content. When no record can
//! come to a window any more, its row is dropped.
//!
//! Windows of one key that overlap become one if the assigner says that they [merge](Assigner::merges). The
//! state stays where that of one of them was; the others' is joined to it.
//!
//! # In which order
//!
//! Whether a record is late for a window is decided by its own [stamp](crate::data::Stamp), and what it then
//! finds in the window must not be a matter of chance. So records are taken *as if they came in the order of
//! the watermarks in their stamps*. Only those that are behind the watermark of their split have to wait for
//! that; the others cannot be late for anything, find no window that has ended, and are taken as they come
//! ([`session`](super::session) has the argument). A record that is behind is taken when the watermark of the
//! operator has passed its own: late results come one watermark later than in Flink, and are the same in each
//! run. Windows of processing time fire when the wall clock has reached their end, not a millisecond before
//! as in Flink. Records with equal watermarks are taken in order of event time, and only what is equal in
//! both in order of arrival.
//!
//! What depends on the order of arrival is as random as that: triggers and evictors that count, contents
//! without event time. In windows that never end and in windows of processing time nothing waits.
//!
//! # Results
//!
//! A result has the event time of the last moment of its window. Its stamp says how far event time had come
//! when it was made: for a window downstream an early result is early and a late one late.
//! [`WindowContext::firing`] and [`Fired`] tell early, timely and late results apart.
//!
//! # Cost
//!
//! A record costs a look-up for each of its windows and an access to each of their states; the
//! [aligned](super::Aligned) and the [session](super::Sessions) windows with nothing but an aggregate have
//! operators of their own that cost less. State is sealed on demand, as that of process functions.

mod other_operators;
mod trigger;
mod triggers;
mod continuous;
mod assigner;
mod evictor;
mod function;
mod content;
mod operator;
mod lower;

pub use assigner::{Assigner, CountWindows, Global, ProcessingTime, SlidingCountWindows};
pub(super) use content::Summed;
pub use continuous::{EveryEventTime, EveryProcessingTime};
pub use evictor::{Element, Evict, Evictor, Keep, KeepCount, KeepDelta, KeepTime};
pub use function::{
    Apply, AsIs, Fired, Firing, GlobalState, WindowContext, WindowProcess, WindowState, WindowStates,
    WithFiring,
};
pub(super) use lower::{General, Settings};
pub use trigger::{Absorbed, Fire, Trigger, TriggerContext};
pub use triggers::{CountTrigger, DeltaTrigger, Either, Never, OnEventTime, OnProcessingTime, Purging};
