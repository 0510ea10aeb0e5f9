//! Records, for each epoch, the moment since which the sources of a job have polled all their readers.
//!
//! An operator downstream knows a split by its records alone. If none come, either its reader has nothing, or
//! it was not polled, because the source was busy or blocked by backpressure. Only the sources can tell
//! which. So each source instance records, when it finishes an epoch, since which moment it has polled all
//! its readers. What they had before that moment was emitted in that epoch or earlier, and an operator that
//! has seen the end of the epoch has seen all of it, however long the path.
//!
//! Costs a record for each epoch that a source finishes and, if someone [wants](EpochClaims::want) to know, a
//! look at the splits that wait for their turn.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use timely::scheduling::SyncActivator;

use crate::lock::lock;

/// The records of all source instances of a job.
#[derive(Default)]
pub(crate) struct EpochClaims {
    is_wanted: AtomicBool,
    instances: Mutex<Vec<Instance>>,
}

struct Instance {
    activator: SyncActivator,
    /// Since when all readers were polled, at the end of the epochs below the one recorded with it.
    notes: VecDeque<(u64, Duration)>,
}

impl EpochClaims {
    fn instances(&self) -> MutexGuard<'_, Vec<Instance>> {
        lock(&self.instances)
    }

    /// Makes the sources look at waiting splits. Otherwise their records are meaningless.
    pub(crate) fn want(&self) {
        self.is_wanted.store(true, Ordering::Release);
    }

    /// True if the sources are to look.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Acquire)
    }

    /// Registers a source instance, which `activator` runs; returns its number.
    pub(crate) fn join(&self, activator: SyncActivator) -> usize {
        let mut instances = self.instances();
        instances.push(Instance { activator, notes: VecDeque::new() });
        instances.len() - 1
    }

    /// Records that an instance has advanced to epoch `next`, and has polled all its readers since `asked`.
    /// All epochs below `open` are complete.
    pub(crate) fn leave(&self, instance: usize, next: u64, asked: Duration, open: u64) {
        let notes = &mut self.instances()[instance].notes;
        notes.push_back((next, asked));
        // `by` is asked only about epochs that not all sinks have completed.
        while notes.front().is_some_and(|(next, _)| *next <= open) {
            notes.pop_front();
        }
    }

    /// Since when all sources had polled all their readers at the end of an epoch, which is over but which
    /// not all sinks have completed.
    pub(crate) fn by(&self, epoch: u64) -> Option<Duration> {
        let instances = self.instances();
        // The first record above the epoch: one record stands for all epochs that the instance has skipped.
        let noted = |instance: &Instance| {
            instance.notes.iter().find(|(next, _)| *next > epoch).map_or(Duration::ZERO, |(_, asked)| *asked)
        };
        instances.iter().map(noted).min()
    }

    /// Activates all sources, because a new epoch has begun.
    pub(crate) fn wake(&self) {
        for instance in self.instances().iter() {
            // One that has left needs no wake-up.
            let _ = instance.activator.activate();
        }
    }
}
