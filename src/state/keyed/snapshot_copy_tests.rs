//! What is handed over while state changes, against the state as it was at each cut.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::DeserializeOwned;

use crate::data::hash64;
use crate::object::{Faults, Faulty, Memory};
use crate::snapshot::{
    BuiltRuns, Codec, Compression, EagerWriter, Lease, Owner, PageSource, Repository, RunSnapshot, SavedPage,
    SavedTables, SegmentWriting, TableSnapshot,
};
use crate::state::backend::state_backend::StateReaders;
use crate::state::keyed::by_time::{At, Timed};
use crate::state::keyed::column::Cells;
use crate::state::keyed::items::Shape;
use crate::state::keyed::items::{Mapped, One};
use crate::state::keyed::store::Store;
use crate::state::keyed::time_domain::{Now, TimeDomain};
use crate::state::lsm::expiry::{NEVER, is_over};
use crate::state::operator_state::OperatorState;
use crate::state::run::item_rows::ItemOrTombstone;
use crate::state::table::key_table::Slot;

/// Counts and records of the second side live so long.
const LIFE: i64 = 40;

const KEYS: u32 = 60;

/// The items of a state.
type Items<S> = BTreeMap<(u32, S), (u64, i64)>;

/// All items of three states.
#[derive(Clone, Default)]
struct Model {
    values: Items<()>,
    counts: Items<u8>,
    records: Items<At>,
}

/// A store with a value, a map and a join's records for each key, what should be in it, and the last cut.
struct Both {
    store: Store<u32>,
    model: Model,
    /// What the last cut is to have, when it has been copied.
    cut: Option<(Vec<TableSnapshot>, Model, i64)>,
    now: i64,
    epoch: u64,
    compared: usize,
    coordinator: Desk,
}

/// Writes what is handed over, and lets go of it.
struct Desk {
    repository: Repository,
    lease: Lease,
    writing: SegmentWriting,
    /// The same store, as it is read by merges: some reads fail.
    failing: Repository,
    /// Merges that were put off, and pages that were let go.
    put_off: u64,
    released: usize,
    /// Pages that were written when they were received, and snapshots that could not be written at once.
    early: usize,
    failed: usize,
}

impl Desk {
    fn new() -> Desk {
        let faults = Faults { short: 0.05, ..Faults::default() };
        Desk::with(100, Faults::default(), faults)
    }

    fn large() -> Desk {
        Desk::with(30_000, Faults { before: 0.5, ..Faults::default() }, Faults::default())
    }

    /// With segments of so many bytes, and a store that fails when it is written, and when merges read it.
    fn with(segment: u64, writes: Faults, reads: Faults) -> Desk {
        let store = Arc::new(Memory::default());
        // A claim may fail, too.
        let claim = |seed| {
            Repository::open(Arc::new(Faulty::new(store.clone(), hash64(&seed), writes)))
                .claim("cutting")
                .ok()
        };
        let lease = (0..1000u64).find_map(claim).unwrap();
        let repository = Repository::open(store.clone());
        let failing = Repository::open(Arc::new(Faulty::new(store, 1, reads)));
        let writing = SegmentWriting::in_segments(segment, Codec::Columnar, Compression::Lz4);
        Desk { repository, lease, writing, failing, put_off: 0, released: 0, early: 0, failed: 0 }
    }

    fn origin(repository: &Repository, table: &TableSnapshot) -> PageSource {
        PageSource::new(repository, "cutting", &table.name, table.schema.fingerprint)
    }

    /// The runs of a table, of which every other time pages are written as they are made.
    fn receive(&mut self, table: &TableSnapshot, epoch: u64) -> Vec<RunSnapshot> {
        let (coming, delta) = table.coming.as_ref().unwrap();
        let (uid, fingerprint) = ("cutting", table.schema.fingerprint);
        let origin = Some(Arc::new(Desk::origin(&self.failing, table)));
        let owner = Owner { uid, table: &table.name, fingerprint };
        let early = EagerWriter { writing: &mut self.writing, lease: (&self.lease, epoch), owner, origin };
        let early = (delta % 2 == 0).then_some(early);
        let BuiltRuns { runs, put_off } = coming.runs(*delta, early).unwrap();
        self.put_off += put_off;
        let pages = runs.iter().flat_map(|run| &run.pages);
        self.early += pages.filter(|page| page.written().get().is_some()).count();
        runs
    }

    /// The rows of a page.
    fn rows<T: DeserializeOwned + 'static>(&self, table: &TableSnapshot, page: &dyn SavedPage) -> Vec<T> {
        let (bytes, codec) = match page.written().get() {
            Some(place) => Desk::origin(&self.repository, table).page(place).unwrap(),
            None => (page.encode(Codec::Rows).unwrap().into_owned(), Codec::Rows),
        };
        codec.decode(&bytes, page.rows()).unwrap()
    }

    /// Writes what is not written, as a snapshot does, and lets go of it.
    fn write(&mut self, table: &TableSnapshot, runs: &[RunSnapshot], epoch: u64) {
        while self.try_write(table, runs, epoch).is_err() {
            self.failed += 1;
        }
        assert!(runs.iter().flat_map(|run| &run.pages).all(|page| page.written().get().is_some()));
        let (coming, _) = table.coming.as_ref().unwrap();
        coming.release(&Arc::new(Desk::origin(&self.failing, table)));
    }

    fn try_write(&mut self, table: &TableSnapshot, runs: &[RunSnapshot], epoch: u64) -> crate::Result<()> {
        let owner = Owner { uid: "cutting", table: &table.name, fingerprint: table.schema.fingerprint };
        self.writing.finish(epoch)?;
        for run in runs {
            for page in run.pages.iter().filter(|page| page.written().get().is_none()) {
                self.writing.add((&self.lease, epoch), owner, run.epochs, page)?;
                self.released += 1;
            }
        }
        self.writing.finish(epoch)
    }
}

impl Both {
    fn new() -> Both {
        let state_readers = || StateReaders { saved: true, ..StateReaders::default() };
        let lives = Some((TimeDomain::EventTime, LIFE));
        let mut store = Store::new();
        store.add("values", Cells::<u32, One<u64>>::new(None, hash64, (None, state_readers())));
        store.add("counts", Cells::<u32, Mapped<u8, u64>>::new(lives, hash64, (None, state_readers())));
        store.add("records", Cells::<u32, Timed<u64>>::new(lives, hash64, (None, state_readers())));
        Both {
            store,
            model: Model::default(),
            cut: None,
            now: 0,
            epoch: 0,
            compared: 0,
            coordinator: Desk::new(),
        }
    }

    fn of<S: Shape>(&mut self, column: usize) -> &mut Cells<u32, S> {
        self.store.column_mut(column).unwrap()
    }

    fn act(&mut self, act: Act, number: u64) {
        match act {
            Act::Set(key) => {
                let slot = self.store.slot(&key);
                self.of::<One<u64>>(0).put(slot, (), number, NEVER);
                self.model.values.insert((key, ()), (number, NEVER));
            }
            Act::Take(key) => {
                let slot = self.store.slot(&key);
                let taken = self.of::<One<u64>>(0).take(slot, &key, &());
                assert_eq!(taken, self.model.values.remove(&(key, ())).map(|(value, _)| value));
                self.store.lost(slot);
            }
            Act::Count(key, sub) => {
                let (slot, expires, now) = (self.store.slot(&key), self.now + LIFE, self.now);
                let is_over = |expires| is_over(expires, now);
                let add = |count: &mut u64| *count += number;
                self.of::<Mapped<u8, u64>>(1).upsert((slot, sub), expires, is_over, || 0, add);
                let count = self.model.counts.entry((key, sub)).or_insert((0, 0));
                *count = (count.0 + number, expires);
            }
            Act::Clear(key) => {
                let slot = self.store.slot(&key);
                self.of::<Mapped<u8, u64>>(1).clear(slot, &key);
                self.model.counts.retain(|(k, _), _| *k != key);
                self.store.lost(slot);
            }
            Act::Push(key, second, after) => {
                let (slot, time) = (self.store.slot(&key), self.now + after);
                let expires = if second { time + LIFE } else { NEVER };
                let before = (key, (second, time, 0))..=(key, (second, time, u64::MAX));
                let last = self.model.records.range(before).next_back().map(|((_, at), _)| at.2 + 1);
                self.of::<Timed<u64>>(2).push(slot, second, time, number, expires);
                self.model.records.insert((key, (second, time, last.unwrap_or(0))), (number, expires));
            }
            Act::Pop(key) => self.pop(key),
            Act::Mark(key) => {
                let first = self.model.records.range((key, (false, i64::MIN, 0))..).next();
                let Some(((of, at), _)) = first.filter(|((of, _), _)| *of == key) else { return };
                let (of, at, slot) = (*of, *at, self.store.slot(&key));
                self.of::<Timed<u64>>(2).update(slot, &at, |item| item.value += 1).unwrap();
                self.model.records.get_mut(&(of, at)).unwrap().0 += 1;
            }
            Act::Copy(rows) => self.copy(rows),
            Act::Close(cut) => self.close(cut),
        }
    }

    /// Takes a key's first record of the first side.
    fn pop(&mut self, key: u32) {
        let slot = self.store.slot(&key);
        let Some((at, item)) = self.of::<Timed<u64>>(2).pop(slot, false, |_| true) else { return };
        if item.is_sealed() {
            self.of::<Timed<u64>>(2).bury(key, at);
        }
        assert_eq!(Some((item.value, item.meta.expires())), self.model.records.remove(&(key, at)));
        self.store.lost(slot);
    }

    fn close(&mut self, cut: bool) {
        self.now += 7;
        let now = self.now;
        self.model.counts.retain(|_, (_, expires)| !is_over(*expires, now));
        self.model.records.retain(|_, (_, expires)| !is_over(*expires, now));
        self.store.tidy(Now { watermark: now, millis: 0 });
        if cut {
            self.copy(usize::MAX);
            self.store.cut(self.epoch);
            let mut saved = SavedTables::default();
            OperatorState::save(&self.store, &mut saved).unwrap();
            self.cut = Some((saved.tables, self.model.clone(), now));
        }
        self.epoch += 1;
    }

    /// Copies some rows. When all is there, it is what was there at the cut.
    fn copy(&mut self, mut rows: usize) {
        if self.store.copy(&mut rows)
            && let Some((tables, model, now)) = self.cut.take()
        {
            let [values, counts, records] = &tables[..] else { panic!("there are three states") };
            self.same(values, &model.values, now);
            self.same(counts, &model.counts, now);
            self.same(records, &model.records, now);
            self.compared += 1;
        }
    }
}

impl Both {
    /// Compares what a table's runs have with what there is to be.
    fn same<S>(&mut self, table: &TableSnapshot, items: &Items<S>, now: i64)
    where
        S: Ord + Debug + Clone + DeserializeOwned + 'static,
    {
        let mut found = Items::new();
        let runs = self.coordinator.receive(table, self.epoch);
        let at_most = 20 + 10 * self.coordinator.put_off as usize;
        assert!(runs.len() < at_most, "{} runs of {}", runs.len(), table.name);
        for page in runs.iter().flat_map(|run| &run.pages) {
            let rows: Vec<(u32, S, ItemOrTombstone<u64>)> = self.coordinator.rows(table, &**page);
            assert!(rows.is_sorted_by_key(|(key, sub, _)| (hash64(key), *key, sub.clone())));
            for (key, sub, kept) in rows {
                match kept.filter(|(_, expires)| !is_over(*expires, now)) {
                    Some(item) => drop(found.insert((key, sub), item)),
                    None => drop(found.remove(&(key, sub))),
                }
            }
        }
        assert_eq!(&found, items, "{} as of {now}", table.name);
        self.coordinator.write(table, &runs, self.epoch);
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Set(u32),
    Take(u32),
    Count(u32, u8),
    Clear(u32),
    Push(u32, bool, i64),
    Pop(u32),
    Mark(u32),
    Copy(usize),
    Close(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..KEYS).prop_map(Act::Set),
        2 => (0..KEYS).prop_map(Act::Take),
        6 => (0..KEYS, 0..4u8).prop_map(|(key, sub)| Act::Count(key, sub)),
        1 => (0..KEYS).prop_map(Act::Clear),
        6 => (0..KEYS, proptest::bool::ANY, 0..30i64).prop_map(|(key, second, after)| Act::Push(key, second, after)),
        5 => (0..KEYS).prop_map(Act::Pop),
        2 => (0..KEYS).prop_map(Act::Mark),
        2 => (0..20usize).prop_map(Act::Copy),
        1 => proptest::bool::weighted(0.4).prop_map(Act::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_delivered_is_the_state_as_of_the_cut(acts in vec(act(), 0..1500)) {
        let mut both = Both::new();
        for (number, act) in acts.into_iter().enumerate() {
            both.act(act, number as u64);
        }
        both.close(true);
        both.copy(usize::MAX);
        prop_assert!(both.compared > 0);
    }
}

#[test]
fn what_was_let_go_is_read_again_and_what_cannot_be_read_is_merged_later() {
    let mut both = Both::new();
    for number in 0..200 {
        for key in (0..KEYS).filter(|key| u64::from(*key) % 7 == number % 7) {
            both.act(Act::Set(key), number);
            both.act(Act::Count(key, (number % 3) as u8), number);
        }
        both.close(true);
        both.copy(usize::MAX);
    }
    assert_eq!(both.compared, 200);
    let Desk { released, put_off, .. } = both.coordinator;
    assert!(
        released > 150 && (5..200).contains(&put_off),
        "{released} pages let go, {put_off} merges put off"
    );
}

#[test]
fn a_slice_is_no_longer_than_was_asked_for() {
    let mut both = Both::new();
    (0..5000).for_each(|key| both.act(Act::Set(key), 1));
    both.store.cut(0);
    for _ in 0..49 {
        let mut left = 100;
        assert!(!both.store.copy(&mut left));
        assert_eq!(left, 0);
    }
    let mut left = 101;
    assert!(both.store.copy(&mut left));
    assert_eq!(left, 1);
    assert!(
        both.store
            .column::<Cells<u32, One<u64>>>(0)
            .unwrap()
            .cell(Slot::at(0))
            .unwrap()
            .as_ref()
            .unwrap()
            .is_sealed()
    );
}

/// Several pages to a run and to a segment, segments that stay open over cuts and puts that fail: what was
/// written when it was made is the same as what is written later.
#[test]
fn pages_that_are_written_as_they_are_made_are_the_state_as_of_the_cut() {
    let mut both = Both::new();
    both.coordinator = Desk::large();
    for number in 0..40u64 {
        let part = |key: &u32| (u64::from(*key) * 7 + number * 13) % 5 < 1 + number % 4;
        for key in (0..9000).filter(part) {
            both.act(Act::Set(key), number);
        }
        for key in (0..9000).filter(|key| u64::from(*key) % 40 == number) {
            both.act(Act::Take(key), number);
        }
        both.close(true);
        both.copy(usize::MAX);
    }
    assert_eq!(both.compared, 40);
    let Desk { early, failed, .. } = both.coordinator;
    assert!(early > 100 && failed > 1, "{early} pages were let go early, {failed} puts failed");
}
