//! Deterministic simulation of a whole job: its workers step one at a time in an order that a seed decides,
//! on a clock that the simulation moves.
//!
//! # What it means
//!
//! Each worker has its thread and its share of keys and splits, as in any run, and a step does the same. But
//! only one worker is in a step at a time, and the seed decides which one is next, how many records a source
//! reads then, and how far the clock moves meanwhile. So a seed stands for one interleaving of the workers,
//! which every run with that seed repeats. By trying seeds a test covers more interleavings in a second, and
//! more unlikely ones, than the operating system's scheduler shows in a day.
//!
//! # What it costs
//!
//! Tens of microseconds for a step that follows one of another worker, for the thread switch; little for
//! others. A job of a hundred records takes some milliseconds.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Options;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Drawn, Lockstep, Running, Until};
use crate::stream::Job;

/// The settings of a simulation. The same job under the same settings does the same, in the same order.
///
/// ```
/// use highwater::harness::Simulation;
/// use highwater::stream::Job;
///
/// let run = |seed| {
///     let job = Job::new();
///     let counts = job.collection(0..100).key_by(|n| n % 7).count().map(|change| change.record).collect();
///     let trace = Simulation::seeded(seed).workers(3).run(&job)?;
///     Ok::<_, highwater::Error>((trace, counts.values()))
/// };
/// assert_eq!(run(42)?, run(42)?); // down to the order of the output
/// assert_ne!(run(42)?.0.fingerprint, run(43)?.0.fingerprint);
/// # Ok::<(), highwater::Error>(())
/// ```
///
/// # What it finds
///
/// * Results that depend on the order in which workers step, on where epochs end, on when timers fire.
/// * Lost wake-ups: a step runs only activated operators, and a worker without any takes no steps. A job that
///   has not ended and in which nothing can ever happen again is an [error](crate::ErrorKind::Stuck) at once,
///   instead of a test that hangs.
/// * Endless work: a job that takes [more steps](Simulation::max_steps) than it may is the same error.
///
/// # What it cannot find
///
/// A step is atomic. A data race in the middle of a step is for tools that look at instructions. The threads
/// wait for their turns and not in timely's park, so the simulation does not notice a message whose reader
/// was never unparked. Nor does it notice a lost wake-up if something else wakes the operator later and the
/// result is the same.
///
/// Everything outside the job follows the real clock and takes no turns: the threads and futures of
/// [calls](crate::stream::Stream::call), sockets and growing files, the user's own threads. Jobs with calls
/// run, with the simulated clock in step with the real one while they wait for an answer; but a seed does not
/// repeat their interleaving. A generator with a rate needs the simulation's clock as
/// [its own](crate::connector::Generator::clock). A [state reader](crate::process::StateReader) waits for an
/// epoch to end, which none does while the simulation stands still.
#[derive(Clone, Debug)]
pub struct Simulation {
    options: Options,
    drawn: Drawn,
    max_steps: u64,
}

impl Simulation {
    /// One worker; the clock moves up to a millisecond between two steps, a source reads up to 64 records in
    /// a step, and a job may take a million steps.
    pub fn seeded(seed: u64) -> Simulation {
        let drawn = Drawn { seed, tick: Duration::from_millis(1), piece: 64 };
        Simulation { options: Options::default(), drawn, max_steps: 1_000_000 }
    }

    /// The options of the job: workers, epochs, seals, limits. If its clock is moved [by
    /// hand](Clock::manual), that is the clock, and sources can share it; otherwise each run gets one that
    /// begins at zero.
    pub fn options(mut self, options: Options) -> Simulation {
        self.options = options;
        self
    }

    /// The number of workers.
    pub fn workers(mut self, workers: usize) -> Simulation {
        self.options = self.options.workers(workers);
        self
    }

    /// The most that the clock moves between two steps. If nothing is left to do, it moves on to the next
    /// alarm.
    pub fn tick(mut self, most: Duration) -> Simulation {
        self.drawn.tick = most;
        self
    }

    /// The most records that a source reads in a step; at least 1.
    pub fn piece(mut self, records: usize) -> Simulation {
        self.drawn.piece = records;
        self
    }

    /// The most steps that a job may take; when it is stepped by hand, the most until nothing is left to do.
    /// A job that takes more is stuck.
    pub fn max_steps(mut self, steps: u64) -> Simulation {
        self.max_steps = steps;
        self
    }

    /// Runs a job to its end.
    ///
    /// # Errors
    ///
    /// Those of [`Job::run_with`], and [`ErrorKind::Stuck`] if the job does not end.
    pub fn run(&self, job: &Job) -> Result<Trace> {
        self.start(job)?.finish()
    }

    /// Starts a job that takes steps only when told to.
    ///
    /// # Errors
    ///
    /// Those of [`Job::start`].
    pub fn start(&self, job: &Job) -> Result<Simulated> {
        if self.drawn.piece == 0 {
            return Err(Error::config("a source must be allowed to read at least 1 record in a step"));
        }
        // A system clock would make the run depend on the machine, so it is replaced.
        let clock = match self.options.clock.is_manual() {
            true => self.options.clock.clone(),
            false => Clock::manual(),
        };
        let (running, lockstep) =
            job.start_in_turns(self.options.clone().clock(clock.clone()), self.drawn)?;
        Ok(Simulated { running: Some(running), lockstep, clock, max_steps: self.max_steps })
    }
}

/// The record of a simulated run, to compare runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The number of steps that each worker has taken.
    pub steps: Vec<u64>,
    /// A hash of who stepped when, what the clock said, whether there was anything to do, and which epoch was
    /// open. Runs that differ in any of these differ here, but for one in 2⁶⁴.
    pub fingerprint: u64,
    /// The time on the simulated clock.
    pub now: Duration,
}

/// A simulated job that has started. It stands still between calls.
///
/// Dropping it ends the job between two steps, as if its process were killed there.
///
/// ```
/// use highwater::harness::{Feed, Simulation};
/// use highwater::stream::Job;
/// use highwater::time::Watermarks;
/// use highwater::window::{Tumbling, ProcessingTime};
/// use std::time::Duration;
///
/// let (job, clicks) = (Job::new(), Feed::new(1));
/// let windows = ProcessingTime(Tumbling::of(Duration::from_secs(1)));
/// let keyed = job.source(clicks.clone(), Watermarks::none()).key_by(|who: &&str| who.to_string());
/// let counts = keyed.map_values(|_| ()).window(windows).count().map(|w| (w.window.end, w.key, w.value)).collect();
///
/// let mut run = Simulation::seeded(1).workers(2).start(&job)?;
/// clicks.push(0, "ann");
/// clicks.push(0, "ann");
/// run.advance(Duration::from_millis(999))?;
/// assert!(counts.values().is_empty());
/// run.advance(Duration::from_millis(1))?;
/// assert_eq!(counts.values(), [(1_000, "ann".to_string(), 2)]);
/// clicks.close();
/// run.finish()?;
/// # Ok::<(), highwater::Error>(())
/// ```
pub struct Simulated {
    /// None once the job has failed.
    running: Option<Running>,
    lockstep: Arc<Lockstep>,
    clock: Clock,
    max_steps: u64,
}

impl Simulated {
    /// Takes up to `most` steps with the clock as it is; returns how many it took: fewer only if nothing is
    /// left to do at this time.
    ///
    /// # Errors
    ///
    /// If the job fails.
    pub fn steps(&mut self, most: u64) -> Result<u64> {
        let left = self.lockstep.drive(Until::Quiet, most);
        self.check()?;
        Ok(most - left)
    }

    /// Takes steps until nothing is left to do at this time. It does not wait for the answers of calls.
    ///
    /// # Errors
    ///
    /// If the job fails, or if it takes too many steps.
    pub fn settle(&mut self) -> Result<()> {
        match self.steps(self.max_steps)? {
            steps if steps == self.max_steps => Err(self.stuck()),
            _ => Ok(()),
        }
    }

    /// Moves the clock forward, and does everything that is due on the way, each at its time.
    ///
    /// # Errors
    ///
    /// If the job fails, or if it takes too many steps without the clock moving.
    pub fn advance(&mut self, by: Duration) -> Result<()> {
        let end = self.clock.now().saturating_add(by);
        loop {
            self.settle()?;
            let now = self.clock.now();
            if now >= end {
                return Ok(());
            }
            // One alarm at a time: what rings first may set another one before `end`.
            let next = self.lockstep.next_alarm().map_or(end, |alarm| alarm.clamp(now, end));
            self.clock.advance(next.saturating_sub(now));
        }
    }

    /// Requests the end of the job: sources stop where they are.
    pub fn stop(&self) {
        self.running.iter().for_each(Running::stop);
    }

    /// True if the job has ended.
    pub fn is_finished(&self) -> bool {
        self.running.as_ref().is_none_or(Running::is_finished)
    }

    /// The first epoch that is not complete.
    pub fn open_epoch(&self) -> u64 {
        self.running.as_ref().map_or(u64::MAX, Running::open_epoch)
    }

    /// The time on the simulated clock, since it was created.
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// The record of the run so far.
    pub fn trace(&self) -> Trace {
        let (steps, fingerprint) =
            self.lockstep.schedule(|schedule| (schedule.turns().to_vec(), schedule.fingerprint()));
        Trace { steps, fingerprint, now: self.clock.now() }
    }

    /// Lets the clock move, and takes steps until the job has ended.
    ///
    /// # Errors
    ///
    /// If the job fails, or if it does not end.
    pub fn finish(mut self) -> Result<Trace> {
        self.lockstep.drive(Until::End, self.max_steps);
        self.check()?;
        if !self.is_finished() {
            return Err(self.stuck());
        }
        Ok(self.trace())
    }

    /// Returns the error of a job that has failed.
    fn check(&mut self) -> Result<()> {
        match self.running.take_if(|running| running.has_failed()) {
            // Does not block: a failed job's workers have all given up their seats.
            Some(failed) => failed.join().map(drop),
            None => Ok(()),
        }
    }

    fn stuck(&self) -> Error {
        let (steps, epoch, trace) = (self.max_steps, self.open_epoch(), self.trace());
        Error::new(
            ErrorKind::Stuck,
            format!(
                "the job has taken {steps} steps and is not done: epoch {epoch} is open at {:?}, and its workers have taken {:?} steps in all. \
                 If that is not too much for it, allow more with max_steps",
                trace.now, trace.steps
            ),
        )
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        if let Some(running) = &self.running
            && !running.is_finished()
        {
            // The workers are threads that wait for their turns: each gets one, sees the failure and ends. No
            // step of the dataflow is taken, so nothing is committed that was not.
            running.abandon();
            self.lockstep.drive(Until::End, 0);
        }
    }
}
