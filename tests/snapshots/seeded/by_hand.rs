//! Whole jobs under a clock that the test moves: processing time, output so far, ends.

use std::collections::BTreeSet;
use std::time::Duration;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::connector::{Collection, Generator};
use highwater::harness::{Feed, Simulation};
use highwater::process::{Context, Process, States, Timer, Value};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use highwater::window::Tumbling;

use super::world::millis;

/// Tells the last word of each key, when it has been silent for 50 milliseconds.
#[derive(Clone, Default)]
struct Debounce {
    last: Value<String>,
    due: Value<i64>,
}

impl Process<u8, String> for Debounce {
    type Out = (i64, u8, String);

    fn open(&mut self, states: &mut States<'_, u8>) {
        (self.last, self.due) = (states.value("last"), states.value("due"));
    }

    fn process(&mut self, word: String, cx: &mut Context<'_, u8, Self::Out>) {
        if let Some(due) = self.due.take(cx) {
            cx.delete_wall_timer(due);
        }
        let due = cx.processing_time() + 50;
        self.last.set(cx, word);
        self.due.set(cx, due);
        cx.register_wall_timer(due);
    }

    fn timer(&mut self, _: Timer, cx: &mut Context<'_, u8, Self::Out>) {
        self.due.clear(cx);
        if let Some(word) = self.last.take(cx) {
            cx.emit((cx.processing_time(), *cx.key(), word));
        }
    }
}

#[test]
fn timers_of_processing_time_fire_when_the_test_says_so() {
    for workers in 1..4 {
        let (job, feed) = (Job::new(), Feed::new(2));
        let words = job.source(feed.clone(), Watermarks::none());
        let keyed = words.key_by(|(key, _): &(u8, &str)| *key).map_values(|(_, word)| word.to_owned());
        let told = keyed.process(Debounce::default()).collect();
        let mut run = Simulation::seeded(workers as u64).workers(workers).start(&job).unwrap();
        run.settle().unwrap();
        feed.push(0, (1, "a"));
        run.advance(millis(30)).unwrap(); // read at 1
        feed.push(1, (1, "b"));
        feed.push(0, (2, "c"));
        run.advance(millis(50)).unwrap(); // read at 31
        assert_eq!((told.values(), run.now()), (vec![], millis(80)));
        run.advance(millis(1)).unwrap();
        let mut values = told.values();
        values.sort();
        assert_eq!(values, [(81, 1, "b".to_owned()), (81, 2, "c".to_owned())]);
        feed.push(0, (3, "d"));
        // Each is done at its own time, however far the clock is moved.
        run.advance(Duration::from_secs(60)).unwrap();
        assert_eq!(told.values()[2..], [(132, 3, "d".to_owned())]);
        feed.push(0, (4, "e"));
        run.advance(millis(10)).unwrap();
        feed.close();
        assert!(!run.is_finished());
        run.finish().unwrap();
        assert_eq!(told.values()[3..].len(), 1, "what is due when the input ends is due at once");
    }
}

#[test]
fn a_generator_keeps_to_the_simulated_clock() {
    let clock = Clock::manual();
    let job = Job::new();
    let ticks = Generator::new(3, Some).rate(100.0).clock(clock.clone());
    let ticks = job.source(ticks, Watermarks::none()).collect();
    let options = Options::default().workers(2).clock(clock.clone()).epochs(Epochs::every(millis(20)));
    let mut run = Simulation::seeded(9).options(options).start(&job).unwrap();
    for tenth in 0..50 {
        run.advance(millis(100)).unwrap();
        assert_eq!(
            (clock.now(), ticks.values().len()),
            (millis(100 * (tenth + 1)), 10 * (tenth as usize + 1) + 1)
        );
        // An epoch ends with each tick of its clock.
        assert_eq!(run.open_epoch(), 5 * (tenth as u64 + 1));
    }
    run.stop();
    run.settle().unwrap();
    assert!(run.is_finished());
    assert_eq!(run.finish().unwrap().now, Duration::from_secs(5));
}

#[test]
fn windows_close_as_the_feed_moves_event_time() {
    let (job, feed) = (Job::new(), Feed::new(1));
    let times = job.source(feed.clone(), Watermarks::monotone(|time: &i64| *time));
    let counts =
        times.window_all(Tumbling::of(millis(10))).count().map(|w| (w.window.end, w.value)).collect();
    let mut run = Simulation::seeded(4).workers(3).start(&job).unwrap();
    let mut push = |time| {
        feed.push(0, time);
        run.advance(millis(20)).unwrap();
        counts.values()
    };
    assert_eq!(push(3), []);
    assert_eq!(push(9), []);
    assert_eq!(push(10), [(10, 2)]);
    feed.close();
    run.finish().unwrap();
    assert_eq!(counts.values(), [(10, 2), (20, 1)]);
}

#[test]
fn steps_can_be_counted_out() {
    let run = |seed: u64, at_once: u64| {
        let job = Job::new();
        let out = job.collection(0..200).rebalance().collect();
        let simulation = Simulation::seeded(seed).workers(3);
        let mut run = simulation.start(&job).unwrap();
        let mut taken = 0;
        while !run.is_finished() {
            let steps = run.steps(at_once).unwrap();
            assert!(steps == at_once || run.is_finished());
            taken += steps;
        }
        assert_eq!(run.trace().steps.iter().sum::<u64>(), taken);
        assert_eq!(run.now(), Duration::ZERO);
        out.values()
    };
    let order = run(1, 7);
    assert_eq!(run(1, 7), order);
    assert_ne!(run(2, 7), order);
}

#[test]
fn seeds_give_many_orders_and_one_result() {
    let run = |seed| {
        let job = Job::new();
        let splits = Collection::splits((0..3).map(|split| (0..30).map(move |n| 100 * split + n)));
        let out = job.source(splits, Watermarks::none()).partition_with(|n: &u64, _| *n as usize).collect();
        let trace = Simulation::seeded(seed).workers(3).run(&job).unwrap();
        (trace, out)
    };
    let (mut orders, mut traces) = (BTreeSet::new(), BTreeSet::new());
    let expected = run(0).1.sorted();
    for seed in 0..30 {
        let (trace, out) = run(seed);
        assert_eq!(out.sorted(), expected);
        assert_eq!((trace, out.values()), {
            let (trace, out) = run(seed);
            (trace, out.values())
        });
        orders.insert(out.values());
        traces.insert(run(seed).0.fingerprint);
    }
    assert_eq!((orders.len(), traces.len()), (30, 30));
}

#[test]
fn a_worker_can_fall_far_behind() {
    // In some schedule a worker takes no step while the others take many.
    let job = || {
        let job = Job::new();
        job.source(Generator::new(3, Some).limit(2_000), Watermarks::none()).rebalance().discard();
        job
    };
    let most = (0..20).map(|seed| {
        let mut run = Simulation::seeded(seed).workers(3).piece(4).start(&job()).unwrap();
        run.steps(60).unwrap();
        run.trace().steps
    });
    assert!(most.clone().any(|steps| steps.iter().any(|steps| *steps < 4)), "{:?}", most.collect::<Vec<_>>());
}
