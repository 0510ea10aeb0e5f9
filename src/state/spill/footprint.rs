//! How much memory values point to, by samples.

use std::mem::size_of;

use crate::data::Exchange;

/// About the bytes that a value points to: with numbers at their full width, it is encoded about as long as
/// what it holds inside and out.
pub(crate) fn heap_of<V: Exchange>(value: &V) -> usize {
    let all = bincode::serialized_size(value).unwrap_or(0);
    (all as usize).saturating_sub(size_of::<V>())
}

/// What values take beside their places, on average.
pub(crate) struct Footprint {
    /// True if anyone wants to know.
    pub(crate) wanted: bool,
    touches: u32,
    heap: f32,
}

impl Footprint {
    pub(crate) fn new(wanted: bool) -> Footprint {
        Footprint { wanted, touches: 0, heap: 0.0 }
    }

    /// Looks at every 64th value that is written.
    #[inline]
    pub(crate) fn see<V: Exchange>(&mut self, value: &V) {
        if self.wanted {
            if self.touches.is_multiple_of(64) {
                self.sample(value);
            }
            self.touches = self.touches.wrapping_add(1);
        }
    }

    /// Looks at a value.
    #[cold]
    pub(crate) fn sample<V: Exchange>(&mut self, value: &V) {
        let heap = heap_of(value) as f32;
        self.heap += (heap - self.heap) / if self.touches < 1024 { 4.0 } else { 32.0 };
    }

    /// The bytes that a value points to, on average.
    pub(crate) fn heap(&self) -> usize {
        self.heap as usize
    }
}
