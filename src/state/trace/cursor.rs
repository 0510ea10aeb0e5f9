//! A place in a batch: a key, and one of its records.

use std::sync::Arc;

use differential_dataflow::consolidation::consolidate_updates;
use differential_dataflow::trace::{Cursor, Navigable};

use crate::data::{Diff, Exchange, Hashed, Key};
use crate::state::lsm::row_type::prefix_of_hash;
use crate::state::run::cursor::Cursor as RunCursor;
use crate::state::run::latest_and_sums::Sums;
use crate::state::trace::batch::{KeyRecords, StateBatch};
use crate::time::Time;

/// Records with keys, and how often each is there.
pub(crate) type Counted<K, V> = Sums<(Hashed<K>, V), Diff>;

/// A cursor over a [`StateBatch`].
pub struct StateCursor<K: Key, V: Exchange + Ord> {
    /// What comes after the key that it is at, in each run.
    runs: Vec<(RunCursor<Counted<K, V>>, Time)>,
    /// The number of the group of the key that it is at.
    group: Option<usize>,
    /// The number of the first update in it of the record that it is at.
    update: usize,
}

/// So many rows are passed over before the place is looked up where to go on.
const NEAR: usize = 8;

impl<K: Key, V: Exchange + Ord> StateCursor<K, V> {
    pub(super) fn new(batch: &StateBatch<K, V>) -> StateCursor<K, V> {
        let cursor = |run: &Arc<_>| {
            RunCursor::new(Sums::new(), Arc::clone(run), (0, 0), batch.sealed.failures().cloned())
        };
        let runs = batch.sealed.runs().iter().map(|(run, time)| (cursor(run), *time)).collect();
        let mut cursor = StateCursor { runs, group: None, update: 0 };
        cursor.load(batch);
        cursor
    }

    /// Reads the rows of the next key of which something is left in sum.
    fn load(&mut self, batch: &StateBatch<K, V>) {
        (self.group, self.update) = (None, 0);
        while self.group.is_none() {
            let heads = self.runs.iter().enumerate();
            let heads = heads.filter_map(|(number, (run, _))| Some((&run.row()?.0.0, number)));
            let Some((_, least)) = heads.min() else { return };
            let (run, time) = &mut self.runs[least];
            let Some(((key, record), diff)) = run.take() else { return };
            let mut updates = vec![(record, *time, diff as isize)];
            for (run, time) in &mut self.runs[least..] {
                while run.row().is_some_and(|((other, _), _)| *other == key)
                    && let Some(((_, record), diff)) = run.take()
                {
                    updates.push((record, *time, diff as isize));
                }
            }
            if updates.len() > 1 {
                consolidate_updates(&mut updates);
            }
            if !updates.is_empty() {
                self.group = Some(batch.groups.len());
                batch.groups.push(Box::new(KeyRecords { key, updates }));
            }
        }
    }

    /// The updates of the record that it is at, and of those after it.
    fn updates<'a>(&self, batch: &'a StateBatch<K, V>) -> &'a [(V, Time, isize)] {
        self.group(batch).and_then(|group| group.updates.get(self.update..)).unwrap_or_default()
    }

    fn group<'a>(&self, batch: &'a StateBatch<K, V>) -> Option<&'a KeyRecords<K, V>> {
        batch.groups.get(self.group?)
    }
}

impl<K: Key, V: Exchange + Ord> Navigable for StateBatch<K, V> {
    type Cursor = StateCursor<K, V>;

    fn cursor(&self) -> StateCursor<K, V> {
        StateCursor::new(self)
    }
}

impl<K: Key, V: Exchange + Ord> Cursor for StateCursor<K, V> {
    type Storage = StateBatch<K, V>;
    type Key<'a> = &'a Hashed<K>;
    type ValOwn = V;
    type Val<'a> = &'a V;
    type Time = Time;
    type TimeGat<'a> = &'a Time;
    type Diff = isize;
    type DiffGat<'a> = &'a isize;
    type KeyContainer = Vec<Hashed<K>>;
    type ValContainer = Vec<V>;
    type TimeContainer = Vec<Time>;
    type DiffContainer = Vec<isize>;

    fn key_valid(&self, _: &StateBatch<K, V>) -> bool {
        self.group.is_some()
    }

    fn val_valid(&self, batch: &StateBatch<K, V>) -> bool {
        self.get_val(batch).is_some()
    }

    fn key<'a>(&self, batch: &'a StateBatch<K, V>) -> &'a Hashed<K> {
        match self.get_key(batch) {
            Some(key) => key,
            None => unreachable!("differential asks for keys that are there"),
        }
    }

    fn val<'a>(&self, batch: &'a StateBatch<K, V>) -> &'a V {
        match self.get_val(batch) {
            Some(record) => record,
            None => unreachable!("differential asks for records that are there"),
        }
    }

    fn get_key<'a>(&self, batch: &'a StateBatch<K, V>) -> Option<&'a Hashed<K>> {
        self.group(batch).map(|group| &group.key)
    }

    fn get_val<'a>(&self, batch: &'a StateBatch<K, V>) -> Option<&'a V> {
        self.updates(batch).first().map(|(record, ..)| record)
    }

    fn map_times<L: FnMut(&Time, &isize)>(&mut self, batch: &StateBatch<K, V>, mut logic: L) {
        let Some((here, updates)) = self.updates(batch).split_first() else { return };
        logic(&here.1, &here.2);
        let others = updates.iter().take_while(|(record, ..)| *record == here.0);
        others.for_each(|(_, time, diff)| logic(time, diff));
    }

    fn step_key(&mut self, batch: &StateBatch<K, V>) {
        self.load(batch);
    }

    fn seek_key(&mut self, batch: &StateBatch<K, V>, key: &Hashed<K>) {
        self.update = 0;
        if self.get_key(batch).is_none_or(|at| at >= key) {
            return;
        }
        for (run, _) in &mut self.runs {
            let is_before = |run: &RunCursor<_>| run.row().is_some_and(|((other, _), _)| other < key);
            let mut near = NEAR;
            while is_before(run) {
                match near.checked_sub(1) {
                    Some(left) => near = left,
                    None => {
                        run.go_to(prefix_of_hash(key.hash));
                        near = usize::MAX;
                        continue;
                    }
                }
                run.take();
            }
        }
        self.load(batch);
    }

    fn step_val(&mut self, batch: &StateBatch<K, V>) {
        let updates = self.updates(batch);
        let same = updates.iter().take_while(|(record, ..)| *record == updates[0].0).count();
        self.update += same;
    }

    fn seek_val(&mut self, batch: &StateBatch<K, V>, val: &V) {
        self.update += self.updates(batch).partition_point(|(record, ..)| record < val);
    }

    fn rewind_keys(&mut self, batch: &StateBatch<K, V>) {
        self.runs.iter_mut().for_each(|(run, _)| run.go_to((0, 0)));
        self.load(batch);
    }

    fn rewind_vals(&mut self, _: &StateBatch<K, V>) {
        self.update = 0;
    }
}
