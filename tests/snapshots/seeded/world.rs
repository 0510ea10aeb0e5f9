//! What a seed decides: the input of a job, how it runs, and in which order its workers step.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use highwater::config::{Options, Seals};
use highwater::connector::{AtSource, Collected, Collection};
use highwater::data::Data;
use highwater::harness::{Simulation, Trace};
use highwater::stream::{Job, Stream};
use highwater::time::{Epochs, Watermarks};

use crate::draws::{Draws, Event, seeds};

/// How many seeds each case takes, unless the environment says otherwise.
const SEEDS: u64 = 110;

/// Each so many seeds are run twice.
const TWICE: u64 = 4;

/// What a run is told apart by: its steps, and what came out in order of arrival.
pub(crate) struct Ran {
    trace: Trace,
    arrivals: Vec<String>,
}

impl Ran {
    pub(crate) fn new(trace: Trace) -> Ran {
        Ran { trace, arrivals: Vec::new() }
    }

    /// Adds what came out.
    pub(crate) fn and<T: Data + Debug>(mut self, out: &Collected<T>) -> Ran {
        self.arrivals.push(format!("{:?}", out.records()));
        self
    }
}

/// Runs a case under many seeds, and under some of them twice.
#[allow(clippy::print_stderr)]
pub(crate) fn under_seeds(name: &str, case: impl Fn(&mut World) -> Ran) {
    let seeds = seeds(SEEDS);
    let (count, mut traces) = (seeds.end - seeds.start, Vec::new());
    for seed in seeds {
        let run = || {
            let ran = case(&mut World::new(seed));
            if seed % TWICE == 0 || count == 1 {
                let again = case(&mut World::new(seed));
                assert_eq!(again.trace, ran.trace, "the same seed took other steps");
                assert_eq!(again.arrivals, ran.arrivals, "the same seed gave another order");
            }
            ran.trace.fingerprint
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(fingerprint) => traces.push(fingerprint),
            Err(panic) => {
                eprintln!("HIGHWATER_SEED={seed} cargo test --test snapshots seeded::{name}");
                resume_unwind(panic);
            }
        }
    }
    traces.sort();
    traces.dedup();
    // Jobs that have next to nothing to read have few ways to do so.
    let distinct = traces.len() as u64;
    assert!(distinct * 100 >= count * 99, "only {distinct} of {count} runs were distinct");
}

/// Draws what a case needs.
pub(crate) struct World {
    seed: u64,
    draws: Draws,
    /// The disorder that the watermarks allow for.
    pub(crate) disorder: i64,
    pub(crate) workers: usize,
    options: Options,
}

impl World {
    fn new(seed: u64) -> World {
        let (workers, options) = (1, Options::default());
        let mut world = World { seed, draws: Draws::new(seed), disorder: 0, workers, options };
        world.disorder = world.below(15);
        world.workers = 1 + world.below(4) as usize;
        let epochs = match world.below(4) {
            0 => Epochs::when_done(),
            1 => Epochs::every(Duration::from_millis(1 + world.below(9) as u64)),
            _ => Epochs::records(1 + world.below(60) as u64),
        };
        let seals = [Seals::OnDemand, Seals::EachEpoch][world.below(2) as usize];
        let options = Options::default().workers(world.workers).epochs(epochs).seals(seals);
        world.options = options.max_epochs_in_flight(1 + world.below(4) as usize);
        if world.below(4) == 0 {
            let bytes = 64 << world.below(6);
            world.options = world.options.max_bytes_in_flight(bytes);
        }
        world
    }

    pub(crate) fn below(&mut self, n: i64) -> i64 {
        self.draws.below(n)
    }

    /// One to four splits of up to 40 events each, up to `back` older than the newest before them.
    pub(crate) fn splits(&mut self, back: i64) -> Vec<Vec<Event>> {
        self.draws.splits(40, 4, back)
    }

    /// Reads splits under watermarks that allow for the world's disorder.
    pub(crate) fn read(
        &self,
        job: &Job,
        splits: &[Vec<Event>],
    ) -> Stream<Event, AtSource<Collection<Event>, impl Fn(&Event) -> i64 + Clone + Send + Sync + use<>>>
    {
        let watermarks = Watermarks::bounded(millis(self.disorder), |event: &Event| event.2);
        job.source(Collection::splits(splits.to_vec()), watermarks)
    }

    /// Runs a job in the order that the seed decides.
    pub(crate) fn run(&mut self, job: &Job) -> Trace {
        let piece = 1 << self.below(7);
        let tick = Duration::from_micros(1 << self.below(12));
        let simulation = Simulation::seeded(self.seed).options(self.options.clone());
        simulation.piece(piece).tick(tick).max_steps(200_000).run(job).unwrap()
    }

    /// The events with the watermarks in their stamps.
    pub(crate) fn stamped(&self, splits: &[Vec<Event>]) -> Vec<(i64, Event)> {
        let mut all = Vec::new();
        for split in splits {
            let mut watermark = i64::MIN;
            for event in split {
                all.push((watermark, *event));
                watermark = watermark.max(event.2 - self.disorder);
            }
        }
        all
    }

    /// The events that are not behind the watermark of their split.
    pub(crate) fn on_time(&self, splits: &[Vec<Event>]) -> Vec<Event> {
        let stamped = self.stamped(splits).into_iter();
        stamped.filter(|(watermark, event)| event.2 >= *watermark).map(|(_, event)| event).collect()
    }
}

pub(crate) fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

pub(crate) fn sorted<T: Ord>(rows: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut rows: Vec<T> = rows.into_iter().collect();
    rows.sort();
    rows
}
