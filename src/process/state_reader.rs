//! Reading state from outside while the job runs.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::clock::Clock;
use crate::data::{Data, Exchange, Key};
use crate::error::{Error, Result};
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
    /// Registers a worker that readers can request state from.
    pub(super) fn attach(&self, shared: &Arc<Shared>) {
        self.job.get_or_init(|| {
            self.board.prepare(shared.workers);
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
        let job = self
            .0
            .job
            .get()
            .ok_or_else(|| Error::config("state can be read while its job runs: start it first"))?;
        let least = job.upgrade().map_or(0, |shared| shared.ask());
        let clock = Clock::system();
        loop {
            let running = job.upgrade().is_some_and(|shared| !shared.is_over());
            // After the end the last state is sealed, whatever its epoch.
            if let Some(view) = self.0.board.view(if running { least } else { 0 }, LOOK) {
                return Ok(view);
            }
            if clock.now() >= wait {
                return Err(Error::config(format!(
                    "no epoch ended within {wait:?}, so there is no state to read"
                )));
            }
        }
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
