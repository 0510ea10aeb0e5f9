//! The allocator that the `highwater` program uses, and that programs of jobs do well to use.
//!
//! Blocks under some megabytes come from mimalloc. Larger ones are pages of their own from the system, and
//! where such a block grows, the kernel moves its pages and not what is in them (`mremap`). A table of keyed
//! state is one vector: when a vector of a gigabyte doubles, an allocator that copies needs half a second,
//! for the copy and for the two gigabytes that the kernel clears, and all that time the worker does nothing
//! else. Here it needs less than a millisecond, and the kernel clears the second half as it is written to.
//!
//! Large blocks begin at a multiple of two megabytes and ask for pages of that size, of which the processor
//! can remember more than it uses.
//!
//! What is above holds on Linux; elsewhere all blocks come from mimalloc.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

/// Allocates small blocks by mimalloc, and large ones so that they grow without being copied.
///
/// ```standalone_crate
/// #[global_allocator]
/// static ALLOCATOR: highwater::Allocator = highwater::Allocator;
///
/// fn main() {
///     let mut numbers: Vec<u64> = (0..1 << 20).collect();
///     numbers.extend(0..1 << 24);
///     assert_eq!(numbers.iter().max(), Some(&((1 << 24) - 1)));
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator;

// SAFETY: whether a block is large follows from its layout alone, so a block goes back where it came from.
// What mimalloc and `pages` return is theirs to vouch for.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match pages::has(layout) {
            true => pages::map(layout.size()),
            // SAFETY: as the caller promises.
            false => unsafe { MiMalloc.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match pages::has(layout) {
            true => pages::map(layout.size()),
            // SAFETY: as the caller promises.
            false => unsafe { MiMalloc.alloc_zeroed(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match pages::has(layout) {
            // SAFETY: the block is of this layout, so `map` or `remap` made it.
            true => unsafe { pages::unmap(block, layout.size()) },
            // SAFETY: as the caller promises.
            false => unsafe { MiMalloc.dealloc(block, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is a good one for this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (pages::has(layout), pages::has(new)) {
            // SAFETY: as the caller promises.
            (false, false) => unsafe { MiMalloc.realloc(block, layout, size) },
            // SAFETY: the block is of this layout, so `map` or `remap` made it.
            (true, true) => unsafe { pages::remap(block, layout.size(), size) },
            // SAFETY: as the caller promises.
            _ => unsafe { self.move_to(block, layout, new) },
        }
    }
}

impl Allocator {
    /// Moves a block to where its new size belongs.
    ///
    /// # Safety
    ///
    /// As for [`GlobalAlloc::realloc`].
    #[cold]
    unsafe fn move_to(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // SAFETY: the caller promises that the new size is not zero, that the block is of the old layout, and
        // that nobody else uses it; the new block is another one.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, old.size().min(new.size()));
                self.dealloc(block, old);
            }
            moved
        }
    }
}

#[cfg(target_os = "linux")]
mod pages {
    use std::alloc::Layout;
    use std::ffi::c_void;
    use std::ptr::null_mut;

    use rustix::io::Result;
    use rustix::mm::{
        Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mremap, mremap_fixed, munmap,
    };

    /// Blocks from this size on are pages of their own.
    const LARGE: usize = 4 << 20;

    /// The bytes of a huge page. Large blocks begin at multiples of it.
    const HUGE: usize = 2 << 20;

    #[inline]
    pub(super) fn has(layout: Layout) -> bool {
        layout.size() >= LARGE && layout.align() <= HUGE
    }

    /// The bytes that a block of a size is made of.
    fn whole(size: usize) -> usize {
        size.next_multiple_of(HUGE)
    }

    /// A new block, all zero; null if there is none.
    #[cold]
    pub(super) fn map(size: usize) -> *mut u8 {
        let Ok(block) = reserve(whole(size), ProtFlags::READ | ProtFlags::WRITE) else { return null_mut() };
        // SAFETY: this is advice, and about what was just mapped. If the kernel does not take it, pages are
        // smaller.
        let _ = unsafe { madvise(block, whole(size), Advice::LinuxHugepage) };
        block.cast()
    }

    /// Address space for a block.
    fn reserve(bytes: usize, protection: ProtFlags) -> Result<*mut c_void> {
        // SAFETY: no address is asked for, so no map that there is changes. What is let go is the two ends of
        // what was just mapped, outside of the block; if the kernel does not let go of them, they stay.
        unsafe {
            let all = mmap_anonymous(null_mut(), bytes + HUGE, protection, MapFlags::PRIVATE)?;
            let before = all.cast::<u8>().align_offset(HUGE);
            let block = all.byte_add(before);
            if before > 0 {
                let _ = munmap(all, before);
            }
            let _ = munmap(block.byte_add(bytes), HUGE - before);
            Ok(block)
        }
    }

    /// Makes a block larger or smaller, and returns where it is now; null if there is no memory.
    ///
    /// # Safety
    ///
    /// The block is of this size and made by [`map`] or by this.
    #[cold]
    pub(super) unsafe fn remap(block: *mut u8, old: usize, new: usize) -> *mut u8 {
        let (old, new, block) = (whole(old), whole(new), block.cast::<c_void>());
        if old == new {
            return block.cast();
        }
        // SAFETY: the caller promises that these bytes are the block. Where it cannot stay in its place, it
        // goes to address space that was just reserved for it. If it cannot, nobody knows whether that is
        // still reserved or another thread's by now: so it is not given back.
        let moved = unsafe {
            mremap(block, old, new, MremapFlags::empty()).or_else(|_| {
                let place = reserve(new, ProtFlags::empty())?;
                mremap_fixed(block, old, new, MremapFlags::MAYMOVE, place)
            })
        };
        moved.map_or(null_mut(), |block| block.cast())
    }

    /// Gives a block back.
    ///
    /// # Safety
    ///
    /// The block is of this size and made by [`map`] or [`remap`], and nobody uses it.
    #[cold]
    pub(super) unsafe fn unmap(block: *mut u8, size: usize) {
        // SAFETY: the caller promises that these bytes are the block. They are whole pages; if the kernel
        // cannot let go of them, they stay.
        let _ = unsafe { munmap(block.cast(), whole(size)) };
    }
}

#[cfg(not(target_os = "linux"))]
mod pages {
    use std::alloc::Layout;

    pub(super) fn has(_: Layout) -> bool {
        false
    }

    pub(super) fn map(_: usize) -> *mut u8 {
        unreachable!("no block is large")
    }

    pub(super) unsafe fn remap(_: *mut u8, _: usize, _: usize) -> *mut u8 {
        unreachable!("no block is large")
    }

    pub(super) unsafe fn unmap(_: *mut u8, _: usize) {
        unreachable!("no block is large")
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What is done to one of a few blocks.
    #[derive(Clone, Debug)]
    enum Step {
        Make { size: usize, align: usize, zeroed: bool },
        Resize(usize),
        Drop,
    }

    fn step() -> impl Strategy<Value = Step> {
        // On both sides of what is large, and of whole pages.
        let size = || {
            prop_oneof![1..100usize, (4 << 20) - 3..(4usize << 20) + 3, (1..12usize).prop_map(|mb| mb << 20)]
        };
        let make = (size(), 0..13u32, any::<bool>());
        prop_oneof![
            make.prop_map(|(size, power, zeroed)| Step::Make { size, align: 1 << power, zeroed }),
            size().prop_map(Step::Resize),
            Just(Step::Drop),
        ]
    }

    /// A block, and what it was filled with.
    struct Block {
        at: *mut u8,
        layout: Layout,
        fill: u8,
    }

    impl Block {
        fn bytes(&mut self) -> &mut [u8] {
            // SAFETY: the block has so many bytes, which were all written.
            unsafe { std::slice::from_raw_parts_mut(self.at, self.layout.size()) }
        }

        /// True if bytes all over the block are these: to look at all would take long.
        fn is_all(&mut self, byte: u8) -> bool {
            let bytes = &*self.bytes();
            bytes.iter().step_by(4093).chain(bytes.last()).all(|found| *found == byte)
        }
    }

    proptest! {
        #[test]
        fn blocks_keep_what_is_in_them(steps in vec((0..3usize, step()), 1..12)) {
            let mut blocks: [Option<Block>; 3] = [None, None, None];
            for ((place, step), fill) in steps.into_iter().zip(1..) {
                let made = match (step, blocks[place].take()) {
                    (Step::Make { size, align, zeroed }, None) => {
                        let layout = Layout::from_size_align(size, align).unwrap();
                        // SAFETY: the size is not zero.
                        let at = unsafe { if zeroed { Allocator.alloc_zeroed(layout) } else { Allocator.alloc(layout) } };
                        prop_assert!(!at.is_null() && at.align_offset(align) == 0);
                        let mut block = Block { at, layout, fill };
                        prop_assert!(!zeroed || block.is_all(0));
                        Some(block)
                    }
                    (Step::Resize(size), Some(old)) => {
                        // SAFETY: the block is of this layout, and the size is not zero.
                        let at = unsafe { Allocator.realloc(old.at, old.layout, size) };
                        let layout = Layout::from_size_align(size, old.layout.align()).unwrap();
                        prop_assert!(!at.is_null() && at.align_offset(layout.align()) == 0);
                        let mut block = Block { at, layout: Layout::from_size_align(size.min(old.layout.size()), 1).unwrap(), fill };
                        prop_assert!(block.is_all(old.fill));
                        Some(Block { at, layout, fill })
                    }
                    (_, Some(old)) => {
                        // SAFETY: the block is of this layout and not used any more.
                        unsafe { Allocator.dealloc(old.at, old.layout) };
                        None
                    }
                    (_, None) => None,
                };
                blocks[place] = made;
                for block in blocks.iter_mut().flatten() {
                    if block.fill == fill {
                        block.bytes().fill(fill);
                    }
                }
                prop_assert!(blocks.iter_mut().flatten().all(|block| block.is_all(block.fill)));
            }
            for block in blocks.into_iter().flatten() {
                // SAFETY: the block is of this layout and not used any more.
                unsafe { Allocator.dealloc(block.at, block.layout) };
            }
        }
    }
}
