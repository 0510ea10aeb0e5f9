//! Reading state from outside while the job runs.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::clock::Clock;
use crate::data::{Data, Exchange, Key};
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::state::{Items, Mapped, One, PublishedState, StateView};
use crate::stream::{Node, Shared, Stream};

/// Reads a state of a process function from outside, as of the end of an epoch.
///
/// Made from the function's output before the job starts; see [`Stream::value_of`].
pub struct StateReader<K, S, V>(Arc<Reading<K, S, V>>);

impl<K, S, V> Clone for StateReader<K, S, V> {
    fn clone(&self) -> Self {
        StateReader(Arc::clone(&self.0))
    }
}

/// The data that a reader shares with the workers.
pub(super) struct Reading<K, S, V> {
    pub(super) board: PublishedState<K, S, V>,
    job: OnceLock<Weak<Shared>>,
}

impl<K, S, V> Reading<K, S, V> {
    /// Registers a worker that readers can request state from. `held` counts what earlier epochs take.
    pub(super) fn attach(&self, shared: &Arc<Shared>, held: &Metric) {
        self.job.get_or_init(|| {
            self.board.prepare(&shared.ownership, shared.history, held);
            shared.is_read();
            Arc::downgrade(shared)
        });
    }
}

/// How often to look whether the job has ended.
const LOOK: Duration = Duration::from_millis(5);

impl<K: Key, S: Key, V: Exchange> StateReader<K, S, V> {
    /// The state as of the end of the next epoch, or as of the end if the job ends meanwhile.
    ///
    /// # Errors
    ///
    /// If the job does not run yet, or no epoch ends within `wait`. With
    /// [`Epochs::records`](crate::time::Epochs::records) and
    /// [`Epochs::when_done`](crate::time::Epochs::when_done) epochs end only while records come.
    pub fn read(&self, wait: Duration) -> Result<StateView<K, S, V>> {
        let job = self.job()?;
        let least = job.upgrade().map_or(0, |shared| shared.ask());
        let clock = Clock::system();
        loop {
            let running = job.upgrade().is_some_and(|shared| !shared.is_over());
            // After the end the last state is sealed, whatever its epoch.
            if let Some(view) = self.0.board.view(if running { least } else { 0 }, LOOK) {
                return whole(view);
            }
            if clock.now() >= wait {
                return Err(Error::config(format!(
                    "no epoch ended within {wait:?}, so there is no state to read"
                )));
            }
        }
    }

    /// The state as of the end of an epoch, of those that the job
    /// [keeps](crate::config::Options::state_history). Waits for nothing. Costs some pointers for each
    /// worker; to look up a value of a million in it some microseconds.
    ///
    /// ```
    /// # use highwater::config::Options;
    /// # use highwater::process::{Context, Process, States, Value};
    /// # use highwater::stream::Job;
    /// # use highwater::time::Epochs;
    /// # #[derive(Clone, Default)]
    /// # struct Count(Value<u64>);
    /// # impl Process<u8, i64> for Count {
    /// #     type Out = ();
    /// #     fn open(&mut self, states: &mut States<'_, u8>) {
    /// #         self.0 = states.value("count");
    /// #     }
    /// #     fn process(&mut self, _: i64, cx: &mut Context<'_, u8, ()>) {
    /// #         self.0.update(cx, || 0, |count| *count += 1);
    /// #     }
    /// # }
    /// let job = Job::new();
    /// let numbers = job.collection(0..100i64).key_by(|n| (n % 2) as u8);
    /// let out = numbers.process(Count::default());
    /// let counts = out.value_of::<u8, u64>("count");
    /// out.discard();
    /// job.run_with(Options::default().epochs(Epochs::records(10)).state_history(1000))?;
    /// let (first, last) = counts.epochs().unwrap();
    /// let before = counts.as_of(first)?;
    /// assert!(before.get(&0) < counts.as_of(last)?.get(&0));
    /// assert_eq!(counts.as_of(last)?.get(&0), Some(50));
    /// # Ok::<(), highwater::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the job does not run yet, the epoch has not ended on all workers, or its state is not kept any
    /// more.
    pub fn as_of(&self, epoch: u64) -> Result<StateView<K, S, V>> {
        self.job()?;
        if let Some(view) = self.0.board.as_of(epoch) {
            return whole(view);
        }
        Err(Error::config(match self.0.board.epochs() {
            Some((first, last)) => format!(
                "the state as of epoch {epoch} is not there, but those of {first} to {last} are: ask for one of these, \
                 or keep more by `Options::state_history`"
            ),
            None => format!(
                "the state as of epoch {epoch} is not there: no epoch has ended whose state is kept, by `Options::state_history`"
            ),
        }))
    }

    /// The first and the last epoch as of whose ends there is the state now. `None` if there is none.
    pub fn epochs(&self) -> Option<(u64, u64)> {
        self.0.board.epochs()
    }

    fn job(&self) -> Result<&Weak<Shared>> {
        let job = self.0.job.get();
        job.ok_or_else(|| Error::config("state can be read while its job runs: start it first"))
    }
}

/// A view, unless something is missing in it.
fn whole<K: Key, S: Key, V: Exchange>(view: StateView<K, S, V>) -> Result<StateView<K, S, V>> {
    match view.failed() {
        None => Ok(view),
        Some(failed) => Err(Error::data(format!("the state cannot be read: {failed}"))),
    }
}

impl<O: Data> Stream<O, Node<O>> {
    /// A reader of the value that the process function whose output this is has registered under a name.
    ///
    /// ```
    /// # use highwater::process::{Context, Process, States, Value};
    /// # use highwater::stream::Job;
    /// # use std::time::Duration;
    /// #[derive(Clone, Default)]
    /// struct Greatest(Value<i64>);
    ///
    /// impl Process<u8, i64> for Greatest {
    ///     type Out = ();
    ///     fn open(&mut self, states: &mut States<'_, u8>) {
    ///         self.0 = states.value("greatest");
    ///     }
    ///     fn process(&mut self, value: i64, cx: &mut Context<'_, u8, ()>) {
    ///         self.0.update(cx, || value, |greatest| *greatest = value.max(*greatest));
    ///     }
    /// }
    ///
    /// let job = Job::new();
    /// let out = job.collection([3, 9, 4]).key_by(|n| (n % 2) as u8).map_values(i64::from).process(Greatest::default());
    /// let reader = out.value_of::<u8, i64>("greatest");
    /// out.discard();
    /// job.run()?;
    /// let greatest = reader.read(Duration::from_secs(1))?;
    /// assert_eq!((greatest.get(&0), greatest.get(&1), greatest.get(&2)), (Some(4), Some(9), None));
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn value_of<K: Key, V: Exchange>(&self, name: &'static str) -> StateReader<K, (), V> {
        self.reader::<K, One<V>>(name)
    }

    /// A reader of the map that the process function whose output this is has registered under a name.
    pub fn map_of<K: Key, S: Key, V: Exchange>(&self, name: &'static str) -> StateReader<K, S, V> {
        self.reader::<K, Mapped<S, V>>(name)
    }

    fn reader<K: Key, I: Items<Sub: Key, Value: Exchange>>(
        &self,
        name: &'static str,
    ) -> StateReader<K, I::Sub, I::Value> {
        let reading = Arc::new(Reading { board: PublishedState::new(), job: OnceLock::new() });
        self.read_by(name, Arc::<Reading<_, _, _>>::clone(&reading));
        StateReader(reading)
    }
}
