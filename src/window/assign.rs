//! The sending side of a window: assigns panes, decides lateness, and combines by pane and key.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::assigner::Slice;
use super::{Aligned, Pane};
use crate::data::{Data, Key, Stamp};
use crate::metric::Metric;
use crate::stream::{Aggregate, BATCH, Collector, Ends, Gather, Places, Terminal};

/// An accumulator on its way to the owner of its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Paned<K, Acc> {
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
            panes: Vec::new(),
            current: 0,
            places: Places::new(),
            sent: Vec::new(),
            value: PhantomData,
        }
    }
}

/// Accumulators by pane and key.
pub(crate) struct Assigned<K, T, A: Aggregate<T>> {
    assign: Assign<A>,
    /// The slice of the last record that was on time: most often also the next one's.
    slice: Slice,
    /// The panes of what is gathered, by number: a number takes less room in a place than a pane.
    panes: Vec<Pane>,
    /// The number of `slice`'s pane.
    current: u32,
    places: Places<u32, K, A::Acc>,
    sent: Vec<Paned<K, A::Acc>>,
    value: PhantomData<fn(T)>,
}

impl<K: Key, T: Data, A: Aggregate<T>> Assigned<K, T, A> {
    /// Finds the pane of a record when it is not that of the last record.
    #[cold]
    #[inline(never)]
    fn turn(&mut self, stamp: &Stamp) -> Option<u32> {
        let windows = &self.assign.windows;
        let slice = windows.slice(stamp.timestamp);
        let Some(pane) = slice.pane(stamp, windows) else {
            if !slice.is_gap() {
                self.assign.late.add(1);
            }
            return None;
        };
        let known = self.panes.iter().position(|p| *p == pane);
        let number = known.unwrap_or_else(|| {
            self.panes.push(pane);
            self.panes.len() - 1
        }) as u32;
        if slice.takes(stamp) {
            self.slice = slice;
            self.current = number;
        }
        Some(number)
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
    #[inline(always)]
    fn push(&mut self, (key, value): (K, T), stamp: Stamp) {
        let pane = match self.slice.takes(&stamp) {
            true => self.current,
            false => match self.turn(&stamp) {
                Some(pane) => pane,
                None => return,
            },
        };
        let aggregate = &self.assign.aggregate;
        if A::COMBINES {
            match self.places.find(&pane, &key) {
                Ok(acc) => aggregate.add(acc, value),
                Err(place) => {
                    if let Some((pane, key, acc)) = place.replace((pane, key, aggregate.start(value))) {
                        self.sent.push(Paned { pane: self.panes[pane as usize], key, acc });
                    }
                }
            }
        } else {
            self.sent.push(Paned { pane: self.panes[pane as usize], key, acc: aggregate.start(value) });
        }
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> Gather for Assigned<K, T, A> {
    type Element = Paned<K, A::Acc>;

    #[inline]
    fn is_full(&self) -> bool {
        self.sent.len() >= BATCH
    }

    fn drain(&mut self, all: bool, send: &mut dyn FnMut(&mut Vec<Paned<K, A::Acc>>)) {
        if all {
            let panes = &self.panes;
            let rest = self.places.drain();
            self.sent.extend(rest.map(|(pane, key, acc)| Paned { pane: panes[pane as usize], key, acc }));
            // Numbers begin anew, and the next record has to ask for its own.
            self.panes.clear();
            self.slice = Slice::EMPTY;
        }
        send(&mut self.sent);
    }
}
