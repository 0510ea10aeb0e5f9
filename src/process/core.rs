//! What all contexts of a process function share: its state, its timers, and the time.
//!
//! # Timers
//!
//! A call that registers a timer or deletes one is an entry in an agenda, with the slot of its key. When its time has come, the last call counts of those for one key and time. So
//! neither is looked for when it is made, and a call is exact wherever the calls before it are.
//!
//! # Timers that have left memory
//!
//! If memory is limited, calls for far-off times leave it, as rows with the key instead of a slot; and a key of which no call is in memory can leave wholly. When calls come back their keys are
//! given slots again; the state of a key comes back when its timer fires. Timers are fired some at a time then: those of before a *bound*, of which all calls are in memory. What a
//! timer calls for a time beyond the bound goes to the agenda, after what has left; what it calls for a time that has been waits aside until all have fired.
//!
//! What fires brings state into memory, however many timers are due at once: when the watermark leaps, all of them. So state may leave it in between.
//!
//! When the input has ended and there is no end of timers that register timers, some are dropped; if some had left memory, more may fire before.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use timely::dataflow::operators::generic::OperatorInfo;

use crate::clock::Clock;
use crate::data::Key;
use crate::error::{Error, Result};
use crate::snapshot::{RestoredOperator, Saved};
use crate::state::{
    Agenda, Cells, END, LivesBy, Now, Owner, Place as Bound, Shape, Share, Slot, Store, WARM,
};
use crate::stream::WorkerContext;

use super::Ttl;

/// What gives access to the state of a key: the contexts of process functions and windows.
pub trait Stateful {
    /// The key's type.
    type Key: Key;

    #[doc(hidden)]
    fn core(&self) -> &Core<Self::Key>;

    #[doc(hidden)]
    fn core_mut(&mut self) -> &mut Core<Self::Key>;
}

impl<K: Key> Stateful for Core<K> {
    type Key = K;

    #[inline]
    fn core(&self) -> &Core<K> {
        self
    }

    #[inline]
    fn core_mut(&mut self) -> &mut Core<K> {
        self
    }
}

/// An entry in the agenda of timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Register,
    Delete,
}

/// The state, the timers and the time of one worker's instance.
pub struct Core<K: Key> {
    /// What tells it from all others in the process: handles know whose they are.
    id: u32,
    owner: Owner<K>,
    pub(crate) store: Store<K>,
    /// The slot of the key at hand.
    pub(crate) slot: Slot,
    pub(crate) event_timers: Agenda<(Slot, Call), (K, bool)>,
    pub(crate) wall_timers: Agenda<(Slot, Call), (K, bool)>,
    /// Times at which the watermark of the output is held.
    pub(crate) held: BTreeMap<i64, u32>,
    pub(crate) now: Now,
    pub(crate) epoch: u64,
    pub(crate) clock: Clock,
    /// What the function has done wrong.
    pub(crate) mistake: OnceCell<Error>,
    /// The timers that are being fired.
    pass: Option<Pass>,
    /// Timers that were not fired, for there was no end of them.
    dropped: usize,
    /// How many keys may have come into memory since state could last leave it.
    stirred: usize,
}

/// After so many keys state may leave memory in the midst of an epoch.
const RELIEF: usize = 256;

/// When the input has ended, timers may register so many timers that still fire.
const LAST_TIMERS: usize = 100_000;

/// Firing all timers of before a time, in order, while they register and delete others.
struct Pass {
    by: LivesBy,
    until: i64,
    /// What is before this in order of times and hashes of keys is at hand: all that is to fire, unless some of it has left memory.
    bound: Bound,
    /// The time of the timer that fires.
    at: i64,
    /// What is left to fire, the first one last.
    due: Vec<(i64, Slot)>,
    /// What timers have registered and deleted that is to fire, or would have, before the bound. A timer for a time that has been is not
    /// among them: it waits for the next pass, so that a pass always ends.
    calls: BTreeMap<(i64, Slot), Call>,
    /// What waits for the next pass, while others have yet to be read back for this one.
    late: Vec<(i64, Slot, Call)>,
    /// How many may fire.
    left: usize,
}

impl Pass {
    /// True if all timers are at hand that are to fire.
    fn is_last(&self) -> bool {
        self.bound == (self.until, 0)
    }
}

/// Where a state lies, and how long it lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    owner: u32,
    column: u32,
    ttl: Option<Ttl>,
}

/// The owner of handles that lead nowhere.
const NOBODY: u32 = 0;

/// The next owner of handles. Which number it gets decides nothing but whether a handle is its own.
static NEXT: AtomicU32 = AtomicU32::new(NOBODY + 1);

impl Place {
    /// Nowhere: a handle that was not registered.
    pub(crate) const NONE: Place = Place { owner: NOBODY, column: 0, ttl: None };

    pub(crate) fn ttl(self) -> Option<Ttl> {
        self.ttl
    }

    /// True if something that expires at `expires` is over.
    #[inline]
    pub(crate) fn is_over(self, expires: i64, now: Now) -> bool {
        self.ttl.is_some_and(|ttl| expires <= now.by(ttl.clock))
    }
}

impl<K: Key> Core<K> {
    /// State of keys that are owned by what `owner` says.
    pub(crate) fn new(
        owner: Owner<K>,
        uid: &str,
        worker: &WorkerContext,
        operator: &OperatorInfo,
    ) -> Core<K> {
        let mut store = Store::new();
        worker.limit(uid).into_iter().for_each(|limit| store.limit(limit));
        Core {
            owner,
            id: NEXT.fetch_add(1, Ordering::Relaxed).max(NOBODY + 1),
            store,
            slot: Slot::NONE,
            event_timers: Agenda::sealable(operator.clone(), worker.quota(uid, "timers_left_memory")),
            wall_timers: Agenda::sealable(operator.clone(), worker.quota(uid, "timers_left_memory")),
            held: BTreeMap::new(),
            now: Now { watermark: i64::MIN, millis: i64::MIN },
            epoch: 0,
            clock: worker.shared.clock.clone(),
            mistake: OnceCell::new(),
            pass: None,
            dropped: 0,
            stirred: 0,
        }
    }

    /// What tells the hash that keys are owned by.
    pub(crate) fn owner(&self) -> Owner<K> {
        self.owner
    }

    /// The place of a column in the store.
    pub(crate) fn place(&self, column: usize, ttl: Option<Ttl>) -> Place {
        let Ok(column) = u32::try_from(column) else { return Place::NONE };
        Place { owner: self.id, column, ttl }
    }

    /// The number of a state's column, or of none if the handle is another's.
    #[inline]
    fn column(&self, place: Place) -> usize {
        if place.owner == self.id { place.column as usize } else { usize::MAX }
    }

    /// The cells of a state.
    #[inline]
    pub(crate) fn cells<S: Shape>(&self, place: Place) -> Option<&Cells<K, S>> {
        let cells = self.store.column(self.column(place));
        if cells.is_none() {
            complain(&self.mistake);
        }
        cells
    }

    /// The cells of a state, and the slot of the key at hand.
    #[inline]
    pub(crate) fn cells_mut<S: Shape>(&mut self, place: Place) -> Option<(&mut Cells<K, S>, Slot)> {
        let (column, slot) = (self.column(place), self.slot);
        let cells = self.store.column_mut(column);
        if cells.is_none() {
            complain(&self.mistake);
        }
        cells.map(|cells| (cells, slot))
    }

    /// When an item expires that is written now.
    #[inline]
    pub(crate) fn expiry(&self, place: Place) -> i64 {
        place.ttl.map_or(crate::state::NEVER, |ttl| ttl.expiry(self.now))
    }

    /// True if something that expires at `expires` is over.
    #[inline]
    pub(crate) fn is_over(&self, place: Place, expires: i64) -> bool {
        place.is_over(expires, self.now)
    }

    /// Takes the items of a state of the key at hand out.
    pub(crate) fn clear<S: Shape>(&mut self, place: Place) {
        let slot = self.slot;
        let key = self.store.key(slot).clone();
        if let Some((cells, slot)) = self.cells_mut::<S>(place) {
            cells.clear(slot, &key);
        }
        self.store.lost(slot);
    }

    /// Takes an item out.
    pub(crate) fn take<S: Shape>(&mut self, place: Place, sub: &S::Sub) -> Option<S::Value> {
        let slot = self.slot;
        let key = self.store.key(slot).clone();
        let taken = self.cells_mut::<S>(place).and_then(|(cells, slot)| cells.take(slot, &key, sub));
        self.store.lost(slot);
        taken
    }

    /// Registers or deletes a timer.
    pub(crate) fn time(&mut self, by: LivesBy, time: i64, call: Call) {
        let Core { slot, store, pass, owner, .. } = self;
        if let Some(pass) = pass.as_mut().filter(|pass| pass.by == by) {
            let (bound, hash) = pass.bound;
            let is_before = time < bound || time == bound && hash > 0 && owner(store.key(*slot)) < hash;
            if pass.at < time && is_before {
                if pass.calls.insert((time, *slot), call).is_none() && store.is_limited() {
                    store.pin(*slot);
                }
                return;
            }
            if time <= pass.at && !pass.is_last() {
                store.pin(*slot);
                pass.late.push((time, *slot, call));
                return;
            }
        }
        let slot = *slot;
        store.pin(slot);
        self.agenda(by).add(time, (slot, call));
    }

    fn agenda(&mut self, by: LivesBy) -> &mut Agenda<(Slot, Call), (K, bool)> {
        match by {
            LivesBy::EventTime => &mut self.event_timers,
            LivesBy::ProcessingTime => &mut self.wall_timers,
        }
    }

    /// Begins to fire the timers of before a time.
    pub(crate) fn begin(&mut self, by: LivesBy, until: i64) {
        let (bound, due, calls, late) = ((i64::MIN, 0), Vec::new(), BTreeMap::new(), Vec::new());
        let left = if until == i64::MAX { LAST_TIMERS } else { usize::MAX };
        self.pass = Some(Pass { by, until, bound, at: i64::MIN, due, calls, late, left });
        self.go_on();
    }

    /// Takes the timers that are to fire next from the agenda. False if there are no more, which ends the pass.
    fn go_on(&mut self) -> bool {
        while let Some((by, until)) =
            self.pass.as_ref().filter(|pass| !pass.is_last()).map(|pass| (pass.by, pass.until))
        {
            let (due, bound) = self.next_timers(by, Some(until));
            let Some(pass) = &mut self.pass else { return false };
            pass.bound = bound;
            pass.left = pass.left.saturating_add(due.len());
            pass.due = due;
            if !pass.due.is_empty() {
                if !pass.due.len().is_multiple_of(WARM) {
                    let first = pass.due.iter().rev().take(pass.due.len() % WARM);
                    self.store.warm_cells(first.map(|(_, slot)| *slot));
                }
                return true;
            }
        }
        let Some(Pass { by, late, .. }) = self.pass.take() else { return false };
        late.into_iter().for_each(|(time, slot, call)| self.agenda(by).add(time, (slot, call)));
        false
    }

    /// Takes timers of before a time, or all, out of an agenda, the first one last, and says up to where these are all. If memory is limited, their slots are pinned.
    fn next_timers(&mut self, by: LivesBy, before: Option<i64>) -> (Vec<(i64, Slot)>, Bound) {
        let Core { store, event_timers, wall_timers, owner, .. } = self;
        let agenda = match by {
            LivesBy::EventTime => event_timers,
            LivesBy::ProcessingTime => wall_timers,
        };
        agenda.fetch(before, |(key, registers)| call_of(store, key, *registers));
        let (mut calls, bound) = agenda.some(before, |(slot, _)| owner(store.key(*slot)));
        // Of several calls for one key and time the last one counts, and they are in order of arrival.
        calls.chunk_by_mut(|a, b| a.0 == b.0).for_each(|calls| calls.sort_by_key(|(_, (slot, _))| *slot));
        store.warm(calls.iter().map(|(_, (slot, _))| *slot));
        let mut due = Vec::with_capacity(calls.len());
        for group in calls.chunk_by(|a, b| a.0 == b.0 && a.1.0 == b.1.0) {
            let (time, (slot, last)) = group[group.len() - 1];
            if last == Call::Register {
                due.push((time, slot));
                if store.is_limited() {
                    store.pin(slot);
                }
            }
            group.iter().for_each(|_| store.unpin(slot));
        }
        due.reverse();
        (due, bound)
    }

    /// Makes the key of the next timer to fire the one at hand, and gives the timer's time. `None` ends what was begun.
    pub(crate) fn fire(&mut self) -> Option<i64> {
        let is_limited = self.store.is_limited();
        if is_limited {
            self.relieve(1);
        }
        loop {
            let pass = self.pass.as_mut()?;
            if pass.due.len().is_multiple_of(WARM) {
                self.store.warm_cells(pass.due.iter().rev().take(WARM).map(|(_, slot)| *slot));
            }
            let due = pass.due.last().copied();
            let called = pass.calls.first_key_value().map(|(timer, call)| (*timer, *call));
            let (timer, fires) = match (due, called) {
                (Some(due), Some((timer, call))) if timer <= due => {
                    pass.calls.pop_first();
                    if timer == due {
                        pass.due.pop();
                        if is_limited {
                            self.store.unpin(timer.1);
                        }
                    }
                    (timer, call == Call::Register)
                }
                (None, Some((timer, call))) => {
                    pass.calls.pop_first();
                    (timer, call == Call::Register)
                }
                (Some(due), _) => {
                    pass.due.pop();
                    (due, true)
                }
                (None, None) if self.go_on() => continue,
                (None, None) => return None,
            };
            let is_dropped = fires && pass.left == 0;
            if fires && !is_dropped {
                pass.left -= 1;
                pass.at = timer.0;
                self.slot = timer.1;
                self.store.touch(self.slot);
            }
            if is_limited {
                self.store.unpin(timer.1);
            }
            if fires && !is_dropped {
                return Some(timer.0);
            }
            self.dropped += usize::from(is_dropped);
        }
    }

    /// Drops all timers and says how many.
    pub(crate) fn drop_timers(&mut self) -> usize {
        for by in [LivesBy::EventTime, LivesBy::ProcessingTime] {
            loop {
                let (timers, bound) = self.next_timers(by, None);
                self.dropped += timers.len();
                if self.store.is_limited() {
                    timers.iter().for_each(|(_, slot)| self.store.unpin(*slot));
                    self.relieve(timers.len());
                }
                if bound == END {
                    break;
                }
            }
        }
        self.take_dropped()
    }

    /// How many timers have been dropped since this was last asked.
    pub(crate) fn take_dropped(&mut self) -> usize {
        std::mem::take(&mut self.dropped)
    }

    /// Lets state leave memory in the midst of an epoch, if it takes more than it may. To be called after each so many keys that have been touched, when
    /// none is at hand.
    pub(crate) fn relieve(&mut self, keys: usize) {
        self.stirred += keys;
        if self.stirred >= RELIEF && self.store.is_limited() {
            self.stirred = 0;
            self.tidy();
            self.shed(self.epoch);
        }
    }

    /// Drops what has expired, and keys without state.
    pub(crate) fn tidy(&mut self) {
        self.store.tidy(self.now);
    }

    /// What a snapshot needs of what was sealed last. The names of tables begin with `prefix`.
    pub(crate) fn save(&self, prefix: &str, saved: &mut Saved) -> Result<()> {
        saved.tables.extend(self.store.save(&format!("{prefix}state ")));
        saved.tables.extend(self.event_timers.save(&format!("{prefix}event timers")));
        saved.tables.extend(self.wall_timers.save(&format!("{prefix}wall timers")));
        saved.note(&format!("{prefix}watermark"), &self.now.watermark)
    }

    /// Takes in what a snapshot has of a worker's share.
    pub(crate) fn restore(&mut self, prefix: &str, from: &RestoredOperator, share: Share) -> Result<()> {
        let Core { store, event_timers, wall_timers, .. } = self;
        store.restore(&format!("{prefix}state "), from, share)?;
        let mut timer = |(key, registers): &(K, bool)| call_of(store, key, *registers);
        event_timers.restore(&format!("{prefix}event timers"), from, share, &mut timer)?;
        wall_timers.restore(&format!("{prefix}wall timers"), from, share, &mut timer)?;
        self.now.watermark = from.latest(&format!("{prefix}watermark"))?.unwrap_or(i64::MIN);
        Ok(())
    }

    /// Lets timers and keys leave memory, if they take more than they may.
    pub(crate) fn shed(&mut self, epoch: u64) {
        let Core { store, owner, event_timers, wall_timers, .. } = self;
        store.account();
        for agenda in [event_timers, wall_timers] {
            let left = agenda.shed(
                epoch,
                |(slot, _)| owner(store.key(*slot)),
                |(slot, call)| row_of(store, *slot, *call),
            );
            left.into_iter().for_each(|(slot, _)| store.unpin(slot));
        }
        store.shed(epoch);
    }

    /// Begins to deliver what has changed of states that are only saved.
    pub(crate) fn cut(&mut self, epoch: u64) {
        self.store.cut(epoch);
    }

    /// Goes on with that for so many rows, and takes them from the number. True if all is delivered.
    pub(crate) fn copy(&mut self, left: &mut usize) -> bool {
        self.store.copy(left)
    }

    /// Writes what has changed into the arrangements.
    pub(crate) fn seal(&mut self, epoch: u64) {
        self.store.seal(epoch);
        let (store, owner) = (&self.store, self.owner);
        for agenda in [&mut self.event_timers, &mut self.wall_timers] {
            agenda.seal(epoch, |(slot, call)| (owner(store.key(*slot)), row_of(store, *slot, *call)));
        }
    }
}

/// What is kept of a call.
fn row_of<K: Key>(store: &Store<K>, slot: Slot, call: Call) -> (K, bool) {
    (store.key(slot).clone(), call == Call::Register)
}

/// The call of which this was kept.
fn call_of<K: Key>(store: &mut Store<K>, key: &K, registers: bool) -> (Slot, Call) {
    let slot = store.place(key);
    store.pin(slot);
    (slot, if registers { Call::Register } else { Call::Delete })
}

#[cold]
fn complain(mistake: &OnceCell<Error>) {
    let message = "a state was used that is not registered: register each handle in `open`, by the function that uses it";
    let _ = mistake.set(Error::config(message));
}
