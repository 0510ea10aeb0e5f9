//! Up to when the sources of a job have asked their readers, by the end of each epoch.
//!
//! In the middle of a stream a split is known by its records alone, and when none come that has one of two
//! reasons: its reader has nothing, or it was not read, because there was much else to do or the way was
//! blocked. Only the sources can tell which. So each of their instances notes, when it leaves an epoch, since
//! which moment it has asked all its readers. What they had before that moment has been emitted in that epoch
//! or earlier; and who has seen the end of the epoch has seen all of it, however long the way.
//!
//! Costs a note for each epoch that a source leaves; and if someone [wants](Asked::want) to know, a look at
//! the splits that wait for their turn.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use timely::scheduling::SyncActivator;

/// What the instances of all sources of a job have noted.
#[derive(Default)]
pub(crate) struct Asked {
    is_wanted: AtomicBool,
    instances: Mutex<Vec<Instance>>,
}

struct Instance {
    activator: SyncActivator,
    /// Since when all readers were asked, at the end of the epochs below the one noted with it.
    notes: VecDeque<(u64, Duration)>,
}

impl Asked {
    fn instances(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the sources look. What they note otherwise says nothing.
    pub(crate) fn want(&self) {
        self.is_wanted.store(true, Ordering::Release);
    }

    /// True if the sources are to look.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Acquire)
    }

    /// The number of an instance of a source, which `activator` runs.
    pub(crate) fn join(&self, activator: SyncActivator) -> usize {
        let mut instances = self.instances();
        instances.push(Instance { activator, notes: VecDeque::new() });
        instances.len() - 1
    }

    /// An instance leaves for epoch `next`, and has asked all its readers since a moment. All epochs below
    /// `open` are complete.
    pub(crate) fn leave(&self, instance: usize, next: u64, asked: Duration, open: u64) {
        let notes = &mut self.instances()[instance].notes;
        notes.push_back((next, asked));
        while notes.front().is_some_and(|(next, _)| *next <= open) {
            notes.pop_front();
        }
    }

    /// Since when all sources had asked all their readers at the end of an epoch, which is over and which not
    /// all sinks have seen yet.
    pub(crate) fn by(&self, epoch: u64) -> Option<Duration> {
        let instances = self.instances();
        let noted = |instance: &Instance| {
            instance.notes.iter().find(|(next, _)| *next > epoch).map_or(Duration::ZERO, |(_, asked)| *asked)
        };
        instances.iter().map(noted).min()
    }

    /// Runs all sources, for there is another epoch.
    pub(crate) fn wake(&self) {
        for instance in self.instances().iter() {
            // One that has left needs no wake-up.
            let _ = instance.activator.activate();
        }
    }
}
