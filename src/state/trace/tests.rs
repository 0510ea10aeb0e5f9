//! Traces against maps: what readers see of a state as of each epoch that they may tell apart.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::trace::cursor::cursor_list;
use differential_dataflow::trace::{Batch, BatchReader, Cursor, Merger, Navigable, Trace, TraceReader};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use timely::PartialOrder;
use timely::dataflow::operators::generic::OperatorInfo;
use timely::progress::{Antichain, Timestamp};

use crate::data::{Diff, Hashed};
use crate::state::run::arrangement::Arrangement;
use crate::state::spill::files::SharedBudget;
use crate::state::trace::StateTrace;
use crate::state::trace::batch::{SealedBatch, StateBatch, epoch_time};
use crate::state::trace::cursor::Counted;
use crate::state::trace::spine::StateSpine;
use crate::time::Time;

type Records = BTreeMap<(u16, u8), Diff>;
type Writer = differential_dataflow::operators::arrange::TraceWriter<StateSpine<u16, u8>>;

/// An arrangement, its trace, and what it had as of each epoch.
struct Arranged {
    arrangement: Arrangement<Counted<u16, u8>>,
    own: StateTrace<u16, u8>,
    writer: Writer,
    upper: Antichain<Time>,
    oracle: Vec<Records>,
}

impl Arranged {
    fn new(is_limited: bool) -> Arranged {
        let memory = SharedBudget::new(1 << 20, std::env::temp_dir(), Arc::new(|error| panic!("{error}")));
        let arrangement = Arrangement::new(Counted::new(), Rc::default(), is_limited.then_some(&memory));
        let info = OperatorInfo::new(0, 0, Rc::from([]));
        let (own, writer) = TraceAgent::new(StateSpine::new(info.clone(), None, None), info, None);
        let upper = Antichain::from_elem(Time::minimum());
        Arranged { arrangement, own, writer, upper, oracle: Vec::new() }
    }

    /// Closes the next epoch, in which so much has changed.
    fn close(&mut self, changes: &Records) {
        let epoch = self.oracle.len() as u64;
        let mut now = self.oracle.last().cloned().unwrap_or_default();
        changes.iter().for_each(|(record, diff)| *now.entry(*record).or_default() += diff);
        now.retain(|_, count| *count != 0);
        self.oracle.push(now);
        let mut sorted: Vec<_> =
            changes.iter().map(|((key, value), diff)| ((Hashed::new(*key), *value), *diff)).collect();
        sorted.retain(|(_, diff)| *diff != 0);
        sorted.sort();
        match self.arrangement.seal(epoch, &sorted) {
            Some(run) => {
                let (lower, arrangement) = (std::mem::take(&mut self.upper), &self.arrangement);
                let failures = arrangement.failures();
                let batch = SealedBatch::new(lower, epoch, vec![run], arrangement.runs(), failures);
                self.upper = batch.upper().clone();
                self.writer.insert(StateBatch::of(Arc::new(batch)), Some(epoch_time(epoch)));
            }
            None => {
                self.upper = Antichain::from_elem(epoch_time(epoch + 1));
                self.writer.seal(self.upper.clone());
            }
        }
        self.own.set_logical_compaction(self.upper.borrow());
        self.own.set_physical_compaction(self.upper.borrow());
    }

    /// The runs of each batch.
    fn batches(&self) -> Vec<usize> {
        let mut runs = Vec::new();
        self.own.map_batches(|batch| runs.push(batch.sealed.runs().len()));
        runs
    }
}

/// What a trace has of the batches before an epoch, as of `at`.
fn as_of(trace: &mut StateTrace<u16, u8>, before: u64, at: u64) -> Records {
    let upper = Antichain::from_elem(epoch_time(before));
    let (mut cursor, storage) = trace.cursor_through(upper.borrow()).unwrap();
    let mut records = Records::new();
    for ((key, value), updates) in cursor.to_vec(&storage, |key| *key.key(), |value| *value) {
        let seen = updates.iter().filter(|(time, _)| time.less_equal(&epoch_time(at)));
        let count: isize = seen.map(|(_, diff)| *diff).sum();
        *records.entry((key, value)).or_default() += count as Diff;
    }
    records.retain(|_, count| *count != 0);
    records
}

fn changes() -> impl Strategy<Value = Records> {
    btree_map((0..100u16, 0..3u8), -2..3i64, 0..50)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Of each epoch that a reader has not let go of it sees the state as it was, whatever others do.
    #[test]
    fn readers_see_each_epoch_that_they_hold(
        epochs in vec((changes(), 0..4u8, 0..12u64), 1..24),
        is_limited in any::<bool>(),
    ) {
        let mut arranged = Arranged::new(is_limited);
        // Readers, and what each has let go of.
        let mut readers: Vec<(StateTrace<u16, u8>, u64)> = Vec::new();
        for (changes, what, far) in &epochs {
            arranged.close(changes);
            let next = arranged.oracle.len() as u64;
            match what {
                0 => {
                    let begun = arranged.own.get_logical_compaction()[0].epoch;
                    readers.push((arranged.own.clone(), begun));
                }
                1 if readers.len() > 2 => drop(readers.remove(0)),
                2 => {
                    for (number, (reader, since)) in readers.iter_mut().enumerate() {
                        *since = next.saturating_sub(*far + number as u64).max(*since);
                        let since = Antichain::from_elem(epoch_time(*since));
                        reader.set_logical_compaction(since.borrow());
                        reader.set_physical_compaction(since.borrow());
                    }
                }
                _ => {}
            }
            for (reader, since) in &mut readers {
                for at in since.saturating_sub(1)..next {
                    prop_assert_eq!(&as_of(reader, next, at), &arranged.oracle[at as usize]);
                    prop_assert_eq!(&as_of(reader, (at + 1).max(*since), at), &arranged.oracle[at as usize]);
                }
            }
        }
        drop(readers);
        arranged.close(&Records::from([((1, 1), 1)]));
        prop_assert_eq!(arranged.batches(), [arranged.arrangement.runs().len()]);
    }

    /// A cursor that seeks finds what one that steps does.
    #[test]
    fn seeking_finds_the_first_key_from_there_on(
        epochs in vec(changes(), 1..8),
        keys in vec(0..110u16, 1..40),
    ) {
        let mut arranged = Arranged::new(false);
        let mut all = arranged.own.clone();
        epochs.iter().for_each(|changes| arranged.close(changes));
        let upper = Antichain::from_elem(epoch_time(epochs.len() as u64));
        let (mut cursor, storage) = all.cursor_through(upper.borrow()).unwrap();
        let mut there = Vec::new();
        while let Some(key) = cursor.get_key(&storage) {
            there.push(key.clone());
            cursor.step_key(&storage);
        }
        prop_assert!(there.is_sorted_by(|one, other| one < other));
        let mut keys: Vec<_> = keys.into_iter().map(Hashed::new).collect();
        keys.sort();
        cursor.rewind_keys(&storage);
        for key in &keys {
            cursor.seek_key(&storage, key);
            prop_assert_eq!(cursor.get_key(&storage), there.iter().find(|other| *other >= key));
        }
    }

    /// Two batches that are merged say what they did, at times that no reader tells from theirs.
    #[test]
    fn merged_batches_are_their_sum(first in changes(), second in changes(), since in 0..3u64) {
        let mut arranged = Arranged::new(false);
        let all = arranged.own.clone();
        arranged.close(&first);
        arranged.close(&second);
        let mut batches = Vec::new();
        all.map_batches(|batch| batches.push(batch.clone()));
        prop_assume!(batches.len() == 2);
        let since = Antichain::from_elem(epoch_time(since));
        let mut merge = batches[0].begin_merge(&batches[1], since.borrow());
        let mut fuel = 1;
        merge.work(&batches[0], &batches[1], &mut fuel);
        let merged = merge.done();
        prop_assert!(fuel > 0 && merged.len() == batches[0].len() + batches[1].len());
        prop_assert_eq!(merged.lower(), batches[0].lower());
        prop_assert_eq!(merged.upper(), batches[1].upper());
        let sums = |batches: Vec<StateBatch<u16, u8>>| {
            let (mut cursor, storage) = cursor_list(batches);
            let mut sums = BTreeMap::new();
            for (record, updates) in cursor.to_vec(&storage, |key| *key.key(), |value| *value) {
                for (mut time, diff) in updates {
                    differential_dataflow::lattice::Lattice::advance_by(&mut time, since.borrow());
                    *sums.entry((record, time)).or_insert(0) += diff;
                }
            }
            sums.retain(|_, sum| *sum != 0);
            sums
        };
        prop_assert_eq!(sums(vec![merged]), sums(batches));
    }
}

#[test]
fn a_value_is_sought_within_its_key() {
    let mut arranged = Arranged::new(false);
    let all = arranged.own.clone();
    arranged.close(&(0..3).map(|value| ((7, value), 1)).collect());
    all.map_batches(|batch| {
        let mut cursor = batch.cursor();
        cursor.seek_val(batch, &1);
        assert_eq!(cursor.get_val(batch), Some(&1));
        cursor.step_val(batch);
        assert_eq!(cursor.get_val(batch), Some(&2));
        cursor.step_val(batch);
        assert!(!cursor.val_valid(batch));
        cursor.rewind_vals(batch);
        assert_eq!(cursor.get_val(batch), Some(&0));
    });
}

#[test]
fn a_trace_without_readers_is_the_state_alone() {
    let mut arranged = Arranged::new(false);
    for n in 0..2000u16 {
        let mut changes = Records::from([((n, 0), 1)]);
        if n >= 10 {
            changes.insert((n - 10, 0), -1);
        }
        arranged.close(&changes);
        assert!(arranged.batches().len() == 1 && arranged.batches()[0] < 20, "{:?}", arranged.batches());
    }
}
