//! Timers: by both clocks, in the past, at the end, and without end.

use std::time::Duration;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::connector::{Collection, Generator};
use highwater::process::{
    Aggregating, Context, LAST_TIMERS, Process, Reducing, Refresh, SideOutput, States, TimeDomain, Timer,
    Ttl, Value,
};
use highwater::stream::{Job, Sum};
use highwater::time::{Epochs, Watermarks};

/// Registers the timers that a record names, and tells which fire.
#[derive(Clone)]
struct Alarms;

type Alarm = (i64, Vec<i64>);

impl Process<u8, Alarm> for Alarms {
    type Out = (i64, i64);

    fn process(&mut self, (_, times): Alarm, cx: &mut Context<'_, u8, (i64, i64)>) {
        times.into_iter().for_each(|time| cx.register_timer(time));
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, (i64, i64)>) {
        assert!(!timer.wall);
        cx.emit((timer.time, cx.timestamp()));
    }
}

fn alarms(splits: Vec<Vec<Alarm>>, workers: usize) -> Vec<(i64, i64)> {
    let job = Job::new();
    let rows = job.source(Collection::splits(splits), Watermarks::monotone(|alarm: &Alarm| alarm.0));
    let fired = rows.key_by(|_| 7u8).process(Alarms).collect();
    job.run_with(Options::default().workers(workers).epochs(Epochs::records(2))).unwrap();
    fired.values()
}

#[test]
fn timers_fire_once_each_and_in_order() {
    for workers in 1..4 {
        let fired = alarms(vec![vec![(0, vec![30, 10, 10, 500, i64::MAX - 1]), (5, vec![20, 10])]], workers);
        assert_eq!(fired, [10, 20, 30, 500, i64::MAX - 1].map(|time| (time, time)));
    }
}

#[test]
fn a_timer_in_the_past_fires_and_so_does_one_at_the_end_of_time() {
    let fired = alarms(vec![vec![(100, vec![]), (200, vec![-5, 50]), (300, vec![i64::MAX])]], 1);
    assert_eq!(fired.iter().map(|timer| timer.0).collect::<Vec<_>>(), [-5, 50, i64::MAX]);
}

/// Asks again and again.
#[derive(Clone)]
struct Restless {
    step: i64,
}

impl Process<u8, i64> for Restless {
    type Out = i64;

    fn process(&mut self, _: i64, cx: &mut Context<'_, u8, i64>) {
        cx.register_timer(cx.timestamp() + 10);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, i64>) {
        cx.register_timer(timer.time + self.step);
        cx.emit(timer.time);
        cx.count("fired", 1);
    }
}

#[test]
fn timers_without_end_end_with_the_input() {
    for step in [10, 0, -10] {
        let job = Job::new();
        let times = job.timed_collection([0, 1_000], Watermarks::monotone(|time: &i64| *time));
        let fired = times.key_by(|_| 1u8).process(Restless { step }).collect();
        let summary = job.run_with(Options::default().epochs(Epochs::records(1))).unwrap();
        assert_eq!(summary.metrics.sum("fired"), fired.values().len() as i64);
        assert!(summary.metrics.sum("timers_dropped") > 0, "step {step}");
        let by_watermark = fired.values().iter().filter(|time| **time < 1_000).count();
        match step {
            10 => assert!(by_watermark == 99 && fired.values().len() > 10_000, "{by_watermark}"),
            // A timer for a time that has been waits for the watermark to move, or the epoch to close; at the
            // end it fires like all others.
            _ => assert!(by_watermark >= 1 && fired.values().len() > LAST_TIMERS, "{by_watermark}"),
        }
    }
}

/// Tells after so many milliseconds of the wall clock what it has heard, unless it hears more.
#[derive(Clone, Default)]
struct Debounce {
    sum: Value<i64>,
    due: Value<i64>,
}

impl Process<u8, i64> for Debounce {
    type Out = (u8, i64);

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.sum = states.value("sum");
        self.due = states.value("due");
    }

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, (u8, i64)>) {
        self.sum.update(cx, || 0, |sum| *sum += value);
        if let Some(due) = self.due.take(cx) {
            cx.delete_wall_timer(due);
        }
        let due = cx.processing_time() + 50;
        self.due.set(cx, due);
        cx.register_wall_timer(due);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, (u8, i64)>) {
        assert!(timer.wall && self.due.take(cx) == Some(timer.time));
        if let Some(sum) = self.sum.take(cx) {
            cx.emit((*cx.key(), sum));
        }
    }
}

#[test]
fn the_wall_clock_fires_timers_while_nothing_else_happens() {
    for workers in [1, 3] {
        let clock = Clock::manual();
        let job = Job::new();
        let numbers = job.source(
            Generator::new(2, |n| Some(n as i64)).rate(1_000.0).limit(61).clock(clock.clone()),
            Watermarks::none(),
        );
        let sums = numbers.key_by(|n| (*n % 3) as u8).process(Debounce::default()).collect();
        let running = job.start(Options::default().workers(workers).clock(clock.clone())).unwrap();
        for _ in 0..400 {
            clock.advance(Duration::from_millis(1));
            std::thread::sleep(Duration::from_micros(300));
        }
        running.join().unwrap();
        let total: i64 = sums.values().iter().map(|sum| sum.1).sum();
        assert_eq!(total, (0..61).sum::<i64>());
        assert_eq!(sums.sorted().len(), 3, "each key was quiet only at the end: {:?}", sums.values());
    }
}

#[test]
fn what_is_due_by_the_wall_clock_is_due_at_the_end() {
    let job = Job::new();
    let sums = job
        .collection([1, 2, 3, 4])
        .key_by(|n| (*n % 2) as u8)
        .map_values(i64::from)
        .process(Debounce::default());
    let sums = sums.collect();
    job.run().unwrap();
    assert_eq!(sums.sorted(), [(0, 6), (1, 4)]);
}

/// Everything that adds up, and a side output for what is odd.
#[derive(Clone)]
struct Totals {
    odd: SideOutput<i64>,
    greatest: Option<Reducing<i64, fn(&i64, i64) -> i64>>,
    sum: Option<Aggregating<i64, Sum>>,
    seen: Value<i64>,
}

impl Process<u8, i64> for Totals {
    type Out = (i64, i64, bool);

    fn open(&mut self, states: &mut States<'_, u8>) {
        states.side(&self.odd);
        self.greatest = Some(states.reducing("greatest", |a: &i64, b: i64| b.max(*a)));
        self.sum = Some(states.aggregating("sum", Sum));
        let ttl =
            Ttl::of(Duration::from_millis(10)).by(TimeDomain::EventTime).refresh(Refresh::OnReadAndWrite);
        self.seen = states.value_with_ttl("seen", ttl);
    }

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, Self::Out>) {
        if value % 2 != 0 {
            cx.side(&self.odd, value);
        }
        let (greatest, sum) = (self.greatest.as_ref().unwrap(), self.sum.as_ref().unwrap());
        greatest.add(cx, value);
        sum.add(cx, value);
        let seen = self.seen.read(cx).is_some();
        if value == 0 {
            self.seen.set(cx, 1);
        }
        let told = (*greatest.get(cx).unwrap(), sum.get(cx).unwrap(), seen);
        cx.emit(told);
    }
}

#[test]
fn reading_can_keep_state_alive() {
    let job = Job::new();
    let values = [(0, 0), (8, 5), (16, 2), (40, 1), (41, 3)];
    let odd = SideOutput::new();
    let function = Totals { odd, greatest: None, sum: None, seen: Value::default() };
    let rows = job.timed_collection(values, Watermarks::monotone(|row: &(i64, i64)| row.0));
    let told = rows.key_by(|_| 1u8).map_values(|row| row.1).process_in_order(function);
    let odd = told.side(&odd).collect();
    let told = told.collect();
    job.run().unwrap();
    let expected = [(0, 0, false), (5, 5, true), (5, 7, true), (5, 8, false), (5, 11, false)];
    assert_eq!(told.values(), expected);
    assert_eq!(odd.sorted(), [1, 3, 5]);
}
