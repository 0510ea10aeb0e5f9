//! The operator of all windows: keyed state, and a trigger.

mod adopted;
mod recipe;
mod timing;

use std::marker::PhantomData;

use super::assigner::Assigner;
use super::content::{Content, Other};
use super::function::{Firing, WindowContext};
use super::trigger::{Absorbed, Fire, Trigger, TriggerContext};
use crate::data::{Exchange, Key, Record, Stamp, hash64};
use crate::error::Result;
use crate::process::context::Counters;
use crate::process::core::Core;
use crate::process::side_output::Sides;
use crate::process::{SideOutput, TimeDomain, Value};
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{OperatorState, Share, Slot, Store, TimerQueue};
use crate::stream::{Keyed, OperatorLogic, Outputs, WorkerContext};
use crate::time::{EventTime, Time};
use crate::window::assigner::{WINDOWS, Window};
use crate::window::key_and_window::{Merged, PIECES, Scope, WAITING};
use crate::window::session::Behind;

pub(super) use recipe::WindowOperator;

/// The settings of windows.
#[derive(Clone)]
pub(in crate::window) struct Settings<K, T, W, G> {
    pub(in crate::window) assigner: W,
    pub(in crate::window) trigger: G,
    /// For how long after its end a window takes late records, in milliseconds.
    pub(in crate::window) lateness: i64,
    /// Where records go that are late for all their windows.
    pub(in crate::window) late: Option<SideOutput<(K, T)>>,
}

/// Windows at work on one worker.
struct Windows<K: Key, T: Exchange, W, G, B: Content<K, T>> {
    settings: Settings<K, T, W, G>,
    content: B,
    windows: Core<Scope<K>>,
    keys: Core<K>,
    /// True if anything is kept for keys, not windows.
    has_keyed_state: bool,
    /// The windows of each key, if they merge.
    merged: Value<Vec<Merged>>,
    /// When the state of a window is to be dropped, if it has any, and the timer queue for that.
    over_at: Value<i64>,
    ends: TimerQueue<Slot, Scope<K>>,
    /// Records that are behind the watermark of their split, by that watermark.
    waiting: TimerQueue<(K, T, Stamp)>,
    /// What waits like them and was added up by [another operator](crate::window::general::other_operators),
    /// if there was one.
    pieces: Option<TimerQueue<Behind<K, B::Acc>>>,
    /// The windows of the record at hand.
    assigned: Vec<Window>,
    sides: Sides,
    counters: Counters,
    worker: WorkerContext,
    value: PhantomData<fn(T)>,
}

/// What makes a window fire.
#[derive(Clone, Copy)]
enum Cause {
    Record(Stamp),
    EventTimer(EventTime),
    WallTimer(i64),
}

impl<K, T, W, G, B> Windows<K, T, W, G, B>
where
    K: Key,
    T: Exchange,
    W: Assigner<T>,
    G: Trigger<K, T>,
    B: Content<K, T>,
{
    fn is_by_event_time(&self) -> bool {
        self.settings.assigner.clock() == TimeDomain::EventTime
    }

    /// The time whose passing ends all that is left of a window: no record comes to it any more.
    fn last_call(&self, window: Window) -> i64 {
        match self.is_by_event_time() {
            // What ends at the end of time never ends.
            true => match window.end.saturating_add(self.settings.lateness) {
                EventTime::MAX => EventTime::MAX,
                end => end.saturating_sub(1),
            },
            false => window.end,
        }
    }

    fn is_late(&self, window: Window, stamp: &Stamp) -> bool {
        self.is_by_event_time()
            && self.settings.assigner.ends()
            && stamp.is_late_for(window.end.saturating_add(self.settings.lateness))
    }

    /// Adds a record to its windows.
    fn take(&mut self, key: K, value: T, stamp: Stamp, from: Time, out: &mut Outputs<B::Out>) {
        let mut assigned = std::mem::take(&mut self.assigned);
        assigned.clear();
        let time = if self.is_by_event_time() { stamp.timestamp } else { self.windows.now.millis };
        self.settings.assigner.assign(&value, time, &mut assigned);
        let mut scope = Scope { key, window: Window::GLOBAL };
        if self.has_keyed_state {
            self.keys.slot = self.keys.store.slot(&scope.key);
        }
        let (clock, merges) = (self.settings.assigner.clock(), self.settings.assigner.merges());
        let mut late = !assigned.is_empty();
        let mut value = Some(value);
        for (left, window) in (0..assigned.len()).rev().zip(&assigned) {
            let placed = match merges {
                true => self.merge(&mut scope, *window, &stamp),
                false => self.place(&mut scope, *window, &stamp),
            };
            let Some(window) = placed else { continue };
            late = false;
            // The last window takes the value itself, which saves a copy.
            let value = if left == 0 { value.take() } else { value.clone() };
            let Some(value) = value else { continue };
            let mut cx = TriggerContext { core: &mut self.windows, window, stamp, clock };
            let fire = self.settings.trigger.on_element(&value, &mut cx);
            self.content.add(&mut self.windows, value, stamp.timestamp);
            self.react(fire, window, Cause::Record(stamp), from, out);
        }
        self.assigned = assigned;
        if let (true, Some(value)) = (late, value) {
            match &self.settings.late {
                Some(side) => self.sides.give(side, from, Record::new((scope.key, value), stamp)),
                None => self.counters.add("late_dropped", 1),
            }
        }
    }

    /// Makes a window the one at hand, unless the record is late for it.
    fn place(&mut self, scope: &mut Scope<K>, window: Window, stamp: &Stamp) -> Option<Window> {
        if self.is_late(window, stamp) {
            return None;
        }
        scope.window = window;
        self.windows.slot = self.windows.store.slot(scope);
        self.see_to_end(window);
        Some(window)
    }

    /// Joins a window to those of the key that it overlaps, and makes what comes of it the one at hand,
    /// unless the record is late for that.
    fn merge(&mut self, scope: &mut Scope<K>, window: Window, stamp: &Stamp) -> Option<Window> {
        let known = self.merged.get(&self.keys).map_or(&[][..], Vec::as_slice);
        let joins =
            |known: &&Merged| known.window.overlaps(window) || self.touches(known.window, window, stamp);
        let mut touched = known.iter().filter(joins);
        let first = touched.next().copied();
        let others: Vec<Merged> = touched.copied().collect();
        let whole = first.iter().chain(&others).fold(window, |whole, known| whole.span(known.window));
        // Decided by the merged window: a late record that reaches into a window that is not over counts.
        if self.is_late(whole, stamp) {
            return None;
        }
        // The state stays under the window that it began with, and `merged` maps that to the whole: nothing
        // of it is moved.
        let state = first.map_or(window, |first| first.state);
        // Most records fall within a window that is there, and write nothing here.
        if first.is_none_or(|first| first.window != whole) || !others.is_empty() {
            self.merged.update(&mut self.keys, Vec::new, |known| {
                known.retain(|known| Some(*known) != first && !others.contains(known));
                known.push(Merged { window: whole, state });
            });
        }
        scope.window = state;
        let target = self.windows.store.slot(scope);
        for other in others {
            scope.window = other.state;
            let absorbed = self.windows.store.slot(scope);
            self.absorb(target, whole, absorbed, other.window, *stamp);
        }
        self.windows.slot = target;
        self.see_to_end(whole);
        Some(whole)
    }

    /// True if a window begins where the other ends and they are to become one: if that is not over by the
    /// stamp of the record which would join it, so that it does not matter whether event time has come there
    /// by now.
    fn touches(&self, known: Window, window: Window, stamp: &Stamp) -> bool {
        let meets = known.end == window.start || window.end == known.start;
        let is_over = match self.is_by_event_time() {
            true => self.is_late(known, stamp),
            false => known.end <= self.windows.now.millis,
        };
        meets && !is_over && self.settings.assigner.touches()
    }

    fn absorb(&mut self, target: Slot, whole: Window, absorbed: Slot, other: Window, stamp: Stamp) {
        let Windows { settings, content, windows, over_at, .. } = self;
        let clock = settings.assigner.clock();
        windows.slot = target;
        let mut cx = TriggerContext { core: windows, window: whole, stamp, clock };
        settings.trigger.on_merge(Absorbed(absorbed, other), &mut cx);
        content.absorb(windows, Other(absorbed));
        windows.slot = absorbed;
        let mut cx = TriggerContext { core: windows, window: other, stamp, clock };
        settings.trigger.clear(&mut cx);
        content.clear(windows);
        over_at.clear(windows);
    }

    /// Schedules the drop of the state of the window at hand, for when no record can come to it any more.
    fn see_to_end(&mut self, window: Window) {
        if self.settings.assigner.ends() && self.over_at.get(&self.windows).is_none() {
            self.call_last(self.last_call(window));
        }
    }

    fn call_last(&mut self, time: i64) {
        let slot = self.windows.slot;
        self.over_at.set(&mut self.windows, time);
        // `ends` refers to the window by its slot, which must stay valid until then.
        self.windows.store.pin(slot);
        self.ends.add(time, slot);
    }

    /// Does what the trigger has decided for the window at hand.
    fn react(&mut self, fire: Fire, window: Window, cause: Cause, from: Time, out: &mut Outputs<B::Out>) {
        if fire.fires() {
            let (stamp, firing) = (self.stamp(window, cause), self.firing(window, cause));
            let Windows { content, windows, keys, sides, counters, .. } = self;
            content.fire(&mut WindowContext {
                windows,
                keys,
                out,
                sides,
                counters,
                from,
                stamp,
                window,
                firing,
            });
        }
        // After firing: the result is of the content that is purged.
        if fire.purges() {
            self.content.purge(&mut self.windows);
        }
    }

    /// The stamp of a result. It says how far event time had come when the result was made, so that one that
    /// is late is so downstream.
    fn stamp(&self, window: Window, cause: Cause) -> Stamp {
        let now = self.windows.now.watermark;
        let cause = match cause {
            Cause::Record(stamp) => stamp,
            Cause::EventTimer(time) => Stamp { timestamp: time, watermark: time },
            Cause::WallTimer(_) => Stamp { timestamp: now, watermark: now },
        };
        match self.is_by_event_time() && window.end < EventTime::MAX {
            true => Stamp { timestamp: window.last(), ..cause },
            false => cause,
        }
    }

    fn firing(&self, window: Window, cause: Cause) -> Firing {
        let now = self.windows.now;
        let (has_ended, is_end) = match cause {
            Cause::Record(stamp) if self.is_by_event_time() => (stamp.is_late_for(window.end), false),
            Cause::WallTimer(_) if self.is_by_event_time() => (window.end <= now.watermark, false),
            Cause::EventTimer(time) if self.is_by_event_time() => {
                (time >= window.last(), time == window.last())
            }
            Cause::WallTimer(time) => (time >= window.end, time == window.end),
            Cause::Record(_) | Cause::EventTimer(_) => (window.end <= now.millis, false),
        };
        match (has_ended && self.settings.assigner.ends(), is_end) {
            (false, _) => Firing::Early,
            (true, true) => Firing::OnTime,
            (true, false) => Firing::Late,
        }
    }

    /// The window of a slot, if it is not over, and with it the key.
    fn open(&mut self, slot: Slot) -> Option<Window> {
        self.windows.slot = slot;
        self.windows.store.touch(slot);
        let scope = self.windows.store.key(slot);
        if self.has_keyed_state {
            self.keys.slot = self.keys.store.slot(&scope.key);
        }
        let window = match self.settings.assigner.merges() {
            true => {
                let known = self.merged.get(&self.keys)?;
                known.iter().find(|known| known.state == scope.window)?.window
            }
            false => scope.window,
        };
        (!self.settings.assigner.ends() || self.over_at.get(&self.windows).is_some()).then_some(window)
    }

    /// Ends the job if a function has done something wrong.
    fn report(&mut self) {
        if let Some(mistake) = self.windows.mistake.take().or_else(|| self.keys.mistake.take()) {
            self.worker.shared.fail(mistake);
        }
    }
}

/// The prefixes of the tables of the states of windows, and of those of keys.
const WINDOW_PREFIX: &str = "window ";
const KEY_PREFIX: &str = "key ";

/// The hash that a record that waits is owned by.
fn waiting_owner<K: Key, T>((key, ..): &(K, T, Stamp)) -> u64 {
    hash64(key)
}

/// The times at which windows end, as a state.
struct Ends<'a, K: Key> {
    ends: &'a mut TimerQueue<Slot, Scope<K>>,
    store: &'a mut Store<Scope<K>>,
}

impl<K: Key> OperatorState for Ends<'_, K> {
    fn seal(&mut self, epoch: u64) {
        let store = &self.store;
        self.ends.seal(epoch, |slot| (Scope::owner(store, *slot), store.key(*slot).clone()));
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.tables.extend(self.ends.save("ends")?);
        Ok(())
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.ends.restore("ends", from, share, |scope| scope.pin(self.store))
    }

    fn evict(&mut self, epoch: u64) {
        let Ends { ends, store } = self;
        store.account();
        let left = ends.evict(epoch, |slot| Scope::owner(store, *slot), |slot| store.key(*slot).clone());
        left.into_iter().for_each(|slot| store.unpin(slot));
    }
}

impl<K, T, W, G, B> OperatorLogic<Keyed<K, T>> for Windows<K, T, W, G, B>
where
    K: Key,
    T: Exchange,
    W: Assigner<T>,
    G: Trigger<K, T>,
    B: Content<K, T>,
{
    type Out = B::Out;

    fn batch(&mut self, time: Time, batch: &mut Vec<Keyed<K, T>>, out: &mut Outputs<B::Out>) {
        self.windows.epoch = time.epoch;
        self.keys.epoch = time.epoch;
        self.look_at_clock();
        for Keyed { key, input, stamp } in batch.drain(..) {
            // How far event time has come here depends on the run. A record behind its own watermark is taken
            // when event time has come that far, whenever it arrives.
            if self.is_by_event_time() && self.settings.assigner.ends() && stamp.timestamp < stamp.watermark {
                self.waiting.add(stamp.watermark, (key, input, stamp));
            } else {
                self.take(key, input, stamp, time, out);
            }
        }
        self.report();
    }

    fn advance(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<B::Out>) {
        (self.windows.epoch, self.keys.epoch) = (from.epoch, from.epoch);
        self.look_at_clock();
        let is_end = watermark == EventTime::MAX;
        let before = (!is_end).then_some(watermark);
        let mut pieces = self.due_pieces(before);
        while let Some(mut behind) = self.waiting.draw(before) {
            behind.sort_by_key(|(at, (_, _, stamp))| (*at, stamp.timestamp));
            for (at, (key, value, stamp)) in behind {
                self.take_pieces(&mut pieces, Some((at, stamp.timestamp)), from, out);
                // Windows that are over by the record's watermark fire before it is taken.
                self.pass(at, from, out);
                self.take(key, value, stamp, from, out);
            }
        }
        self.take_pieces(&mut pieces, None, from, out);
        match is_end {
            true => self.finish(from, out),
            false => self.pass(watermark, from, out),
        }
        self.report();
    }

    fn close(&mut self, _: u64, since: Option<Time>, out: &mut Outputs<B::Out>) {
        self.windows.look_at_clock();
        self.keys.look_at_clock();
        if let Some(since) = since {
            self.catch_up(since, out);
        }
        self.windows.tidy();
        self.keys.tidy();
        self.counters.flush();
        self.report();
    }

    fn states(&mut self, visit: &mut dyn FnMut(&mut dyn OperatorState)) {
        visit(&mut self.waiting.as_state(WAITING, waiting_owner));
        if let Some(pieces) = &mut self.pieces {
            visit(&mut pieces.as_state(PIECES, |piece| hash64(&piece.key)));
        }
        // Timers before the keys that they keep.
        visit(&mut Ends { ends: &mut self.ends, store: &mut self.windows.store });
        visit(&mut self.windows.as_state(WINDOW_PREFIX));
        visit(&mut self.keys.as_state(KEY_PREFIX));
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.note_settings(WINDOWS, self.settings.assigner.settings())
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        from.check_settings(WINDOWS, self.settings.assigner.settings())?;
        self.windows.as_state(WINDOW_PREFIX).restore(from, share)?;
        self.keys.as_state(KEY_PREFIX).restore(from, share)?;
        // What waits in the snapshot of another operator has the name of what waits here.
        if self.adopt(from, share)? {
            return Ok(());
        }
        self.waiting.as_state(WAITING, waiting_owner).restore(from, share)?;
        Ends { ends: &mut self.ends, store: &mut self.windows.store }.restore(from, share)
    }

    fn owes(&self) -> Option<EventTime> {
        let pieces = self.pieces.as_ref().and_then(TimerQueue::next);
        let owed = self.waiting.next().into_iter().chain(pieces).chain(self.windows.event_timers.next());
        let owed = owed.min()?;
        // Buckets begin before what is in them.
        Some(owed.max(self.windows.now.watermark))
    }

    fn due(&self) -> Option<i64> {
        let ends = if self.is_by_event_time() { None } else { self.ends.first() };
        self.windows.wall_timers.first().into_iter().chain(ends).min()
    }

    fn tick(&mut self, millis: i64, from: Time, out: &mut Outputs<B::Out>) {
        (self.windows.epoch, self.keys.epoch) = (from.epoch, from.epoch);
        self.set_millis(millis);
        self.ring(millis, from, out);
        self.report();
    }

    fn flush(&mut self) {
        self.sides.flush();
    }
}
