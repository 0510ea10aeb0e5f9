//! Windows: what belongs together in time.
//!
//! A window is a stretch of time, `[start, end)`. What falls into it is aggregated for each key, and its
//! result is emitted when the watermark has reached its end, or when a [`Trigger`] says so.
//!
//! # One builder, three operators
//!
//! [`WindowedStream`] is all that a user says of windows: kinds of windows, options, aggregates and
//! functions. Lateness, late output, triggers, evictors and corrections are options of it for every kind of
//! windows. Three operators do what it says:
//!
//! | asked for | operator |
//! |---|---|
//! | an aggregate of [aligned](Aligned) windows, no option | panes, see below |
//! | an aggregate of [`Sessions`], no option | sessions, which joins stretches as they come (`session`) |
//! | any option, a function of all records, windows of other kinds | the general one (`general`), which keeps state and a trigger for each window |
//!
//! The choice is made by types (`emission`), so a program has no operator in it that it does not use. Each
//! operator reads the snapshots of the others: the general one makes windows of panes and of sessions
//! (`general::foreign`), and the others take its windows that have not fired (`folded`).
//!
//! # Panes
//!
//! Windows of one size that begin at regular distances, tumbling and sliding ones, all begin and end at a few
//! cuts in each slide. Between two cuts lies a *slice*, and every window is a whole number of slices (the
//! "paired windows" of Krishnamurthy, Wu and Franklin, SIGMOD 2006). A record is added to its slice, once,
//! however many windows overlap there; a window's result adds up its slices.
//!
//! A record can be late for some of the windows it falls into and not for others. So what is kept is not
//! quite the slice but the `Pane`: the first and the last of the windows that a record counts for. All
//! records of a slice that are on time share a pane.
//!
//! # Lateness
//!
//! Whether a record counts for a window is decided by its own [stamp](crate::data::Stamp) and the window's
//! end, on the worker it comes from, before anything is sent. Records that count for no window are dropped
//! and counted in the metric `late_dropped`; [`late`](WindowedStream::late) and
//! [`late_output`](WindowedStream::late_output) give them as a stream.
//!
//! # State
//!
//! Values meet their key's accumulator where they are read, in one small table for each pane; what is sent to
//! the key's owner is one accumulator for each key and round. The owner merges these into its own tables, one
//! for each pane. When the state as of an epoch is asked for, what is in them is sealed into an arrangement,
//! in the order of panes, then keys. Windows that open and close between two seals never reach it. When the
//! first of its windows ends, a pane is read once, from its table and, by a range scan, from the arrangement,
//! and added to what the window before it left (`running`): so the cost of a window follows the panes that
//! enter and leave, not all that it has. Rows of panes whose last window has ended are dropped when batches
//! merge.

mod assigner;
mod windowed;
mod key_and_window;
mod restored_from_general;
mod assign_panes;
mod panes;
mod sliding_aggregate;
mod spilled_sliding_aggregate;
mod aligned_operator;
mod lower;
mod session;
mod general;
mod mapped;
mod emission;
mod builder;
mod named;

pub use assigner::{Aligned, Sliding, Tumbling, Window};
pub use builder::{LateOnly, WindowedStream, Windowing, WithoutKey};
pub use emission::{
    AtEnd, ByTrigger, Corrected, Emission, Evicting, Incremental, Results, Specialized, Uncorrected,
};
pub use general::{
    Absorbed, Apply, AsIs, Assigner, CountTrigger, CountWindows, DeltaTrigger, Either, Element,
    EveryEventTime, EveryProcessingTime, Evict, Evictor, Fire, Fired, Firing, Global, GlobalState, Keep,
    KeepCount, KeepDelta, KeepTime, Never, OnEventTime, OnProcessingTime, ProcessingTime, Purging,
    SlidingCountWindows, Trigger, TriggerContext, WindowContext, WindowProcess, WindowState, WindowStates,
    WithFiring,
};
pub use key_and_window::Scope;
pub use mapped::MapInput;
pub(crate) use panes::PANES;
pub use session::{Fixed, Gap, PerRecord, Sessions, Touching};
pub use windowed::Windowed;
