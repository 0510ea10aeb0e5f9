//! The sending side of a window: assigns panes, decides lateness, and combines by pane and key.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::assigner::Slice;
use super::{Aligned, Pane};
use crate::data::{Data, Key, Stamp};
use crate::metric::Metric;
use crate::state::Table;
use crate::stream::{Aggregate, BATCH, Collector, Ends, Gather, Saving, TABLE, Terminal};

/// An accumulator on its way to the owner of its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paned<K, Acc> {
    pub(super) pane: Pane,
    pub(super) key: K,
    pub(super) acc: Acc,
}

/// The terminal of a chain that leads to windows.
#[derive(Clone)]
pub(super) struct Assign<A> {
    pub(super) windows: Aligned,
    pub(super) aggregate: A,
    pub(super) late: Metric,
}

impl<K: Key, T: Data, A: Aggregate<T>> Terminal<(K, T)> for Assign<A> {
    type Element = Paned<K, A::Acc>;
    type Gather = Assigned<K, T, A>;

    fn open(&self) -> Assigned<K, T, A> {
        Assigned {
            assign: self.clone(),
            slice: Slice::EMPTY,
            tables: vec![(Pane { last: 0, first: 0 }, Table::default())],
            current: 0,
            saving: Saving::default(),
            combined: 0,
            sent: Vec::new(),
            value: PhantomData,
        }
    }
}

/// Accumulators by pane and key.
pub struct Assigned<K, T, A: Aggregate<T>> {
    assign: Assign<A>,
    /// The slice of the last record that was on time: most often also the next one's.
    slice: Slice,
    /// A table for each pane; those of earlier rounds stay, empty, to be used again.
    tables: Vec<(Pane, Table<K, A::Acc>)>,
    /// The table of `slice`'s pane.
    current: usize,
    saving: Saving,
    /// Records in tables.
    combined: usize,
    sent: Vec<Paned<K, A::Acc>>,
    value: PhantomData<fn(T)>,
}

impl<K: Key, T: Data, A: Aggregate<T>> Assigned<K, T, A> {
    /// Finds the table of a record's pane when it is not that of the last record.
    #[cold]
    fn turn(&mut self, stamp: &Stamp) -> Option<usize> {
        let windows = &self.assign.windows;
        let slice = windows.slice(stamp.timestamp);
        let Some(pane) = slice.pane(stamp, windows) else {
            if !slice.is_gap() {
                self.assign.late.add(1);
            }
            return None;
        };
        let known = self.tables.iter().position(|(p, _)| *p == pane);
        let free = || self.tables.iter().position(|(_, table)| table.is_empty());
        let found = known.or_else(free).unwrap_or_else(|| {
            self.tables.push((pane, Table::default()));
            self.tables.len() - 1
        });
        self.tables[found].0 = pane;
        // A table that was used again may have been the current one.
        self.slice = Slice::EMPTY;
        if slice.takes(stamp) {
            self.slice = slice;
            self.current = found;
        }
        Some(found)
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> Ends for Assigned<K, T, A> {
    type End = Self;

    #[inline]
    fn end(&mut self) -> &mut Self {
        self
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> Collector<(K, T)> for Assigned<K, T, A> {
    #[inline]
    fn push(&mut self, (key, value): (K, T), stamp: Stamp) {
        let table = match self.slice.takes(&stamp) {
            true => self.current,
            false => match self.turn(&stamp) {
                Some(table) => table,
                None => return,
            },
        };
        let aggregate = &self.assign.aggregate;
        let (pane, table) = &mut self.tables[table];
        if A::COMBINES && self.saving.pays() {
            self.combined += 1;
            table.upsert(key, value, |value| aggregate.start(value), |acc, value| aggregate.add(acc, value));
        } else {
            self.sent.push(Paned { pane: *pane, key, acc: aggregate.start(value) });
        }
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> Gather for Assigned<K, T, A> {
    type Element = Paned<K, A::Acc>;

    #[inline]
    fn is_full(&self) -> bool {
        self.sent.len() >= BATCH || self.tables.iter().any(|(_, table)| table.len() >= TABLE)
    }

    fn drain(&mut self, send: &mut dyn FnMut(&mut Vec<Paned<K, A::Acc>>)) {
        let mut distinct = 0;
        for (pane, table) in &mut self.tables {
            distinct += table.len();
            for (key, acc) in table.drain() {
                self.sent.push(Paned { pane: *pane, key, acc });
                if self.sent.len() >= BATCH {
                    send(&mut self.sent);
                }
            }
        }
        send(&mut self.sent);
        self.combined = 0;
        self.saving.round(distinct);
    }
}
