//! Process functions with a value, a map and timers of event time.

use std::collections::{BTreeMap, BTreeSet};

use highwater::process::{Context, Map, Process, States, Timer, Value};
use highwater::stream::Job;

use super::world::{Ran, sorted, under_seeds};
use crate::draws::Event;

/// Sums what has come, counts it by remainder, and tells both some time after each third record.
#[derive(Clone, Default)]
struct Ledger {
    sum: Value<i64>,
    counts: Map<i64, i64>,
}

/// Key, time, sum, counts.
type Told = (u8, i64, i64, Vec<(i64, i64)>);

/// How long after a record its timer is.
fn delay(value: i64) -> i64 {
    value % 13
}

impl Process<u8, Event> for Ledger {
    type Out = Told;

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.sum = states.value("sum");
        self.counts = states.map("counts");
    }

    fn process(&mut self, event: Event, cx: &mut Context<'_, u8, Told>) {
        self.sum.update(cx, || 0, |sum| *sum += event.1);
        self.counts.update(cx, event.1 % 3, || 0, |count| *count += 1);
        match event.1 % 3 {
            0 => cx.register_timer(cx.timestamp() + delay(event.1)),
            1 => cx.delete_timer(cx.timestamp() + delay(event.1)),
            _ => {}
        }
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, Told>) {
        let counts = self.counts.iter(cx).map(|(remainder, count)| (*remainder, *count)).collect();
        cx.emit((*cx.key(), timer.time, self.sum.get(cx).copied().unwrap_or(0), counts));
        self.counts.remove(cx, &2);
    }
}

/// The same with plain maps: records in order of time, key and value, timers after the records of their time.
fn ledger(events: Vec<Event>) -> Vec<Told> {
    let mut events =
        sorted(events.into_iter().map(|(key, value, time)| (time, key, value))).into_iter().peekable();
    let (mut timers, mut told) = (BTreeSet::<(i64, u8)>::new(), Vec::new());
    let mut keys = BTreeMap::<u8, (i64, BTreeMap<i64, i64>)>::new();
    loop {
        let (record, timer) = (events.peek().map(|event| event.0), timers.first().map(|timer| timer.0));
        if timer.is_some_and(|timer| record.is_none_or(|record| timer < record)) {
            let (time, key) = timers.pop_first().unwrap();
            let (sum, counts) = keys.get_mut(&key).unwrap();
            told.push((key, time, *sum, counts.iter().map(|(k, v)| (*k, *v)).collect()));
            counts.remove(&2);
            continue;
        }
        let Some((time, key, value)) = events.next() else { return sorted(told) };
        let (sum, counts) = keys.entry(key).or_default();
        *sum += value;
        *counts.entry(value % 3).or_default() += 1;
        match value % 3 {
            0 => {
                timers.insert((time + delay(value), key));
            }
            1 => {
                timers.remove(&(time + delay(value), key));
            }
            _ => {}
        }
    }
}

#[test]
fn in_order_of_event_time() {
    under_seeds("process::in_order_of_event_time", |world| {
        let splits = world.splits(20);
        let job = Job::new();
        let told =
            world.read(&job, &splits).key_by(|event| event.0).process_in_order(Ledger::default()).collect();
        let trace = world.run(&job);
        assert_eq!(told.sorted(), ledger(world.on_time(&splits)));
        Ran::new(trace).and(&told)
    });
}

/// Tumbling windows by hand: what has come for each pane, told by a timer at its end.
#[derive(Clone, Default)]
struct Panes(Map<i64, i64>);

const PANE: i64 = 10;

impl Process<u8, Event> for Panes {
    type Out = (u8, i64, i64);

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.0 = states.map("panes");
    }

    fn process(&mut self, event: Event, cx: &mut Context<'_, u8, (u8, i64, i64)>) {
        let end = (event.2.div_euclid(PANE) + 1) * PANE;
        self.0.update(cx, end, || 0, |sum| *sum += event.1);
        cx.register_timer(end - 1);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, (u8, i64, i64)>) {
        let sum = self.0.remove(cx, &(timer.time + 1)).unwrap();
        cx.emit((*cx.key(), timer.time + 1, sum));
    }
}

#[test]
fn in_order_of_arrival() {
    under_seeds("process::in_order_of_arrival", |world| {
        // No record is late, so that timers fire once, after all records of their panes, in whatever order
        // those came.
        let splits = world.splits(world.disorder);
        let job = Job::new();
        let told = world.read(&job, &splits).key_by(|event| event.0).process(Panes::default()).collect();
        let trace = world.run(&job);

        let mut sums = BTreeMap::<(u8, i64), i64>::new();
        for (key, value, time) in splits.iter().flatten() {
            *sums.entry((*key, (time.div_euclid(PANE) + 1) * PANE)).or_default() += value;
        }
        let expected: Vec<_> = sums.into_iter().map(|((key, end), sum)| (key, end, sum)).collect();
        assert_eq!(told.sorted(), expected);
        Ran::new(trace).and(&told)
    });
}
