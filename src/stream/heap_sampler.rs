//! What the elements of an edge point to, told by looking at some of them on their way.

use std::cell::Cell;
use std::rc::Rc;

use crate::data;
use crate::state::heap_of;

/// What the elements of an edge point to: bytes, on average. Only where elements are sent to other workers is
/// it known how to tell; there some are looked at on their way.
pub(super) type Heap = Rc<Cell<usize>>;

/// Every so many elements one is looked at.
const LOOK: u32 = 64;

/// Looks at one of some elements, and says what they point to.
pub(super) struct HeapSampler {
    heap: Heap,
    elements: u32,
}

impl HeapSampler {
    pub(super) fn new(heap: Heap) -> HeapSampler {
        HeapSampler { heap, elements: 0 }
    }

    #[inline]
    pub(super) fn see<E: data::Exchange>(&mut self, element: &E) {
        if self.elements.is_multiple_of(LOOK) {
            self.look(element);
        }
        self.elements = self.elements.wrapping_add(1);
    }

    #[cold]
    fn look<E: data::Exchange>(&mut self, element: &E) {
        let (heap, before) = (heap_of(element), self.heap.get());
        // The first ones tell at once, later ones slowly.
        let weight = if self.elements < 16 * LOOK { 2 } else { 16 };
        self.heap.set(if self.elements == 0 { heap } else { before - before / weight + heap / weight });
    }
}
