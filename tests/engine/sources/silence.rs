//! Which splits are silent: those whose readers have nothing, and no others. And what becomes of event time
//! when all are.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::harness::{Feed, Simulation};
use highwater::stream::{Job, Stream};
use highwater::time::{Epochs, EventTime, Watermarks};
use highwater::window::Tumbling;

const MILLI: Duration = Duration::from_millis(1);

/// A split and an event time.
type Event = (usize, i64);
type Strategy = Watermarks<Event, fn(&Event) -> EventTime>;

fn monotone() -> Strategy {
    Watermarks::monotone((|event: &Event| event.1) as fn(&Event) -> EventTime)
}

/// Splits whose records lie there from the beginning, each in order, all with the same times.
fn in_order(splits: usize, each: i64) -> Vec<Vec<Event>> {
    (0..splits).map(|split| (0..each).map(|time| (split, time)).collect()).collect()
}

/// How many records are late, whose splits were there from the beginning and in order.
fn late(options: Options, build: impl FnOnce(&Job) -> Stream<Event>) -> (usize, u64) {
    let job = Job::new();
    let windows = build(&job).key_by(|event| event.0).window(Tumbling::of(10 * MILLI));
    let late = windows.late().collect();
    let counts = windows.count().map(|count| count.value).collect();
    job.run_with(options).unwrap();
    (late.values().len(), counts.values().iter().sum())
}

/// Takes a millisecond for every eighth record.
fn slowly(event: Event) -> Event {
    if event.1 % 8 == 0 {
        std::thread::sleep(MILLI);
    }
    event
}

#[test]
fn a_slow_step_makes_no_split_silent() {
    for workers in [1, 2] {
        let source = Collection::splits(in_order(2, 3_000));
        let (late, counted) = late(Options::default().workers(workers), |job| {
            let read = job.source(source, monotone().idle_after(20 * MILLI)).map(slowly);
            read.union(job.collection(Vec::<Event>::new()))
        });
        assert_eq!((late, counted), (0, 6_000), "{workers} workers");
    }
}

#[test]
fn no_step_that_is_slow_makes_a_split_silent_whose_times_are_given_anew() {
    for (workers, epochs, before) in [
        (1, Epochs::every(MILLI), true),
        (1, Epochs::every(MILLI), false),
        (2, Epochs::every(MILLI), true),
        (2, Epochs::when_done(), true),
        (1, Epochs::records(500), true),
        (2, Epochs::records(500), false),
    ] {
        let source = Collection::splits(in_order(2, 3_000));
        let (late, counted) = late(Options::default().workers(workers).epochs(epochs), |job| {
            let read = job
                .source(source, Watermarks::none())
                .map(move |event| if before { slowly(event) } else { event });
            let timed = read.with_watermarks(monotone().idle_after(20 * MILLI), 2, |event| event.0);
            let read = timed.map(move |event| if before { event } else { slowly(event) });
            read.union(job.collection(Vec::<Event>::new()))
        });
        assert_eq!((late, counted), (0, 6_000), "{workers} workers, {epochs:?}, slow before: {before}");
    }
}

/// What lies in the readers when the clock has stood still for the operator is read before anyone is taken to
/// be silent.
#[test]
fn a_pause_makes_no_split_silent() {
    for (workers, seed) in [(1, 1), (2, 2), (2, 3), (3, 4)] {
        for align in [false, true] {
            let (job, feed) = (Job::new(), Feed::new(3));
            let watermarks = monotone().idle_after(50 * MILLI);
            let watermarks = if align { watermarks.align(5 * MILLI) } else { watermarks };
            let windows =
                job.source(feed.clone(), watermarks).key_by(|event| event.0).window(Tumbling::of(10 * MILLI));
            let late = windows.late().collect();
            windows.count().discard();
            // The clock moves by far more than the silence between two steps.
            let simulation = Simulation::seeded(seed).workers(workers).piece(4).tick(Duration::from_secs(1));
            for round in 0..20 {
                (0..3)
                    .for_each(|split| (0..40).for_each(|time| feed.push(split, (split, round * 40 + time))));
            }
            let run = simulation.start(&job).unwrap();
            feed.close();
            run.finish().unwrap();
            assert_eq!(late.values(), [], "{workers} workers, seed {seed}, align: {align}");
        }
    }
}

/// Splits that were silent for long and all begin again at once, much at a time: none is taken to be silent
/// because another was read first.
#[test]
fn splits_that_come_back_together_are_not_late_for_each_other() {
    for (workers, seed) in [(1, 1), (1, 2), (2, 3), (3, 4)] {
        let (job, feed) = (Job::new(), Feed::new(3));
        let windows = job.source(feed.clone(), monotone().idle_after(50 * MILLI));
        let windows = windows.key_by(|event| event.0).window(Tumbling::of(10 * MILLI));
        let late = windows.late().collect();
        windows.count().discard();
        let mut run = Simulation::seeded(seed).workers(workers).piece(4).start(&job).unwrap();
        (0..3).for_each(|split| feed.push(split, (split, 5)));
        run.advance(200 * MILLI).unwrap();
        (0..3).for_each(|split| (10..300).for_each(|time| feed.push(split, (split, time))));
        run.advance(20 * MILLI).unwrap();
        feed.close();
        run.finish().unwrap();
        assert_eq!(late.values(), [], "{workers} workers, seed {seed}");
    }
}

/// The ends of the windows that close while the splits fall silent in an order, and nothing more comes.
fn closed(workers: usize, order: [usize; 3], times: [i64; 3], anew: bool, epochs: Epochs) -> Vec<i64> {
    let (job, feed) = (Job::new(), Feed::new(3));
    let strategy = monotone().idle_after(50 * MILLI);
    let read: Stream<Event> = match anew {
        true => job.source(feed.clone(), Watermarks::none()).with_watermarks(strategy, 3, |event| event.0),
        false => job.source(feed.clone(), strategy).union(job.collection(Vec::<Event>::new())),
    };
    let windows = read.key_by(|_| ()).window(Tumbling::of(10 * MILLI)).count();
    let ends = windows.map(|count| count.window.end).collect();
    let options = Options::default().workers(workers).epochs(epochs);
    let mut run = Simulation::seeded(7).options(options).start(&job).unwrap();
    for split in order {
        feed.push(split, (split, times[split]));
        run.advance(20 * MILLI).unwrap();
    }
    run.advance(500 * MILLI).unwrap();
    let ends = ends.sorted();
    feed.close();
    run.finish().unwrap();
    ends
}

#[test]
fn when_all_are_silent_the_greatest_watermark_counts() {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for epochs in [Epochs::every(10 * MILLI), Epochs::records(1), Epochs::when_done()] {
        for anew in [false, true] {
            for workers in 1..=4 {
                for order in orders {
                    let ends = closed(workers, order, [5, 105, 55], anew, epochs);
                    assert_eq!(ends, [10, 60], "{workers} workers, {order:?}, anew: {anew}, {epochs:?}");
                }
            }
        }
    }
}

/// One that ends is as one that is silent for ever.
#[test]
fn a_split_that_has_ended_counts_when_the_others_are_silent() {
    use crate::operators::scripted::{Scripted, Turn, wait_until};
    for workers in 1..=3 {
        let job = Job::new();
        let source = Scripted::new(2, |split, given| match (split, given) {
            (0, 0) => Turn::Give((0, 5)),
            (0, _) => Turn::Wait(MILLI),
            (_, 0) => Turn::Give((1, 105)),
            _ => Turn::Done,
        });
        let read = job.source(source, monotone().idle_after(20 * MILLI));
        let windows = read.key_by(|_| ()).window(Tumbling::of(10 * MILLI)).count();
        let ends = windows.map(|count| count.window.end).collect();
        let running = job.start(Options::default().workers(workers)).unwrap();
        wait_until("the first window", || ends.values() == [10]);
        running.stop();
        running.join().unwrap();
    }
}

/// Whoever is silent, no record is lost and none counted twice; and on one worker nothing depends on which is
/// read first.
#[test]
fn one_that_is_silent_holds_nothing_back_and_one_that_speaks_does() {
    for workers in 1..=3 {
        let (job, feed) = (Job::new(), Feed::new(3));
        let read = job.source(feed.clone(), monotone().idle_after(50 * MILLI));
        let counts = read.key_by(|_| ()).window(Tumbling::of(10 * MILLI)).count();
        let counts = counts.map(|count| (count.window.end, count.value)).collect();
        let mut run = Simulation::seeded(3).workers(workers).start(&job).unwrap();
        for time in 0..100 {
            feed.push(0, (0, time));
            feed.push(2, (2, time));
            if time < 10 {
                feed.push(1, (1, time));
            }
            run.advance(MILLI).unwrap();
        }
        run.advance(20 * MILLI).unwrap();
        let told: BTreeMap<i64, u64> = counts.values().into_iter().collect();
        assert!(told.contains_key(&90) && !told.contains_key(&100), "{workers} workers: {told:?}");
        assert_eq!((told[&10], told[&20]), (30, 20));
        feed.close();
        run.finish().unwrap();
    }
}
