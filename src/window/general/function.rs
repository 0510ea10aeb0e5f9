//! Functions of windows: what is made of a window's content when it fires.

use serde::{Deserialize, Serialize};

use crate::data::{Data, Key, Record, Stamp};
use crate::process::context::Counters;
use crate::process::core::Core;
use crate::process::side_output::Sides;
use crate::process::{SideOutput, Stateful, States};
use crate::stream::Outputs;
use crate::time::{EventTime, Time};
use crate::window::assigner::Window;
use crate::window::key_and_window::Scope;
use crate::window::windowed::Windowed;

/// When a result was made, by the window's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Firing {
    /// Before the window has ended: more may come.
    Early,
    /// When it has ended: all that was not late is in it.
    OnTime,
    /// Afterwards, for a late record.
    Late,
}

/// Makes results of a window's content, with state: Flink's `ProcessWindowFunction`.
///
/// `I` is what the window has: the result of an aggregate, or a `Vec` of its records in order of event time.
///
/// ```
/// use highwater::process::{States, Value};
/// use highwater::stream::{Count, Job};
/// use highwater::time::Watermarks;
/// use highwater::window::{Tumbling, WindowContext, WindowProcess, WindowStates};
/// use std::time::Duration;
///
/// /// Tells of windows with more records than the key's window before had.
/// #[derive(Clone, Default)]
/// struct Growth(Value<u64>);
///
/// impl WindowProcess<u8, u64> for Growth {
///     type Out = (i64, u64);
///
///     fn open(&mut self, states: &mut WindowStates<'_, u8>) {
///         self.0 = states.global().value("before");
///     }
///
///     fn process(&mut self, count: u64, cx: &mut WindowContext<'_, u8, (i64, u64)>) {
///         let before = self.0.get(&cx.global()).copied().unwrap_or(0);
///         self.0.set(&mut cx.global(), count);
///         if count > before {
///             cx.emit((cx.window().end, count));
///         }
///     }
/// }
///
/// let job = Job::new();
/// let grown = job
///     .timed_collection([1, 12, 13, 21], Watermarks::monotone(|t: &i64| *t))
///     .key_by(|_| 0u8)
///     .map_values(|_| ())
///     .window(Tumbling::of(Duration::from_millis(10)))
///     .aggregate_with(Count, Growth::default())
///     .collect();
/// job.run()?;
/// assert_eq!(grown.values(), [(10, 1), (20, 2)]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub trait WindowProcess<K: Key, I>: Clone + Send + Sync + 'static {
    /// What it emits.
    type Out: Data;

    /// Registers states and side outputs. Called once on each worker, before anything else, and once before
    /// that on a clone that is dropped, to see what it registers.
    fn open(&mut self, _states: &mut WindowStates<'_, K>) {}

    /// The window fires.
    fn process(&mut self, input: I, cx: &mut WindowContext<'_, K, Self::Out>);

    /// The window is over, and its state is to be dropped. Also called for a window that has been merged into
    /// another, before it is forgotten.
    fn clear(&mut self, _states: &mut WindowState<'_, K>) {}
}

/// Where a function registers its states.
pub struct WindowStates<'a, K: Key> {
    pub(super) window: States<'a, Scope<K>>,
    pub(super) global: States<'a, K>,
}

impl<'a, K: Key> WindowStates<'a, K> {
    /// States for each window of each key. They are reached through the context itself.
    pub fn window(&mut self) -> &mut States<'a, Scope<K>> {
        &mut self.window
    }

    /// A side output that the function sends to.
    pub fn side<T: Data>(&mut self, side: &SideOutput<T>) {
        self.global.side(side);
    }

    /// States for each key, which all its windows share. They are reached through [`WindowContext::global`].
    pub fn global(&mut self) -> &mut States<'a, K> {
        &mut self.global
    }
}

/// The state of a window, or of a key.
pub struct WindowState<'a, K: Key>(pub(super) &'a mut Core<Scope<K>>);

impl<K: Key> Stateful for WindowState<'_, K> {
    type Key = Scope<K>;

    fn core(&self) -> &Core<Scope<K>> {
        self.0
    }

    fn core_mut(&mut self) -> &mut Core<Scope<K>> {
        self.0
    }
}

/// The state of a key that all its windows share.
pub struct GlobalState<'a, K: Key>(&'a mut Core<K>);

impl<K: Key> Stateful for GlobalState<'_, K> {
    type Key = K;

    fn core(&self) -> &Core<K> {
        self.0
    }

    fn core_mut(&mut self) -> &mut Core<K> {
        self.0
    }
}

/// What a function of windows has at hand: key, window, time, state and outputs.
pub struct WindowContext<'a, K: Key, O: Data> {
    pub(super) windows: &'a mut Core<Scope<K>>,
    pub(super) keys: &'a mut Core<K>,
    pub(super) out: &'a mut Outputs<O>,
    pub(super) sides: &'a mut Sides,
    pub(super) counters: &'a mut Counters,
    pub(super) from: Time,
    /// Of what it emits.
    pub(super) stamp: Stamp,
    pub(super) window: Window,
    pub(super) firing: Firing,
}

impl<K: Key, O: Data> Stateful for WindowContext<'_, K, O> {
    type Key = Scope<K>;

    fn core(&self) -> &Core<Scope<K>> {
        self.windows
    }

    fn core_mut(&mut self) -> &mut Core<Scope<K>> {
        self.windows
    }
}

impl<K: Key, O: Data> WindowContext<'_, K, O> {
    /// The key.
    pub fn key(&self) -> &K {
        &self.windows.store.key(self.windows.slot).key
    }

    /// The window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// When this is, by the window's end.
    pub fn firing(&self) -> Firing {
        self.firing
    }

    /// The watermark.
    pub fn watermark(&self) -> EventTime {
        self.windows.now.watermark
    }

    /// Processing time, in milliseconds since 1970.
    pub fn processing_time(&self) -> i64 {
        self.windows.clock.millis()
    }

    /// The state that all windows of the key share.
    pub fn global(&mut self) -> GlobalState<'_, K> {
        GlobalState(self.keys)
    }

    /// Emits a record, at the last moment of the window. A window without end emits at the time of what made
    /// it fire.
    pub fn emit(&mut self, value: O) {
        self.out.give(self.from, Record::new(value, self.stamp));
    }

    /// Sends a record to a side output. `open` must have registered it.
    pub fn side<S: Data>(&mut self, side: &SideOutput<S>, value: S) {
        if self.keys.knows(side.key) {
            self.sides.give(side, self.from, Record::new(value, self.stamp));
        }
    }

    /// Adds to a counter of the operator's metrics. Seen by others when the epoch closes.
    pub fn count(&mut self, name: &'static str, by: i64) {
        self.counters.add(name, by);
    }
}

/// A result that says when it was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fired<K, R> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
    /// The result.
    pub value: R,
    /// Early, on time, or late.
    pub firing: Firing,
}

/// Emits what there is as it is.
#[derive(Clone, Copy)]
pub struct AsIs;

impl<K: Key, I: Data> WindowProcess<K, I> for AsIs {
    type Out = Windowed<K, I>;

    fn process(&mut self, value: I, cx: &mut WindowContext<'_, K, Windowed<K, I>>) {
        cx.emit(Windowed { key: cx.key().clone(), window: cx.window, value });
    }
}

/// Emits what there is, and says when.
#[derive(Clone, Copy)]
pub struct WithFiring;

impl<K: Key, I: Data> WindowProcess<K, I> for WithFiring {
    type Out = Fired<K, I>;

    fn process(&mut self, value: I, cx: &mut WindowContext<'_, K, Fired<K, I>>) {
        cx.emit(Fired { key: cx.key().clone(), window: cx.window, value, firing: cx.firing });
    }
}

/// Emits what a function makes of it. See [`apply`](crate::window::WindowedStream::apply).
#[derive(Clone, Copy)]
pub struct Apply<F>(pub(in crate::window) F);

impl<K, T, R, F> WindowProcess<K, Vec<T>> for Apply<F>
where
    K: Key,
    T: Data,
    R: IntoIterator<Item: Data>,
    F: FnMut(&K, Window, Vec<T>) -> R + Clone + Send + Sync + 'static,
{
    type Out = R::Item;

    fn process(&mut self, values: Vec<T>, cx: &mut WindowContext<'_, K, R::Item>) {
        let results = (self.0)(cx.key(), cx.window, values);
        results.into_iter().for_each(|result| cx.emit(result));
    }
}
