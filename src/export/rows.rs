//! The rows of a table that are its state, out of all that its pages have.
//!
//! A table has pages of many runs, and a key may have a row in each of them, of which the newest counts, or
//! their sum. Rows lie in the order of their keys, but that order is the types' own, which are not here. What
//! is here is the hashes that a page goes from and to: a key's hash lies between those of each page that has
//! the key. So pages are read in order of their first hashes, and what is held of a key is final when no page
//! is left that begins before the last hash of a page that had it.
//!
//! Where rows lie in order of hashes, as all keyed state does, little more is held than a page of each run.
//! Rows in order of time have pages of all hashes: panes, timers and patterns are held until all are read.
//! They are few, or soon over.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::export::layout::{Column, Layout, RowMeaning, RowValue};
use crate::export::value::Value;
use crate::snapshot::{Manifest, PageRef, Repository, Restored, RestoredOperator, TableState};

/// From this many keys on, final ones are looked for.
const MANY: usize = 1 << 13;

/// The rows of a table in a snapshot, as the state has them; see [`Repository::rows`].
pub struct SavedRows {
    from: RestoredOperator,
    table: String,
    layout: Layout,
    /// The pages that are still to be read, shard by shard and in order of their first hashes.
    pages: VecDeque<Page>,
    held: BTreeMap<Vec<Value>, (u64, RowValue)>,
    /// The number of keys at which final ones are looked for again.
    limit: usize,
    ready: VecDeque<Vec<Value>>,
}

struct Page {
    shard: usize,
    clock: i64,
    run: u64,
    page: PageRef,
}

impl Repository {
    /// The rows of a table of the operator with this uid, for programs that do not have their types. Tables
    /// are those that the manifest [names](Manifest::operators); `highwater snapshot show` lists them.
    ///
    /// These rows are the state: of each key the newest row counts, and what was deleted or had expired is
    /// left out. Rows of what is added up, as joins have them, are sums. What a window knows of a key so far
    /// may be several rows, its parts, which the window's aggregate would merge. Rows come in no order that
    /// means something, the same each time.
    ///
    /// Reads one page after another, and holds some of each run. Values take more memory than typed ones; see
    /// [`Repository::state`] for these.
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
    /// let repository = Repository::open(store);
    /// let (_, manifest) = repository.find(&Selector::Latest)?.expect("the job has taken one");
    /// let rows = repository.rows(&manifest, "last", "state last")?;
    /// let names: Vec<&str> = rows.columns().iter().map(|column| column.name).collect();
    /// assert_eq!(names, ["key", "value", "expires"]);
    /// let mut rows = rows.collect::<highwater::Result<Vec<_>>>()?;
    /// rows.sort();
    /// let shown: Vec<String> = rows[0].iter().map(ToString::to_string).collect();
    /// assert_eq!(shown, [r#""a""#, "3", "null"]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no such operator or table, or if the schema of its rows does not say all that they are
    /// made of, for types may refuse to be asked. Each row may be an error too, after which there are no
    /// more: if the store cannot be read, or is damaged.
    pub fn rows(&self, manifest: &Manifest, uid: &str, table: &str) -> Result<SavedRows> {
        let TableState { name, schema, .. } = find(manifest, uid, table)?;
        let layout = Layout::of(name, &schema.text).ok_or_else(|| {
            Error::config(format!(
                "the table {table:?} of operator {uid:?} can be read by programs that have its type only, for its schema does not say all that the type \
                 is made of: it is {}",
                schema.text
            ))
        })?;
        let restored = Arc::new(Restored::new(self.clone(), manifest.clone()));
        let from = restored.operator(uid).ok_or_else(|| unknown_operator(manifest, uid))?;
        let mut pages = Vec::new();
        for (number, shard) in from.shards(table, schema)?.into_iter().enumerate() {
            if number > 0 && layout.is_everywhere() {
                break;
            }
            for (run, list) in (0..).zip(shard.runs) {
                pages.extend(list.into_iter().map(|page| Page {
                    shard: number,
                    clock: shard.clock,
                    run,
                    page,
                }));
            }
        }
        pages.sort_by_key(|page| (page.shard, page.page.hashes.0, page.run));
        let (held, ready) = (BTreeMap::new(), VecDeque::new());
        Ok(SavedRows { from, table: table.to_owned(), layout, pages: pages.into(), held, limit: MANY, ready })
    }
}

fn find<'a>(manifest: &'a Manifest, uid: &str, table: &str) -> Result<&'a TableState> {
    let operator = manifest.operators.iter().find(|operator| operator.uid == uid);
    let operator = operator.ok_or_else(|| unknown_operator(manifest, uid))?;
    operator.tables.iter().find(|known| known.name == table).ok_or_else(|| {
        let known: Vec<&str> = operator.tables.iter().map(|table| table.name.as_str()).collect();
        Error::config(format!(
            "the operator {uid:?} has no table {table:?} in the snapshot: it has {known:?}"
        ))
    })
}

fn unknown_operator(manifest: &Manifest, uid: &str) -> Error {
    let with_tables = manifest.operators.iter().filter(|operator| !operator.tables.is_empty());
    let known: Vec<&str> = with_tables.map(|operator| operator.uid.as_str()).collect();
    Error::config(format!("the snapshot has no table of an operator {uid:?}: it has of {known:?}"))
}

impl SavedRows {
    /// What the rows have in this order.
    pub fn columns(&self) -> &[Column] {
        &self.layout.columns
    }

    /// Takes in the next page, and makes rows of what is final then. False if there was none.
    fn step(&mut self) -> Result<bool> {
        let Some(Page { shard, clock, run, page }) = self.pages.pop_front() else {
            self.finish(|_| true)?;
            return Ok(false);
        };
        let (body, codec) = self.from.page(&self.table, &page)?;
        for row in self.layout.plan.decode(&body, page.rows as usize, codec)? {
            match self.layout.read(row, run, clock)? {
                RowMeaning::Nothing => {}
                RowMeaning::Row(row) => self.ready.push_back(row),
                RowMeaning::Of(key, said) => match self.held.get_mut(&key) {
                    Some((last, held)) => {
                        *last = page.hashes.1.min(*last);
                        held.absorb(said);
                    }
                    None => drop(self.held.insert(key, (page.hashes.1, said))),
                },
            }
        }
        match self.pages.front() {
            Some(next) if next.shard == shard => {
                if self.held.len() >= self.limit {
                    let first = next.page.hashes.0;
                    self.finish(|last| last < first)?;
                    // A look costs as much as there is left, so the next one waits until that has doubled.
                    self.limit = MANY.max(2 * self.held.len());
                }
            }
            // Workers have no keys in common.
            _ => self.finish(|_| true)?,
        }
        Ok(true)
    }

    /// Makes rows of what is final by the last hash that it may have.
    fn finish(&mut self, is_final: impl Fn(u64) -> bool) -> Result<()> {
        for (key, (_, held)) in self.held.extract_if(.., |_, (last, _)| is_final(*last)) {
            self.ready.extend(self.layout.rows(key, held)?);
        }
        Ok(())
    }
}

impl Iterator for SavedRows {
    type Item = Result<Vec<Value>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(Ok(row));
            }
            match self.step() {
                Ok(true) => {}
                Ok(false) if self.ready.is_empty() => return None,
                Ok(false) => {}
                Err(error) => {
                    self.pages.clear();
                    self.held.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}
