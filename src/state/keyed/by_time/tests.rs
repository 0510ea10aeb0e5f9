//! Items by their times against a map: alone, and as a column that is sealed and leaves memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::data::hash64;
use crate::error::Error;
use crate::metric::Metrics;
use crate::state::backend::state_backend::StateReaders;
use crate::state::keyed::by_time::*;
use crate::state::keyed::column::Publish;
use crate::state::keyed::items::Items;
use crate::state::keyed::published_state::PublishedState;
use crate::state::keyed::store::Store;
use crate::state::keyed::time_domain::{Now, TimeDomain};
use crate::state::operator_state::OperatorState;
use crate::state::spill::budget::MemoryBudget;
use crate::state::spill::files::SharedBudget;
use proptest::collection::vec;
use proptest::prelude::*;

type Numbers = Timed<u64>;

/// A few times: many items share one, and the ends of time are among them.
fn times() -> impl Strategy<Value = EventTime> {
    prop_oneof![12 => 0..12i64, 1 => Just(EventTime::MIN), 1 => Just(EventTime::MAX)]
}

#[derive(Clone, Debug)]
enum Step {
    Add(bool, EventTime),
    Remove(usize),
    Change(usize),
    Between(bool, EventTime, EventTime),
    Changed,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<bool>(), times()).prop_map(|(second, time)| Step::Add(second, time)),
        3 => any::<usize>().prop_map(Step::Remove),
        2 => any::<usize>().prop_map(Step::Change),
        2 => (any::<bool>(), times(), times()).prop_map(|(second, from, to)| Step::Between(second, from, to)),
        1 => Just(Step::Changed),
        1 => proptest::bool::weighted(0.1).prop_map(|all| if all { Step::Drain } else { Step::Changed }),
    ]
}

/// The item of this number among those that are there.
fn pick(map: &BTreeMap<At, usize>, number: usize) -> Option<At> {
    map.keys().nth(number.checked_rem(map.len())?).copied()
}

proptest! {
    #[test]
    fn items_by_time_agree_with_a_map(steps in vec(step(), 0..200)) {
        let mut cell = Numbers::empty();
        let mut map: BTreeMap<At, usize> = BTreeMap::new();
        // What has changed since it was asked for, and must be told then.
        let mut changed: BTreeMap<At, usize> = BTreeMap::new();
        let mut is_noted = false;
        for (value, step) in steps.into_iter().enumerate() {
            match step {
                Step::Add(second, time) => {
                    let last = map.range((second, time, 0)..=(second, time, u64::MAX)).next_back();
                    let number = last.map_or(0, |((.., number), _)| number + 1);
                    prop_assert_eq!(cell.next_number(second, time), number);
                    let at = (second, time, number);
                    prop_assert_eq!(Numbers::note(&mut cell, &at).is_none(), is_noted);
                    is_noted = true;
                    Numbers::insert(&mut cell, at, value, NEVER);
                    map.insert(at, value);
                    changed.insert(at, value);
                }
                Step::Remove(number) => {
                    let at = pick(&map, number).unwrap_or((false, 0, 0));
                    prop_assert_eq!(Numbers::remove(&mut cell, &at), map.remove(&at));
                    changed.remove(&at);
                }
                Step::Change(number) => {
                    if let Some(at) = pick(&map, number) {
                        prop_assert_eq!(Numbers::note(&mut cell, &at).is_none(), is_noted);
                        is_noted = true;
                        *Numbers::get_mut(&mut cell, &at).unwrap() = value;
                        map.insert(at, value);
                        changed.insert(at, value);
                    }
                }
                Step::Between(second, from, to) => {
                    let found: Vec<_> = cell.between(second, from, to).map(|(at, item)| (at, *item)).collect();
                    let within = map.iter().filter(|((side, time, _), _)| *side == second && from <= *time && *time <= to);
                    prop_assert_eq!(found, within.map(|(at, item)| (*at, *item)).collect::<Vec<_>>());
                }
                Step::Changed => {
                    prop_assert_eq!(Numbers::is_noted(&cell, &(), |_| true), is_noted);
                    let mut told = BTreeMap::new();
                    Numbers::noted(&mut cell, &(), |at, item| { told.insert(at, *item); });
                    prop_assert!(std::mem::take(&mut changed).iter().all(|(at, item)| told.get(at) == Some(item)));
                    prop_assert!(told.iter().all(|(at, item)| map.get(at) == Some(item)));
                    is_noted = false;
                }
                Step::Drain => {
                    let mut drained = Vec::new();
                    Numbers::drain(&mut cell, |at, item| drained.push((at, item)));
                    prop_assert_eq!(drained, std::mem::take(&mut map).into_iter().collect::<Vec<_>>());
                    changed.clear();
                }
            }
            prop_assert_eq!(Numbers::is_empty(&cell), map.is_empty());
            for second in [false, true] {
                let times = map.keys().filter(|at| at.0 == second).map(|at| at.1);
                prop_assert_eq!(cell.first(second), times.min());
                let capacity = cell.side(second).capacity();
                prop_assert!(capacity < 8 * (cell.side(second).len() + 1), "room for {} at {:?}", capacity, map);
            }
            prop_assert!(map.iter().all(|(at, item)| Numbers::get(&cell, at) == Some(item)));
        }
    }
}

#[test]
fn only_what_comes_since_is_told_of_a_long_cell() {
    let mut cell = Numbers::empty();
    for time in 0..1000 {
        Numbers::note(&mut cell, &(true, time, 0));
        Numbers::insert(&mut cell, (true, time, 0), time, NEVER);
    }
    let mut told = 0;
    Numbers::noted(&mut cell, &(), |_, _| told += 1);
    assert_eq!(std::mem::take(&mut told), 1000);
    Numbers::note(&mut cell, &(true, 1000, 0));
    Numbers::insert(&mut cell, (true, 1000, 0), 1000, NEVER);
    Numbers::noted(&mut cell, &(), |_, _| told += 1);
    assert_eq!(told, 1);
    Numbers::noted(&mut cell, &(), |_, _| told += 1);
    assert_eq!(told, 1);
}

#[test]
fn an_empty_cell_takes_no_memory_and_one_item_room_for_one() {
    let mut cell = Numbers::empty();
    let capacity = |cell: &Sides<u64>| [false, true].map(|second| cell.side(second).capacity());
    assert_eq!(capacity(&cell), [0, 0]);
    Numbers::insert(&mut cell, (true, 5, 0), 0, NEVER);
    assert_eq!(capacity(&cell), [0, 1]);
    (1..1000).for_each(|number| Numbers::insert(&mut cell, (true, 5, number), number, NEVER));
    (0..1000).for_each(|number| assert_eq!(Numbers::remove(&mut cell, &(true, 5, number)), Some(number)));
    assert!(capacity(&cell)[1] < 8);
}

/// A store whose one column it is, and what should be in it.
struct Model {
    store: Store<u32>,
    items: BTreeMap<(u32, At), u64>,
    board: Arc<PublishedState<u32, At, u64>>,
    failed: Arc<Mutex<Vec<Error>>>,
    epoch: u64,
    now: i64,
}

#[derive(Clone, Debug)]
enum Act {
    Push(u32, bool, EventTime),
    Pop(u32, EventTime),
    Change(u32, usize),
    Take(u32, usize),
    Clear(u32),
    /// The watermark comes so much further, and the epoch is sealed or not.
    Close(i64, bool),
}

const KEYS: u32 = 60;

/// How long items of the second side live. Those of the first do not expire.
const LIFE: i64 = 20;

fn act() -> impl Strategy<Value = Act> {
    let key = || 0..KEYS;
    prop_oneof![
        8 => (key(), any::<bool>(), times()).prop_map(|(key, second, time)| Act::Push(key, second, time)),
        4 => (key(), times()).prop_map(|(key, time)| Act::Pop(key, time)),
        2 => (key(), any::<usize>()).prop_map(|(key, number)| Act::Change(key, number)),
        1 => (key(), any::<usize>()).prop_map(|(key, number)| Act::Take(key, number)),
        1 => key().prop_map(Act::Clear),
        1 => (0..LIFE, any::<bool>()).prop_map(|(passed, seal)| Act::Close(passed, seal)),
    ]
}

impl Model {
    fn new(bytes: usize) -> Model {
        let (failed, board) = (Arc::new(Mutex::new(Vec::new())), Arc::new(PublishedState::new()));
        let (failing, publishing) = (Arc::clone(&failed), Arc::clone(&board));
        board.prepare(&Arc::default(), 0, &Metrics::default().metric("tests", "held"));
        let memory = SharedBudget::new(
            bytes,
            std::env::temp_dir(),
            Arc::new(move |error| failing.lock().unwrap().push(error)),
        );
        let publish: Publish<u32, Numbers> = Box::new(move |state| publishing.publish(0, state));
        let mut store = Store::new();
        store.limit(MemoryBudget::new(&memory, "timed", &Metrics::default()));
        store.add(
            "cells",
            Cells::<u32, Numbers>::new(
                Some((TimeDomain::EventTime, LIFE)),
                hash64,
                (Some(publish), StateReaders { memory: Some(memory), ..StateReaders::default() }),
            ),
        );
        Model { store, items: BTreeMap::new(), board, failed, epoch: 0, now: 0 }
    }

    fn cells(&mut self) -> &mut Cells<u32, Numbers> {
        self.store.column_mut(0).unwrap()
    }

    /// The items of a key.
    fn of(&self, key: u32) -> Vec<(At, u64)> {
        let least = (key, (false, EventTime::MIN, 0));
        let items = self.items.range(least..=(key, (true, EventTime::MAX, u64::MAX)));
        items.map(|((_, at), value)| (*at, *value)).collect()
    }

    fn act(&mut self, act: Act, value: u64) {
        let slot = match act {
            Act::Push(key, ..)
            | Act::Pop(key, ..)
            | Act::Change(key, _)
            | Act::Take(key, _)
            | Act::Clear(key) => self.store.slot(&key),
            Act::Close(passed, seal) => return self.close(passed, seal),
        };
        match act {
            Act::Push(key, second, time) => {
                let of = self.of(key);
                let side = || of.iter().map(|(at, _)| *at).filter(|at| at.0 == second);
                let number = side().filter(|at| at.1 == time).map(|at| at.2 + 1).max().unwrap_or(0);
                let expires = if second { time.saturating_add(LIFE) } else { NEVER };
                if is_over(expires, self.now) {
                    return;
                }
                self.cells().push(slot, second, time, value, expires);
                self.items.insert((key, (second, time, number)), value);
            }
            Act::Pop(key, until) => {
                let first = self.of(key).into_iter().find(|(at, _)| !at.0);
                let expected = first.filter(|(at, _)| at.1 <= until);
                let popped = self.cells().pop(slot, false, |time| time <= until);
                assert_eq!(popped.as_ref().map(|(at, item)| (*at, item.value)), expected);
                if let Some((at, item)) = popped {
                    self.items.remove(&(key, at));
                    if item.is_sealed() {
                        self.cells().bury(key, at);
                    }
                }
            }
            Act::Change(key, number) => {
                let of = self.of(key);
                if let Some((at, _)) = number.checked_rem(of.len()).map(|place| of[place]) {
                    assert!(self.cells().update(slot, &at, |item| item.value = value).is_some());
                    self.items.insert((key, at), value);
                }
            }
            Act::Take(key, number) => {
                let of = self.of(key);
                if let Some((at, value)) = number.checked_rem(of.len()).map(|place| of[place]) {
                    assert_eq!(self.cells().take(slot, &key, &at), Some(value));
                    self.items.remove(&(key, at));
                }
            }
            Act::Clear(key) => {
                self.cells().clear(slot, &key);
                self.items.retain(|(other, _), _| *other != key);
            }
            Act::Close(..) => {}
        }
        self.store.lost(slot);
    }

    /// Closes an epoch. What is sealed is what there is.
    fn close(&mut self, passed: i64, seal: bool) {
        self.now += passed;
        let now = self.now;
        self.items.retain(|(_, (second, time, _)), _| !second || !is_over(time.saturating_add(LIFE), now));
        self.store.tidy(Now { watermark: now, millis: 0 });
        if seal {
            self.store.seal(self.epoch);
            let view = self.board.view(self.epoch, Duration::ZERO).unwrap();
            assert_eq!(view.all(), self.items);
        }
        self.store.evict(self.epoch);
        self.epoch += 1;
    }

    fn check(&mut self) {
        for key in 0..KEYS {
            let (slot, now) = (self.store.slot(&key), self.now);
            let cell = self.cells().cell(slot);
            let side = |second| {
                let items = cell.map(|cell| cell.between(second, EventTime::MIN, EventTime::MAX));
                items
                    .into_iter()
                    .flatten()
                    .filter(|(_, item)| !is_over(item.meta.expires(), now))
                    .map(|(at, item)| (at, item.value))
            };
            let items: Vec<_> = side(false).chain(side(true)).collect();
            assert_eq!(items, self.of(key), "items of {key}");
        }
        assert!(self.failed.lock().unwrap().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// With room for some of the keys, and for all.
    #[test]
    fn what_is_sealed_and_what_leaves_memory_is_what_there_is(
        acts in vec(act(), 0..1200), bytes in prop_oneof![Just(2usize << 10), Just(1 << 20)],
    ) {
        let mut model = Model::new(bytes);
        acts.into_iter().zip(0..).for_each(|(act, value)| model.act(act, value));
        model.check();
        model.close(0, false);
        model.check();
        model.close(1, true);
        model.check();
    }
}

#[test]
fn keys_leave_memory_and_come_back() {
    let mut model = Model::new(2 << 10);
    for key in 0..KEYS {
        (0..5).for_each(|time| model.act(Act::Push(key, time % 2 == 0, time), 0));
    }
    // What was touched is passed over once.
    (0..3).for_each(|_| model.close(0, false));
    assert!(model.store.resident() < 20, "{} keys are in memory", model.store.resident());
    model.check();
    assert_eq!(model.store.resident(), KEYS as usize);
}
