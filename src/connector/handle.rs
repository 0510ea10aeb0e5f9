//! What a program says of a sink that it has added.

use crate::stream::{NodeId, WeakGraph};

/// A sink of a job, which can be given an identity and a name. Returned by [`Stream::sink`] and by all that
/// adds a sink.
///
/// ```
/// use highwater::connector::{FileSink, TextLines};
/// use highwater::prelude::*;
///
/// let job = Job::new();
/// job.collection([1, 2]).sink(FileSink::new("numbers.txt", TextLines)).uid("numbers");
/// job.collection([3]).write_text("others.txt").uid("others");
/// let graph = job.explain().to_string();
/// assert!(graph.contains("numbers") && graph.contains("others"));
/// ```
///
/// [`Stream::sink`]: crate::stream::Stream::sink
#[derive(Clone)]
pub struct SinkHandle {
    pub(super) graph: WeakGraph,
    pub(super) id: NodeId,
}

impl SinkHandle {
    /// Gives the sink an identity that outlives changes of the job, as [`Stream::uid`] gives one to
    /// operators: what it has prepared is matched by it when a job goes on from a snapshot. Without one it
    /// is known by its number in the job, which changes when operators are added before it.
    ///
    /// [`Stream::uid`]: crate::stream::Stream::uid
    pub fn uid(self, uid: impl Into<String>) -> SinkHandle {
        self.graph.upgrade().describe(self.id, |info| info.uid = Some(uid.into()));
        self
    }

    /// Names the sink in graphs, metrics and messages.
    pub fn named(self, name: impl Into<String>) -> SinkHandle {
        self.graph.upgrade().describe(self.id, |info| info.name = name.into());
        self
    }
}
