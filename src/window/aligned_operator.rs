//! The receiving side of aligned windows: collects panes, fires windows, and seals what is open.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use super::assign_panes::Paned;
use super::assigner::{Aligned, Pane, WINDOWS, Window};
use super::panes::{Content, PANES, PaneRows, prefix_of};
use super::windowed::Windowed;
use crate::data::{Data, Hashed, Key, Record, Stamp, hash64};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{Arrangement, Footprint, INDEXED, KeyTable, OperatorState, Share, SpillBudget};
use crate::stream::{Aggregate, OperatorLogic, Outputs};
use crate::time::{EventTime, Time};
use crate::window::restored_from_general::Folded;
use crate::window::sliding_aggregate::SlidingAggregate;
use crate::window::spilled_sliding_aggregate::ExternalSlider;

/// The logic of windows on one worker.
pub(super) struct Windows<K: Key, T: Data, A: Aggregate<T>> {
    windows: Aligned,
    aggregate: A,
    /// Panes that no window has asked for yet, by the ends of their first and last windows.
    waiting: BTreeMap<(EventTime, EventTime), Content<K, A::Acc>>,
    /// Panes that some window has asked for and another one will.
    running: SlidingAggregate<K, T, A>,
    arrangement: Arrangement<PaneRows<K, T, A>>,
    footprint: Footprint,
    limited: Option<Box<Limited<K, T, A>>>,
    /// The end of the last window that has fired; shared with the rows, which expire by it.
    fired: Rc<Cell<EventTime>>,
    /// Ranges of hashes whose keys are ahead, having come from other workers of an earlier run: their windows
    /// up to this end have fired.
    ahead: Vec<((u64, u64), EventTime)>,
    /// Tables of panes that have left, to be used again.
    spare: Vec<KeyTable<K, A::Acc>>,
    /// True if more windows are due than have fired.
    is_amid: bool,
}

/// The number of results after which an activation ends.
const PORTION: usize = 8192;

/// State that is needed under a memory budget.
struct Limited<K: Key, T: Data, A: Aggregate<T>> {
    quota: SpillBudget,
    /// The window that slides while that is too much for memory. Then [`Windows::running`] is empty.
    slid: ExternalSlider<K, T, A>,
}

impl<K: Key, T: Data, A: Aggregate<T>> Windows<K, T, A> {
    pub(super) fn new(windows: Aligned, aggregate: A, quota: Option<SpillBudget>) -> Windows<K, T, A> {
        let fired = Rc::new(Cell::new(EventTime::MIN));
        let rows = PaneRows::new(aggregate.clone());
        let memory = quota.as_ref().map(SpillBudget::memory);
        let arrangement = Arrangement::new(rows, Rc::clone(&fired), memory);
        let limited = quota.map(|quota| {
            let slid = ExternalSlider::new(aggregate.clone(), quota.memory());
            Box::new(Limited { quota, slid })
        });
        Windows {
            windows,
            waiting: BTreeMap::new(),
            running: SlidingAggregate::new(aggregate.clone()),
            aggregate,
            arrangement,
            footprint: Footprint::new(limited.is_some()),
            limited,
            fired,
            ahead: Vec::new(),
            spare: Vec::new(),
            is_amid: false,
        }
    }

    /// The end of the next window to fire that has something in it.
    fn next_end(&self) -> Option<EventTime> {
        let fired = self.fired.get();
        // A pane leaves after its last window, so what is still within belongs to the next one, too.
        let is_within =
            !self.running.is_empty() || self.limited.iter().any(|limited| !limited.slid.is_empty());
        match self.waiting.first_key_value() {
            // Skips the windows before it, which have nothing in them.
            Some(((first, _), _)) if !is_within && *first > fired => Some(*first),
            None if !is_within => None,
            _ => Some(self.windows.next_end(fired)),
        }
    }

    /// The emitter of the results of the window that ends at `end`.
    fn emitter<'o>(
        &mut self,
        epoch: u64,
        end: EventTime,
        out: &'o mut Outputs<Windowed<K, A::Out>>,
    ) -> Emitter<'o, K, A::Out> {
        self.ahead.retain(|(_, fired)| *fired >= end);
        Emitter {
            time: Time::new(epoch, end - 1),
            window: self.windows.ending_at(end),
            stamp: Stamp { timestamp: end - 1, watermark: end - 1 },
            ahead: self.ahead.clone(),
            given: 0,
            out,
        }
    }

    /// Emits the results of the window that ends at `end`, and returns how many.
    fn fire(&mut self, epoch: u64, end: EventTime, out: &mut Outputs<Windowed<K, A::Out>>) -> usize {
        let mut results = self.emitter(epoch, end, out);
        if self.is_one_table(end)
            && let Some((_, Content { open: table, .. })) = self.waiting.pop_first()
        {
            let there = table.iter().filter(|(_, acc)| !self.aggregate.is_empty(acc));
            there.for_each(|(key, acc)| results.emit(key, self.aggregate.result(acc)));
            self.fired.set(end);
            self.reuse(table);
            return results.given;
        }
        self.enter(end);
        self.running.results(|key, value| results.emit(key, value));
        // Rows expire by `fired`, so not before `enter` has read those for which this is the last window.
        self.fired.set(end);
        let mut left = Vec::new();
        self.running.leave(end, |table| left.push(table));
        left.into_iter().for_each(|table| self.reuse(table));
        results.given
    }

    /// True if a window consists of one pane, which lies in the open epoch alone. Most windows are like that
    /// where event time is fast, and need not be added up.
    fn is_one_table(&self, end: EventTime) -> bool {
        let mut entering = self.waiting.range(..=(end, EventTime::MAX));
        let Some(((_, last), content)) = entering.next() else { return false };
        self.running.is_empty() && *last == end && content.sealed == 0 && entering.next().is_none()
    }

    /// Takes the panes out that enter the window that ends at `end`.
    fn entering(&mut self, end: EventTime) -> Vec<(Pane, Content<K, A::Acc>)> {
        let mut entering = Vec::new();
        while let Some(entry) = self.waiting.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((first, last), content) = entry.remove_entry();
            entering.push((Pane { last, first }, content));
        }
        entering
    }

    /// Adds the panes that enter the window that ends at `end`.
    fn enter(&mut self, end: EventTime) {
        for (pane, content) in self.entering(end) {
            let (arrangement, sealed) = (&self.arrangement, content.sealed);
            self.running.enter(pane, content, |add| {
                // Without sealed rows, the scan for the pane is saved.
                if sealed > 0 {
                    arrangement.scan(prefix_of(pane), &mut |(other, key), acc| {
                        if other != pane {
                            return ControlFlow::Break(());
                        }
                        add(&key.key, &acc);
                        ControlFlow::Continue(())
                    });
                }
            });
        }
    }

    fn reuse(&mut self, table: KeyTable<K, A::Acc>) {
        if self.limited.is_none() {
            keep(&mut self.spare, table);
        }
    }

    /// Puts panes back that were within a window, for the next one to let in.
    fn put_back(&mut self, panes: impl Iterator<Item = (Pane, Content<K, A::Acc>)>) {
        self.waiting.extend(panes.map(|(pane, content)| ((pane.first, pane.last), content)));
    }

    /// Decides whether the window that ends at `end` is fired from memory or from files, and begins to fire
    /// it if it is from files.
    fn begin_in_files(&mut self, end: EventTime) -> bool {
        let is_one_table = self.is_one_table(end);
        let Some(Limited { quota, slid }) = self.limited.as_deref_mut() else { return false };
        if slid.is_empty() && is_one_table {
            return false;
        }
        let entering = self.waiting.range(..=(end, EventTime::MAX)).map(|(_, content)| content);
        let rows = entering.chain(slid.panes()).map(|content| content.sealed + content.open.len());
        let row = size_of::<(EventTime, (K, A::Acc))>() + INDEXED + self.footprint.heap();
        // In memory each row has a part beside its sum.
        let bytes = quota.bytes() + 2 * row * rows.sum::<usize>();
        // A window that is in files comes back to memory only if it takes much less than there is room for.
        let fits = quota.has_room(if slid.is_empty() { bytes } else { 2 * bytes });
        if fits {
            let panes = slid.release();
            self.put_back(panes);
            return false;
        }
        // The sums in files are made from nothing, so the panes within the window enter once more.
        let panes = self.running.release();
        self.put_back(panes);
        let entering = self.entering(end);
        let runs = self.arrangement.runs().to_vec();
        if let Some(Limited { slid, .. }) = self.limited.as_deref_mut() {
            slid.begin(end, entering, runs);
        }
        true
    }

    /// Goes on with the window that is fired from files, if there is one, and returns how many results that
    /// gave.
    fn go_on_in_files(&mut self, epoch: u64, out: &mut Outputs<Windowed<K, A::Out>>) -> usize {
        let firing = self.limited.as_ref().and_then(|limited| limited.slid.firing());
        let Some(end) = firing else { return 0 };
        let mut results = self.emitter(epoch, end, out);
        if let Some(Limited { slid, .. }) = self.limited.as_deref_mut()
            && slid.go_on(PORTION, |key, value| results.emit(key, value))
        {
            self.fired.set(end);
            return results.given;
        }
        PORTION
    }

    /// Goes on with windows that the general operator has kept: each is a pane of its own.
    fn adopt(&mut self, windows: Vec<(K, Window, A::Acc)>) {
        for (key, Window { end, .. }, acc) in windows {
            let content = || Content { open: KeyTable::default(), sealed: 0 };
            let content = self.waiting.entry((end, end)).or_insert_with(content);
            content.open.upsert(key, acc, |acc| acc, |sum, acc| self.aggregate.merge(sum, acc));
        }
    }

    /// What has been added to each pane since the last seal.
    fn contents(&mut self) -> impl Iterator<Item = (Pane, &mut Content<K, A::Acc>)> {
        let waiting = self.waiting.iter_mut();
        let waiting = waiting.map(|((first, last), content)| (Pane { last: *last, first: *first }, content));
        let within = self.running.panes_mut().map(|(pane, entered)| (*pane, &mut entered.content));
        let spilling = self.limited.iter_mut().flat_map(|limited| limited.slid.panes_mut());
        waiting.chain(within).chain(spilling.map(|(pane, content)| (*pane, content)))
    }

    /// The bytes of memory that all takes, about.
    fn bytes(&mut self) -> usize {
        let heap = self.footprint.heap();
        let row = size_of::<Option<(K, A::Acc)>>() + INDEXED + heap;
        self.running.bytes(heap) + self.contents().map(|(_, content)| content.open.len() * row).sum::<usize>()
    }
}

/// Emits the results of a window.
struct Emitter<'o, K, Out> {
    time: Time,
    window: Window,
    stamp: Stamp,
    ahead: Vec<((u64, u64), EventTime)>,
    given: usize,
    out: &'o mut Outputs<Windowed<K, Out>>,
}

impl<K: Key, Out: Data> Emitter<'_, K, Out> {
    #[inline]
    fn emit(&mut self, key: &K, value: Out) {
        if !self.ahead.is_empty() {
            let hash = hash64(key);
            // The window of this key has fired in the run before.
            if self.ahead.iter().any(|((first, last), _)| (*first..=*last).contains(&hash)) {
                return;
            }
        }
        self.given += 1;
        let result = Windowed { key: key.clone(), window: self.window, value };
        self.out.give(self.time, Record::new(result, self.stamp));
    }
}

/// Empties a table and keeps it for a pane to come.
fn keep<K: Key, Acc>(spare: &mut Vec<KeyTable<K, Acc>>, mut table: KeyTable<K, Acc>) {
    drop(table.drain());
    if spare.len() < SPARE {
        spare.push(table);
    }
}

/// Empty tables kept for panes to come.
const SPARE: usize = 16;

impl<K: Key, T: Data, A: Aggregate<T>> OperatorLogic<Paned<K, A::Acc>> for Windows<K, T, A> {
    type Out = Windowed<K, A::Out>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Paned<K, A::Acc>>, _: &mut Outputs<Self::Out>) {
        let mut inputs = batch.drain(..).peekable();
        while let Some(first) = inputs.next() {
            let pane = first.pane;
            debug_assert!(pane.first > self.fired.get(), "{pane:?} came after its window had fired");
            let spare = &mut self.spare;
            let content = self
                .waiting
                .entry((pane.first, pane.last))
                .or_insert_with(|| Content { open: spare.pop().unwrap_or_default(), sealed: 0 });
            // Neighbours mostly are of one pane, whose table is looked up once for all of them.
            let mut next = Some(first);
            while let Some(Paned { key, acc, .. }) = next {
                let aggregate = &self.aggregate;
                let slot = content.open.upsert(key, acc, |acc| acc, |sum, acc| aggregate.merge(sum, acc));
                if self.footprint.wanted {
                    self.footprint.see(&content.open.get(slot).1);
                }
                next = inputs.next_if(|input| input.pane == pane);
            }
        }
    }

    fn advance(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<Self::Out>) {
        let mut given = self.go_on_in_files(from.epoch, out);
        while let Some(end) = self.next_end().filter(|end| *end <= watermark) {
            // A watermark that leaps makes many windows due: they fire in several activations.
            self.is_amid = given >= PORTION;
            if self.is_amid {
                return;
            }
            given += match self.begin_in_files(end) {
                true => self.go_on_in_files(from.epoch, out),
                false => self.fire(from.epoch, end, out),
            };
        }
        self.is_amid = false;
    }

    fn is_amid(&self) -> bool {
        self.is_amid
    }

    fn close(&mut self, _: u64, _: Option<Time>, _: &mut Outputs<Self::Out>) {}

    fn states(&mut self, visit: &mut dyn FnMut(&mut dyn OperatorState)) {
        visit(self);
    }

    fn owes(&self) -> Option<EventTime> {
        self.next_end().map(|end| end - 1)
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> OperatorState for Windows<K, T, A> {
    fn seal(&mut self, epoch: u64) {
        let mut panes: Vec<_> = self.contents().filter(|(_, content)| !content.open.is_empty()).collect();
        panes.sort_unstable_by_key(|(pane, _)| *pane);
        let mut rows = Vec::new();
        for (pane, content) in panes {
            let start = rows.len();
            rows.extend(content.open.drain().map(|(key, acc)| ((pane, Hashed::new(key)), acc)));
            content.sealed += rows.len() - start;
            // Panes come in order, so sorting each by key gives the order of the arrangement.
            rows[start..].sort_unstable_by(|a, b| a.0.1.cmp(&b.0.1));
        }
        self.arrangement.seal(epoch, &rows);
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.tables.push(self.arrangement.save(PANES)?);
        saved.note_settings(WINDOWS, Some(self.windows.settings()))
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        from.check_settings(WINDOWS, Some(self.windows.settings()))?;
        let folded = Folded { from, share };
        if folded.is_there() {
            folded.refuse_waiting()?;
            self.adopt(folded.windows()?);
            return Ok(());
        }
        self.arrangement.restore(PANES, from, share)?;
        let waiting = &mut self.waiting;
        let footprint = &mut self.footprint;
        self.arrangement.each(&mut |(pane, _), acc| {
            let content = || Content { open: KeyTable::default(), sealed: 0 };
            waiting.entry((pane.first, pane.last)).or_insert_with(content).sealed += 1;
            footprint.see(&acc);
        });
        let fired = self.fired.get();
        self.waiting.retain(|(_, last), _| *last > fired);
        // Workers had come differently far: the keys of those that were ahead must not fire again.
        self.ahead = from.clocks(PANES)?.into_iter().filter(|(_, clock)| *clock > fired).collect();
        Ok(())
    }

    fn evict(&mut self, epoch: u64) {
        if self.limited.is_none() {
            return;
        }
        let now = self.bytes();
        if !self.limited.iter_mut().any(|limited| limited.quota.is_exceeded(now)) {
            return;
        }
        let before = self.contents().map(|(_, content)| content.open.len()).sum();
        self.seal(epoch);
        // The sums take memory too. The next window adds them up again, from files if there is no room.
        let panes = self.running.release();
        self.put_back(panes);
        self.contents().for_each(|(_, content)| content.open = KeyTable::default());
        self.limited.iter_mut().for_each(|limited| limited.quota.left(before, 0));
    }
}
