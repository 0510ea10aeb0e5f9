//! The owner's side of a window: gathers panes, fires windows, and seals what is open.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::rc::Rc;

use timely::dataflow::operators::generic::OperatorInfo;

use super::assign::Paned;
use super::{Aligned, Pane, Windowed};
use crate::data::{Data, Key, Record, Stamp};
use crate::state::{Arrangement, Rows, Table};
use crate::stream::{Aggregate, Logic, Outlets};
use crate::time::{EventTime, Time};

/// The logic of windows on one worker.
pub(super) struct Windows<K: Key, T: Data, A: Aggregate<T>> {
    windows: Aligned,
    aggregate: A,
    /// What the open epoch has added, and what is known of each pane that a window still needs.
    panes: BTreeMap<Pane, Content<K, A::Acc>>,
    arrangement: Arrangement<PaneRows<K, T, A>>,
    /// The end of the last window that has fired; shared with the rows, which expire by it.
    fired: Rc<Cell<EventTime>>,
    /// Merges the panes of one window.
    merged: Table<K, A::Acc>,
    /// Tables of panes that are through, to be used again.
    spare: Vec<Table<K, A::Acc>>,
}

struct Content<K, Acc> {
    /// What the open epoch has added.
    open: Table<K, Acc>,
    /// True if the arrangement has rows of the pane.
    sealed: bool,
}

impl<K: Key, T: Data, A: Aggregate<T>> Windows<K, T, A> {
    pub(super) fn new(windows: Aligned, aggregate: A, operator: OperatorInfo) -> Windows<K, T, A> {
        let fired = Rc::new(Cell::new(EventTime::MIN));
        let rows = PaneRows { aggregate: aggregate.clone(), fired: Rc::clone(&fired), row: PhantomData };
        Windows {
            windows,
            aggregate,
            panes: BTreeMap::new(),
            arrangement: Arrangement::new(rows, operator),
            fired,
            merged: Table::default(),
            spare: Vec::new(),
        }
    }

    /// The end of the next window to fire that has something in it.
    fn next_end(&self) -> Option<EventTime> {
        let fired = self.fired.get();
        let after = (fired > EventTime::MIN).then(|| self.windows.next_end(fired));
        // In the order of their last windows, panes cannot reach back further than the windows' size.
        let mut next = None;
        for pane in self.panes.keys() {
            if next.is_some_and(|end: EventTime| pane.last.saturating_sub(self.windows.reach()) >= end) {
                break;
            }
            let end = after.map_or(pane.first, |after| pane.first.max(after));
            next = Some(next.map_or(end, |next: EventTime| next.min(end)));
        }
        next
    }

    /// Emits the results of the window that ends at `end`.
    fn fire(&mut self, epoch: u64, end: EventTime, out: &mut Outlets<Windowed<K, A::Out>>) {
        let time = Time::new(epoch, end - 1);
        let window = self.windows.ending_at(end);
        let stamp = Stamp { timestamp: end - 1, watermark: end - 1 };
        let aggregate = self.aggregate.clone();
        let result = |key, acc: &A::Acc| {
            let value = aggregate.result(acc);
            Record::new(Windowed { key, window, value }, stamp)
        };
        let reach = end.saturating_add(self.windows.reach());
        let span = Pane { last: end, first: EventTime::MIN }..Pane { last: reach, first: EventTime::MAX };
        let mut covering = self.panes.range(span).filter(|(pane, _)| pane.first <= end);
        match (covering.next(), covering.next()) {
            (Some((_, content)), None) if !content.sealed => {
                for (key, acc) in content.open.iter() {
                    out.give(time, result(key.clone(), acc));
                }
            }
            _ => {
                self.merge(end, reach);
                for (key, acc) in self.merged.drain() {
                    out.give(time, result(key, &acc));
                }
            }
        }
        self.fired.set(end);
        self.retire();
    }

    /// Merges all panes of the window that ends at `end` into one table.
    fn merge(&mut self, end: EventTime, reach: EventTime) {
        let (merged, aggregate) = (&mut self.merged, &self.aggregate);
        let mut add = |key: &K, acc: &A::Acc| {
            merged.upsert(key.clone(), acc, A::Acc::clone, |sum, acc| aggregate.merge(sum, acc.clone()));
        };
        let mut sealed = false;
        for (pane, content) in self.panes.range(Pane { last: end, first: EventTime::MIN }..) {
            if pane.last > reach {
                break;
            }
            if pane.first <= end {
                sealed |= content.sealed;
                content.open.iter().for_each(|(key, acc)| add(key, acc));
            }
        }
        if sealed {
            self.arrangement.scan(
                |(pane, _)| pane.last < end,
                |(pane, key), acc| {
                    if pane.last > reach {
                        return ControlFlow::Break(());
                    }
                    if pane.first <= end {
                        add(key, acc);
                    }
                    ControlFlow::Continue(())
                },
            );
        }
    }

    /// Lets go of panes whose last window has fired.
    fn retire(&mut self) {
        while let Some(entry) = self.panes.first_entry().filter(|entry| entry.key().last <= self.fired.get())
        {
            let mut table = entry.remove().open;
            drop(table.drain());
            if self.spare.len() < SPARE {
                self.spare.push(table);
            }
        }
    }
}

/// Empty tables kept for panes to come.
const SPARE: usize = 16;

impl<K: Key, T: Data, A: Aggregate<T>> Logic<Paned<K, A::Acc>> for Windows<K, T, A> {
    type Out = Windowed<K, A::Out>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Paned<K, A::Acc>>, _: &mut Outlets<Self::Out>) {
        let mut inputs = batch.drain(..).peekable();
        while let Some(first) = inputs.next() {
            let pane = first.pane;
            debug_assert!(pane.first > self.fired.get(), "{pane:?} came after its window had fired");
            let spare = &mut self.spare;
            let content = self
                .panes
                .entry(pane)
                .or_insert_with(|| Content { open: spare.pop().unwrap_or_default(), sealed: false });
            let mut next = Some(first);
            while let Some(Paned { key, acc, .. }) = next {
                let aggregate = &self.aggregate;
                content.open.upsert(key, acc, |acc| acc, |sum, acc| aggregate.merge(sum, acc));
                next = inputs.next_if(|input| input.pane == pane);
            }
        }
    }

    fn advance(&mut self, now: Time, out: &mut Outlets<Self::Out>) {
        while let Some(end) = self.next_end().filter(|end| *end <= now.event) {
            self.fire(now.epoch, end, out);
        }
    }

    fn close(&mut self, epoch: u64, _: Option<Time>, _: &mut Outlets<Self::Out>) {
        let mut rows = Vec::new();
        for (pane, content) in &mut self.panes {
            if !content.open.is_empty() {
                content.sealed = true;
                let start = rows.len();
                rows.extend(content.open.drain().map(|(key, acc)| ((*pane, key), acc)));
                rows[start..].sort_unstable_by(|a, b| a.0.1.cmp(&b.0.1));
            }
        }
        self.arrangement.seal(epoch, rows);
    }

    fn owes(&self) -> Option<EventTime> {
        self.next_end().map(|end| end - 1)
    }
}

/// Rows of accumulators by pane and key, which add up, and expire when the pane's last window has fired.
struct PaneRows<K, T, A> {
    aggregate: A,
    fired: Rc<Cell<EventTime>>,
    row: PhantomData<fn() -> (K, T)>,
}

impl<K, T, A: Clone> Clone for PaneRows<K, T, A> {
    fn clone(&self) -> Self {
        PaneRows { aggregate: self.aggregate.clone(), fired: Rc::clone(&self.fired), row: PhantomData }
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> Rows for PaneRows<K, T, A> {
    type Key = (Pane, K);
    type Value = A::Acc;

    fn absorb(&self, older: &mut A::Acc, newer: &A::Acc) {
        self.aggregate.merge(older, newer.clone());
    }

    fn is_vacant(&self, _: &A::Acc, _: bool) -> bool {
        false
    }

    fn is_expired(&self, (pane, _): &(Pane, K)) -> bool {
        pane.last <= self.fired.get()
    }
}
