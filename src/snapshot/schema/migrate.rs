//! Migrations: what a user declares of a job that has changed since its snapshots were written.

use serde::de::DeserializeOwned;

use crate::data::Exchange;
use crate::error::{Error, Result};
use crate::snapshot::schema::convert::SomeConversion;

/// How a job that has changed goes on from snapshots of before: what became of types, names and operators.
/// Handed to [`Job::migrations`](crate::stream::Job::migrations).
///
/// A job finds its state in a snapshot by the [uid](crate::stream::Stream::uid) of an operator and the name
/// of a state, and takes it if it is of the type that the program has. If something is of another name or
/// type, or is no longer there, the job does not start, unless a migration is declared here. What has been
/// migrated is written anew, whole, by the next snapshot, and then no migration is needed any more. It is
/// harmless to declare it still: migrations of names and types that a snapshot does not have are not applied.
///
/// ```
/// use std::sync::Arc;
/// use highwater::config::Options;
/// use highwater::process::{Context, Process, States, Value};
/// use highwater::object::Memory;
/// use highwater::snapshot::{Migrations, Restore, Snapshots};
/// use highwater::stream::Job;
/// use serde::{Deserialize, Serialize};
///
/// /// What the program kept, at first: how often a word came.
/// #[derive(Clone, Default)]
/// struct Before(Value<u32>);
/// # impl Process<String, u32> for Before {
/// #     type Out = u32;
/// #     fn open(&mut self, states: &mut States<'_, String>) {
/// #         self.0 = states.value("count");
/// #     }
/// #     fn process(&mut self, _: u32, cx: &mut Context<'_, String, u32>) {
/// #         self.0.update(cx, || 0, |count| *count += 1);
/// #     }
/// # }
///
/// /// What it keeps now: also how long the longest line was.
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Word {
///     count: u64,
///     longest: Option<u32>,
/// }
///
/// #[derive(Clone, Default)]
/// struct Now(Value<Word>);
///
/// impl Process<String, u32> for Now {
///     type Out = (String, u64, Option<u32>);
///     fn open(&mut self, states: &mut States<'_, String>) {
///         self.0 = states.value("word");
///     }
///     fn process(&mut self, line: u32, cx: &mut Context<'_, String, Self::Out>) {
///         let unseen = || Word { count: 0, longest: None };
///         self.0.update(cx, unseen, |word| {
///             word.count += 1;
///             word.longest = word.longest.max(Some(line));
///         });
///         if let Some(Word { count, longest }) = self.0.get(cx).cloned() {
///             cx.emit((cx.key().clone(), count, longest));
///         }
///     }
/// }
///
/// let snapshots = Snapshots::in_store(Arc::new(Memory::default())).restore(Restore::Latest);
/// let options = Options::default().snapshots(snapshots);
///
/// let job = Job::new();
/// # let lines = job.collection([("a", 9), ("b", 9), ("a", 9)]).uid("before");
/// # lines.key_by(|line| line.0.to_string()).map_values(|line| line.1).process(Before::default()).uid("counts").discard();
/// // ... process(Before::default()).uid("counts") ...
/// job.run_with(options.clone())?;
///
/// let job = Job::new();
/// # let lines = job.collection([("a", 5)]).uid("lines");
/// # let keyed = lines.key_by(|line| line.0.to_string()).map_values(|line| line.1);
/// # let words = keyed.process(Now::default()).uid("words").collect();
/// // ... process(Now::default()).uid("words") ...
/// job.migrations(
///     Migrations::new()
///         .rename("counts", "words")
///         .rename_state("words", "count", "word")
///         .convert("words", "word", |count: u32| Word { count: count.into(), longest: None })
///         .forget("before"),
/// );
/// job.run_with(options)?;
/// assert_eq!(words.values(), [("a".to_string(), 3, Some(5))]);
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Migrations {
    conversions: Vec<(String, String, SomeConversion)>,
    renamed: Vec<(String, String)>,
    renamed_states: Vec<(String, String, String)>,
    forgotten: Vec<String>,
    forgotten_states: Vec<(String, String)>,
}

/// The prefix of the names of tables that hold a user's state.
pub(crate) const STATE: &str = "state ";

impl Migrations {
    /// Nothing has changed.
    pub fn new() -> Migrations {
        Migrations::default()
    }

    /// A part of a state was an `Old`, and the program has made something else of it since. `convert` is
    /// called for each that there is, also for some that are deleted or expired since, as often as the job
    /// goes on from a snapshot of before; so it should depend on nothing but what it is given. If it panics,
    /// the job ends with that.
    ///
    /// `uid` and `state` are as the program calls them now. Of a process function the state is one that it
    /// registers, and the part is a value: the value of a key, an item of a list, what a map has for an
    /// entry. For other operators:
    ///
    /// | operator | state | part |
    /// |---|---|---|
    /// | a rolling aggregate | `aggregates` | an accumulator |
    /// | aligned windows | `panes` | an accumulator |
    /// | sessions | `sessions` | all sessions of a key with their accumulators: `Vec<(Window, Acc)>` |
    /// | windows with triggers, evictors, lateness or functions of all elements | `window state window content` | an accumulator, or an [`Element`](crate::window::Element) |
    /// | a join of two changing collections, or of windows | `left`, `right` | a record |
    /// | a temporal join | `version` | the version of a key |
    /// | a process with rules | `rules` | all rules |
    /// | all of one input that takes records in order or has them wait for their watermark | `waiting` | a record; of sessions, an accumulator |
    ///
    /// What has the engine's own types around a user's cannot be converted: the records of interval joins,
    /// those that wait for two-input functions, and partial matches of patterns. If their type changes give
    /// them the old one, in a [`map`](crate::stream::Stream::map) before, until the operator has another uid.
    ///
    /// `Old` must say that it reads what the program of before wrote, by the names of structs, fields and
    /// variants. A struct that the program calls otherwise now is given the old name:
    /// `#[serde(rename = "Word")]`. There may be several for a state, from several old types; that one is
    /// taken which the snapshot has. Types that read the same are not told apart, so nothing is converted
    /// from one to the other. The keys of a state and of a map, and so the order and the owners of rows,
    /// cannot be converted; nor can what was written as [plain data](crate::snapshot::Codec::Abomonation).
    pub fn convert<Old, New>(
        mut self,
        uid: impl Into<String>,
        state: impl Into<String>,
        convert: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Migrations
    where
        Old: DeserializeOwned + 'static,
        New: Exchange,
    {
        self.conversions.push((uid.into(), state.into(), SomeConversion::by(convert)));
        self
    }

    /// The operator that has the uid `now` was called `before`. The job must have no other operator of that
    /// name.
    pub fn rename(mut self, before: impl Into<String>, now: impl Into<String>) -> Migrations {
        self.renamed.push((before.into(), now.into()));
        self
    }

    /// The state `now` of the operator that has this uid was called `before`.
    pub fn rename_state(
        mut self,
        uid: impl Into<String>,
        before: impl Into<String>,
        now: impl Into<String>,
    ) -> Migrations {
        self.renamed_states.push((uid.into(), before.into(), now.into()));
        self
    }

    /// The operator that had this uid is gone, and its state may go. So may the positions of a source, and
    /// what a sink had prepared.
    pub fn forget(mut self, uid: impl Into<String>) -> Migrations {
        self.forgotten.push(uid.into());
        self
    }

    /// The operator that has this uid has no use for a state of this name any more.
    pub fn forget_state(mut self, uid: impl Into<String>, state: impl Into<String>) -> Migrations {
        self.forgotten_states.push((uid.into(), state.into()));
        self
    }

    /// Adds the migrations of another one.
    pub(crate) fn extend(&mut self, other: Migrations) {
        self.conversions.extend(other.conversions);
        self.renamed.extend(other.renamed);
        self.renamed_states.extend(other.renamed_states);
        self.forgotten.extend(other.forgotten);
        self.forgotten_states.extend(other.forgotten_states);
    }

    /// Checks the operators that are named here against those that the job has.
    pub(crate) fn check(&self, has: impl Fn(&str) -> bool) -> Result<()> {
        let states = self.conversions.iter().map(|(uid, ..)| uid);
        let states = states.chain(self.renamed_states.iter().map(|(uid, ..)| uid));
        let states = states.chain(self.forgotten_states.iter().map(|(uid, _)| uid));
        for uid in states.chain(self.renamed.iter().map(|(_, now)| now)) {
            if !has(uid) {
                return Err(Error::config(format!(
                    "something is to be migrated to the operator {uid:?}, and the job has none of that uid"
                )));
            }
        }
        // A former uid must be free: an operator that has it now would take its state.
        for uid in self.renamed.iter().map(|(before, _)| before).chain(&self.forgotten) {
            if has(uid) {
                return Err(Error::config(format!(
                    "the operator {uid:?} is said to be renamed or gone, and the job has it still: give the new one a uid of its own"
                )));
            }
        }
        Ok(())
    }

    /// What the operator may have been called before.
    pub(in crate::snapshot) fn before<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = &'a str> {
        self.renamed.iter().filter(move |(_, now)| now == uid).map(|(before, _)| before.as_str())
    }

    /// What an operator of the snapshot is called now.
    pub(in crate::snapshot) fn now<'a>(&'a self, uid: &'a str) -> &'a str {
        self.renamed.iter().find(|(before, _)| before == uid).map_or(uid, |(_, now)| now)
    }

    /// True if the operator of the snapshot may go.
    pub(in crate::snapshot) fn forgets(&self, uid: &str) -> bool {
        self.forgotten.iter().any(|forgotten| forgotten == uid)
    }

    /// What a table may have been called before.
    pub(in crate::snapshot) fn tables_before<'a>(
        &'a self,
        uid: &'a str,
        table: &'a str,
    ) -> impl Iterator<Item = String> + 'a {
        let renamed = self.renamed_states.iter().filter(move |(of, ..)| of == uid);
        renamed.filter_map(move |(_, before, now)| Some(format!("{}{before}", is_called(table, now)?)))
    }

    /// True if a table of the operator may go.
    pub(in crate::snapshot) fn forgets_table(&self, uid: &str, table: &str) -> bool {
        self.forgotten_states.iter().any(|(of, state)| of == uid && is_called(table, state).is_some())
    }

    /// The conversions of a table.
    pub(in crate::snapshot) fn conversions<'a>(
        &'a self,
        uid: &'a str,
        table: &'a str,
    ) -> impl Iterator<Item = &'a SomeConversion> {
        let found = self.conversions.iter();
        let found = found.filter(move |(of, state, _)| of == uid && is_called(table, state).is_some());
        found.map(|(_, _, conversion)| conversion)
    }
}

/// The prefix of a table's name, if the table is the one that a user calls `state`.
fn is_called(table: &str, state: &str) -> Option<&'static str> {
    // Tables of user states have the prefix, tables of an operator's own do not.
    match table.strip_prefix(STATE) {
        Some(rest) if rest == state => Some(STATE),
        _ => (table == state).then_some(""),
    }
}
