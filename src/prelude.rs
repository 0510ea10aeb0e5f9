//! What most jobs need, to be imported at once: `use highwater::prelude::*`.
//!
//! Of each module it has what a program names when it builds a job: the job and its streams, event time,
//! windows, process functions with their states, changes, and what runs and keeps a job. What is named more
//! seldom (triggers, evictors, patterns, sources and sinks of one's own) is imported from its module.

pub use std::time::Duration;

pub use crate::config::Options;
pub use crate::connector::{Generator, Sink, Socket, Source, TextFile};
pub use crate::data::{Change, Data, Exchange, Key};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::join::{Interval, Offset, Outer};
pub use crate::process::{
    CoProcess, Context, List, Map, Process, SideOutput, States, TimeDomain, Timer, Ttl, Value,
};
pub use crate::snapshot::{Restore, Snapshots};
pub use crate::stream::{Aggregate, Chain, Job, KeyedStream, Stream};
pub use crate::time::{Epochs, EventTime, Watermarks};
pub use crate::window::{
    CountWindows, Global, ProcessingTime, Sessions, Sliding, Tumbling, Window, Windowed, WindowedStream,
};
