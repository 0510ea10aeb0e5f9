//! The core that all contexts of a process function share: its state, its timers, and the time.

mod timer_pass;
mod firing;

use std::any::type_name;
use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clock::Clock;
use crate::data::{Key, Owner};
use crate::error::{Error, Result};
use crate::snapshot::{RestoredOperator, STATE, SavedTables};
use crate::state::{Cells, Now, OperatorState, Shape, Share, Slot, Store, TimerQueue, is_over};
use crate::stream::{SideKey, WorkerContext};

pub(crate) use self::timer_pass::Call;
use self::timer_pass::{Ending, Pass};
use super::Ttl;
pub use firing::LAST_TIMERS;

/// Access to the state of a key: the contexts of process functions and windows.
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

/// The state, the timers and the time of one worker's instance.
pub struct Core<K: Key> {
    uid: Arc<str>,
    /// Identifies the instance in the process, so that a handle of another function is detected.
    id: u32,
    owner: Owner<K>,
    pub(crate) store: Store<K>,
    /// The slot of the current key.
    pub(crate) slot: Slot,
    pub(crate) event_timers: TimerQueue<(Slot, Call), (K, bool)>,
    pub(crate) wall_timers: TimerQueue<(Slot, Call), (K, bool)>,
    /// Times at which the watermark of the output is held.
    pub(crate) held: BTreeMap<i64, u32>,
    pub(crate) now: Now,
    /// True if some state expires by the wall clock.
    pub(super) lives_by_wall: bool,
    pub(crate) epoch: u64,
    pub(crate) clock: Clock,
    /// The first mistake of the function.
    pub(crate) mistake: OnceCell<Error>,
    /// The side outputs that it has registered.
    pub(super) sides: Vec<SideKey>,
    /// The pass over timers that are being fired.
    pass: Option<Pass>,
    /// The limit on timers that may still fire, if the input has ended.
    ending: Option<Ending>,
    /// The number of timers that were dropped at the end of the input.
    dropped: usize,
    /// How many keys may have come into memory since the last eviction.
    stirred: usize,
}

/// After so many keys state may be evicted within an epoch.
const RELIEF: usize = 256;

/// The suffixes of the names of timer tables.
pub(crate) const EVENT_TIMERS: &str = "event timers";
pub(crate) const WALL_TIMERS: &str = "wall timers";

/// The place of a state in the store, and its time to live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyPlace {
    owner: u32,
    column: u32,
    ttl: Option<Ttl>,
}

thread_local! {
    /// The type of the last handle that was cloned without being registered.
    static UNREGISTERED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The type of a handle that `clone` clones and that is not registered.
pub(super) fn unregistered_in(clone: impl FnOnce()) -> Option<&'static str> {
    UNREGISTERED.take();
    clone();
    UNREGISTERED.take()
}

/// The owner of handles that are not registered.
const NOBODY: u32 = 0;

/// The next owner of handles. The number has no effect but to identify an instance's own handles.
static NEXT: AtomicU32 = AtomicU32::new(NOBODY + 1);

impl KeyPlace {
    /// No place: of a handle that was not registered.
    pub(crate) const NONE: KeyPlace = KeyPlace { owner: NOBODY, column: 0, ttl: None };

    /// A place for a handle that is registered in an inspection, and is never used.
    pub(crate) fn tried(ttl: Option<Ttl>) -> KeyPlace {
        KeyPlace { owner: u32::MAX, column: 0, ttl }
    }

    /// Records the type `H` of a cloned handle that is not registered.
    pub(super) fn cloned<H>(self) -> KeyPlace {
        if self.owner == NOBODY {
            UNREGISTERED.set(Some(type_name::<H>()));
        }
        self
    }

    pub(crate) fn ttl(self) -> Option<Ttl> {
        self.ttl
    }

    /// True if something that expires at `expires` is over.
    #[inline]
    pub(crate) fn is_over(self, expires: i64, now: Now) -> bool {
        self.ttl.is_some_and(|ttl| is_over(expires, now.by(ttl.clock)))
    }
}

impl<K: Key> Core<K> {
    /// The uid of its operator.
    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    /// The core for keys whose owners are given by the hash `owner`.
    pub(crate) fn new(owner: Owner<K>, uid: &str, worker: &WorkerContext) -> Core<K> {
        let mut store = Store::new();
        worker.limit(uid).into_iter().for_each(|limit| store.limit(limit));
        Core {
            uid: uid.into(),
            owner,
            id: NEXT.fetch_add(1, Ordering::Relaxed).max(NOBODY + 1),
            store,
            slot: Slot::NONE,
            event_timers: TimerQueue::sealable(worker.quota(uid, "timers_spilled")),
            wall_timers: TimerQueue::sealable(worker.quota(uid, "timers_spilled")),
            held: BTreeMap::new(),
            now: Now { watermark: i64::MIN, millis: i64::MIN },
            lives_by_wall: false,
            epoch: 0,
            clock: worker.shared.clock.clone(),
            mistake: OnceCell::new(),
            sides: Vec::new(),
            pass: None,
            ending: None,
            dropped: 0,
            stirred: 0,
        }
    }

    /// The hash by which keys are owned.
    pub(crate) fn owner(&self) -> Owner<K> {
        self.owner
    }

    /// The place of a column in the store.
    pub(crate) fn place(&self, column: usize, ttl: Option<Ttl>) -> KeyPlace {
        let Ok(column) = u32::try_from(column) else { return KeyPlace::NONE };
        KeyPlace { owner: self.id, column, ttl }
    }

    /// The number of a state's column; out of range if the handle belongs to another function.
    #[inline]
    fn column(&self, place: KeyPlace) -> usize {
        if place.owner == self.id { place.column as usize } else { usize::MAX }
    }

    /// The cells of a state.
    #[inline]
    pub(crate) fn cells<S: Shape>(&self, place: KeyPlace) -> Option<&Cells<K, S>> {
        let cells = self.store.column(self.column(place));
        if cells.is_none() {
            complain(&self.mistake);
        }
        cells
    }

    /// The cells of a state, and the slot of the current key.
    #[inline]
    pub(crate) fn cells_mut<S: Shape>(&mut self, place: KeyPlace) -> Option<(&mut Cells<K, S>, Slot)> {
        let (column, slot) = (self.column(place), self.slot);
        let cells = self.store.column_mut(column);
        if cells.is_none() {
            complain(&self.mistake);
        }
        cells.map(|cells| (cells, slot))
    }

    /// True if the function has registered a side output.
    pub(crate) fn knows(&self, side: SideKey) -> bool {
        let knows = self.sides.contains(&side);
        if !knows {
            let message = format!(
                "a function has given to the side output {:?}, which is not registered: register it in `open`, with `States::side`",
                side.name
            );
            let _ = self.mistake.set(Error::config(message));
        }
        knows
    }

    /// The expiry of an item that is written now.
    #[inline]
    pub(crate) fn expiry(&self, place: KeyPlace) -> i64 {
        place.ttl.map_or(crate::state::NEVER, |ttl| ttl.expiry(self.now))
    }

    /// True if something that expires at `expires` is over.
    #[inline]
    pub(crate) fn is_over(&self, place: KeyPlace, expires: i64) -> bool {
        place.is_over(expires, self.now)
    }

    /// Removes the items of a state of the current key.
    pub(crate) fn clear<S: Shape>(&mut self, place: KeyPlace) {
        let slot = self.slot;
        let key = self.store.key(slot).clone();
        if let Some((cells, slot)) = self.cells_mut::<S>(place) {
            cells.clear(slot, &key);
        }
        self.store.lost(slot);
    }

    /// Removes an item.
    pub(crate) fn take<S: Shape>(&mut self, place: KeyPlace, sub: &S::Sub) -> Option<S::Value> {
        let slot = self.slot;
        let key = self.store.key(slot).clone();
        let taken = self.cells_mut::<S>(place).and_then(|(cells, slot)| cells.take(slot, &key, sub));
        self.store.lost(slot);
        taken
    }

    /// Evicts state within an epoch, if it exceeds the memory budget. Call it after touching `keys` keys,
    /// while there is no current key.
    pub(crate) fn relieve(&mut self, keys: usize) {
        self.stirred += keys;
        if self.stirred >= RELIEF && self.store.is_limited() {
            self.stirred = 0;
            self.tidy();
            self.evict(self.epoch);
        }
    }

    /// Drops what has expired, and keys without state.
    pub(crate) fn tidy(&mut self) {
        self.store.tidy(self.now);
    }

    /// Advances event time to a watermark.
    #[inline]
    pub(crate) fn reach(&mut self, watermark: i64) {
        let before = std::mem::replace(&mut self.now.watermark, watermark);
        if before == i64::MIN && watermark > i64::MIN {
            self.store.begin(watermark);
        }
    }

    /// Reads the wall clock, if some state expires by it.
    #[inline]
    pub(crate) fn look_at_clock(&mut self) {
        if self.lives_by_wall {
            self.now.millis = self.now.millis.max(self.clock.millis());
        }
    }

    /// Evicts timers and keys, if they exceed the memory budget.
    pub(crate) fn evict(&mut self, epoch: u64) {
        let Core { store, owner, event_timers, wall_timers, .. } = self;
        store.account();
        for queue in [event_timers, wall_timers] {
            let left = queue.evict(
                epoch,
                |(slot, _)| owner(store.key(*slot)),
                |(slot, call)| row_of(store, *slot, *call),
            );
            left.into_iter().for_each(|(slot, _)| store.unpin(slot));
        }
        store.evict(epoch);
    }
}

/// A core as a state of its operator, whose tables' names begin with a prefix.
struct CoreState<'a, K: Key> {
    core: &'a mut Core<K>,
    prefix: &'static str,
}

impl<K: Key> Core<K> {
    /// The core as a state. The names of tables begin with `prefix`.
    pub(crate) fn as_state(&mut self, prefix: &'static str) -> impl OperatorState + use<'_, K> {
        CoreState { core: self, prefix }
    }
}

impl<K: Key> OperatorState for CoreState<'_, K> {
    fn seal(&mut self, epoch: u64) {
        let Core { store, owner, event_timers, wall_timers, .. } = &mut *self.core;
        store.seal(epoch);
        for queue in [event_timers, wall_timers] {
            queue.seal(epoch, |(slot, call)| (owner(store.key(*slot)), row_of(store, *slot, *call)));
        }
    }

    fn publish(&mut self, epoch: u64, next: u64) {
        self.core.store.publish(epoch, next);
    }

    fn cut(&mut self, epoch: u64) {
        self.core.store.cut(epoch);
    }

    fn copy(&mut self, left: &mut usize) -> bool {
        self.core.store.copy(left)
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        let CoreState { core, prefix } = self;
        core.store.save(&format!("{prefix}{STATE}"), saved)?;
        saved.tables.extend(core.event_timers.save(&format!("{prefix}{EVENT_TIMERS}"))?);
        saved.tables.extend(core.wall_timers.save(&format!("{prefix}{WALL_TIMERS}"))?);
        saved.note(&format!("{prefix}watermark"), &core.now.watermark)
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        let prefix = self.prefix;
        let Core { store, event_timers, wall_timers, .. } = &mut *self.core;
        store.restore(&format!("{prefix}{STATE}"), from, share)?;
        let mut timer = |(key, registers): &(K, bool)| call_of(store, key, *registers);
        event_timers.restore(&format!("{prefix}{EVENT_TIMERS}"), from, share, &mut timer)?;
        wall_timers.restore(&format!("{prefix}{WALL_TIMERS}"), from, share, &mut timer)?;
        self.core.reach(from.latest(&format!("{prefix}watermark"))?.unwrap_or(i64::MIN));
        Ok(())
    }

    fn evict(&mut self, epoch: u64) {
        self.core.evict(epoch);
    }
}

/// The saved row of a call.
fn row_of<K: Key>(store: &Store<K>, slot: Slot, call: Call) -> (K, bool) {
    (store.key(slot).clone(), call == Call::Register)
}

/// The call of a saved row. Pins the slot of its key.
fn call_of<K: Key>(store: &mut Store<K>, key: &K, registers: bool) -> (Slot, Call) {
    let slot = store.place(key);
    // The queue refers to the key by its slot, which must not be given to another key.
    store.pin(slot);
    (slot, if registers { Call::Register } else { Call::Delete })
}

#[cold]
fn complain(mistake: &OnceCell<Error>) {
    let message = "a state was used that is not registered: register each handle in `open`, by the function that uses it";
    let _ = mistake.set(Error::config(message));
}
