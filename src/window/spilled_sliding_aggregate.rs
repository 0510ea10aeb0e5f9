//! The sliding window on disk, for windows too large for memory: the sums of its panes lie in local files,
//! sorted by key.
//!
//! The panes are in the arrangement by then, or most of each. To fire a window is one pass in the order of
//! keys over what the window before it left, the panes that enter and the panes that leave: a key's sum is
//! read, what enters is added to it, its result is emitted, what leaves is taken out, and what remains is
//! written. So a window has a page of each of these in memory, whatever it adds up to, and sums are those
//! that [`SlidingAggregate`](crate::window::sliding_aggregate::SlidingAggregate) would have had. Of many
//! panes that enter at once, some are added before the others, in passes that emit nothing.
//!
//! # Cost
//!
//! A window costs a read and a write of each of its keys, and a read of the rows of each pane that enters or
//! leaves, all in order; about a microsecond for each.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::vec;

use super::assigner::Pane;
use super::panes::{Content, PaneRows, prefix_of};
use crate::data::{Data, Exchange, Hashed, Key, hash64};
use crate::state::{Arrangement, Cursor, Latest, RunBuilder, SharedBudget, Slot, SortedRun};
use crate::stream::Aggregate;
use crate::time::EventTime;
use crate::window::sliding_aggregate::Sum;

/// Sums by key.
type SumRows<K, Acc> = Latest<Hashed<K>, Sum<Acc>>;

type Panes<K, Acc> = BTreeMap<Pane, Content<K, Acc>>;

/// What the panes within one window add up to.
pub(super) struct ExternalSlider<K: Key, T: Data, A: Aggregate<T>> {
    aggregate: A,
    memory: Rc<SharedBudget>,
    sums: Arrangement<SumRows<K, A::Acc>>,
    /// The panes within.
    panes: Panes<K, A::Acc>,
    pass: Option<Pass<K, T, A>>,
}

/// Firing one window.
struct Pass<K: Key, T: Data, A: Aggregate<T>> {
    end: EventTime,
    /// The runs of all panes.
    runs: Vec<Arc<SortedRun>>,
    /// The panes to be read together, and whether each enters. The last ones are those of the merge that
    /// emits.
    steps: VecDeque<Vec<(Pane, bool)>>,
    merge: Option<Merge<K, T, A>>,
}

/// Some panes and the sums so far, on their way to new sums.
struct Merge<K: Key, T: Data, A: Aggregate<T>> {
    sums: Option<Cursor<SumRows<K, A::Acc>>>,
    parts: Vec<Part<K, T, A>>,
    built: RunBuilder<SumRows<K, A::Acc>>,
}

/// Rows of a pane in the order of keys.
struct Part<K: Key, T: Data, A: Aggregate<T>> {
    pane: Pane,
    enters: bool,
    head: Option<(Hashed<K>, A::Acc)>,
    rest: Rest<K, T, A>,
}

/// The rows after the first.
enum Rest<K: Key, T: Data, A: Aggregate<T>> {
    Run(Cursor<PaneRows<K, T, A>>),
    /// In the table of the pane.
    Open(vec::IntoIter<(u64, Slot)>),
}

/// How many sources of rows are merged at a time, each with a page in memory.
const SOURCES: usize = 16;

impl<K: Key, T: Data, A: Aggregate<T>> ExternalSlider<K, T, A> {
    pub(super) fn new(aggregate: A, memory: &Rc<SharedBudget>) -> ExternalSlider<K, T, A> {
        let (sums, memory) = (no_sums(memory), Rc::clone(memory));
        ExternalSlider { aggregate, memory, sums, panes: BTreeMap::new(), pass: None }
    }

    /// True if no pane is in the window.
    pub(super) fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }

    /// The panes in the window.
    pub(super) fn panes(&self) -> impl Iterator<Item = &Content<K, A::Acc>> {
        self.panes.values()
    }

    pub(super) fn panes_mut(&mut self) -> impl Iterator<Item = (&Pane, &mut Content<K, A::Acc>)> {
        self.panes.iter_mut()
    }

    /// Drops the sums, and returns the panes.
    pub(super) fn release(&mut self) -> impl Iterator<Item = (Pane, Content<K, A::Acc>)> + use<K, T, A> {
        self.sums = no_sums(&self.memory);
        std::mem::take(&mut self.panes).into_iter()
    }

    /// The window that is being fired, by its end.
    pub(super) fn firing(&self) -> Option<EventTime> {
        self.pass.as_ref().map(|pass| pass.end)
    }

    /// Begins to fire the window that ends at `end`, which some panes enter.
    pub(super) fn begin(
        &mut self,
        end: EventTime,
        entering: Vec<(Pane, Content<K, A::Acc>)>,
        runs: Vec<Arc<SortedRun>>,
    ) {
        let mut last: Vec<_> = self.panes.range(..=leaving(end)).map(|(pane, _)| (*pane, false)).collect();
        // A pane of which this is the only window enters and leaves in the last pass, which emits in between.
        let (leave, stay): (Vec<_>, Vec<_>) =
            entering.iter().map(|(pane, _)| (*pane, true)).partition(|(pane, _)| pane.last <= end);
        last.extend(leave);
        self.panes.extend(entering);
        // A pane has a source in each run, and a pass merges about `SOURCES` of them.
        let mut steps: VecDeque<Vec<_>> =
            stay.chunks((SOURCES / runs.len().max(1)).max(1)).map(<[_]>::to_vec).collect();
        // Mostly a window slides by one pane: then one pass does both.
        if last.len() + steps.back().map_or(0, Vec::len) <= 2 {
            last.extend(steps.pop_back().unwrap_or_default());
        }
        steps.push_back(last);
        self.pass = Some(Pass { end, runs, steps, merge: None });
    }

    /// Goes on with firing, for about `keys` keys. True if the window has fired.
    pub(super) fn go_on(&mut self, mut keys: usize, mut emit: impl FnMut(&K, A::Out)) -> bool {
        let ExternalSlider { aggregate, memory, sums, panes, pass } = self;
        let Some(Pass { end, runs, steps, merge }) = pass else { return true };
        loop {
            if merge.is_none() {
                let Some(step) = steps.pop_front() else { break };
                *merge = Some(Merge::new(aggregate, sums, step, (panes, runs)));
            }
            let Some(merging) = merge else { break };
            // Only the last pass sees all panes of the window.
            let emits = steps.is_empty();
            while keys > 0 {
                let Some((key, sum, parts)) = merging.next(aggregate, panes) else { break };
                let mut show = |sum: &Sum<A::Acc>| {
                    sum.result(aggregate).into_iter().for_each(|result| emit(&key.key, result));
                };
                let show: Option<&mut dyn FnMut(&Sum<A::Acc>)> = if emits { Some(&mut show) } else { None };
                let sum = add_up(aggregate, sum, &parts, *end, show);
                merging.built.group(|rows| rows.extend(sum.map(|sum| (key, Some(sum)))));
                keys -= 1;
            }
            // The merge stays as it is, and the next call goes on with it.
            if keys == 0 {
                return false;
            }
            if let Some(Merge { built, .. }) = merge.take() {
                *sums = no_sums(memory);
                sums.seal_built(0, built);
            }
        }
        let end = *end;
        self.pass = None;
        self.panes.retain(|pane, _| pane.last > end);
        true
    }
}

/// No sums, which will lie in files.
fn no_sums<K: Key, Acc: Exchange>(memory: &Rc<SharedBudget>) -> Arrangement<SumRows<K, Acc>> {
    Arrangement::new(Latest::new(), Rc::new(Cell::new(EventTime::MIN)), Some(memory))
}

/// The greatest pane that leaves after the window that ends at `end`.
fn leaving(end: EventTime) -> Pane {
    Pane { last: end, first: EventTime::MAX }
}

/// Adds what enters to a key's sum, and, if it is to be shown, shows it and takes out what leaves. `None` if
/// nothing is left.
fn add_up<T: Data, A: Aggregate<T>>(
    aggregate: &A,
    mut sum: Option<Sum<A::Acc>>,
    parts: &[(Pane, bool, A::Acc)],
    end: EventTime,
    show: Option<&mut dyn FnMut(&Sum<A::Acc>)>,
) -> Option<Sum<A::Acc>> {
    for (pane, _, part) in parts.iter().filter(|(_, enters, _)| *enters) {
        match &mut sum {
            Some(sum) => sum.add(aggregate, part, pane.last),
            None => sum = Some(Sum::start(part.clone(), pane.last, A::SUBTRACTS)),
        }
    }
    let (Some(show), Some(all)) = (show, &mut sum) else { return sum };
    // Before what leaves is taken out: it belongs to this window.
    show(all);
    // `remove` is true once nothing is left, so nothing is left to take out by the parts after it.
    let mut leaving = parts.iter().filter(|(pane, ..)| pane.last <= end);
    if leaving.any(|(_, _, part)| all.remove(aggregate, Some(part), end)) { None } else { sum }
}

impl<K: Key, T: Data, A: Aggregate<T>> Merge<K, T, A> {
    fn new(
        aggregate: &A,
        sums: &Arrangement<SumRows<K, A::Acc>>,
        step: Vec<(Pane, bool)>,
        (panes, runs): (&Panes<K, A::Acc>, &[Arc<SortedRun>]),
    ) -> Merge<K, T, A> {
        let mut parts = Vec::new();
        for (pane, enters) in step {
            let Some(content) = panes.get(&pane) else { continue };
            let mut part = |rest| {
                let mut part = Part { pane, enters, head: None, rest };
                part.step(panes);
                parts.push(part);
            };
            for run in runs.iter().filter(|_| content.sealed > 0) {
                let rows = PaneRows::new(aggregate.clone());
                part(Rest::Run(Cursor::new(
                    rows,
                    Arc::clone(run),
                    prefix_of(pane),
                    Some(Arc::clone(sums.failures())),
                )));
            }
            let open = &content.open;
            let mut order: Vec<_> = open.occupied().map(|slot| (hash64(&open.get(slot).0), slot)).collect();
            // The order of the runs that it is merged with: by hash, then by key.
            order.sort_unstable_by(|(hash, slot), (other, place)| {
                hash.cmp(other).then_with(|| open.get(*slot).0.cmp(&open.get(*place).0))
            });
            part(Rest::Open(order.into_iter()));
        }
        // They were built as one run.
        Merge { sums: sums.cursors((0, 0)).pop(), parts, built: sums.build(Vec::new()) }
    }

    /// The next key, its sum so far, and what each pane has of it.
    #[allow(clippy::type_complexity, reason = "a row of the merge")]
    fn next(
        &mut self,
        aggregate: &A,
        panes: &Panes<K, A::Acc>,
    ) -> Option<(Hashed<K>, Option<Sum<A::Acc>>, Vec<(Pane, bool, A::Acc)>)> {
        let Merge { sums, parts, .. } = self;
        let heads = parts.iter().filter_map(|part| part.head.as_ref().map(|(key, _)| key));
        let next = sums.as_ref().and_then(Cursor::row).map(|(key, _)| key);
        let key = heads.chain(next).min()?.clone();
        let has_sum = sums.as_ref().and_then(Cursor::row).is_some_and(|(other, _)| *other == key);
        let sum = sums.as_mut().filter(|_| has_sum).and_then(Cursor::take).and_then(|(_, sum)| sum);
        let mut found: Vec<(Pane, bool, A::Acc)> = Vec::new();
        for part in parts {
            let Some((_, acc)) = part.head.take_if(|(other, _)| *other == key) else { continue };
            part.step(panes);
            // The rows of a pane's sources are one part.
            match found.last_mut().filter(|(other, ..)| *other == part.pane) {
                Some((_, _, sum)) => aggregate.merge(sum, acc),
                None => found.push((part.pane, part.enters, acc)),
            }
        }
        Some((key, sum, found))
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> Part<K, T, A> {
    /// Reads the next row.
    fn step(&mut self, panes: &Panes<K, A::Acc>) {
        self.head = match &mut self.rest {
            Rest::Run(cursor) => {
                let is_here = cursor.row().is_some_and(|((pane, _), _)| *pane == self.pane);
                let row = if is_here { cursor.take() } else { None };
                row.map(|((_, key), acc)| (key, acc))
            }
            Rest::Open(order) => order.next().and_then(|(hash, slot)| {
                let (key, acc) = panes.get(&self.pane)?.open.try_get(slot)?;
                Some((Hashed { hash, key: key.clone() }, acc.clone()))
            }),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::KeyTable;
    use crate::stream::Reduce;
    use crate::window::sliding_aggregate::tests::Total;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Lets panes enter and leave in their order, some of their rows in tables and some in two runs each, and
    /// compares each window with the sum of the panes that cover it.
    fn slide<A: Aggregate<u64, Acc = u64, Out = u64>>(aggregate: A, panes: &[(i64, i64, u8, u64)]) {
        let combine = |mut one: u64, other: u64| {
            aggregate.merge(&mut one, other);
            one
        };
        let memory = SharedBudget::new(1 << 20, std::env::temp_dir(), Arc::new(|error| panic!("{error}")));
        let fired = Rc::new(Cell::new(EventTime::MIN));
        let rows = PaneRows::<u8, u64, A>::new(aggregate.clone());
        let mut arrangement = Arrangement::new(rows, Rc::clone(&fired), Some(&memory));
        let mut slid = ExternalSlider::<u8, u64, A>::new(aggregate.clone(), &memory);
        let mut all: BTreeMap<Pane, BTreeMap<u8, u64>> = BTreeMap::new();
        for (first, length, key, value) in panes {
            all.entry(Pane { last: first + length, first: *first }).or_default().insert(*key, *value);
        }
        for end in 0..40 {
            let (mut entering, mut sealed) = (Vec::new(), Vec::new());
            for (pane, rows) in all.iter().filter(|(pane, _)| pane.first == end) {
                let mut open = KeyTable::default();
                let rows_in_runs = rows.iter().filter(|(key, _)| *key % 2 == 1);
                sealed.extend(rows_in_runs.map(|(key, value)| ((*pane, Hashed::new(*key)), *value)));
                rows.iter().filter(|(key, _)| *key % 3 == 0).for_each(|(key, value)| {
                    open.insert(hash64(key), *key, *value);
                });
                entering.push((*pane, Content { open, sealed: rows.len() }));
            }
            sealed.sort();
            arrangement.seal(2 * end as u64, &sealed);
            arrangement.seal(2 * end as u64 + 1, &sealed);
            slid.begin(end, entering, arrangement.runs().to_vec());
            let mut found = BTreeMap::new();
            let mut portions = (1..4).cycle();
            while !slid.go_on(portions.next().unwrap(), |key, sum| {
                assert!(found.insert(*key, sum).is_none());
            }) {
                assert_eq!(slid.firing(), Some(end));
            }
            let mut expected = BTreeMap::new();
            for (pane, rows) in all.iter().filter(|(pane, _)| pane.first <= end && end <= pane.last) {
                for (key, value) in rows {
                    // A row in two runs is there twice.
                    let times =
                        [*key % 2 == 1, *key % 2 == 1, *key % 3 == 0].into_iter().filter(|there| *there);
                    for _ in times {
                        let sum = expected.get(key).map_or(*value, |sum| combine(*sum, *value));
                        expected.insert((*key, pane.first).0, sum);
                    }
                }
            }
            assert_eq!(found, expected, "the window that ends at {end}");
            fired.set(end);
        }
        assert!(slid.is_empty() && slid.sums.runs().is_empty());
    }

    proptest! {
        #[test]
        fn windows_are_the_sums_of_their_panes(
            panes in vec((0..20i64, 0..12i64, 0..8u8, 1..1000u64), 0..60),
        ) {
            slide(Total, &panes);
            slide(Reduce(|a: &u64, b: u64| *a + b), &panes);
            slide(Reduce(|a: &u64, b: u64| b.max(*a)), &panes);
        }
    }
}
