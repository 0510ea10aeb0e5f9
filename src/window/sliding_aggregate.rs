//! The sliding window in memory: the sums of its panes, key by key, while panes enter and leave it.
//!
//! Between one window and the next only the panes at its two ends change, so nothing in between is added up
//! again. An aggregate that [subtracts](Aggregate::SUBTRACTS) has one sum for each key: a pane that leaves is
//! taken out of it. Any other has two stacks for each key (Tangwongsan, Hirzel and Schneider, DEBS 2017): in
//! front, the panes that leave next, each added to those behind it; in the back, what came since, with its
//! sum. When the front is used up, the back is turned over.
//!
//! # Cost
//!
//! A key of a pane costs a look-up and at most three merges from entering to leaving, however many panes a
//! window has. A window costs a result, and without subtraction a merge, for each of its keys.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::assigner::Pane;
use super::panes::Content;
use crate::data::Key;
use crate::state::{INDEXED, KeyTable, Slot};
use crate::stream::Aggregate;
use crate::time::EventTime;

/// What the panes within one window add up to.
pub(super) struct SlidingAggregate<K: Key, T, A: Aggregate<T>> {
    aggregate: A,
    sums: KeyTable<K, Sum<A::Acc>>,
    panes: BTreeMap<Pane, Entered<K, A::Acc>>,
    value: PhantomData<fn(T)>,
}

/// A pane within the window.
pub(super) struct Entered<K, Acc> {
    pub(super) content: Content<K, Acc>,
    /// The keys that it added to.
    slots: Vec<Slot>,
    /// What it added to each, if that is to be subtracted.
    parts: Vec<Acc>,
}

/// What some panes add up to for one key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Sum<Acc> {
    /// A sum, and the number of parts in it.
    Whole(Acc, u32),
    Stacks(Box<Stacks<Acc>>),
}

/// Parts by the end of the last window that they count for.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stacks<Acc> {
    /// Each with all below it that are later; the last one leaves first.
    front: Vec<(EventTime, Acc)>,
    /// In order of leaving.
    back: Vec<(EventTime, Acc)>,
    /// All of `back`.
    sum: Option<Acc>,
}

impl<K: Key, T: 'static, A: Aggregate<T>> SlidingAggregate<K, T, A> {
    pub(super) fn new(aggregate: A) -> SlidingAggregate<K, T, A> {
        SlidingAggregate { aggregate, sums: KeyTable::default(), panes: BTreeMap::new(), value: PhantomData }
    }

    /// True if no pane is in the window.
    pub(super) fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }

    /// The panes in the window, in the order in which they leave.
    pub(super) fn panes_mut(&mut self) -> impl Iterator<Item = (&Pane, &mut Entered<K, A::Acc>)> {
        self.panes.iter_mut()
    }

    /// The bytes of memory that it takes but for what the panes have in tables of their own, about, if
    /// accumulators point to so many each.
    pub(super) fn bytes(&self, heap: usize) -> usize {
        let sum = size_of::<Option<(K, Sum<A::Acc>)>>() + INDEXED + heap;
        let parts: usize = self.panes.values().map(|entered| entered.slots.len()).sum();
        self.sums.len() * sum + parts * (size_of::<(EventTime, A::Acc)>() + size_of::<Slot>() + heap)
    }

    /// Drops the sums, and returns the panes.
    pub(super) fn release(&mut self) -> impl Iterator<Item = (Pane, Content<K, A::Acc>)> + use<K, T, A> {
        self.sums = KeyTable::default();
        std::mem::take(&mut self.panes).into_iter().map(|(pane, entered)| (pane, entered.content))
    }

    /// Adds a pane to the window. `sealed` calls back with the rows that the arrangement has of it.
    pub(super) fn enter(
        &mut self,
        pane: Pane,
        content: Content<K, A::Acc>,
        sealed: impl FnOnce(&mut dyn FnMut(&K, &A::Acc)),
    ) {
        let SlidingAggregate { aggregate, sums, .. } = self;
        let (mut slots, mut parts) = (Vec::new(), Vec::new());
        let mut add = |key: &K, part: &A::Acc| {
            let start = |part: &A::Acc| Sum::start(part.clone(), pane.last, A::SUBTRACTS);
            let more = |sum: &mut Sum<A::Acc>, part: &A::Acc| sum.add(aggregate, part, pane.last);
            slots.push(sums.upsert(key.clone(), part, start, more));
            if A::SUBTRACTS {
                parts.push(part.clone());
            }
        };
        sealed(&mut add);
        content.open.iter().for_each(|(key, part)| add(key, part));
        self.panes.insert(pane, Entered { content, slots, parts });
    }

    /// Removes the panes whose last window ended at `end`, and passes their tables to `spare`.
    pub(super) fn leave(&mut self, end: EventTime, mut spare: impl FnMut(KeyTable<K, A::Acc>)) {
        while let Some(first) = self.panes.first_entry().filter(|first| first.key().last <= end) {
            let Entered { content, slots, parts } = first.remove();
            spare(content.open);
            // The last pane leaves, so all sums go, without being subtracted from.
            if self.panes.is_empty() {
                drop(self.sums.drain());
                return;
            }
            let mut parts = parts.iter();
            for slot in slots {
                // A key's stacks drop all that is due at once, and then another part of theirs finds nothing
                // to do.
                let Some((_, sum)) = self.sums.try_get_mut(slot) else { continue };
                if sum.remove(&self.aggregate, parts.next(), end) {
                    self.sums.remove(slot);
                }
            }
        }
    }

    /// Shows the result of each key.
    pub(super) fn results(&self, mut each: impl FnMut(&K, A::Out)) {
        for (key, sum) in self.sums.iter() {
            sum.result(&self.aggregate).into_iter().for_each(|result| each(key, result));
        }
    }
}

impl<Acc: Clone> Sum<Acc> {
    /// The result of all parts, unless that is as if there were none.
    #[inline]
    pub(super) fn result<T, A: Aggregate<T, Acc = Acc>>(&self, aggregate: &A) -> Option<A::Out> {
        match self {
            Sum::Whole(acc, _) => (!aggregate.is_empty(acc)).then(|| aggregate.result(acc)),
            Sum::Stacks(stacks) => {
                let total = stacks.total(aggregate).filter(|acc| !aggregate.is_empty(acc))?;
                Some(aggregate.result(&total))
            }
        }
    }

    pub(super) fn start(part: Acc, last: EventTime, subtracts: bool) -> Sum<Acc> {
        match subtracts {
            true => Sum::Whole(part, 1),
            false => {
                let (back, sum) = (vec![(last, part.clone())], Some(part));
                Sum::Stacks(Box::new(Stacks { front: Vec::new(), back, sum }))
            }
        }
    }

    #[inline]
    pub(super) fn add<T, A: Aggregate<T, Acc = Acc>>(&mut self, aggregate: &A, part: &Acc, last: EventTime) {
        match self {
            Sum::Whole(sum, parts) => {
                aggregate.merge(sum, part.clone());
                *parts += 1;
            }
            Sum::Stacks(stacks) => stacks.add(aggregate, part, last),
        }
    }

    /// Takes a part out that leaves after the window that ends at `end`; true if nothing is left.
    #[inline]
    pub(super) fn remove<T, A: Aggregate<T, Acc = Acc>>(
        &mut self,
        aggregate: &A,
        part: Option<&Acc>,
        end: EventTime,
    ) -> bool {
        match self {
            Sum::Whole(sum, parts) => {
                if let Some(part) = part {
                    aggregate.subtract(sum, part);
                }
                *parts -= 1;
                *parts == 0
            }
            Sum::Stacks(stacks) => {
                stacks.leave(aggregate, end);
                stacks.front.is_empty() && stacks.back.is_empty()
            }
        }
    }
}

impl<Acc: Clone> Stacks<Acc> {
    fn add<T, A: Aggregate<T, Acc = Acc>>(&mut self, aggregate: &A, part: &Acc, last: EventTime) {
        if self.front.first().is_some_and(|(latest, _)| last <= *latest) {
            // Records that were late for some of their windows: their pane leaves with others that came long
            // before it. Each sum in front contains all parts that leave later, so those that leave by then
            // get this part.
            for (_, sum) in self.front.iter_mut().rev().take_while(|(leaves, _)| *leaves <= last) {
                aggregate.merge(sum, part.clone());
            }
            if !self.front.iter().any(|(leaves, _)| *leaves == last) {
                self.insert_in_front(aggregate, part, last);
            }
            return;
        }
        match self.back.binary_search_by_key(&last, |(leaves, _)| *leaves) {
            Ok(found) => aggregate.merge(&mut self.back[found].1, part.clone()),
            Err(place) => self.back.insert(place, (last, part.clone())),
        }
        match &mut self.sum {
            Some(sum) => aggregate.merge(sum, part.clone()),
            None => self.sum = Some(part.clone()),
        }
    }

    /// Puts a part between those that leave before it, which have it already, and those that leave later.
    #[cold]
    fn insert_in_front<T, A: Aggregate<T, Acc = Acc>>(&mut self, aggregate: &A, part: &Acc, last: EventTime) {
        let place = self.front.partition_point(|(leaves, _)| *leaves > last);
        let mut sum = part.clone();
        if let Some((_, later)) = place.checked_sub(1).and_then(|later| self.front.get(later)) {
            aggregate.merge(&mut sum, later.clone());
        }
        self.front.insert(place, (last, sum));
    }

    fn leave<T, A: Aggregate<T, Acc = Acc>>(&mut self, aggregate: &A, end: EventTime) {
        loop {
            while self.front.pop_if(|(leaves, _)| *leaves <= end).is_some() {}
            if !self.front.is_empty() || self.back.first().is_none_or(|(leaves, _)| *leaves > end) {
                return;
            }
            // Turned over: the part that leaves last goes in first, and each sum contains all that leave
            // later.
            self.sum = None;
            for (leaves, mut part) in self.back.drain(..).rev() {
                if let Some((_, later)) = self.front.last() {
                    aggregate.merge(&mut part, later.clone());
                }
                self.front.push((leaves, part));
            }
        }
    }

    fn total<T, A: Aggregate<T, Acc = Acc>>(&self, aggregate: &A) -> Option<Acc> {
        let Some((_, front)) = self.front.last() else { return self.sum.clone() };
        let mut total = front.clone();
        if let Some(back) = &self.sum {
            aggregate.merge(&mut total, back.clone());
        }
        Some(total)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::hash64;
    use crate::stream::Reduce;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Lets panes enter and leave in their order, and compares each window with the sum of the panes that
    /// cover it.
    fn slide<A: Aggregate<u64, Acc = u64, Out = u64>>(aggregate: A, panes: &[(i64, i64, u8, u64)]) {
        let combine = |mut a: u64, b: u64| {
            aggregate.merge(&mut a, b);
            a
        };
        let mut running = SlidingAggregate::<u8, u64, A>::new(aggregate.clone());
        let mut waiting: BTreeMap<Pane, BTreeMap<u8, u64>> = BTreeMap::new();
        for (first, length, key, value) in panes {
            let pane = Pane { last: first + length, first: *first };
            waiting.entry(pane).or_default().insert(*key, *value);
        }
        let all = waiting.clone();
        for end in 0..40 {
            let entering: Vec<Pane> = waiting.keys().copied().filter(|pane| pane.first <= end).collect();
            for pane in entering {
                let rows = waiting.remove(&pane).unwrap();
                let mut open = KeyTable::default();
                for (key, value) in rows.iter().filter(|row| row.0 % 2 == 0) {
                    open.insert(hash64(key), *key, *value);
                }
                let sealed = rows.iter().filter(|row| row.0 % 2 == 1);
                let content = Content { open, sealed: 0 };
                running.enter(pane, content, |add| sealed.for_each(|(key, value)| add(key, value)));
            }
            let mut expected = BTreeMap::new();
            for (pane, rows) in all.iter().filter(|(pane, _)| pane.first <= end && end <= pane.last) {
                for (key, value) in rows {
                    let sum = expected.get(key).map_or(*value, |sum| combine(*sum, *value));
                    expected.insert((*key, pane.first).0, sum);
                }
            }
            let mut found = BTreeMap::new();
            running.results(|key, sum| assert!(found.insert(*key, sum).is_none()));
            assert_eq!(found, expected, "the window that ends at {end}");
            running.leave(end, drop);
        }
        assert!(running.is_empty() && running.sums.is_empty());
    }

    #[derive(Clone)]
    pub(in crate::window) struct Total;

    impl Aggregate<u64> for Total {
        type Acc = u64;
        type Out = u64;
        const SUBTRACTS: bool = true;

        fn start(&self, value: u64) -> u64 {
            value
        }

        fn add(&self, acc: &mut u64, value: u64) {
            *acc += value;
        }

        fn merge(&self, acc: &mut u64, other: u64) {
            *acc += other;
        }

        fn subtract(&self, acc: &mut u64, other: &u64) {
            *acc -= other;
        }

        fn result(&self, acc: &u64) -> u64 {
            *acc
        }
    }

    proptest! {
        #[test]
        fn windows_are_the_sums_of_their_panes(
            panes in vec((0..20i64, 0..12i64, 0..4u8, 1..1000u64), 0..60),
        ) {
            slide(Total, &panes);
            slide(Reduce(|a: &u64, b: u64| *a + b), &panes);
            slide(Reduce(|a: &u64, b: u64| b.max(*a)), &panes);
        }
    }
}
