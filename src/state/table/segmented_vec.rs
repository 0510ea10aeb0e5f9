//! Many things one after the other, in memory that does not move when there are more.
//!
//! A list that grows to millions of things moves each time that it has doubled, and the last move takes
//! longer than a worker should pause. So they lie in segments that are filled once. Where there are thousands
//! of segmented vectors that all grow alike, all would double at about one time, too.

use std::collections::VecDeque;

/// Things in order, in segments.
#[derive(Clone, Debug)]
pub(crate) struct SegmentedVec<T> {
    full: VecDeque<Vec<T>>,
    open: Vec<T>,
    len: usize,
}

/// The bytes of a segment of a large vector. Small vectors have smaller ones: to make thousands of large
/// segments at once takes long.
const SEGMENT_BYTES: usize = 16 << 10;

impl<T> Default for SegmentedVec<T> {
    fn default() -> SegmentedVec<T> {
        SegmentedVec { full: VecDeque::new(), open: Vec::new(), len: 0 }
    }
}

impl<T> SegmentedVec<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn push(&mut self, thing: T) {
        if self.open.len() == self.open.capacity() {
            self.begin_segment();
        }
        self.open.push(thing);
        self.len += 1;
    }

    #[inline(never)]
    fn begin_segment(&mut self) {
        let things = (2 * self.open.capacity()).clamp(4, Self::LARGE);
        let full = std::mem::replace(&mut self.open, Vec::with_capacity(things));
        self.full.extend((!full.is_empty()).then_some(full));
    }

    /// How many things a segment of a large vector holds.
    const LARGE: usize = {
        let things = SEGMENT_BYTES / if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
        if things < 4 { 4 } else { things }
    };

    /// Takes the first segment; an empty one if there is nothing.
    pub(crate) fn take_segment(&mut self) -> Vec<T> {
        let segment = self.full.pop_front().unwrap_or_else(|| std::mem::take(&mut self.open));
        self.len -= segment.len();
        segment
    }

    /// Drops what occurs twice and what is not to be kept, if most of it is such: if there is more than twice
    /// what there can be otherwise, and some.
    ///
    /// Whoever takes note of things that go needs this, lest the list grow for ever. Costs as much as what
    /// was added since the last time.
    #[inline]
    pub(crate) fn trim(&mut self, at_most: usize, keep: impl FnMut(&T) -> bool)
    where
        T: Ord,
    {
        if self.len > 1024 + 2 * at_most {
            self.drop_but(keep);
        }
    }

    #[cold]
    fn drop_but(&mut self, keep: impl FnMut(&T) -> bool)
    where
        T: Ord,
    {
        let mut list = std::mem::take(self).into_list();
        list.retain(keep);
        list.sort_unstable();
        list.dedup();
        self.extend(list);
    }

    /// All segments.
    pub(crate) fn into_segments(self) -> Vec<Vec<T>> {
        self.full.into_iter().chain([self.open]).collect()
    }

    /// All of them, in one list.
    pub(crate) fn into_list(self) -> Vec<T> {
        let mut list = Vec::with_capacity(self.len);
        self.into_segments().into_iter().for_each(|mut segment| list.append(&mut segment));
        list
    }
}

/// The things of a segmented vector, dealt out a few at a time.
pub(crate) struct Chunks<T> {
    segments: SegmentedVec<T>,
    /// The first segment, which has been dealt out up to a place.
    segment: Vec<T>,
    next: usize,
}

impl<T> Chunks<T> {
    pub(crate) fn new(segments: SegmentedVec<T>) -> Chunks<T> {
        Chunks { segments, segment: Vec::new(), next: 0 }
    }

    /// The next few of them, in order; none if none is left.
    pub(crate) fn some(&mut self, at_most: usize) -> &[T] {
        if self.next == self.segment.len() {
            (self.segment, self.next) = (self.segments.take_segment(), 0);
        }
        let from = self.next;
        self.next = self.segment.len().min(from.saturating_add(at_most));
        &self.segment[from..self.next]
    }

    /// True if none is left.
    pub(crate) fn is_over(&self) -> bool {
        self.next == self.segment.len() && self.segments.len() == 0
    }
}

impl<T> Extend<T> for SegmentedVec<T> {
    #[inline]
    fn extend<I: IntoIterator<Item = T>>(&mut self, things: I) {
        things.into_iter().for_each(|thing| self.push(thing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_piled_up_is_taken_in_order() {
        for many in [0, 1, 3, 4, 5, 100, 10_000] {
            let mut segments = SegmentedVec::default();
            segments.extend(0..many);
            assert_eq!((segments.len(), segments.clone().into_list()), (many, (0..many).collect()));
            let mut taken = Vec::new();
            while segments.len() > 0 {
                let segment = segments.take_segment();
                assert!((1..=SEGMENT_BYTES / size_of::<usize>()).contains(&segment.len()));
                taken.extend(segment);
                segments.extend((taken.len() == 4).then_some(many));
            }
            assert!(segments.take_segment().is_empty());
            assert!(taken.into_iter().eq(0..many + usize::from(many >= 4)));
        }
    }

    #[test]
    fn what_is_dealt_out_is_no_more_than_was_asked_for() {
        for (many, at_most) in [(0, 1), (1, 1), (7, 3), (1000, 64), (10_000, 5000), (9, usize::MAX)] {
            let mut segments = SegmentedVec::default();
            segments.extend(0..many);
            let (mut deal, mut dealt) = (Chunks::new(segments), Vec::new());
            while !deal.is_over() {
                let some = deal.some(at_most);
                assert!((1..=at_most).contains(&some.len()));
                dealt.extend_from_slice(some);
            }
            assert!(deal.some(at_most).is_empty() && dealt.into_iter().eq(0..many));
        }
    }
}
