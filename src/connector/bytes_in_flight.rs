//! The bytes in flight: those that a source has emitted in epochs that the sinks have not completed.

use std::collections::VecDeque;

/// The epochs of a source that are not complete.
#[derive(Default)]
pub(super) struct Flight {
    /// Epochs left and not completed, with the bytes emitted in them.
    left: VecDeque<(u64, usize)>,
    /// Bytes emitted in the current epoch.
    emitted: usize,
}

impl Flight {
    /// Adds emitted bytes.
    pub(super) fn add(&mut self, bytes: usize) {
        self.emitted += bytes;
    }

    /// Records that the source leaves an epoch.
    pub(super) fn leave(&mut self, epoch: u64) {
        // An epoch without output does not count: an idle source must be able to follow the epoch clock.
        if self.emitted > 0 {
            self.left.push_back((epoch, std::mem::take(&mut self.emitted)));
        }
    }

    /// Removes the epochs below `open`, which are complete.
    pub(super) fn hear(&mut self, open: u64) {
        while self.left.front().is_some_and(|(epoch, _)| *epoch < open) {
            self.left.pop_front();
        }
    }

    /// The number of epochs left and not completed.
    pub(super) fn epochs(&self) -> usize {
        self.left.len()
    }

    /// How many bytes may still be in flight, of a limit.
    pub(super) fn room(&self, limit: usize) -> usize {
        limit.saturating_sub(self.left.iter().map(|(_, bytes)| bytes).sum::<usize>() + self.emitted)
    }

    /// True if the bytes in flight have reached a limit.
    pub(super) fn is_full(&self, limit: usize) -> bool {
        self.room(limit) == 0
    }
}
