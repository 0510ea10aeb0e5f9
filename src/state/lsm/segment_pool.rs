//! Empty segments of bytes, which one thread leaves to another to use again: their memory is there already,
//! and new memory is cleared first, which takes longer than to fill it.

use std::sync::{Mutex, MutexGuard};

use crate::lock::lock;

/// The bytes of a segment.
pub(super) const SEGMENT: usize = 16 << 10;

/// Segments that are free.
#[derive(Default)]
pub(super) struct SegmentPool(Mutex<Vec<Vec<u8>>>);

impl SegmentPool {
    fn free(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        lock(&self.0)
    }

    /// Takes a segment; makes one if there is none.
    pub(super) fn take(&self) -> Vec<u8> {
        let free = self.free().pop();
        free.unwrap_or_else(|| Vec::with_capacity(SEGMENT))
    }

    /// Leaves those of some segments that are about as long as others, and says how many they are.
    pub(super) fn give_back(&self, mut segments: Vec<Vec<u8>>) -> usize {
        segments.retain(|segment| (SEGMENT..=4 * SEGMENT).contains(&segment.capacity()));
        segments.iter_mut().for_each(Vec::clear);
        let many = segments.len();
        self.free().append(&mut segments);
        many
    }

    /// Lets go of all but so many.
    pub(super) fn keep(&self, at_most: usize) {
        let rest = {
            let mut free = self.free();
            let from = free.len().min(at_most);
            free.split_off(from)
        };
        // Without the lock, so that nobody waits for it.
        drop(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_used_again_but_for_long_ones() {
        let pool = SegmentPool::default();
        let mut segments: Vec<_> = (0..5).map(|_| pool.take()).collect();
        segments[1].resize(5 * SEGMENT, 7);
        segments[2].push(7);
        assert_eq!((pool.give_back(segments), pool.free().len()), (4, 4));
        pool.keep(2);
        assert_eq!(pool.free().len(), 2);
        let again: Vec<_> = (0..3).map(|_| pool.take()).collect();
        assert!(again.iter().all(|segment| segment.is_empty() && segment.capacity() >= SEGMENT));
        assert_eq!(pool.free().len(), 0);
    }
}
