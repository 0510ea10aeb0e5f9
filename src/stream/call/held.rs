//! The times at which records are kept, with how many there are of each.
//!
//! A hold must stand for as long as one record of its time is kept. Records share the times of the batches
//! that they came in, so there are few times, however many records there are.

use std::collections::BTreeMap;

use crate::time::Time;

/// A multiset of times.
#[derive(Default)]
pub(super) struct HeldTimes(BTreeMap<Time, usize>);

impl HeldTimes {
    pub(super) fn add(&mut self, time: Time, count: usize) {
        if count > 0 {
            *self.0.entry(time).or_default() += count;
        }
    }

    pub(super) fn remove(&mut self, time: Time) {
        if let Some(count) = self.0.get_mut(&time) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&time);
            }
        }
    }

    /// Each time once.
    pub(super) fn times(&self) -> impl Iterator<Item = Time> + '_ {
        self.0.keys().copied()
    }
}
