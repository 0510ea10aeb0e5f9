//! What a seal has changed, or several together, as differential has it.

use std::marker::PhantomData;
use std::sync::Arc;

use differential_dataflow::lattice::Lattice;
use differential_dataflow::trace::{Batch, BatchReader, Description, Merger};
use elsa::FrozenVec;
use timely::progress::frontier::AntichainRef;
use timely::progress::{Antichain, Timestamp};

use crate::data::{Exchange, Hashed, Key};
use crate::state::lsm::lsm::Failures;
use crate::state::lsm::sorted_run::SortedRun;
use crate::time::Time;

/// The rows of some seals, as they go from the operator that seals to its readers, and are kept for these.
pub(crate) struct SealedBatch {
    description: Description<Time>,
    /// The runs, and the time of the rows of each.
    runs: Vec<(Arc<SortedRun>, Time)>,
    /// The time of the last rows, also of such as have become nothing in sum.
    last: Option<Time>,
    /// The runs of the whole state after them, if they have changed it.
    after: Option<Arc<[Arc<SortedRun>]>>,
    /// Where what cannot be read is kept.
    failures: Option<Arc<Failures>>,
}

impl SealedBatch {
    /// What `runs` have changed in an epoch, nothing having changed since `lower`. `after` are the runs of
    /// the state after it.
    pub(crate) fn new(
        lower: Antichain<Time>,
        epoch: u64,
        runs: Vec<Arc<SortedRun>>,
        after: &[Arc<SortedRun>],
        failures: &Arc<Failures>,
    ) -> SealedBatch {
        let (time, upper) = (epoch_time(epoch), Antichain::from_elem(epoch_time(epoch.saturating_add(1))));
        SealedBatch {
            description: Description::new(lower, upper, Antichain::from_elem(Time::minimum())),
            runs: runs.into_iter().map(|run| (run, time)).collect(),
            last: Some(time),
            after: Some(after.into()),
            failures: Some(Arc::clone(failures)),
        }
    }

    fn empty(lower: Antichain<Time>, upper: Antichain<Time>) -> SealedBatch {
        let description = Description::new(lower, upper, Antichain::from_elem(Time::minimum()));
        SealedBatch { description, runs: Vec::new(), last: None, after: None, failures: None }
    }

    pub(super) fn lower(&self) -> &Antichain<Time> {
        self.description.lower()
    }

    /// The first epoch that it is not about, as a frontier.
    pub(crate) fn upper(&self) -> &Antichain<Time> {
        self.description.upper()
    }

    /// True if it has no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The last time of its rows.
    pub(super) fn last(&self) -> Option<Time> {
        self.last
    }

    /// All that some batches have changed, the first of which begins with nothing, as rows of one `time`:
    /// the state after them. `since` is what need not be told apart.
    pub(super) fn state_after(
        batches: &[Arc<SealedBatch>],
        time: Time,
        since: &Antichain<Time>,
    ) -> Option<SealedBatch> {
        let (first, last) = (batches.first()?, batches.last()?);
        let some_last = batches.iter().any(|batch| batch.last.is_some());
        let after = batches.iter().rev().find_map(|batch| batch.after.clone());
        let failures = batches.iter().find_map(|batch| batch.failures.clone());
        let (lower, upper) = (first.description.lower().clone(), last.upper().clone());
        let runs = after.iter().flat_map(|after| after.iter()).map(|run| (Arc::clone(run), time)).collect();
        Some(SealedBatch {
            description: Description::new(lower, upper, since.clone()),
            runs,
            last: some_last.then_some(time),
            after,
            failures,
        })
    }

    pub(super) fn runs(&self) -> &[(Arc<SortedRun>, Time)] {
        &self.runs
    }

    pub(super) fn failures(&self) -> Option<&Arc<Failures>> {
        self.failures.as_ref()
    }
}

/// The time of what an epoch has changed.
pub(crate) const fn epoch_time(epoch: u64) -> Time {
    Time::new(epoch, i64::MIN)
}

/// What a batch has of a key: its updates, in order of the records.
pub(super) struct KeyRecords<K, V> {
    pub(super) key: Hashed<K>,
    pub(super) updates: Vec<(V, Time, isize)>,
}

/// Some rows of a state, as differential has them: a batch of a [`StateTrace`](super::StateTrace).
pub struct StateBatch<K, V> {
    pub(super) sealed: Arc<SealedBatch>,
    /// The keys that cursors have come to, with their rows. What is cloned begins with none, so these are
    /// kept no longer than a cursor is used.
    pub(super) groups: FrozenVec<Box<KeyRecords<K, V>>>,
}

impl<K, V> StateBatch<K, V> {
    pub(crate) fn of(sealed: Arc<SealedBatch>) -> StateBatch<K, V> {
        StateBatch { sealed, groups: FrozenVec::new() }
    }

    /// The last epoch that it has rows of.
    pub(crate) fn last_epoch(&self) -> Option<u64> {
        self.sealed.last().map(|time| time.epoch)
    }
}

impl<K, V> Clone for StateBatch<K, V> {
    fn clone(&self) -> StateBatch<K, V> {
        StateBatch::of(Arc::clone(&self.sealed))
    }
}

impl<K: Key, V: Exchange + Ord> BatchReader for StateBatch<K, V> {
    type Time = Time;

    fn len(&self) -> usize {
        self.sealed.runs.iter().map(|(run, _)| run.len()).sum()
    }

    fn description(&self) -> &Description<Time> {
        &self.sealed.description
    }
}

impl<K: Key, V: Exchange + Ord> Batch for StateBatch<K, V> {
    type Merger = StateMerger<K, V>;

    fn empty(lower: Antichain<Time>, upper: Antichain<Time>) -> StateBatch<K, V> {
        StateBatch::of(Arc::new(SealedBatch::empty(lower, upper)))
    }
}

/// The merge of two batches, which is that of their lists of runs: rows add up wherever they lie.
pub struct StateMerger<K, V>(Arc<SealedBatch>, PhantomData<fn() -> (K, V)>);

impl<K: Key, V: Exchange + Ord> Merger<StateBatch<K, V>> for StateMerger<K, V> {
    fn new(one: &StateBatch<K, V>, other: &StateBatch<K, V>, since: AntichainRef<'_, Time>) -> Self {
        let (one, other) = (&one.sealed, &other.sealed);
        let advanced = |(run, time): &(Arc<SortedRun>, Time)| {
            let mut time = *time;
            time.advance_by(since);
            (Arc::clone(run), time)
        };
        let (lower, upper) = (one.description.lower().clone(), other.upper().clone());
        StateMerger(
            Arc::new(SealedBatch {
                description: Description::new(lower, upper, since.to_owned()),
                runs: one.runs.iter().chain(&other.runs).map(advanced).collect(),
                last: one.last.into_iter().chain(other.last).max().map(|mut time| {
                    time.advance_by(since);
                    time
                }),
                after: other.after.clone().or_else(|| one.after.clone()),
                failures: one.failures.clone().or_else(|| other.failures.clone()),
            }),
            PhantomData,
        )
    }

    fn work(&mut self, _: &StateBatch<K, V>, _: &StateBatch<K, V>, _: &mut isize) {}

    fn done(self) -> StateBatch<K, V> {
        StateBatch::of(self.0)
    }
}
