//! Runs of a job that crash and go on, against one that does not.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::{AtSource, Collection};
use highwater::data::Data;
use highwater::harness::Simulation;
use highwater::object::{Faults, Faulty, Memory, Store};
use highwater::snapshot::{Repository, Restore, Snapshots};
use highwater::stream::{Job, Stream};
use highwater::time::{Epochs, Watermarks};

use crate::draws::{Draws, Event, seeds};
use crate::ledger::Ledger;

/// How many seeds each case takes, unless the environment says otherwise.
const SEEDS: u64 = 100;

/// The most crashes of a job.
const CRASHES: i64 = 5;

/// Runs a case under many seeds.
#[allow(clippy::print_stderr)]
pub(crate) fn under_seeds(name: &str, case: impl Fn(&mut World)) {
    let seeds = seeds(SEEDS);
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(&mut World::new(seed)))) {
            eprintln!("HIGHWATER_SEED={seed} cargo test --test snapshots {name}");
            resume_unwind(panic);
        }
    }
}

/// Draws what a case needs.
pub(crate) struct World {
    seed: u64,
    draws: Draws,
    /// The disorder that the watermarks allow for.
    pub(crate) disorder: i64,
    /// The memory that the state of runs that crash may take, in bytes, if it is limited.
    pub(crate) memory: Option<usize>,
    /// How many keys have left memory in these.
    pub(crate) left: i64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut world = World { seed, draws: Draws::new(seed), disorder: 0, memory: None, left: 0 };
        world.disorder = world.below(15);
        world
    }

    pub(crate) fn below(&mut self, n: i64) -> i64 {
        self.draws.below(n)
    }

    /// One to four splits of up to 60 events each, up to `back` older than the newest before them; of more,
    /// if memory is limited.
    pub(crate) fn splits(&mut self, back: i64) -> Vec<Vec<Event>> {
        let most = if self.memory.is_some() { 150 } else { 60 };
        self.draws.splits(most, 6, back)
    }

    /// How one run goes: workers, epochs, memory.
    fn options(&mut self) -> Options {
        let epochs = match self.below(3) {
            0 => Epochs::every(millis(1 + self.below(9))),
            // State leaves memory when an epoch ends.
            _ if self.memory.is_some() => Epochs::records(1 + self.below(8) as u64),
            _ => Epochs::records(1 + self.below(60) as u64),
        };
        let options = Options::default().workers(1 + self.below(4) as usize).epochs(epochs);
        // So little leaves no memory, but what is restored of timers and of records that wait has left to
        // begin with.
        let little = (self.below(3) == 0).then_some(1 << 20);
        let options = match self.memory.or(little) {
            Some(bytes) => options.state_memory(bytes, std::env::temp_dir()),
            None => options,
        };
        options.max_epochs_in_flight(1 + self.below(4) as usize)
    }

    /// Runs a job that crashes at random points and goes on from its last snapshot each time, on as many
    /// workers as chance will have; gives what is visible in the end.
    pub(crate) fn crash_and_go_on<T: Data + Ord + Debug, R>(
        &mut self,
        store: Arc<dyn Store>,
        build: impl Fn(&Job, Ledger<T>) -> R,
    ) -> Vec<T> {
        self.crash_and_write(store, build).visible()
    }

    /// The same; gives where it was written.
    pub(crate) fn crash_and_write<T: Data + Ord + Debug, R>(
        &mut self,
        store: Arc<dyn Store>,
        build: impl Fn(&Job, Ledger<T>) -> R,
    ) -> Ledger<T> {
        let (ledger, crashes) = (Ledger::new(), self.below(CRASHES + 1));
        for run in 0..=crashes {
            let job = Job::new();
            build(&job, ledger.clone());
            let store = if run == crashes { Arc::clone(&store) } else { self.spoil(Arc::clone(&store)) };
            let snapshots = Snapshots::in_store(store).restore(Restore::Latest);
            let snapshots = snapshots.every_epochs(1 + self.below(4) as u64).slice(1 << self.below(8));
            let (piece, tick) = (1 << self.below(6), Duration::from_micros(1 << self.below(12)));
            let options = self.options().snapshots(snapshots);
            let simulation = Simulation::seeded(self.seed.wrapping_add(1000 * run as u64)).options(options);
            let started = simulation.piece(piece).tick(tick).max_steps(200_000).start(&job);
            if run == crashes {
                started.unwrap().finish().unwrap();
            } else if let Ok(mut running) = started {
                // Mostly in the middle of what it does, sometimes when it waits for the clock.
                let mut left = self.below(400) as u64;
                while left > 0 && !running.is_finished() {
                    let steps = left.min(1 + self.below(40) as u64);
                    left -= steps;
                    let tick = Duration::from_micros(self.below(2000) as u64);
                    let took = running.steps(steps);
                    // A store that fails may end the job, and then this was the crash.
                    if took.is_err()
                        || (took.is_ok_and(|took| took < steps) && running.advance(tick).is_err())
                    {
                        break;
                    }
                }
            }
            self.left += job.metrics().sum("keys_evicted");
        }
        ledger
    }

    /// A store that fails now and then, or from some call on, or not at all.
    fn spoil(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let rate = [0.0, 0.0, 0.01, 0.1][self.below(4) as usize];
        let crash = (self.below(4) == 0).then(|| self.below(60) as u64);
        let faults = Faults {
            before: rate,
            after: rate,
            torn: rate,
            short: rate,
            stale: rate,
            stale_by: 5,
            crash,
            crash_after: self.below(2) == 0,
        };
        Arc::new(Faulty::new(store, self.seed, faults))
    }

    /// Checks that a job gives the same with and without crashes.
    pub(crate) fn check<T: Data + Ord + Debug, R>(&mut self, build: impl Fn(&Job, Ledger<T>) -> R) {
        let (expected, found) = self.run_both(build);
        let only =
            |one: &[T], other: &[T]| one.iter().filter(|t| !other.contains(t)).cloned().collect::<Vec<T>>();
        let (missing, extra) = (only(&expected, &found), only(&found, &expected));
        assert!(expected == found, "missing {missing:?}, too many {extra:?}");
    }

    /// Checks that a job gives what is the same by what `tell` makes of it, with and without crashes.
    pub(crate) fn check_by<T: Data + Ord + Debug, S: PartialEq + Debug, R>(
        &mut self,
        build: impl Fn(&Job, Ledger<T>) -> R,
        tell: impl Fn(Vec<T>) -> S,
    ) {
        let (expected, found) = self.run_both(build);
        assert_eq!(tell(found), tell(expected));
    }

    /// What a job gives without crashes, and with them.
    fn run_both<T: Data + Ord + Debug, R>(
        &mut self,
        build: impl Fn(&Job, Ledger<T>) -> R,
    ) -> (Vec<T>, Vec<T>) {
        let expected = {
            let (job, ledger) = (Job::new(), Ledger::new());
            build(&job, ledger.clone());
            let store: Arc<dyn Store> = Arc::new(Memory::default());
            let options = Options::default().snapshots(Snapshots::in_store(store));
            Simulation::seeded(self.seed).options(options).run(&job).unwrap();
            ledger.visible()
        };
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let found = self.crash_and_go_on(Arc::clone(&store), build);
        let report = Repository::open(store).verify().unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
        (expected, found)
    }
}

/// Reads splits under watermarks that allow for so much disorder.
pub(crate) fn read(
    job: &Job,
    splits: &[Vec<Event>],
    disorder: i64,
) -> Stream<Event, AtSource<Collection<Event>, impl Fn(&Event) -> i64 + Clone + Send + Sync + use<>>> {
    let watermarks = Watermarks::bounded(millis(disorder), |event: &Event| event.2);
    job.source(Collection::splits(splits.to_vec()), watermarks)
}

pub(crate) fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}
