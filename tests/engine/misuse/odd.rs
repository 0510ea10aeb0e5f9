//! What is odd and has an outcome.

use std::time::Duration;

use highwater::config::Options;
use highwater::harness::Driver;
use highwater::join::{Interval, Offset, Outer};
use highwater::process::{Context, Process, SideOutput, States, Timer};
use highwater::stream::Job;
use highwater::time::{Epochs, EventTime, Watermarks};
use highwater::window::{Sessions, Tumbling};

use super::outcome;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Emits each record again ten milliseconds before its time, and asks for a timer then.
#[derive(Clone, Copy)]
struct Back(SideOutput<i64>);

impl Process<u8, i64> for Back {
    type Out = (EventTime, bool);

    fn open(&mut self, states: &mut States<'_, u8>) {
        states.side(&self.0);
    }

    fn process(&mut self, time: i64, cx: &mut Context<'_, u8, (EventTime, bool)>) {
        cx.emit_at((time - 10, false), time - 10);
        cx.register_timer(time - 10);
        cx.side(&self.0, time);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, (EventTime, bool)>) {
        cx.emit((timer.time, true));
    }
}

#[test]
fn records_and_timers_in_the_past() {
    for workers in [1, 3] {
        let job = Job::new();
        let times = job.timed_collection([100, 200, 205], Watermarks::monotone(|time: &i64| *time));
        let back = times.key_by(|_| 0u8).process(Back(SideOutput::new()));
        let fired = back.clone().filter(|(_, fired)| *fired).map(|(time, _)| time).collect();
        let windows = back.filter(|(_, fired)| !fired).key_by(|_| 0u8).window(Tumbling::of(millis(10)));
        let counts = windows.count().map(|count| (count.window.start, count.value)).collect();
        let options = Options::default().workers(workers).epochs(Epochs::records(1));
        let summary = job.run_with(options).unwrap();
        assert_eq!(fired.sorted(), [90, 190, 195], "timers in the past fire");
        // 90 comes when nothing is known of the split; 190 when it is at 100, and 195 when it is at 200,
        // where the window is over.
        assert_eq!(counts.sorted(), [(90, 1), (190, 1)]);
        assert_eq!(summary.metrics.sum("late_dropped"), 1);
    }
}

#[test]
fn an_interval_with_crossed_bounds_joins_nothing() {
    for (outer, alone) in [(Outer::None, 0), (Outer::Left, 2), (Outer::Both, 4)] {
        let job = Job::new();
        let rows = || job.timed_collection([5i64, 9], Watermarks::monotone(|n: &i64| *n)).key_by(|_| 0u8);
        let joined = rows()
            .interval_join(rows(), Interval::between(Offset::millis(3), Offset::millis(-3)))
            .outer(outer, |_, one, other| {
                assert!(one.is_none() || other.is_none());
                Some(())
            });
        let joined = joined.collect();
        job.run().unwrap();
        assert_eq!(joined.values().len(), alone, "{outer:?}");
    }
}

#[test]
fn bounds_beyond_all_bounds_are_for_ever() {
    let job = Job::new();
    let watermarks = || Watermarks::bounded(Duration::MAX, |n: &i64| *n);
    let times = [50, 1, 40, i64::MIN, i64::MAX];
    let windows = job.timed_collection(times, watermarks()).key_by(|_| 0u8).window(Tumbling::of(millis(10)));
    let counts = windows.count().map(|count| count.value).collect();
    let summary = job.run().unwrap();
    assert_eq!(counts.values().iter().sum::<u64>(), 5, "nothing is late");
    assert_eq!(summary.metrics.sum("late_dropped"), 0);

    let mut driver = Driver::new(|times| {
        let windows = times.key_by(|_: &i64| 0u8).window(Tumbling::of(millis(10)));
        windows.allowed_lateness(Duration::MAX).count().map(|count| (count.window.start, count.value))
    })
    .unwrap();
    driver.push(0, 3).unwrap();
    driver.watermark(1_000_000_000).unwrap();
    driver.push(0, 4).unwrap();
    driver.finish().unwrap();
    assert_eq!(driver.take_output(), [(0, 1), (0, 2)]);
}

#[test]
fn a_gap_of_zero_that_a_record_says_is_a_millisecond() {
    let mut driver = Driver::new(|times| {
        let windows = times.key_by(|_: &i64| 0u8).window(Sessions::with_gaps(|_| Duration::ZERO));
        windows.count().map(|count| (count.window.start, count.window.end, count.value))
    })
    .unwrap();
    driver.push(0, 3).unwrap();
    driver.push(0, 3).unwrap();
    driver.push(0, 4).unwrap();
    driver.finish().unwrap();
    assert_eq!(driver.take_output(), [(3, 4, 2), (4, 5, 1)]);
}

#[test]
fn sides_that_no_one_reads_or_fills() {
    let job = Job::new();
    let unread = SideOutput::new();
    let records = job.collection([1, 2]).key_by(|_| 0u8).process(Back(unread)).collect();
    // A function without `open` may give to any.
    let unfilled = SideOutput::<i64>::new();
    let same = job.collection([1, 2]).process(|n: i64, cx| cx.emit(n));
    let nothing = same.side(&unfilled).collect();
    same.discard();
    job.run().unwrap();
    assert!(nothing.values().is_empty());
    assert_eq!(records.values().len(), 4);
}

#[test]
fn a_job_can_be_run_again() {
    let job = Job::new();
    let counts = job.collection([1, 1, 2]).key_by(|n| *n).count().collect();
    job.run().unwrap();
    let first = counts.values().len();
    job.run().unwrap();
    assert!(first > 0 && counts.values().len() == 2 * first);
}

/// Registers a timer in each timer.
#[derive(Clone, Copy)]
struct Restless;

impl Process<u8, i64> for Restless {
    type Out = i64;

    fn process(&mut self, time: i64, cx: &mut Context<'_, u8, i64>) {
        cx.register_timer(time);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, i64>) {
        cx.register_timer(timer.time + 1);
    }
}

#[test]
fn timers_without_end_end_with_the_input() {
    for workers in [1, 3] {
        outcome("timers", workers, |job| job.collection([1, 2]).key_by(|_| 0u8).process(Restless).discard())
            .unwrap();
    }
}

#[test]
fn workers_out_of_range_are_taken_around() {
    for workers in [1, 3] {
        outcome("partition", workers, |job| {
            job.collection(0..20).partition_with(|n, _| usize::MAX - n).discard();
        })
        .unwrap();
    }
}
