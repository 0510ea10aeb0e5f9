//! Whose turn it is: splits without event times take turns, and one that is too far ahead waits without a
//! step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::harness::{Feed, Simulation};
use highwater::stream::Job;
use highwater::time::{Epochs, EventTime, Watermarks};

use crate::operators::scripted::{Log, Scripted, Turn};

const MILLI: Duration = Duration::from_millis(1);

type Strategy = Watermarks<(usize, i64), fn(&(usize, i64)) -> EventTime>;

/// All splits go on until each has given some thousands of records; then they end. If one does not get its
/// turn, that never happens.
fn all_get_their_turns(what: &str, splits: usize, watermarks: Strategy) {
    const EACH: usize = 5_000;
    let given: Arc<Vec<AtomicUsize>> = Arc::new((0..splits).map(|_| AtomicUsize::new(0)).collect());
    let counts = Arc::clone(&given);
    let source = Scripted::new(splits, move |split, number| {
        counts[split].store(number, SeqCst);
        let all: usize = counts.iter().map(|count| count.load(SeqCst)).sum();
        match counts.iter().all(|count| count.load(SeqCst) >= EACH) || all > splits * EACH * 50 {
            true => Turn::Done,
            false => Turn::Give((split, number as i64)),
        }
    });
    let job = Job::new();
    job.source(source, watermarks).discard();
    job.run().unwrap();
    let given: Vec<usize> = given.iter().map(|count| count.load(SeqCst)).collect();
    assert!(given.iter().all(|given| *given >= EACH), "{what}: {given:?}");
}

#[test]
fn splits_without_event_times_take_turns() {
    for splits in [2, 3, 40] {
        all_get_their_turns("no event time", splits, untimed());
    }
}

/// A strategy that never says anything.
fn untimed() -> Strategy {
    let time: fn(&(usize, i64)) -> EventTime = |event| event.1;
    Watermarks::punctuated(time, |_, _| None)
}

#[test]
fn a_split_whose_watermark_stands_still_lets_others_have_turns() {
    let time: fn(&(usize, i64)) -> EventTime = |event| event.1;
    let second = Watermarks::punctuated(time, |event, at| (event.0 != 0).then_some(at));
    all_get_their_turns("the first says nothing", 3, second);
    let same: fn(&(usize, i64)) -> EventTime = |event| if event.0 == 1 { 7 } else { event.1 };
    all_get_their_turns("the second is always at 7", 2, Watermarks::monotone(same));
}

#[test]
fn splits_of_the_library_s_sources_take_turns() {
    let job = Job::new();
    let rows = (0..3).map(|split| (0..20_000).map(move |_| split));
    let given = job.source(Collection::splits(rows), Watermarks::none()).collect();
    job.run().unwrap();
    let given = given.values();
    let last = |split| given.iter().rposition(|other| *other == split).unwrap();
    let first = (0..3).map(|split| given.iter().position(|other| *other == split).unwrap()).max().unwrap();
    assert!(first < (0..3).map(last).min().unwrap(), "one is read to its end before another begins");
}

/// The slow split has its next record when the test pushes it; the fast one has all at once.
fn waits_without_a_step(workers: usize, seed: u64) {
    let feed = Feed::new(2);
    (0..1_000).for_each(|time| feed.push(0, (0, time)));
    feed.push(1, (1, 0));
    let job = Job::new();
    let watermarks = Watermarks::monotone(|event: &(usize, i64)| event.1).align(10 * MILLI);
    let seen = job.source(feed.clone(), watermarks).collect();
    let mut run = Simulation::seeded(seed).workers(workers).piece(1).max_steps(20_000).start(&job).unwrap();
    let fast = || seen.values().iter().filter(|event| event.0 == 0).count();
    run.settle().unwrap();
    assert_eq!(fast(), 12, "it is read as long as it is no more than 10 ahead of 0");
    run.advance(100 * MILLI).unwrap();
    assert_eq!(fast(), 12);
    feed.push(1, (1, 500));
    run.advance(2 * MILLI).unwrap();
    assert_eq!(fast(), 512);
    feed.close();
    let trace = run.finish().unwrap();
    assert_eq!(fast(), 1_000);
    assert!(trace.steps.iter().sum::<u64>() < 15_000, "{trace:?}");
}

#[test]
fn a_split_that_is_ahead_waits_until_it_is_woken() {
    for seed in 0..10 {
        waits_without_a_step(1, seed);
        waits_without_a_step(2, seed);
        waits_without_a_step(3, seed);
    }
}

#[test]
fn a_split_that_waits_goes_on_when_those_behind_end_or_fall_silent() {
    for (workers, silent) in [(1, false), (2, false), (1, true), (2, true), (3, true)] {
        let (release, job) = (Arc::new(AtomicBool::new(false)), Job::new());
        let released = Arc::clone(&release);
        let source = Scripted::new(2, move |split, given| match (split, given) {
            (0, 0..5_000) => Turn::Give((0, given as i64)),
            (1, 0) => Turn::Give((1, 0i64)),
            (1, _) if !released.load(SeqCst) => Turn::Wait(MILLI),
            _ => Turn::Done,
        });
        let watermarks = Watermarks::monotone(|event: &(i32, i64)| event.1).align(10 * MILLI);
        let watermarks = if silent { watermarks.idle_after(5 * MILLI) } else { watermarks };
        let seen = job.source(source, watermarks).collect();
        let running = job.start(Options::default().workers(workers)).unwrap();
        if silent {
            crate::operators::scripted::wait_until("all of the fast split", || seen.values().len() == 5_001);
        } else {
            std::thread::sleep(20 * MILLI);
            assert!(seen.values().len() < 4_000);
        }
        release.store(true, SeqCst);
        running.join().unwrap();
        assert_eq!(seen.values().len(), 5_001);
    }
}

/// One that waits for another takes part in the epochs meanwhile: else these would never end, and the other,
/// with all that it may in flight, never go on.
#[test]
fn a_split_that_waits_keeps_no_epoch_open() {
    for (seed, epochs) in [
        (1, Epochs::records(10)),
        (2, Epochs::records(3)),
        (3, Epochs::when_done()),
        (4, Epochs::every(MILLI)),
    ] {
        for workers in 1..=3 {
            let rows = [(0..200i64).map(|time| time * 10).collect::<Vec<_>>(), (0..2_000).collect()];
            let job = Job::new();
            let watermarks = Watermarks::monotone(|time: &i64| *time).align(50 * MILLI);
            let times = job.source(Collection::splits(rows), watermarks).collect();
            let options = Options::default().workers(workers).epochs(epochs);
            let options = options.max_epochs_in_flight(1).max_bytes_in_flight(512);
            Simulation::seeded(seed).options(options).piece(8).run(&job).unwrap();
            assert_eq!(times.values().len(), 2_200, "{workers} workers, {epochs:?}");
        }
    }
}

/// The same for one whose reader has nothing for long: what the others have read is complete all the same.
#[test]
fn a_split_that_has_nothing_keeps_no_epoch_open() {
    for epochs in [Epochs::records(10), Epochs::when_done()] {
        let (job, source) = (
            Job::new(),
            Scripted::new(2, |split, given| match (split, given) {
                (0, 0..100) => Turn::Give(given),
                _ => Turn::Wait(Duration::from_secs(3_600)),
            }),
        );
        let given = Log::of(job.source(source, Watermarks::none()));
        let running = job.start(Options::default().workers(2).epochs(epochs)).unwrap();
        crate::operators::scripted::wait_until("most records", || given.up_to(u64::MAX).len() >= 80);
        running.stop();
        running.join().unwrap();
    }
}
