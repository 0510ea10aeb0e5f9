//! Dataflows that are attached to a running job, on each of its workers.
//!
//! Timely numbers the dataflows of a worker, and all workers must build the same ones in the same order. So
//! they are kept in a list, which each worker follows. A worker ends when it has no dataflow left, and then
//! it can build none: so nothing is added to the list once a worker has ended, and no worker ends before it
//! has built all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use differential_dataflow::operators::arrange::ShutdownButton;
use timely::dataflow::operators::CapabilitySet;
use timely::worker::Worker;

use super::traces::Traces;
use crate::lock::lock;
use crate::time::Time;

/// Builds a dataflow on a worker.
pub(crate) type Attachment = dyn Fn(&mut Worker, &Traces) -> AttachedDataflow + Send + Sync;

/// All that are attached to a job.
pub(crate) struct Attachments {
    list: Mutex<List>,
    count: AtomicUsize,
    workers: usize,
}

#[derive(Default)]
struct List {
    /// By their numbers, with how many workers have still to build each; none once all have.
    all: Vec<Option<(Arc<Attachment>, usize)>>,
    /// True if a worker has ended.
    is_closed: bool,
}

impl Attachments {
    /// None yet, of a job of so many workers.
    pub(crate) fn new(workers: usize) -> Attachments {
        Attachments { list: Mutex::default(), count: AtomicUsize::new(0), workers }
    }

    /// Adds one. False if the job has ended.
    pub(crate) fn add(&self, attachment: Arc<Attachment>) -> bool {
        let mut list = lock(&self.list);
        if !list.is_closed {
            list.all.push(Some((attachment, self.workers)));
            self.count.store(list.all.len(), Ordering::Release);
        }
        !list.is_closed
    }

    /// The one of a number, if there are so many. Each worker asks for each once.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> Option<Arc<Attachment>> {
        if number >= self.count.load(Ordering::Acquire) {
            return None;
        }
        let mut list = lock(&self.list);
        let place = list.all.get_mut(number)?;
        let (attachment, left) = place.as_mut()?;
        *left -= 1;
        let (attachment, is_last) = (Arc::clone(attachment), *left == 0);
        if is_last {
            *place = None;
        }
        Some(attachment)
    }

    /// Lets a worker end that has built so many. False if there are others to build.
    pub(crate) fn close(&self, built: usize) -> bool {
        let mut list = lock(&self.list);
        let is_all = built >= list.all.len();
        list.is_closed |= is_all;
        is_all
    }
}

/// A dataflow that was attached, as one worker has built it.
pub(crate) struct AttachedDataflow {
    /// True if nobody wants its results any more.
    pub(crate) is_detached: Arc<AtomicBool>,
    /// Ends its source.
    pub(crate) button: ShutdownButton<CapabilitySet<Time>>,
}

impl AttachedDataflow {
    /// Ends it, if it was detached. True if it was not.
    pub(crate) fn is_wanted(&mut self) -> bool {
        let is_detached = self.is_detached.load(Ordering::Relaxed);
        if is_detached {
            self.button.press();
        }
        !is_detached
    }
}
