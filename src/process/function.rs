//! What a user writes.

use super::core::Core;
use super::{Context, States, Timer};
use crate::data::{Data, Key};

/// A function of the records of a key, with state and timers: Flink's `KeyedProcessFunction`.
///
/// Each worker has a clone. Its fields are what it is made with and its handles; what it is to remember lies
/// in its states, so that it is kept for each key, snapshotted and moved.
///
/// ```
/// use highwater::process::{Context, Process, States, Timer, Value};
/// use highwater::stream::Job;
/// use highwater::time::Watermarks;
///
/// /// Says how many records a user's visit had, once they have been quiet for ten milliseconds.
/// #[derive(Clone, Default)]
/// struct Visits {
///     count: Value<u64>,
///     quiet_at: Value<i64>,
/// }
///
/// impl Process<String, i64> for Visits {
///     type Out = (String, u64);
///
///     fn open(&mut self, states: &mut States<'_, String>) {
///         self.count = states.value("count");
///         self.quiet_at = states.value("quiet at");
///     }
///
///     fn process(&mut self, _: i64, cx: &mut Context<'_, String, (String, u64)>) {
///         let quiet_at = cx.timestamp() + 10;
///         self.count.update(cx, || 0, |count| *count += 1);
///         self.quiet_at.set(cx, quiet_at);
///         cx.register_timer(quiet_at);
///     }
///
///     fn timer(&mut self, timer: Timer, cx: &mut Context<'_, String, (String, u64)>) {
///         if self.quiet_at.get(cx) == Some(&timer.time) {
///             let (user, count) = (cx.key().clone(), self.count.take(cx).unwrap_or(0));
///             self.quiet_at.clear(cx);
///             cx.emit((user, count));
///         }
///     }
/// }
///
/// let job = Job::new();
/// let clicks = [("ann", 1), ("bob", 3), ("ann", 8), ("ann", 30)];
/// let visits = job
///     .timed_collection(clicks, Watermarks::monotone(|click: &(&str, i64)| click.1))
///     .key_by(|click| click.0.to_string())
///     .map_values(|click| click.1)
///     .process_in_order(Visits::default())
///     .collect();
/// job.run()?;
/// assert_eq!(visits.values(), [("bob".into(), 1), ("ann".into(), 2), ("ann".into(), 1)]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub trait Process<K: Key, T>: Clone + Send + Sync + 'static {
    /// What it emits.
    type Out: Data;

    /// Registers states and side outputs. Called once on each worker, before anything else, and once before
    /// that on a clone that is dropped, to see what it registers.
    fn open(&mut self, _states: &mut States<'_, K>) {}

    /// A record.
    fn process(&mut self, value: T, cx: &mut Context<'_, K, Self::Out>);

    /// The state has been taken out of a snapshot.
    #[doc(hidden)]
    fn restored(&mut self, _core: &mut Core<K>) {}

    /// A timer that was registered for the key at hand.
    fn timer(&mut self, _timer: Timer, _cx: &mut Context<'_, K, Self::Out>) {}
}
