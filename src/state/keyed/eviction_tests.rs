//! State that leaves memory and comes back, against a map.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::data::hash64;
use crate::error::Error;
use crate::metric::Metrics;
use crate::state::backend::state_backend::StateReaders;
use crate::state::keyed::column::Cells;
use crate::state::keyed::items::{Mapped, One};
use crate::state::keyed::store::Store;
use crate::state::keyed::time_domain::{Now, TimeDomain};
use crate::state::lsm::expiry::{NEVER, is_over};
use crate::state::operator_state::OperatorState;
use crate::state::spill::budget::MemoryBudget;
use crate::state::spill::files::SharedBudget;
use proptest::collection::vec;
use proptest::prelude::*;

type Texts = One<String>;
type Counts = Mapped<u8, u64>;

/// Counts live shorter than this.
const LIFE: i64 = 60;

/// A store of a text and a map for each key, and what should be in it: for each key and sub-key a value and
/// when it expires.
struct Both {
    store: Store<u32>,
    texts: BTreeMap<u32, String>,
    counts: BTreeMap<(u32, u8), (u64, i64)>,
    now: i64,
    epoch: u64,
    metrics: Metrics,
    failed: Arc<Mutex<Vec<Error>>>,
    pinned: Vec<crate::state::table::key_table::Slot>,
}

impl Both {
    fn new(bytes: usize) -> Both {
        let failed = Arc::new(Mutex::new(Vec::new()));
        let failing = Arc::clone(&failed);
        let fail = move |error| failing.lock().unwrap().push(error);
        let memory = SharedBudget::new(bytes, std::env::temp_dir(), Arc::new(fail));
        let mut store = Store::new();
        let metrics = Metrics::default();
        let state_readers = StateReaders { memory: Some(Rc::clone(&memory)), ..StateReaders::default() };
        store.limit(MemoryBudget::new(&memory, "both", &metrics));
        store.add("cells", Cells::<u32, Texts>::new(None, hash64, (None, state_readers.clone())));
        store.add(
            "cells",
            Cells::<u32, Counts>::new(Some((TimeDomain::EventTime, LIFE)), hash64, (None, state_readers)),
        );
        Both {
            store,
            texts: BTreeMap::new(),
            counts: BTreeMap::new(),
            now: 0,
            epoch: 0,
            metrics,
            failed,
            pinned: Vec::new(),
        }
    }

    fn texts(&mut self) -> &mut Cells<u32, Texts> {
        self.store.column_mut(0).unwrap()
    }

    fn counts(&mut self) -> &mut Cells<u32, Counts> {
        self.store.column_mut(1).unwrap()
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Say(key, len) => {
                let (slot, text) = (self.store.slot(&key), format!("{key}{}", "x".repeat(len)));
                self.texts().put(slot, (), text.clone(), NEVER);
                self.texts.insert(key, text);
            }
            Action::Hush(key) => {
                let slot = self.store.slot(&key);
                let taken = self.texts().take(slot, &key, &());
                self.store.lost(slot);
                assert_eq!(taken, self.texts.remove(&key));
            }
            Action::Count(key, sub, life) => {
                let (slot, expires) = (self.store.slot(&key), life.map_or(NEVER, |life| self.now + life));
                let count = self.counts.get(&(key, sub)).map_or(1, |(count, _)| count + 1);
                let now = self.now;
                let is_over = |expires| is_over(expires, now);
                let counted = self.counts().upsert(
                    (slot, sub),
                    expires,
                    is_over,
                    || 0,
                    |count| {
                        *count += 1;
                        *count
                    },
                );
                assert_eq!(counted, count, "{key} {sub}");
                self.counts.insert((key, sub), (count, expires));
            }
            Action::Clear(key) => {
                let slot = self.store.slot(&key);
                self.counts().clear(slot, &key);
                self.store.lost(slot);
                self.counts.retain(|(k, _), _| *k != key);
            }
            Action::Pin(key) => {
                let slot = self.store.slot(&key);
                self.store.pin(slot);
                self.pinned.push(slot);
            }
            Action::Unpin => {
                if let Some(slot) = self.pinned.pop() {
                    self.store.touch(slot);
                    self.store.unpin(slot);
                }
            }
            Action::Close(seal) => self.close(seal),
        }
    }

    fn close(&mut self, seal: bool) {
        self.now += 10;
        self.counts.retain(|_, (_, expires)| *expires > self.now);
        self.store.tidy(Now { watermark: self.now, millis: 0 });
        if seal {
            self.store.seal(self.epoch);
        }
        self.store.evict(self.epoch);
        self.epoch += 1;
    }

    /// Looks all keys up.
    fn check(&mut self, keys: u32) {
        for key in 0..keys {
            let slot = self.store.slot(&key);
            let text = self.texts().cell(slot).and_then(|cell| cell.as_ref().map(|item| item.value.clone()));
            assert_eq!(text.as_ref(), self.texts.get(&key), "text of {key}");
            let now = self.now;
            let counts = self.counts().cell(slot).into_iter().flatten();
            let counts = counts.map(|(sub, item)| (*sub, (item.value, item.meta.expires())));
            let counts: Vec<_> = counts.filter(|(_, (_, expires))| !is_over(*expires, now)).collect();
            let expected = self.counts.range((key, 0)..=(key, u8::MAX)).map(|((_, sub), kept)| (*sub, *kept));
            assert_eq!(counts, expected.collect::<Vec<_>>(), "counts of {key}");
        }
        assert!(self.failed.lock().unwrap().is_empty());
    }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Say(u32, usize),
    Hush(u32),
    Count(u32, u8, Option<i64>),
    Clear(u32),
    Pin(u32),
    Unpin,
    Close(bool),
}

const KEYS: u32 = 400;

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (0..KEYS, 0..600usize).prop_map(|(key, len)| Action::Say(key, len)),
        1 => (0..KEYS).prop_map(Action::Hush),
        8 => (0..KEYS, 0..4u8, proptest::option::of(1..LIFE)).prop_map(|(key, sub, life)| Action::Count(key, sub, life)),
        1 => (0..KEYS).prop_map(Action::Clear),
        1 => (0..KEYS).prop_map(Action::Pin),
        1 => Just(Action::Unpin),
        1 => proptest::bool::weighted(0.2).prop_map(Action::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// With room for some ten of four hundred keys, with much disorder.
    #[test]
    fn what_leaves_memory_is_not_forgotten(actions in vec(action(), 0..3000)) {
        let mut both = Both::new(4 << 10);
        actions.into_iter().for_each(|action| both.act(action));
        both.check(KEYS);
        both.close(false);
        both.check(KEYS);
    }
}

#[test]
fn memory_stays_within_its_limit_and_pages_are_in_files() {
    let mut both = Both::new(256 << 10);
    for round in 0..10u32 {
        for key in 0..4000u32 {
            both.act(Action::Say(key.wrapping_mul(2_654_435_761) % 4000, 400 + round as usize));
            if key % 200 == 199 {
                both.close(false);
            }
        }
    }
    let moved = ["keys_evicted", "keys_reloaded"].map(|name| both.metrics.sum(name));
    assert!(moved.iter().all(|keys| *keys > 20_000), "{moved:?}");
    both.check(4000);
    for _ in 0..3 {
        // What was touched is passed over once.
        both.close(false);
    }
    assert!(both.store.resident() < 700, "{} keys of 4000 are in memory", both.store.resident());
}

#[test]
fn a_directory_that_is_not_there_fails_the_job_and_loses_nothing() {
    let failed = Arc::new(Mutex::new(Vec::new()));
    let failing = Arc::clone(&failed);
    let fail = move |error: Error| failing.lock().unwrap().push(error.to_string());
    let memory = SharedBudget::new(1 << 10, "/nowhere/at/all".into(), Arc::new(fail));
    let mut store = Store::new();
    store.limit(MemoryBudget::new(&memory, "texts", &Metrics::default()));
    let state_readers = StateReaders { memory: Some(memory), ..StateReaders::default() };
    store.add("cells", Cells::<u32, Texts>::new(None, hash64, (None, state_readers)));
    for key in 0..1000 {
        let slot = store.slot(&key);
        store.column_mut::<Cells<u32, Texts>>(0).unwrap().put(slot, (), "x".repeat(100), NEVER);
    }
    store.evict(0);
    let error = failed.lock().unwrap().first().cloned().unwrap();
    assert!(error.contains("cannot write state to /nowhere/at/all: make room there"), "{error}");
    for key in 0..1000 {
        let slot = store.slot(&key);
        let cells = store.column_mut::<Cells<u32, Texts>>(0).unwrap();
        assert_eq!(cells.cell(slot).unwrap().as_ref().map(|item| item.value.len()), Some(100));
    }
}
