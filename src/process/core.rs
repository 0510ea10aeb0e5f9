//! What all contexts of a process function share: its state, its timers, and the time.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use timely::dataflow::operators::generic::OperatorInfo;

use crate::clock::Clock;
use crate::data::Key;
use crate::error::{Error, Result};
use crate::snapshot::{RestoredOperator, Saved};
use crate::state::{Agenda, Cells, LivesBy, Now, Owner, Shape, Share, Slot, Store, WARM};
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
}

/// Firing all timers of before a time, in order, while they register and delete others.
struct Pass {
    by: LivesBy,
    until: i64,
    /// The time of the timer that fires.
    at: i64,
    /// What is left to fire, the first one last.
    due: Vec<(i64, Slot)>,
    /// What timers have registered and deleted that is to fire, or would have, before the pass ends. A timer for a time that has been is not
    /// among them: it waits for the next pass, so that a pass always ends.
    calls: BTreeMap<(i64, Slot), Call>,
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
            event_timers: Agenda::sealable(operator.clone()),
            wall_timers: Agenda::sealable(operator.clone()),
            held: BTreeMap::new(),
            now: Now { watermark: i64::MIN, millis: i64::MIN },
            epoch: 0,
            clock: worker.shared.clock.clone(),
            mistake: OnceCell::new(),
            pass: None,
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
        if let Some(pass) =
            self.pass.as_mut().filter(|pass| pass.by == by && pass.at < time && time < pass.until)
        {
            pass.calls.insert((time, self.slot), call);
            return;
        }
        let slot = self.slot;
        self.store.pin(slot);
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
        let mut calls = self.agenda(by).due(until);
        // Of several calls for one key and time the last one counts, and they are in order of arrival.
        calls.chunk_by_mut(|a, b| a.0 == b.0).for_each(|calls| calls.sort_by_key(|(_, (slot, _))| *slot));
        self.store.warm(calls.iter().map(|(_, (slot, _))| *slot));
        let mut due = Vec::with_capacity(calls.len());
        for group in calls.chunk_by(|a, b| a.0 == b.0 && a.1.0 == b.1.0) {
            let (time, (slot, last)) = group[group.len() - 1];
            group.iter().for_each(|_| self.store.unpin(slot));
            if last == Call::Register {
                due.push((time, slot));
            }
        }
        due.reverse();
        if !due.len().is_multiple_of(WARM) {
            self.store.warm_cells(due.iter().rev().take(due.len() % WARM).map(|(_, slot)| *slot));
        }
        self.pass = Some(Pass { by, until, at: i64::MIN, due, calls: BTreeMap::new() });
    }

    /// Makes the key of the next timer to fire the one at hand, and gives the timer's time. `None` ends what was begun.
    pub(crate) fn fire(&mut self) -> Option<i64> {
        let pass = self.pass.as_mut()?;
        if pass.due.len().is_multiple_of(WARM) {
            self.store.warm_cells(pass.due.iter().rev().take(WARM).map(|(_, slot)| *slot));
        }
        loop {
            let due = pass.due.last().copied();
            let called = pass.calls.first_key_value().map(|(timer, call)| (*timer, *call));
            let (timer, fires) = match (due, called) {
                (Some(due), Some((timer, call))) if timer <= due => {
                    pass.calls.pop_first();
                    if timer == due {
                        pass.due.pop();
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
                (None, None) => {
                    self.pass = None;
                    return None;
                }
            };
            if fires {
                pass.at = timer.0;
                self.slot = timer.1;
                self.store.touch(self.slot);
                return Some(timer.0);
            }
        }
    }

    /// The number of timers that were due when firing began.
    pub(crate) fn due_now(&self) -> usize {
        self.pass.as_ref().map_or(0, |pass| pass.due.len())
    }

    /// Drops all timers and says how many.
    pub(crate) fn drop_timers(&mut self) -> usize {
        self.pass = None;
        let calls = [LivesBy::EventTime, LivesBy::ProcessingTime].map(|by| self.agenda(by).take());
        let dropped = calls.iter().flatten().filter(|(_, (_, call))| *call == Call::Register).count();
        calls.into_iter().flatten().for_each(|(_, (slot, _))| self.store.unpin(slot));
        dropped
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
        let mut timer = |(key, registers): &(K, bool)| {
            let slot = store.slot(key);
            store.pin(slot);
            (slot, if *registers { Call::Register } else { Call::Delete })
        };
        event_timers.restore(&format!("{prefix}event timers"), from, share, &mut timer)?;
        wall_timers.restore(&format!("{prefix}wall timers"), from, share, &mut timer)?;
        self.now.watermark = from.latest(&format!("{prefix}watermark"))?.unwrap_or(i64::MIN);
        Ok(())
    }

    /// Lets keys leave memory, if state takes more than it may.
    pub(crate) fn shed(&mut self, epoch: u64) {
        self.store.shed(epoch);
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
            agenda.seal(epoch, |(slot, call)| {
                let key = store.key(*slot).clone();
                (owner(&key), (key, *call == Call::Register))
            });
        }
    }
}

#[cold]
fn complain(mistake: &OnceCell<Error>) {
    let message = "a state was used that is not registered: register each handle in `open`, by the function that uses it";
    let _ = mistake.set(Error::config(message));
}
