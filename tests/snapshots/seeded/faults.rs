//! What goes wrong in a simulation is told at once: no thread waits for one that is gone, and no test hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::{Collection, Generator, Numbered, Reader, Source, Status};
use highwater::data::Visit;
use highwater::harness::{Feed, Simulation};
use highwater::stream::{CallOptions, Job};
use highwater::time::{Epochs, Watermarks};
use highwater::{ErrorKind, Result};

/// A source that has given all it has, does not say so, and asks to be called again after this long.
#[derive(Clone)]
struct Silent(Duration);

impl Source for Silent {
    type Item = u64;
    type Split = Numbered;
    type Reader = Silent;

    fn name(&self) -> String {
        "silent".to_owned()
    }

    fn splits(&self) -> Result<Vec<Numbered>> {
        Ok((0..3).map(Numbered).collect())
    }

    fn open(&self, _: &Numbered, _: Option<u64>) -> Result<Silent> {
        Ok(self.clone())
    }
}

impl Reader for Silent {
    type Item = u64;
    type Position = u64;

    fn read<V: Visit<u64>>(&mut self, _: usize, _: &mut V) -> Result<Status> {
        Ok(Status::Wait(self.0))
    }

    fn position(&self) -> u64 {
        0
    }
}

fn silent(wait: Duration, epochs: Epochs, max_steps: u64) -> highwater::Error {
    let job = Job::new();
    job.source(Silent(wait), Watermarks::none()).key_by(|n| *n).count().discard();
    let options = Options::default().workers(3).epochs(epochs);
    Simulation::seeded(1).options(options).max_steps(max_steps).run(&job).unwrap_err()
}

#[test]
fn a_job_in_which_nothing_will_happen_is_stuck_at_once() {
    let error = silent(Duration::MAX, Epochs::when_done(), u64::MAX);
    assert_eq!(error.kind(), ErrorKind::Stuck);
    assert!(
        error.to_string().starts_with("the job is stuck in epoch 0: no worker has anything to do"),
        "{error}"
    );
}

#[test]
fn a_job_that_does_something_for_ever_is_stuck_after_so_many_steps() {
    for epochs in [Epochs::every(Duration::from_millis(5)), Epochs::when_done()] {
        let error = silent(Duration::from_secs(3600), epochs, 500);
        assert_eq!(error.kind(), ErrorKind::Stuck);
        assert!(error.to_string().starts_with("the job has taken 500 steps and is not done"), "{error}");
    }
}

#[test]
fn a_feed_that_stays_open_is_found_out() {
    let (job, feed) = (Job::new(), Feed::new(2));
    let values = job.source(feed.clone(), Watermarks::none()).collect();
    feed.push(5, "one");
    let error = Simulation::seeded(3).workers(2).max_steps(2_000).run(&job).unwrap_err();
    assert_eq!((error.kind(), values.values()), (ErrorKind::Stuck, vec!["one"]));
}

#[test]
fn a_panic_ends_the_job_wherever_the_baton_is() {
    for seed in 0..40 {
        let job = Job::new();
        let seen = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&seen);
        let numbers = job.source(Collection::splits(vec![0..50u64; 4]), Watermarks::none()).rebalance();
        numbers
            .inspect(move |_, _| {
                assert!(counted.fetch_add(1, SeqCst) < 3 * seed, "that is enough");
            })
            .discard();
        let simulation = Simulation::seeded(seed).workers(1 + seed as usize % 4);
        let error = simulation.run(&job).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panic);
        assert!(error.to_string().contains("that is enough"), "{error}");
        // No one has gone on after it.
        assert_eq!(seen.load(SeqCst), 3 * seed + 1);
    }
}

#[test]
fn an_error_of_a_source_ends_the_job() {
    #[derive(Clone)]
    struct Broken;
    impl Source for Broken {
        type Item = u64;
        type Split = Numbered;
        type Reader = Silent;
        fn name(&self) -> String {
            "broken".to_owned()
        }
        fn splits(&self) -> Result<Vec<Numbered>> {
            Ok((0..2).map(Numbered).collect())
        }
        fn open(&self, split: &Numbered, _: Option<u64>) -> Result<Silent> {
            match split.0 {
                0 => Ok(Silent(Duration::from_millis(1))),
                _ => Err(highwater::Error::data("cannot be opened")),
            }
        }
    }
    let job = Job::new();
    job.source(Broken, Watermarks::none()).discard();
    let error = Simulation::seeded(1).workers(2).run(&job).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Data, "cannot be opened"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let job = Job::new();
    job.collection(0..3).discard();
    for simulation in [Simulation::seeded(1).workers(0), Simulation::seeded(1).piece(0)] {
        assert_eq!(simulation.run(&job).unwrap_err().kind(), ErrorKind::Config);
    }
}

#[test]
fn an_abandoned_job_ends_between_two_steps() {
    for steps in [0, 1, 5, 30] {
        let job = Job::new();
        let out = job.source(Generator::new(4, Some), Watermarks::none()).rebalance().collect();
        let mut run = Simulation::seeded(steps).workers(4).start(&job).unwrap();
        assert_eq!(run.steps(steps).unwrap(), steps);
        let seen = out.values().len();
        drop(run);
        assert_eq!(out.values().len(), seen);
    }
}

#[test]
fn calls_are_waited_for() {
    let job = Job::new();
    let slow = |n: u64| {
        std::thread::sleep(Duration::from_millis(n % 3));
        Ok::<_, String>(n * n)
    };
    let answers = job.collection(0..20u64).rebalance().call(slow, CallOptions::unordered().capacity(4));
    let answers = answers.answers().collect();
    Simulation::seeded(5).workers(3).run(&job).unwrap();
    assert_eq!(answers.sorted(), (0..20).map(|n| n * n).collect::<Vec<u64>>());
}
