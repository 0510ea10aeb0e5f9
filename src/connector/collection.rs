//! Collections in memory as sources and as sinks, for tests, examples and small inputs. A sink holds all
//! records that it has received, so its memory grows with the input.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::origin::{AtSource, Timestamps};
use super::{Reader, Sink, Source, Split, Status, Writer};
use crate::data::{Change, Data, Diff, Record, Visit, consolidate};
use crate::error::Result;
use crate::lock::lock;
use crate::stream::{Chain, Job, Stream};
use crate::time::{EventTime, Watermarks};

/// A source over values in memory, in one or several splits.
#[derive(Clone)]
pub struct Collection<T> {
    splits: Arc<Vec<Vec<T>>>,
}

impl<T: Data> Collection<T> {
    /// One split with these values, in this order.
    pub fn new(values: impl IntoIterator<Item = T>) -> Collection<T> {
        Collection::splits([values])
    }

    /// A split for each sequence of values.
    pub fn splits<I: IntoIterator<Item = T>>(splits: impl IntoIterator<Item = I>) -> Collection<T> {
        Collection { splits: Arc::new(splits.into_iter().map(|split| split.into_iter().collect()).collect()) }
    }
}

/// The number of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered(pub usize);

impl Split for Numbered {
    fn id(&self) -> String {
        self.0.to_string()
    }
}

impl<T: Data> Source for Collection<T> {
    type Item = T;
    type Split = Numbered;
    type Reader = CollectionReader<T>;

    fn name(&self) -> String {
        "collection".to_owned()
    }

    fn splits(&self) -> Result<Vec<Numbered>> {
        Ok((0..self.splits.len()).map(Numbered).collect())
    }

    fn open(&self, split: &Numbered, from: Option<usize>) -> Result<CollectionReader<T>> {
        Ok(CollectionReader { splits: Arc::clone(&self.splits), split: split.0, position: from.unwrap_or(0) })
    }
}

/// Reads a split of a [`Collection`].
pub struct CollectionReader<T> {
    splits: Arc<Vec<Vec<T>>>,
    split: usize,
    position: usize,
}

impl<T: Data> Reader for CollectionReader<T> {
    type Item = T;
    type Position = usize;

    fn read<V: Visit<T>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        let rest = &self.splits[self.split][self.position..];
        let taken = limit.min(rest.len());
        rest[..taken].iter().cloned().for_each(|value| visit.visit(value));
        self.position += taken;
        Ok(if taken == rest.len() { Status::Done } else { Status::More })
    }

    fn position(&self) -> usize {
        self.position
    }
}

impl Job {
    /// Reads values in memory, which have no event times.
    pub fn collection<T: Data>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Stream<T, AtSource<Collection<T>, fn(&T) -> EventTime>> {
        self.source(Collection::new(values), Watermarks::none())
    }

    /// Reads values in memory with event times.
    pub fn timed_collection<T: Data, F: Timestamps<T>>(
        &self,
        values: impl IntoIterator<Item = T>,
        watermarks: Watermarks<T, F>,
    ) -> Stream<T, AtSource<Collection<T>, F>> {
        self.source(Collection::new(values), watermarks)
    }
}

/// The records that a [`collect`](Stream::collect) has gathered, in the order of their arrival.
#[derive(Clone)]
pub struct Collected<T>(Arc<Mutex<Vec<(u64, Record<T>)>>>);

impl<T: Data> Collected<T> {
    /// The values, in the order of their arrival.
    pub fn values(&self) -> Vec<T> {
        lock(&self.0).iter().map(|(_, record)| record.value.clone()).collect()
    }

    /// The values, sorted.
    pub fn sorted(&self) -> Vec<T>
    where
        T: Ord,
    {
        let mut values = self.values();
        values.sort();
        values
    }

    /// The records with the epochs they belong to, in the order of their arrival.
    pub fn records(&self) -> Vec<(u64, Record<T>)> {
        lock(&self.0).clone()
    }
}

/// The changes that [`materialize`](Stream::materialize) has gathered.
#[derive(Clone)]
pub struct Materialized<T>(Collected<Change<T>>);

impl<T: Data + Ord> Materialized<T> {
    /// The records of the collection after all changes, sorted, each as often as it is in the collection.
    pub fn sorted(&self) -> Vec<T> {
        let rows = consolidate(self.0.values());
        rows.into_iter().flat_map(|(row, diff)| vec![row; usize::try_from(diff).unwrap_or(0)]).collect()
    }

    /// The records of the collection at the end of `epoch`, each with its multiplicity.
    pub fn as_of(&self, epoch: u64) -> Vec<(T, Diff)> {
        let changes = self.0.records().into_iter().filter(|(e, _)| *e <= epoch);
        consolidate(changes.map(|(_, record)| record.value))
    }
}

struct CollectSink<T>(Collected<T>);

impl<T: Data> Sink<T> for CollectSink<T> {
    type Writer = Collected<T>;

    fn name(&self) -> String {
        "collect".to_owned()
    }

    fn open(&self, _: usize, _: usize) -> Result<Collected<T>> {
        Ok(self.0.clone())
    }
}

impl<T: Data> Writer<T> for Collected<T> {
    type Prepared = ();
    const IN_ORDER: bool = false;

    fn write(&mut self, epoch: u64, batch: &mut Vec<Record<T>>) -> Result<()> {
        lock(&self.0).extend(batch.drain(..).map(|record| (epoch, record)));
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self, _: u64, (): ()) -> Result<()> {
        Ok(())
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Gathers all records in memory, to be read once the job has run.
    pub fn collect(self) -> Collected<T> {
        let collected = Collected(Arc::default());
        self.sink(CollectSink(collected.clone()));
        collected
    }
}

impl<T: Data, C: Chain<Out = Change<T>>> Stream<Change<T>, C> {
    /// Gathers the collection that the changes describe, to be read once the job has run.
    pub fn materialize(self) -> Materialized<T> {
        Materialized(self.collect())
    }
}
