//! The handle of a sink that was added to a job, which sets the identity and the name of the sink.

use crate::stream::{NodeId, WeakGraph};

/// A sink of a job, which can be given an identity and a name. Returned by [`Stream::sink`] and by other
/// methods that add a sink.
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
    /// Gives the sink an identity that stays the same when the job changes, as [`Stream::uid`] does for
    /// operators. A restore finds the prepared output of the sink in a snapshot by it. Without one the sink
    /// is identified by its number in the job, which changes when operators are added before it.
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
