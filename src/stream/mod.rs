//! Streams and jobs: what a user builds, and how it becomes a dataflow.
//!
//! # From a handle to an operator
//!
//! A [`Stream`] is a handle: an [`Origin`], which is an operator's output, and the stateless [`Step`]s after
//! it, all in its type. Steps make no operator. Only what needs one of its own does: an exchange, state, a
//! sink. When such a consumer is attached, the handle's [`Chain`] becomes a *tap* on the origin: the operator
//! there gets one more output port, and walks what it produces through the steps into a [`ChainSink`], which
//! gathers what is left and sends it. For a source with one consumer the chain is the body of the loop that
//! reads. So the dataflow has one operator for each thing that must be one, and each of its edges has one
//! producer and one consumer.
//!
//! A [`Job`] keeps a recipe for each operator, in order of definition. Every worker follows all recipes once;
//! that is lowering. Timely's streams borrow the scope they are made in, so what waits for its consumer
//! meanwhile is an [`Edge`]'s source name and list of pushers, which borrow nothing.
//!
//! # From an operator to an answer
//!
//! Operators with state run in one frame, which presents epochs in order: batches of the open epoch, the
//! watermark, the end of the epoch. Values are combined by key where they come from, in a table that never
//! grows, and sent to the owner of their key. Results that can be corrected are changes, emitted when an
//! epoch closes.

pub(crate) mod operator_fault;
mod alarm;
mod aggregate;
mod paths;
mod sides;
mod heap_sampler;
mod port;
mod later_epochs;
mod rounds;
mod traces;
mod attachments;
mod context;
mod graph;
mod chain;
mod consumers;
mod preaggregate;
pub(crate) mod epoch_driver;
mod job;
mod rolling;
mod stateless;
mod node_stream;
mod call;
mod explain;
mod forward;
mod iterate;
mod keyed;
mod join;
mod retime;
mod differential;

pub use crate::state::StateTrace;
pub use aggregate::{Aggregate, Average, AverageChanges, Count, CountChanges, Fold, Reduce, Sum, SumChanges};
pub use call::{CallError, CallOptions, Calls, Failed, Retry};
pub(crate) use chain::edge_of;
pub use chain::{Chain, ChainSink, Collector, Ends, Origin, SendBuffer, Step, Then};
pub use consumers::Node;
pub use differential::{ArrangedStream, Attached, Computation, EpochChanges, Round};
pub use explain::Explained;
pub use graph::{Graph, NodeId};
pub use iterate::Loop;
pub use job::Job;
pub use keyed::{KeyedStream, MapValues};
pub use port::Edge;
pub use rounds::Rounds;
pub use stateless::{Filter, FilterMap, FlatMap, Inspect, KeyBy, Map, Stamped, Stream};

pub(crate) use alarm::Alarm;
pub(crate) use attachments::AttachedDataflow;
pub(crate) use consumers::{
    ChainConsumer, ChainPort, ConsumerPort, Consumers, Emit, Outputs, SidePorts, batch_of,
};
pub(crate) use context::{Saving, Shared, WorkerContext};
pub(crate) use epoch_driver::OperatorLogic;
pub(crate) use graph::{Beginning, Lowering, NodeInfo, Operator, Reader, Recipes, Routing, WeakGraph};
pub(crate) use join::SIDES;
pub(crate) use later_epochs::Waiting;
pub(crate) use paths::Paths;
pub(crate) use port::{Capabilities, Frontiers, Input, OperatorBuilder};
pub(crate) use preaggregate::{ByKey, Keyed, Preaggregator};
#[cfg(feature = "lab")]
pub(crate) use retime::Stamper;
pub(crate) use sides::{GivenSides, SideKey};
