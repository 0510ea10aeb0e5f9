//! Streams and jobs: what a user builds, and how it becomes a dataflow.

mod aggregate;
mod chain;
mod combine;
mod context;
mod explain;
mod forward;
mod graph;
mod job;
mod join;
mod keyed;
pub(crate) mod ordered;
mod port;
mod rolling;
mod stateless;
mod tap;

pub use aggregate::{Aggregate, Average, AverageChanges, Count, CountChanges, Fold, Reduce, Sum, SumChanges};
pub use chain::{Chain, Collector, Ends, Origin, Step, Then};
pub use explain::Explained;
pub use graph::{Graph, NodeId};
pub use job::Job;
pub use keyed::{KeyedStream, MapValues};
pub use port::Edge;
pub use stateless::{Filter, FilterMap, FlatMap, Inspect, KeyBy, Map, Stream};
pub use tap::{Gather, Node, Terminal};

pub(crate) use combine::Places;
pub(crate) use context::{Shared, WorkerContext};
pub(crate) use graph::{Lowering, NodeInfo, Operator, Routing, WeakGraph};
pub(crate) use ordered::Logic;
pub(crate) use port::{Frontiers, Holds, Input, OperatorBuilder};
pub(crate) use tap::{BATCH, ChainOutlet, ChainTap, Outlet, Outlets, Taps, lock};
