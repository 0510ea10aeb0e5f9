//! The sending side of aligned windows: assigns panes, decides lateness, and combines by pane and key.

use std::marker::PhantomData;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::assigner::{Aligned, Pane, Slice};
use crate::data::{Data, Key, Stamp};
use crate::metric::Metric;
use crate::stream::{
    Aggregate, ChainSink, Collector, Ends, Preaggregator, SendBuffer, batch_of, operator_fault,
};
use crate::time::EventTime;

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

impl<K: Key, T: Data, A: Aggregate<T>> ChainSink<(K, T)> for Assign<A> {
    type Element = Paned<K, A::Acc>;
    type Gather = Assigned<K, T, A>;

    fn open(&self) -> Assigned<K, T, A> {
        Assigned {
            assign: self.clone(),
            slice: Slice::EMPTY,
            panes: Vec::new(),
            current: PaneNumber::MIN,
            places: Preaggregator::new(),
            sent: Vec::new(),
            beyond: None,
            value: PhantomData,
        }
    }
}

/// The number of a pane among those of what is gathered, from one: it takes less room in a place than a pane,
/// and zero means that a place is vacant.
type PaneNumber = NonZeroU32;

fn number_of(index: usize) -> PaneNumber {
    PaneNumber::MIN.saturating_add(index as u32)
}

/// Accumulators by pane and key.
pub(crate) struct Assigned<K, T, A: Aggregate<T>> {
    assign: Assign<A>,
    /// The slice of the last record that was on time: most often also the next one's.
    slice: Slice,
    /// The panes of what is gathered, by number.
    panes: Vec<Pane>,
    /// The number of `slice`'s pane.
    current: PaneNumber,
    places: Preaggregator<PaneNumber, K, A::Acc>,
    sent: Vec<Paned<K, A::Acc>>,
    /// A time that is [beyond](Slice::is_beyond) what can be told.
    beyond: Option<EventTime>,
    value: PhantomData<fn(T)>,
}

impl<K: Key, T: Data, A: Aggregate<T>> Assigned<K, T, A> {
    fn pane(&self, number: PaneNumber) -> Pane {
        self.panes[number.get() as usize - 1]
    }

    /// Finds the pane of a record when it is not that of the last record.
    ///
    /// The ABI says that it does not unwind. So there is no path on which the caller's value, a record fresh
    /// from the reader, has to be dropped, and it need not be put into memory for that.
    #[cold]
    #[inline(never)]
    #[allow(improper_ctypes_definitions, reason = "the ABI is for what it says of unwinding")]
    extern "C" fn turn(&mut self, stamp: &Stamp) -> Option<PaneNumber> {
        let windows = &self.assign.windows;
        let slice = windows.slice(stamp.timestamp);
        let Some(pane) = slice.pane(stamp, windows) else {
            // A record in a gap belongs to no window, and so is not late.
            if !slice.is_gap() {
                self.assign.late.add(1);
            }
            return None;
        };
        if slice.is_beyond() {
            // `drain` reports it, since this function must not unwind.
            self.beyond = Some(stamp.timestamp);
            return None;
        }
        let known = self.panes.iter().position(|p| *p == pane);
        let number = number_of(known.unwrap_or_else(|| {
            self.panes.push(pane);
            self.panes.len() - 1
        }));
        // A record that is late for some of its windows has a smaller pane than records on time, so it is not
        // cached.
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
                Ok(acc) if aggregate.ignores(acc, &value) => {}
                Ok(acc) => aggregate.add(acc, value),
                Err(place) => {
                    if let Some((pane, key, acc)) = place.replace((pane, key, aggregate.start(value))) {
                        self.sent.push(Paned { pane: self.pane(pane), key, acc });
                    }
                }
            }
        } else {
            let acc = aggregate.start(value);
            self.sent.push(Paned { pane: self.pane(pane), key, acc });
        }
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> SendBuffer for Assigned<K, T, A> {
    type Element = Paned<K, A::Acc>;

    #[inline]
    fn is_full(&self) -> bool {
        self.sent.len() >= batch_of::<Paned<K, A::Acc>>()
    }

    fn drain(&mut self, all: bool, send: &mut dyn FnMut(&mut Vec<Paned<K, A::Acc>>)) {
        if let Some(time) = self.beyond.take() {
            operator_fault::note(&self.assign.windows.beyond(time));
        }
        if all {
            let panes = &self.panes;
            let rest = self.places.drain();
            self.sent.extend(rest.map(|(pane, key, acc)| Paned {
                pane: panes[pane.get() as usize - 1],
                key,
                acc,
            }));
            // Numbers begin anew, and the next record has to ask for its own.
            self.panes.clear();
            self.slice = Slice::EMPTY;
        }
        send(&mut self.sent);
    }
}
