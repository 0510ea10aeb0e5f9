//! Process functions: user logic with keyed state, timers and side outputs.
//!
//! Every other operator with state could be written with these three. A [`Process`] receives the records of a
//! key one by one, may keep [`Value`]s, [`List`]s and [`Map`]s for it, may register timers, and emits records
//! of its own. It is Flink's `KeyedProcessFunction`; a [`CoProcess`] over two connected streams is its
//! `KeyedCoProcessFunction`.
//!
//! # Order of processing
//!
//! *In order of arrival*, as in Flink, a record is processed at once, and a timer fires when the watermark
//! has passed it. Records of one key from one split are processed in the order of the split; those of several
//! splits interleave by chance, so results are the same in each run only if the function does not depend on
//! that order.
//!
//! *In order of event time* ([`process_in_order`](crate::stream::KeyedStream::process_in_order)) a record
//! waits until the watermark has passed it, and then records and timers are processed in the order of their
//! times; records of one time are sorted. Then the function's input is determined by the job's input alone,
//! whatever the number of workers, the epochs and the disorder; a record that is late by its own
//! [stamp](crate::data::Stamp) is dropped and counted, the same ones in each run.
//!
//! # State
//!
//! States are registered by name in [`Process::open`], which hands out typed handles. The states of a
//! worker's keys lie in columns behind one hash table; see `state`. A read costs a look-up for each record
//! and an access for each state, a write also a mark of what has changed. A key is forgotten when it has
//! neither state nor timers. With a [`Ttl`] an item expires by one of the two clocks: an expired item is
//! never read, and its memory is given back when an epoch closes. What is written before event time has begun
//! lives from the first watermark on; where there never is any, a time to live by it is refused.
//!
//! # Timers
//!
//! A timer is a key and a time, by the watermark or by the wall clock; registering it twice is registering it
//! once. Timers lie in buckets of 64 ms, each sorted when its time has come: registering costs some 20 ns
//! whatever the order of the times. They fire in order of time. With a
//! [limit of memory](crate::config::Options::state_memory) those that are far off lie in files until their
//! time is near, counted as `timers_spilled`, and so do records that wait to be taken in order, as
//! `records_spilled`. What has defined outcomes:
//!
//! * a timer in the past fires once the records that have arrived with it are through, at the latest when the
//!   epoch closes;
//! * when the input ends, event time ends: all timers fire, those of the wall clock too, and those at the
//!   very end of time. Timers that timers register then, for whatever time, fire in turn, but no more than
//!   [`LAST_TIMERS`] of them on each worker; what is left is dropped and counted as `timers_dropped`;
//! * a job is refused if a function has a handle that its `open` has not registered, or if a side output is
//!   read that it has not registered; a handle of another function, and a side output that is given to and
//!   not registered, end the job with an error that says so; so does a panic. What else can go wrong, and
//!   what then, is told in [`error`](crate::error).
//!
//! # Reading state from outside
//!
//! State can be read from outside while the job runs, as of the end of an epoch: a [`StateReader`], made
//! before the job starts, requests that all workers seal the state when they close the next epoch, and
//! receives their pages. Nothing stops for it; it costs the seal of the changes since the last one. With a
//! [history](crate::config::Options::state_history) the state as of each of the last epochs is there to be
//! read.

mod ttl;
pub(crate) mod core;
mod value;
mod list;
mod map;
mod timed;
mod state_reader;
pub(crate) mod side_output;
pub(crate) mod inspect;
mod states;
pub(crate) mod context;
mod function;
mod operator;
mod connect;
mod broadcast;
mod plain;

pub(crate) use broadcast::RULES;
pub use broadcast::{BroadcastProcess, Ruled};
pub use connect::{CoProcess, Connected};
pub use context::{Context, Timer};
pub use function::Process;
pub use list::List;
pub use map::Map;
pub use plain::PlainContext;
pub use side_output::SideOutput;
pub use state_reader::StateReader;
pub use states::States;
pub(crate) use timed::Timed;
pub use ttl::{Refresh, Ttl};
pub use value::{Aggregating, Reducing, Value};

pub(crate) use self::core::{EVENT_TIMERS, WALL_TIMERS};
pub use self::core::{LAST_TIMERS, Stateful};
pub use crate::state::{StateView, TimeDomain};
