//! A function that uses everything, and a simulation of it with plain maps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use highwater::process::{Context, List, Map, Process, States, Timer, Ttl, Value};
use serde::{Deserialize, Serialize};

/// What a record asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Op {
    /// Adds to the value, and asks to be called so much later.
    Add(i64, i64),
    /// Takes back the call so much later.
    Cancel(i64),
    Push(i64),
    Insert(u8, i64),
    Remove(u8),
    Clear,
    /// Writes the value that expires.
    Remember(i64),
    Tell,
}

/// What is told: the key, the time, why, and all of the state.
pub(crate) type Told = (u8, i64, Option<i64>, State);

/// The value, the list, the map, and the value that expires.
pub(crate) type State = (Option<i64>, Vec<i64>, Vec<(u8, i64)>, Option<i64>);

pub(crate) const LIFE: i64 = 15;

#[derive(Clone, Default)]
pub(crate) struct Machine {
    value: Value<i64>,
    list: List<i64>,
    map: Map<u8, i64>,
    short: Value<i64>,
}

impl Machine {
    fn tell(&self, cause: Option<i64>, cx: &mut Context<'_, u8, Told>) {
        let map = self.map.iter(cx).map(|(k, v)| (*k, *v)).collect();
        let state = (
            self.value.get(cx).copied(),
            self.list.iter(cx).copied().collect(),
            map,
            self.short.get(cx).copied(),
        );
        cx.emit((*cx.key(), cx.timestamp(), cause, state));
    }
}

impl Process<u8, Op> for Machine {
    type Out = Told;

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.value = states.value("value");
        self.list = states.list("list");
        self.map = states.map("map");
        self.short = states.value_with_ttl("short", Ttl::of(Duration::from_millis(LIFE as u64)));
    }

    fn process(&mut self, op: Op, cx: &mut Context<'_, u8, Told>) {
        match op {
            Op::Add(more, later) => {
                self.value.update(cx, || 0, |value| *value += more);
                cx.register_timer(cx.timestamp() + later);
            }
            Op::Cancel(later) => cx.delete_timer(cx.timestamp() + later),
            Op::Push(value) => self.list.push(cx, value),
            Op::Insert(key, value) => self.map.insert(cx, key, value),
            Op::Remove(key) => {
                self.map.remove(cx, &key);
            }
            Op::Clear => {
                self.value.clear(cx);
                self.list.clear(cx);
                self.map.clear(cx);
                self.short.clear(cx);
            }
            Op::Remember(value) => self.short.set(cx, value),
            Op::Tell => self.tell(None, cx),
        }
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, Told>) {
        self.tell(Some(timer.time), cx);
        // Odd values count down, each time a little later.
        if let Some(value) = self.value.get(cx).copied().filter(|value| value % 2 != 0) {
            self.value.set(cx, value - 1);
            cx.register_timer(timer.time + 3);
            cx.delete_timer(timer.time + 1);
        }
    }
}

/// The same with plain maps: records in order of time, then key and operation, timers after the records of
/// their time.
pub(crate) fn simulate(mut records: Vec<(i64, u8, Op)>) -> Vec<Told> {
    #[derive(Default)]
    struct Key {
        value: Option<i64>,
        list: Vec<i64>,
        map: BTreeMap<u8, i64>,
        short: Option<(i64, i64)>,
    }
    fn state(key: &Key, now: i64) -> State {
        let short = key.short.filter(|(_, until)| now < *until).map(|(value, _)| value);
        (key.value, key.list.clone(), key.map.iter().map(|(k, v)| (*k, *v)).collect(), short)
    }
    records.sort();
    let mut keys = BTreeMap::<u8, Key>::new();
    let mut timers = BTreeSet::<(i64, u8)>::new();
    let mut told = Vec::new();
    let mut records = records.into_iter().peekable();
    loop {
        let record = records.peek().map(|record| record.0);
        let timer = timers.first().map(|timer| timer.0);
        let fires = match (record, timer) {
            (None, None) => return told,
            (Some(record), Some(timer)) => timer < record,
            (record, _) => record.is_none(),
        };
        if fires {
            let (time, name) = timers.pop_first().unwrap();
            let key = keys.entry(name).or_default();
            told.push((name, time, Some(time), state(key, time)));
            if let Some(value) = key.value.filter(|value| value % 2 != 0) {
                key.value = Some(value - 1);
                timers.insert((time + 3, name));
                timers.remove(&(time + 1, name));
            }
            continue;
        }
        let (time, name, op) = records.next().unwrap();
        let key = keys.entry(name).or_default();
        match op {
            Op::Add(more, later) => {
                key.value = Some(key.value.unwrap_or(0) + more);
                timers.insert((time + later, name));
            }
            Op::Cancel(later) => {
                timers.remove(&(time + later, name));
            }
            Op::Push(value) => key.list.push(value),
            Op::Insert(k, v) => {
                key.map.insert(k, v);
            }
            Op::Remove(k) => {
                key.map.remove(&k);
            }
            Op::Clear => *key = Key::default(),
            Op::Remember(value) => key.short = Some((value, time + LIFE)),
            Op::Tell => told.push((name, time, None, state(key, time))),
        }
    }
}
