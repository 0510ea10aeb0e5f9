//! The buckets that entries of a queue lie in, by their times.
//!
//! A tree leads from the number of a bucket to its place in a list, so the tree is compiled once and not for
//! each type of entry. Places are used again, with the memory of their entries' buffers gone.

use std::collections::BTreeMap;

use crate::time::EventTime;

/// Marks an entry that there is a row of.
pub(super) const SEALED: u8 = 1 << 7;

/// The number of milliseconds in a bucket, as a power of two.
pub(super) const SPAN: u32 = 6;

/// The last millisecond in a bucket.
pub(super) const LAST: EventTime = (1 << SPAN) - 1;

/// The milliseconds of an entry in its bucket.
#[inline]
pub(super) fn offset(mark: u8) -> u8 {
    mark & !SEALED
}

/// The time of an entry by its bucket and what it is marked with there.
pub(super) fn at(bucket: i64, mark: u8) -> EventTime {
    bucket << SPAN | EventTime::from(offset(mark))
}

pub(super) struct Bucket<E> {
    /// With their milliseconds in the bucket, [marked](SEALED) if there is a row of them.
    pub(super) entries: Vec<(u8, E)>,
    /// True if some have no row.
    pub(super) fresh: bool,
    /// True if the entries are in order.
    pub(super) sorted: bool,
}

impl<E> Default for Bucket<E> {
    fn default() -> Bucket<E> {
        Bucket { entries: Vec::new(), fresh: true, sorted: false }
    }
}

/// Buckets by their numbers.
pub(super) struct Buckets<E> {
    places: BTreeMap<i64, u32>,
    buckets: Vec<Bucket<E>>,
    /// Places without a bucket.
    free: Vec<u32>,
}

impl<E> Default for Buckets<E> {
    fn default() -> Buckets<E> {
        Buckets { places: BTreeMap::new(), buckets: Vec::new(), free: Vec::new() }
    }
}

impl<E> Buckets<E> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The bytes that each takes, about, without its entries. Nodes of the tree are two thirds full.
    pub(super) const BYTES: usize = size_of::<Bucket<E>>() + size_of::<(i64, u32)>() * 3 / 2;

    /// The bucket of a number, which is there from now on.
    #[inline]
    pub(super) fn of(&mut self, number: i64) -> &mut Bucket<E> {
        let Buckets { places, buckets, free } = self;
        let place = *places.entry(number).or_insert_with(|| {
            free.pop().unwrap_or_else(|| {
                buckets.push(Bucket::default());
                (buckets.len() - 1) as u32
            })
        });
        &mut buckets[place as usize]
    }

    /// The number of the first bucket.
    pub(super) fn first_number(&self) -> Option<i64> {
        self.places.first_key_value().map(|(number, _)| *number)
    }

    /// The bucket of a number, if it is there.
    pub(super) fn get(&self, number: i64) -> Option<&Bucket<E>> {
        self.places.get(&number).map(|place| &self.buckets[*place as usize])
    }

    /// Takes a bucket out.
    pub(super) fn remove(&mut self, number: i64) -> Bucket<E> {
        let Some(place) = self.places.remove(&number) else { return Bucket::default() };
        self.free.push(place);
        std::mem::take(&mut self.buckets[place as usize])
    }

    /// The numbers of all buckets up to one, or from one on.
    pub(super) fn numbers(&self, range: impl std::ops::RangeBounds<i64>) -> Vec<i64> {
        self.places.range(range).map(|(number, _)| *number).collect()
    }

    /// All buckets, the last one first.
    pub(super) fn descending(&self) -> impl Iterator<Item = (i64, &Bucket<E>)> {
        self.places.iter().rev().map(|(number, place)| (*number, &self.buckets[*place as usize]))
    }
}

/// The entries of a bucket by their milliseconds.
pub(super) struct Moments<E>(Vec<Vec<(u8, E)>>);

impl<E> Default for Moments<E> {
    fn default() -> Moments<E> {
        Moments(Vec::new())
    }
}

/// From so many entries on, dealing them out by their milliseconds is faster than inserting them in order.
const MANY: usize = 32;

impl<E> Moments<E> {
    /// Sorts entries of one bucket by time, and leaves those of one time in their order.
    pub(super) fn sort(&mut self, entries: &mut Vec<(u8, E)>) {
        if entries.len() < MANY {
            return insert_in_order(entries);
        }
        self.0.resize_with(1 << SPAN, Vec::new);
        for (mark, entry) in entries.drain(..) {
            self.0[usize::from(offset(mark))].push((mark, entry));
        }
        self.0.iter_mut().for_each(|moment| entries.append(moment));
    }
}

/// Sorts few entries by time, and leaves those of one time in their order. Most come in order, or nearly so.
fn insert_in_order<E>(entries: &mut [(u8, E)]) {
    for next in 1..entries.len() {
        let mark = offset(entries[next].0);
        let before = entries[..next].iter().rev().take_while(|(earlier, _)| offset(*earlier) > mark).count();
        if before > 0 {
            entries[next - before..=next].rotate_right(1);
        }
    }
}
