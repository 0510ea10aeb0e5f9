//! The owner's side of a window: gathers panes, fires windows, and seals what is open.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use timely::dataflow::operators::generic::OperatorInfo;

use super::assign::Paned;
use super::running::Running;
use super::{Aligned, Pane, WINDOWS, Windowed};
use crate::data::{Data, Key, Record, Stamp, hash64};
use crate::error::Result;
use crate::snapshot::{Codec, RestoredOperator, Saved, Schema};
use crate::state::{Arrangement, Encoded, Hashed, Rows, Saves, Share, Table};
use crate::stream::{Aggregate, Logic, Outlets};
use crate::time::{EventTime, Time};

/// The logic of windows on one worker.
pub(super) struct Windows<K: Key, T: Data, A: Aggregate<T>> {
    windows: Aligned,
    aggregate: A,
    /// Panes that no window has asked for yet, by the ends of their first and last windows.
    waiting: BTreeMap<(EventTime, EventTime), Content<K, A::Acc>>,
    /// Panes that some window has asked for and another one will.
    running: Running<K, T, A>,
    arrangement: Arrangement<PaneRows<K, T, A>>,
    /// The end of the last window that has fired; shared with the rows, which expire by it.
    fired: Rc<Cell<EventTime>>,
    /// Ranges of hashes whose keys are ahead, having come from other workers of an earlier run: their windows up to this end have fired.
    ahead: Vec<((u64, u64), EventTime)>,
    /// Tables of panes that are through, to be used again.
    spare: Vec<Table<K, A::Acc>>,
    /// True if more windows are due than have fired.
    is_amid: bool,
}

/// So many results are enough for one activation.
const PORTION: usize = 8192;

struct Content<K, Acc> {
    /// What has been added since the last seal.
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
            waiting: BTreeMap::new(),
            running: Running::new(aggregate.clone()),
            aggregate,
            arrangement: Arrangement::new(rows, operator),
            fired,
            ahead: Vec::new(),
            spare: Vec::new(),
            is_amid: false,
        }
    }

    /// The end of the next window to fire that has something in it.
    fn next_end(&self) -> Option<EventTime> {
        match self.running.is_empty() {
            true => self.waiting.first_key_value().map(|((first, _), _)| *first),
            // What is left there is left for the next window.
            false => Some(self.windows.next_end(self.fired.get())),
        }
    }

    /// Emits the results of the window that ends at `end`, and says how many.
    fn fire(&mut self, epoch: u64, end: EventTime, out: &mut Outlets<Windowed<K, A::Out>>) -> usize {
        let time = Time::new(epoch, end - 1);
        let window = self.windows.ending_at(end);
        let stamp = Stamp { timestamp: end - 1, watermark: end - 1 };
        self.ahead.retain(|(_, fired)| *fired >= end);
        let ahead = self.ahead.clone();
        let mut given = 0;
        let mut emit = |key: &K, value| {
            if !ahead.is_empty() {
                let hash = hash64(key);
                if ahead.iter().any(|((first, last), _)| (*first..=*last).contains(&hash)) {
                    return;
                }
            }
            given += 1;
            out.give(time, Record::new(Windowed { key: key.clone(), window, value }, stamp));
        };
        if let Some(table) = self.only_pane(end) {
            let there = table.iter().filter(|(_, acc)| !self.aggregate.is_empty(acc));
            there.for_each(|(key, acc)| emit(key, self.aggregate.result(acc)));
            self.fired.set(end);
            self.reuse(table);
            return given;
        }
        self.enter(end);
        self.running.results(emit);
        self.fired.set(end);
        let spare = &mut self.spare;
        self.running.leave(end, |table| keep(spare, table));
        given
    }

    /// The table of the pane that is all there is of a window, if there is one and it lies in the open epoch alone: most
    /// windows are like that where event time is fast, and need not be added up.
    fn only_pane(&mut self, end: EventTime) -> Option<Table<K, A::Acc>> {
        let mut entering = self.waiting.range(..=(end, EventTime::MAX));
        let ((_, last), content) = entering.next()?;
        let alone = entering.next().is_none() && self.running.is_empty() && *last == end && !content.sealed;
        if alone { self.waiting.pop_first().map(|(_, content)| content.open) } else { None }
    }

    /// Lets panes into the window that ends at `end`.
    fn enter(&mut self, end: EventTime) {
        while let Some(entry) = self.waiting.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((first, last), Content { open, sealed }) = entry.remove_entry();
            let pane = Pane { last, first };
            let arrangement = &self.arrangement;
            self.running.enter(pane, open, |add| {
                if sealed {
                    arrangement.scan(
                        |(other, _)| *other < pane,
                        |(other, key), acc| {
                            if *other != pane {
                                return ControlFlow::Break(());
                            }
                            add(&key.key, acc);
                            ControlFlow::Continue(())
                        },
                    );
                }
            });
        }
    }

    fn reuse(&mut self, table: Table<K, A::Acc>) {
        keep(&mut self.spare, table);
    }
}

/// Empties a table and keeps it for a pane to come.
fn keep<K: Key, Acc>(spare: &mut Vec<Table<K, Acc>>, mut table: Table<K, Acc>) {
    drop(table.drain());
    if spare.len() < SPARE {
        spare.push(table);
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
                .waiting
                .entry((pane.first, pane.last))
                .or_insert_with(|| Content { open: spare.pop().unwrap_or_default(), sealed: false });
            let mut next = Some(first);
            while let Some(Paned { key, acc, .. }) = next {
                let aggregate = &self.aggregate;
                content.open.upsert(key, acc, |acc| acc, |sum, acc| aggregate.merge(sum, acc));
                next = inputs.next_if(|input| input.pane == pane);
            }
        }
    }

    fn advance(&mut self, watermark: EventTime, from: Time, out: &mut Outlets<Self::Out>) {
        let mut given = 0;
        while let Some(end) = self.next_end().filter(|end| *end <= watermark) {
            self.is_amid = given >= PORTION;
            if self.is_amid {
                return;
            }
            given += self.fire(from.epoch, end, out);
        }
        self.is_amid = false;
    }

    fn is_amid(&self) -> bool {
        self.is_amid
    }

    fn close(&mut self, _: u64, _: Option<Time>, _: &mut Outlets<Self::Out>) {}

    fn seal(&mut self, epoch: u64) {
        let waiting = self.waiting.iter_mut().filter(|(_, content)| !content.open.is_empty());
        let waiting = waiting.map(|((first, last), content)| {
            content.sealed = true;
            (Pane { last: *last, first: *first }, &mut content.open)
        });
        let entered = self.running.panes_mut().map(|(pane, entered)| (*pane, &mut entered.open));
        let mut panes: Vec<_> = waiting.chain(entered.filter(|(_, open)| !open.is_empty())).collect();
        panes.sort_unstable_by_key(|(pane, _)| *pane);
        let mut rows = Vec::new();
        for (pane, open) in panes {
            let start = rows.len();
            rows.extend(open.drain().map(|(key, acc)| ((pane, Hashed::new(key)), acc)));
            rows[start..].sort_unstable_by(|a, b| a.0.1.cmp(&b.0.1));
        }
        self.arrangement.seal(epoch, rows);
    }

    fn save(&mut self) -> Result<Saved> {
        let tables = vec![self.arrangement.save("panes")];
        let mut saved = Saved { tables, ..Saved::default() };
        saved.note_settings(WINDOWS, Some(self.windows.settings()))?;
        Ok(saved)
    }

    fn restore(&mut self, from: &RestoredOperator, share: Share) -> Result<()> {
        from.check_settings(WINDOWS, Some(self.windows.settings()))?;
        self.arrangement.restore("panes", from, share)?;
        let waiting = &mut self.waiting;
        self.arrangement.each(|(pane, _), _| {
            let content = || Content { open: Table::default(), sealed: true };
            waiting.entry((pane.first, pane.last)).or_insert_with(content);
        });
        let fired = self.fired.get();
        self.waiting.retain(|(_, last), _| *last > fired);
        self.enter(fired);
        self.ahead = from.clocks("panes")?.into_iter().filter(|(_, clock)| *clock > fired).collect();
        Ok(())
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
    type Key = (Pane, Hashed<K>);
    type Value = A::Acc;

    fn absorb(&self, older: &mut A::Acc, newer: &A::Acc) {
        self.aggregate.merge(older, newer.clone());
    }

    fn is_vacant(&self, _: &A::Acc, _: bool) -> bool {
        false
    }

    fn is_expired((pane, _): &(Pane, Hashed<K>), clock: i64) -> bool {
        pane.last <= clock
    }

    fn clock(&self) -> i64 {
        self.fired.get()
    }

    fn reach(&self, time: i64) {
        self.fired.set(time);
    }
}

/// A row of a pane.
type PaneRow<K, Acc> = ((Pane, Hashed<K>), Acc);

impl<K: Key, T: Data, A: Aggregate<T>> Saves for PaneRows<K, T, A> {
    type Part = A::Acc;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(Pane, K, P)>("panes")
    }

    fn owner((_, key): &(Pane, Hashed<K>)) -> u64 {
        key.hash
    }

    fn encode(rows: &[PaneRow<K, A::Acc>], codec: Codec) -> Result<Vec<u8>> {
        let rows: Vec<_> = rows.iter().map(|((pane, key), acc)| (pane, &key.key, acc)).collect();
        codec.encode_views(&rows)
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> A::Acc,
    ) -> Result<Vec<PaneRow<K, A::Acc>>> {
        let row = |(pane, key, acc): (Pane, K, P)| ((pane, Hashed::new(key)), own(acc));
        Ok(page.rows()?.into_iter().map(row).collect())
    }
}
