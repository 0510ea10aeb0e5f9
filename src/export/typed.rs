//! State of a snapshot, read by any program while no job runs.
//!
//! A state is a list of pages. To read all of it costs all of them; to read a key, one page or a few of each
//! run, since pages know the hashes of their keys.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::data::{Exchange, Key, hash64};
use crate::error::{Error, Result};
use crate::snapshot::{Repository, Restored, RestoredOperator, RestoredShard, STATE, Schema, Selector};
use crate::state::LATEST;

/// A state of a process function in a snapshot: items by keys and sub-keys. For values the sub-key is `()`,
/// for lists the number, for maps the user's key.
pub struct SavedState<K, S, V> {
    from: RestoredOperator,
    table: String,
    shards: Vec<RestoredShard>,
    row: PhantomData<fn() -> (K, S, V)>,
}

/// An item and when it expires; none if it is no more.
type Kept<V> = Option<(V, i64)>;

impl Repository {
    /// A state of the process function with this uid, as a snapshot has it.
    ///
    /// ```
    /// use highwater::config::Options;
    /// use highwater::process::{Context, Process, States, Value};
    /// use highwater::object::Memory;
    /// use highwater::snapshot::{Repository, Selector, Snapshots};
    /// use highwater::stream::Job;
    /// use std::sync::Arc;
    ///
    /// #[derive(Clone, Default)]
    /// struct Last(Value<u64>);
    ///
    /// impl Process<String, u64> for Last {
    ///     type Out = u64;
    ///     fn open(&mut self, states: &mut States<'_, String>) {
    ///         self.0 = states.value("last");
    ///     }
    ///     fn process(&mut self, value: u64, cx: &mut Context<'_, String, u64>) {
    ///         self.0.set(cx, value);
    ///     }
    /// }
    ///
    /// let (job, store) = (Job::new(), Arc::new(Memory::default()));
    /// let words = job.collection([("a", 1), ("b", 2), ("a", 3)]);
    /// let keyed = words.key_by(|word| word.0.to_string()).map_values(|word| word.1);
    /// keyed.process(Last::default()).uid("last").discard();
    /// job.run_with(Options::default().snapshots(Snapshots::in_store(store.clone())))?;
    ///
    /// let last = Repository::open(store).state::<String, (), u64>(&Selector::Latest, "last", "last")?;
    /// assert_eq!(last.items(&"a".to_string())?[&()], 3);
    /// assert_eq!(last.all()?.len(), 2);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no such snapshot, operator or state, or if it is of other types.
    pub fn state<K: Key, S: Key, V: Exchange>(
        &self,
        selector: &Selector,
        uid: &str,
        state: &str,
    ) -> Result<SavedState<K, S, V>> {
        let (_, manifest) = self.find(selector)?.ok_or_else(|| selector.missing())?;
        let restored = Arc::new(Restored::new(self.clone(), manifest));
        let unknown = || {
            let known: Vec<&str> = restored.operators().map(|(uid, _)| uid).collect();
            Error::config(format!("the snapshot has no state of an operator {uid:?}: it has of {known:?}"))
        };
        let from = restored.operator(uid).ok_or_else(unknown)?;
        let table = format!("{STATE}{state}");
        if !from.tables().any(|known| known == table) {
            let known: Vec<&str> = from.tables().collect();
            return Err(Error::config(format!(
                "the operator {uid:?} has no state {state:?} in the snapshot: it has {known:?}"
            )));
        }
        let shards = from.shards(&table, &Schema::of::<(K, S, V)>(LATEST))?;
        Ok(SavedState { from, table, shards, row: PhantomData })
    }
}

impl<K: Key, S: Key, V: Exchange> SavedState<K, S, V> {
    /// The items of a key. Costs a read of the pages that may have it.
    ///
    /// # Errors
    ///
    /// If the store cannot be read, or is damaged.
    pub fn items(&self, key: &K) -> Result<BTreeMap<S, V>> {
        let hash = hash64(key);
        let read = self.read(|(first, last)| (first..=last).contains(&hash))?;
        Ok(read
            .into_iter()
            .filter(|((other, _), _)| other == key)
            .map(|((_, sub), value)| (sub, value))
            .collect())
    }

    /// All items, in order.
    ///
    /// # Errors
    ///
    /// If the store cannot be read, or is damaged.
    pub fn all(&self) -> Result<BTreeMap<(K, S), V>> {
        self.read(|_| true)
    }

    /// The items of pages whose hashes are wanted.
    fn read(&self, wanted: impl Fn((u64, u64)) -> bool) -> Result<BTreeMap<(K, S), V>> {
        let mut items = BTreeMap::new();
        for RestoredShard { clock, runs, .. } in &self.shards {
            for page in runs.iter().flatten().filter(|page| wanted(page.hashes)) {
                let (body, codec) = self.from.page(&self.table, page)?;
                let rows: Vec<(K, S, Kept<V>)> = codec.decode(&body, page.rows as usize)?;
                for (key, sub, kept) in rows {
                    // Newer runs come later, and count.
                    match kept.filter(|(_, expires)| *expires > *clock || *expires == i64::MAX) {
                        Some((value, _)) => drop(items.insert((key, sub), value)),
                        None => drop(items.remove(&(key, sub))),
                    }
                }
            }
        }
        Ok(items)
    }
}
