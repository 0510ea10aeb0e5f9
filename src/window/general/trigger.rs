//! Triggers: when a window fires.

use crate::data::{Key, Stamp};
use crate::process::States;
use crate::process::core::{Call, Core};
use crate::process::{Stateful, TimeDomain};
use crate::state::Slot;
use crate::time::EventTime;
use crate::window::assigner::Window;
use crate::window::key_and_window::Scope;

/// What a trigger decides: Flink's `TriggerResult`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fire {
    /// Nothing happens.
    Continue,
    /// The result of what is in the window is emitted.
    Fire,
    /// What is in the window is dropped.
    Purge,
    /// The result is emitted, then what is in the window is dropped.
    FireAndPurge,
}

impl Fire {
    /// True if the result is emitted.
    pub fn fires(self) -> bool {
        matches!(self, Fire::Fire | Fire::FireAndPurge)
    }

    /// True if what is in the window is dropped.
    pub fn purges(self) -> bool {
        matches!(self, Fire::Purge | Fire::FireAndPurge)
    }

    /// Both.
    pub fn and(self, other: Fire) -> Fire {
        match (self.fires() || other.fires(), self.purges() || other.purges()) {
            (true, true) => Fire::FireAndPurge,
            (true, false) => Fire::Fire,
            (false, true) => Fire::Purge,
            (false, false) => Fire::Continue,
        }
    }
}

/// Decides when a window fires, with state and timers for each window of each key: Flink's `Trigger`.
///
/// ```
/// use highwater::data::Key;
/// use highwater::stream::Job;
/// use highwater::window::{Fire, Global, Trigger, TriggerContext};
///
/// /// Fires when a zero ends the sequence.
/// #[derive(Clone)]
/// struct AtZero;
///
/// impl<K: Key> Trigger<K, i64> for AtZero {
///     fn on_element(&mut self, value: &i64, _: &mut TriggerContext<'_, K>) -> Fire {
///         if *value == 0 { Fire::FireAndPurge } else { Fire::Continue }
///     }
/// }
///
/// let job = Job::new();
/// let numbers = job.collection([1, 2, 0, 5, 5, 5, 0, 7]).key_by(|_| ());
/// let sums = numbers.window(Global).trigger(AtZero).sum(|n| n).map(|sum| sum.value).collect();
/// job.run()?;
/// assert_eq!(sums.values(), [3, 15]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub trait Trigger<K: Key, T>: Clone + Send + Sync + 'static {
    /// Registers states, which it has for each window of each key. Called once on each worker, before
    /// anything else.
    fn open(&mut self, _states: &mut States<'_, Scope<K>>) {}

    /// A record, which is about to be added to the window.
    fn on_element(&mut self, value: &T, cx: &mut TriggerContext<'_, K>) -> Fire;

    /// Content has come without records: what another operator, which had no trigger, has added up.
    #[doc(hidden)]
    fn on_content(&mut self, _cx: &mut TriggerContext<'_, K>) -> Fire {
        Fire::Continue
    }

    /// A timer of event time.
    fn on_event_time(&mut self, _time: EventTime, _cx: &mut TriggerContext<'_, K>) -> Fire {
        Fire::Continue
    }

    /// A timer of processing time.
    fn on_processing_time(&mut self, _time: i64, _cx: &mut TriggerContext<'_, K>) -> Fire {
        Fire::Continue
    }

    /// Another window has been merged into this one, and its state is to be joined to this one's;
    /// [`TriggerContext::of`] gives access to it. [`clear`](Trigger::clear) is called for it afterwards.
    fn on_merge(&mut self, _absorbed: Absorbed, _cx: &mut TriggerContext<'_, K>) {}

    /// The window is over: its state and timers are to be dropped.
    fn clear(&mut self, _cx: &mut TriggerContext<'_, K>) {}
}

/// A window that has been merged into another.
#[derive(Clone, Copy, Debug)]
pub struct Absorbed(pub(super) Slot, pub(super) Window);

/// What a trigger has at hand: the window, the time, and the window's state and timers.
pub struct TriggerContext<'a, K: Key> {
    pub(super) core: &'a mut Core<Scope<K>>,
    pub(super) window: Window,
    /// Of the record at hand, if there is one.
    pub(super) stamp: Stamp,
    pub(super) clock: TimeDomain,
}

impl<K: Key> Stateful for TriggerContext<'_, K> {
    type Key = Scope<K>;

    #[inline]
    fn core(&self) -> &Core<Scope<K>> {
        self.core
    }

    #[inline]
    fn core_mut(&mut self) -> &mut Core<Scope<K>> {
        self.core
    }
}

impl<K: Key> TriggerContext<'_, K> {
    /// The key at hand.
    pub fn key(&self) -> &K {
        &self.core.store.key(self.core.slot).key
    }

    /// The window at hand.
    #[inline]
    pub fn window(&self) -> Window {
        self.window
    }

    /// The event time of the record at hand, or the time of the timer.
    #[inline]
    pub fn timestamp(&self) -> EventTime {
        self.stamp.timestamp
    }

    /// The watermark: nothing older than this will come any more, but for records that are late.
    #[inline]
    pub fn watermark(&self) -> EventTime {
        self.core.now.watermark
    }

    /// Processing time, in milliseconds since 1970.
    pub fn processing_time(&self) -> i64 {
        self.core.clock.millis()
    }

    /// True if the window has ended, by the clock that it follows.
    #[inline]
    pub fn has_ended(&self) -> bool {
        match self.clock {
            TimeDomain::EventTime => self.window.end <= self.core.now.watermark,
            TimeDomain::ProcessingTime => self.window.end <= self.core.now.millis,
        }
    }

    /// Asks to be called for this window when the watermark has passed `time`. Costs an entry each time; see
    /// [`process`](crate::process) for what timers do.
    pub fn register_timer(&mut self, time: EventTime) {
        self.core.time(TimeDomain::EventTime, time, Call::Register);
    }

    /// Takes back what [`register_timer`](TriggerContext::register_timer) asked.
    pub fn delete_timer(&mut self, time: EventTime) {
        self.core.time(TimeDomain::EventTime, time, Call::Delete);
    }

    /// Asks to be called for this window when the wall clock has reached `millis` (since 1970).
    pub fn register_wall_timer(&mut self, millis: i64) {
        self.core.time(TimeDomain::ProcessingTime, millis, Call::Register);
    }

    /// Takes back what [`register_wall_timer`](TriggerContext::register_wall_timer) asked.
    pub fn delete_wall_timer(&mut self, millis: i64) {
        self.core.time(TimeDomain::ProcessingTime, millis, Call::Delete);
    }

    /// Does something with the state of a window that was merged into this one.
    pub fn of<R>(&mut self, absorbed: Absorbed, f: impl FnOnce(&mut TriggerContext<'_, K>) -> R) -> R {
        let slot = std::mem::replace(&mut self.core.slot, absorbed.0);
        let (stamp, clock) = (self.stamp, self.clock);
        let result = f(&mut TriggerContext { core: self.core, window: absorbed.1, stamp, clock });
        self.core.slot = slot;
        result
    }
}
