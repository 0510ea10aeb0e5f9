//! When the input ends all timers fire: of both clocks, at the end of time, and those that timers register
//! then.

use std::sync::Arc;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::harness::Simulation;
use highwater::object::{Memory, Store};
use highwater::process::{CoProcess, Context, LAST_TIMERS, Process, States, Timer, Value};
use highwater::snapshot::{Repository, Restore, Selector, Snapshots};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

/// Sums, and tells the sum at the end of time by both clocks.
#[derive(Clone, Default)]
struct AtTheEnd(Value<i64>);

type Told = (u8, bool, i64, i64);

impl AtTheEnd {
    fn add(&self, value: i64, cx: &mut Context<'_, u8, Told>) {
        self.0.update(cx, || 0, |sum| *sum += value);
        cx.register_timer(i64::MAX);
        cx.register_wall_timer(i64::MAX);
    }

    fn tell(&self, timer: Timer, cx: &mut Context<'_, u8, Told>) {
        let told = (*cx.key(), timer.wall, timer.time, self.0.get(cx).copied().unwrap_or(0));
        cx.emit(told);
    }
}

impl Process<u8, i64> for AtTheEnd {
    type Out = Told;

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.0 = states.value("sum");
    }

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, Told>) {
        self.add(value, cx);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, Told>) {
        self.tell(timer, cx);
    }
}

impl CoProcess<u8, i64, i64> for AtTheEnd {
    type Out = Told;

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.0 = states.value("sum");
    }

    fn left(&mut self, value: i64, cx: &mut Context<'_, u8, Told>) {
        self.add(value, cx);
    }

    fn right(&mut self, value: i64, cx: &mut Context<'_, u8, Told>) {
        self.add(value, cx);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, Told>) {
        self.tell(timer, cx);
    }
}

fn splits() -> Vec<Vec<i64>> {
    (0..3).map(|split| (0..40).map(|n| 3 * n + split).collect()).collect()
}

fn by_time() -> Watermarks<i64, impl Fn(&i64) -> i64 + Clone + Send + Sync + 'static> {
    Watermarks::monotone(|value: &i64| *value)
}

/// What is told once for each clock of each key, `times` times over.
fn expected(times: i64) -> Vec<Told> {
    let sum = |key: u8| times * (0..120).filter(|n| n % 5 == i64::from(key)).sum::<i64>();
    (0..5).flat_map(|key| [false, true].map(|wall| (key, wall, i64::MAX, sum(key)))).collect()
}

#[test]
fn timers_at_the_end_of_time_fire_when_the_input_ends() {
    for workers in 1..4 {
        let job = Job::new();
        let keyed = || job.source(Collection::splits(splits()), by_time()).key_by(|n| (*n % 5) as u8);
        let arrival = keyed().process(AtTheEnd::default()).collect();
        let in_order = keyed().process_in_order(AtTheEnd::default()).collect();
        let both = keyed().connect(keyed()).process(AtTheEnd::default()).collect();
        let untimed = job.collection(0..120).key_by(|n| (*n % 5) as u8).map_values(i64::from);
        let untimed = untimed.process(AtTheEnd::default()).collect();
        let options = Options::default().workers(workers).epochs(Epochs::records(7));
        let summary = job.run_with(options).unwrap();
        assert_eq!(arrival.sorted(), expected(1));
        assert_eq!(in_order.sorted(), expected(1));
        assert_eq!(untimed.sorted(), expected(1));
        assert_eq!(both.sorted(), expected(2));
        assert_eq!(summary.metrics.sum("timers_dropped"), 0);
    }
}

/// Asks to be called at the end of time, and once more then.
#[derive(Clone)]
struct Twice;

impl Process<u32, ()> for Twice {
    type Out = (u32, i64);

    fn process(&mut self, (): (), cx: &mut Context<'_, u32, Self::Out>) {
        cx.register_timer(i64::MAX);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u32, Self::Out>) {
        cx.emit((*cx.key(), timer.time));
        if timer.time == i64::MAX {
            cx.register_timer(7);
        }
    }
}

#[test]
fn timers_at_the_end_of_time_that_have_left_memory_fire() {
    let (job, keys) = (Job::new(), 30_000u32);
    let keyed = job.timed_collection(0..keys, Watermarks::monotone(|n: &u32| i64::from(*n))).key_by(|n| *n);
    let fired = keyed.map_values(|_| ()).process(Twice).collect();
    let options =
        Options::default().epochs(Epochs::records(1_000)).state_memory(1 << 20, std::env::temp_dir());
    let summary = job.run_with(options).unwrap();
    assert!(summary.metrics.sum("timers_spilled") > 0);
    let expected: Vec<_> = (0..keys).flat_map(|key| [(key, 7), (key, i64::MAX)]).collect();
    assert_eq!(fired.sorted(), expected);
}

/// Takes a snapshot in the middle, crashes, and goes on: what is at the end of time is a timer like others.
#[test]
fn timers_at_the_end_of_time_fire_after_a_restart() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let run = |workers: usize| {
        let job = Job::new();
        let keyed = job.source(Collection::splits(splits()), by_time()).key_by(|n| (*n % 5) as u8);
        let told = keyed.process(AtTheEnd::default()).uid("ends").collect();
        let snapshots = Snapshots::in_store(Arc::clone(&store)).every_epochs(1).restore(Restore::Latest);
        (job, told, Options::default().workers(workers).epochs(Epochs::records(10)).snapshots(snapshots))
    };
    let (job, _, options) = run(2);
    let mut running = Simulation::seeded(3).piece(8).options(options).start(&job).unwrap();
    let repository = Repository::open(Arc::clone(&store));
    while repository.find(&Selector::Latest).unwrap().is_none_or(|(_, manifest)| manifest.epoch < 4) {
        running.steps(1).unwrap();
    }
    drop(running);
    let (job, told, options) = run(3);
    Simulation::seeded(4).options(options).run(&job).unwrap();
    assert_eq!(told.sorted(), expected(1));
}

/// A timer at the end of time registers some for times that have been, one after the other.
#[derive(Clone)]
struct Chain;

impl Process<u8, i64> for Chain {
    type Out = (bool, i64);

    fn process(&mut self, _: i64, cx: &mut Context<'_, u8, Self::Out>) {
        cx.register_timer(i64::MAX);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, Self::Out>) {
        cx.emit((timer.wall, timer.time));
        match (timer.wall, timer.time) {
            (false, i64::MAX) => cx.register_timer(20),
            (false, 5) => cx.register_wall_timer(i64::MAX),
            (false, time) => cx.register_timer(time - 5),
            (true, i64::MAX) => cx.register_wall_timer(3),
            _ => {}
        }
    }
}

#[test]
fn what_timers_register_for_times_that_have_been_fires_at_the_end() {
    let end = i64::MAX;
    let expected = [(false, end), (false, 20), (false, 15), (false, 10), (false, 5), (true, end), (true, 3)];
    for in_order in [false, true] {
        let job = Job::new();
        let keyed = job.timed_collection([1, 50], by_time()).key_by(|_| 1u8);
        let fired = if in_order { keyed.process_in_order(Chain) } else { keyed.process(Chain) }.collect();
        let summary = job.run().unwrap();
        assert_eq!(fired.values(), expected, "in order: {in_order}");
        assert_eq!(summary.metrics.sum("timers_dropped"), 0);
    }
}

/// Each timer registers the next one.
#[derive(Clone)]
struct Endless(i64);

impl Process<u8, i64> for Endless {
    type Out = i64;

    fn process(&mut self, _: i64, cx: &mut Context<'_, u8, i64>) {
        cx.register_timer(1_000);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, i64>) {
        cx.emit(timer.time);
        cx.register_timer(timer.time + self.0);
    }
}

#[test]
fn the_number_of_timers_that_timers_register_at_the_end_is_the_one_that_is_told() {
    for step in [10, 1, 0, -3] {
        let job = Job::new();
        let keyed = job.timed_collection([1, 2], by_time()).key_by(|n| *n as u8);
        let fired = keyed.process(Endless(step)).collect();
        let summary = job.run().unwrap();
        assert_eq!(fired.values().len(), 2 + LAST_TIMERS, "step {step}");
        assert_eq!(summary.metrics.sum("timers_dropped"), 2);
    }
}

/// A record at the last moment, and timers for it.
#[test]
fn records_at_the_end_of_time_are_taken() {
    let job = Job::new();
    let keyed = job.timed_collection([1, i64::MAX, i64::MAX], by_time()).key_by(|_| 1u8);
    let keyed = keyed.map_values(|_| 7);
    let arrival = keyed.clone().process(AtTheEnd::default()).map(|told| told.1).collect();
    let in_order = keyed.process_in_order(AtTheEnd::default()).map(|told| told.3).collect();
    job.run_with(Options::default().epochs(Epochs::records(1))).unwrap();
    assert_eq!(in_order.values().last(), Some(&21));
    assert!(arrival.values().contains(&true) && arrival.values().contains(&false));
}
