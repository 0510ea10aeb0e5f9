//! The registration of states and side outputs.
//!
//! A function registers them when it is opened: on each worker, and in an inspection before the job starts,
//! which keeps nothing. A mistake does not stop the registration: the first one is recorded, and ends the job
//! afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::core::{Core, KeyPlace};
use super::inspect::Trial;
use super::side_output::SideOutput;
use super::state_reader::Reading;
use super::{Aggregating, List, Map, Reducing, Timed, Ttl, Value};
use crate::data::{Data, Exchange, Key};
use crate::error::Error;
use crate::state::{self, Cells, Many, Mapped, One, Publish, Shape};
use crate::stream::{Aggregate, Reader, WorkerContext};

/// The registry in which a function registers its states, by name, and its side outputs. It returns the
/// handles of the states.
///
/// A snapshot identifies a state by its name, so two states of one function must have different names.
/// [Parts](States::part) of a function may have states of the same name.
pub struct States<'a, K: Key> {
    target: Target<'a, K>,
    /// The names that the current part has registered.
    names: BTreeSet<&'static str>,
    /// The names that all parts have registered.
    known: BTreeSet<&'static str>,
    /// The readers of states, with the names of these.
    readers: Vec<(&'static str, Reader)>,
}

/// The target of a registration.
enum Target<'a, K: Key> {
    Worker {
        core: &'a mut Core<K>,
        worker: &'a WorkerContext,
    },
    /// In an inspection: `open` is called only to find out what it registers.
    Trial(&'a Trial),
}

impl<'a, K: Key> States<'a, K> {
    pub(crate) fn new(
        core: &'a mut Core<K>,
        worker: &'a WorkerContext,
        readers: Vec<(&'static str, Reader)>,
    ) -> States<'a, K> {
        let target = Target::Worker { core, worker };
        States { target, names: BTreeSet::new(), known: BTreeSet::new(), readers }
    }

    /// A registry for an inspection, whose states are never used.
    pub(crate) fn trial(trial: &'a Trial, readers: Vec<(&'static str, Reader)>) -> States<'a, K> {
        let target = Target::Trial(trial);
        States { target, names: BTreeSet::new(), known: BTreeSet::new(), readers }
    }

    /// Registers a side output that the function emits to, and that
    /// [`Stream::side`](crate::stream::Stream::side) reads. A record for a side output that is not registered
    /// ends the job with an error.
    pub fn side<T: Data>(&mut self, side: &SideOutput<T>) {
        match &mut self.target {
            Target::Worker { core, .. } => core.sides.push(side.key),
            Target::Trial(trial) => trial.sides.borrow_mut().push(side.key),
        }
    }

    fn mistake(&mut self, message: String) {
        let mistake = match &self.target {
            Target::Worker { core, .. } => &core.mistake,
            Target::Trial(trial) => &trial.mistake,
        };
        let _ = mistake.set(Error::config(message));
    }

    /// A value for each key.
    pub fn value<V: Exchange>(&mut self, name: &'static str) -> Value<V> {
        Value::at(self.register::<One<V>>(name, None))
    }

    /// A value for each key that expires.
    pub fn value_with_ttl<V: Exchange>(&mut self, name: &'static str, ttl: Ttl) -> Value<V> {
        Value::at(self.register::<One<V>>(name, Some(ttl)))
    }

    /// A list for each key.
    pub fn list<V: Exchange>(&mut self, name: &'static str) -> List<V> {
        List::at(self.register::<Many<V>>(name, None))
    }

    /// A list for each key whose items expire one by one.
    pub fn list_with_ttl<V: Exchange>(&mut self, name: &'static str, ttl: Ttl) -> List<V> {
        List::at(self.register::<Many<V>>(name, Some(ttl)))
    }

    /// A map for each key.
    pub fn map<S: Key, V: Exchange>(&mut self, name: &'static str) -> Map<S, V> {
        Map::at(self.register::<Mapped<S, V>>(name, None))
    }

    /// A map for each key whose entries expire one by one.
    pub fn map_with_ttl<S: Key, V: Exchange>(&mut self, name: &'static str, ttl: Ttl) -> Map<S, V> {
        Map::at(self.register::<Mapped<S, V>>(name, Some(ttl)))
    }

    /// Values by their times for each key, on two sides. Those that expire live so many milliseconds at most.
    pub(crate) fn timed<V: Exchange>(&mut self, name: &'static str, lives: i64) -> Timed<V> {
        Timed::at(self.register_kept::<state::Timed<V>>(name, Some(Ttl::millis(lives))))
    }

    /// A value for each key, into which `reduce` merges each added value.
    pub fn reducing<V: Exchange, F: Fn(&V, V) -> V>(
        &mut self,
        name: &'static str,
        reduce: F,
    ) -> Reducing<V, F> {
        Reducing::new(self.value(name), reduce)
    }

    /// An accumulator for each key.
    pub fn aggregating<T: Data, A: Aggregate<T>>(
        &mut self,
        name: &'static str,
        aggregate: A,
    ) -> Aggregating<T, A> {
        Aggregating::new(self.value(name), aggregate)
    }

    /// Lets a part of the function register its states, such as one of several combined triggers. Their names
    /// need not differ from those of other parts: of several states with one name, snapshots identify the
    /// first by the name alone, the second by the name and `#1`, the third by the name and `#2`. So parts
    /// must register in the same order each time.
    ///
    /// ```
    /// use highwater::data::Key;
    /// use highwater::process::States;
    /// use highwater::window::{Absorbed, Fire, Scope, Trigger, TriggerContext};
    ///
    /// /// Fires when two triggers would, at the same record.
    /// #[derive(Clone)]
    /// struct Both<G, H>(G, H);
    ///
    /// impl<K: Key, T, G: Trigger<K, T>, H: Trigger<K, T>> Trigger<K, T> for Both<G, H> {
    ///     fn open(&mut self, states: &mut States<'_, Scope<K>>) {
    ///         states.part(|states| self.0.open(states));
    ///         states.part(|states| self.1.open(states));
    ///     }
    ///
    ///     fn on_element(&mut self, value: &T, cx: &mut TriggerContext<'_, K>) -> Fire {
    ///         match (self.0.on_element(value, cx).fires(), self.1.on_element(value, cx).fires()) {
    ///             (true, true) => Fire::Fire,
    ///             _ => Fire::Continue,
    ///         }
    ///     }
    /// }
    /// ```
    pub fn part<R>(&mut self, register: impl FnOnce(&mut Self) -> R) -> R {
        // A duplicate is a mistake only within one part.
        let others = std::mem::take(&mut self.names);
        let result = register(self);
        self.names = others;
        result
    }

    fn register<S: Shape>(&mut self, name: &'static str, ttl: Option<Ttl>) -> KeyPlace {
        let is_timeless = matches!(self.target, Target::Worker { worker, .. } if !worker.has_event_time);
        if is_timeless && ttl.is_some_and(Ttl::needs_event_time) {
            self.mistake(format!(
                "the state {name:?} has a time to live by event time, and nothing that the operator reads has any, \
                 so it would live for ever: give a source watermarks, or let it live by the wall clock, with \
                 Ttl::by(TimeDomain::ProcessingTime)"
            ));
        }
        self.register_kept::<S>(name, ttl)
    }

    fn register_kept<S: Shape>(&mut self, name: &'static str, ttl: Option<Ttl>) -> KeyPlace {
        if !self.names.insert(name) {
            self.mistake(format!(
                "two states of one function are called {name:?}: give each a name of its own"
            ));
        }
        if ttl.is_some_and(Ttl::is_nothing) {
            self.mistake(format!("the state {name:?} has a time to live of 0 ms: it must be at least 1 ms"));
        }
        // Readers read the first state of a name, so only that one is published.
        let publish = if self.known.insert(name) { self.publish::<S>(name) } else { None };
        let Target::Worker { core, worker } = &mut self.target else { return KeyPlace::tried(ttl) };
        core.lives_by_wall |= ttl.is_some_and(Ttl::is_by_wall_clock);
        let lives = ttl.map(|ttl| (ttl.clock, ttl.millis));
        let cells = Cells::<K, S>::new(lives, core.owner(), (publish, worker.state_readers()));
        let column = core.store.add(name, cells);
        core.place(column, ttl)
    }

    /// The function that publishes the state of this name to its readers, if there are any.
    fn publish<S: Shape>(&mut self, name: &'static str) -> Option<Publish<K, S>> {
        let mut readings = Vec::new();
        let readers = self.readers.iter().filter(|(read, _)| *read == name);
        for reader in readers.map(|(_, reader)| Arc::clone(reader)).collect::<Vec<_>>() {
            match reader.downcast::<Reading<K, S::Sub, S::Value>>() {
                Ok(reading) => readings.push(reading),
                Err(_) => {
                    self.mistake(format!(
                        "the state {name:?} is read as another type than it is registered as"
                    ));
                }
            }
        }
        let Target::Worker { core, worker } = &self.target else { return None };
        if !readings.is_empty() {
            let held = worker.shared.metrics.metric(core.uid(), "history_bytes");
            readings.iter().for_each(|reading| reading.attach(&worker.shared, &held));
        }
        let worker = worker.index;
        (!readings.is_empty()).then(|| -> Publish<K, S> {
            Box::new(move |state| {
                readings.iter().for_each(|reading| reading.board.publish(worker, state.clone()))
            })
        })
    }

    /// Records a mistake if there is a reader of a state that does not exist.
    pub(crate) fn check(mut self) {
        let unknown = self.readers.iter().find(|(name, _)| !self.known.contains(name));
        if let Some((name, _)) = unknown.cloned() {
            self.mistake(format!("the state {name:?} is read, but the function registers none of that name"));
        }
    }
}
