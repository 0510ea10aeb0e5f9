//! The frame of every operator that keeps state: epochs come one after the other.
//!
//! Workers need not agree on the epoch they are in, so batches of later epochs can arrive before an earlier
//! one is complete. They wait here, whole and unread. So an operator's state is always that of a prefix of
//! the input, epoch for epoch, and an operator has one open epoch to handle. Waiting costs a pointer for
//! each batch and no more time than the workers are apart.
//!
//! Waiting batches also hold back the watermark that the operator acts on, because the frontier does not
//! cover batches that were delivered.
//!
//! # When an epoch closes
//!
//! The frontier has passed it, so all its records have been read. The operator then emits the output of the
//! epoch, at a time that it has held since the epoch's first batch, and seals its state.
//!
//! For a snapshot, the state at the end of an epoch is set aside, and copied a slice in each activation while
//! the operator goes on: see [`state`](crate::state).
//!
//! # Output that is due at a watermark
//!
//! An open window is output that will be due at the window's end. The operator holds a capability for it at
//! the current epoch, and the epoch of that capability advances with the frontier, so that a window that
//! stays open for an hour never keeps an epoch from closing.
//!
//! Output that is due by the wall clock is held for at the watermark, which delays no other operator. When
//! the input ends, it is due at once.
//!
//! If much output is due, it is emitted a portion in each activation. In between, the consumers run while the
//! portion is in the caches; the operator itself reads nothing and closes no epoch. So portions do not change
//! the output.
//!
//! # Operators with a watermark of their own
//!
//! An operator that [keeps time](OperatorLogic::KEEPS_TIME) emits output at its own watermark, in the open
//! epoch and all later ones, and at no other time. So it holds that one time only, which covers the waiting
//! batches too: they will be sent in their epochs, at the watermark that it has by then.

use std::sync::Arc;
use std::time::Duration;

use timely::scheduling::Activator;

use super::alarm::Alarm;
use super::context::{Saving, WorkerContext};
use super::later_epochs::Waiting;
use super::port::{Capabilities, Frontiers, Input, OperatorBuilder};
use crate::data::Data;
use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{OperatorState, Share};
use crate::stream::consumers::Outputs;
use crate::stream::operator_fault;
use crate::time::{EventTime, Progress, Time};

/// What an operator does with the epochs that the frame presents to it in order.
pub(crate) trait OperatorLogic<E>: 'static {
    /// What it emits.
    type Out: Data;

    /// True if it keeps a watermark of its own, which [`owes`](OperatorLogic::owes) returns. The operator's
    /// builder must be set to keep time, too.
    const KEEPS_TIME: bool = false;

    /// A batch of the open epoch.
    fn batch(&mut self, time: Time, batch: &mut Vec<E>, out: &mut Outputs<Self::Out>);

    /// Nothing older than `watermark` can come any more. `from` is a time that output may have.
    fn advance(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<Self::Out>);

    /// True if only a portion of what is due at the watermark has been emitted:
    /// [`advance`](OperatorLogic::advance) is called again with the same watermark after other operators have
    /// run, before anything else.
    fn is_amid(&self) -> bool {
        false
    }

    /// The epoch is complete. `since` is the time that output for it may have; there is none if no batch
    /// came.
    fn close(&mut self, epoch: u64, since: Option<Time>, out: &mut Outputs<Self::Out>);

    /// Nothing more comes of the epochs before `next`, of which the last that had anything was closed. At the
    /// end `next` is `u64::MAX`.
    fn passed(&mut self, _next: u64) {}

    /// Shows each state that it has, always in the same order.
    fn states(&mut self, _visit: &mut dyn FnMut(&mut dyn OperatorState)) {}

    /// Adds what it keeps beside its states to a snapshot.
    ///
    /// # Errors
    ///
    /// If something cannot be encoded.
    fn save(&self, _saved: &mut SavedTables) -> Result<()> {
        Ok(())
    }

    /// Restores a worker's share from a snapshot, before anything else happens.
    ///
    /// # Errors
    ///
    /// If the snapshot cannot be read, or has other content than this operator's.
    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.restore_states(from, share)
    }

    /// Restores all states.
    ///
    /// # Errors
    ///
    /// As [`restore`](OperatorLogic::restore).
    fn restore_states(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        let mut restored = Ok(());
        self.states(&mut |state| {
            if restored.is_ok() {
                restored = state.restore(from, share);
            }
        });
        restored
    }

    /// The least event time of the output that is owed when the watermark passes it.
    fn owes(&self) -> Option<EventTime> {
        None
    }

    /// The processing time, in milliseconds, at which something is due by the wall clock.
    fn due(&self) -> Option<i64> {
        None
    }

    /// The wall clock has reached `millis`. `from` is a time that output may have.
    fn tick(&mut self, _millis: i64, _from: Time, _out: &mut Outputs<Self::Out>) {}

    /// Flushes outputs that are not the frame's, such as side outputs.
    fn flush(&mut self) {}

    /// Called at the end of each activation, whatever caused it.
    fn rest(&mut self) {}
}

/// Builds an operator around its logic.
pub(crate) fn build<E, L>(
    builder: OperatorBuilder<'_, '_>,
    worker: WorkerContext,
    inputs: Vec<Input<E>>,
    mut ports: Outputs<L::Out>,
    mut logic: L,
) where
    E: Data,
    L: OperatorLogic<E>,
{
    if let Some(from) = worker.restored(&builder.uid())
        && let Err(error) = logic.restore(&from, &worker.share()).and_then(|()| from.check_asked())
    {
        worker.shared.fail(error);
    }
    let mut frame = EpochDriver {
        uid: builder.uid(),
        saving: worker.saving(builder.uid()),
        inputs,
        waiting: Waiting::default(),
        epoch: worker.first_epoch(),
        since: None,
        watermark: EventTime::MIN,
        base: None,
        ended: false,
        alarm: worker.alarm(builder.activator()),
        leaving: None,
        activator: builder.activator(),
        worker,
    };
    builder.build(move |frontiers, holds| {
        frame.activate(frontiers, holds, &mut logic, &mut ports);
        // No input and no hold covers the rows left to copy. The worker must not end before they are copied.
        frame.leaving.is_some()
    });
}

/// The least time between two wall-clock ticks of an operator.
const MIN_WAIT: Duration = Duration::from_millis(1);

struct EpochDriver<E> {
    uid: Arc<str>,
    inputs: Vec<Input<E>>,
    /// Batches of epochs after the open one.
    waiting: Waiting<E>,
    /// The open epoch.
    epoch: u64,
    /// The time at which output for the open epoch may be sent.
    since: Option<Time>,
    /// The watermark that the logic has last received.
    watermark: EventTime,
    /// The least event time that output in the open epoch may have, by what was held when the activation
    /// began and what has been read in it.
    base: Option<EventTime>,
    ended: bool,
    saving: Option<Saving>,
    /// The cuts whose state is being copied, and the tables that need no copying.
    leaving: Option<(Vec<u64>, Result<SavedTables>)>,
    /// Runs the operator again.
    activator: Activator,
    worker: WorkerContext,
    /// Activates the operator when something is due by the wall clock.
    alarm: Alarm,
}

impl<E: Data> EpochDriver<E> {
    fn activate<L: OperatorLogic<E>>(
        &mut self,
        frontiers: &Frontiers,
        holds: &mut Capabilities,
        logic: &mut L,
        out: &mut Outputs<L::Out>,
    ) {
        if self.ended {
            return self.hand_over_slice(logic);
        }
        // Read before anything else changes: output is justified by what was held at the beginning of the
        // activation, and by the batches read in it.
        let progress = frontiers.progress();
        self.base = holds.least(self.epoch);
        // The rest of a portion comes first. No batch is read and no epoch closes before it is out, so the
        // output is the same as without portions.
        if logic.is_amid() {
            logic.advance(self.watermark, self.from(), out);
        }
        if !logic.is_amid() {
            self.follow(progress, holds, logic, out);
        }
        // Nothing else would activate it: the frontier need not move and no message need arrive.
        if logic.is_amid() {
            self.activator.activate();
        } else {
            self.tick(progress, logic, out);
            if progress.is_end() {
                // The loop in `follow` leaves the last epoch open, since no later one begins.
                self.close(u64::MAX, logic, out);
                self.ended = true;
            }
        }
        self.hand_over_slice(logic);
        // All output must be sent before the capabilities that justify it are given up below.
        out.flush();
        logic.flush();
        logic.rest();
        if L::KEEPS_TIME {
            holds.set(logic.owes().filter(|_| !self.ended).map(|event| Time::new(self.epoch, event)));
            return;
        }
        // A hold must be at or above a time that was held or read, so older event times are raised to `from`.
        let waiting = self.waiting.times();
        let owed = logic.owes().map(|event| Time::new(self.epoch, event.max(self.from().event)));
        let due = logic.due().map(|_| Time::new(self.epoch, self.watermark.max(self.from().event)));
        debug_assert!(
            !self.ended || (self.since.is_none() && owed.is_none()),
            "output is owed after the end"
        );
        holds.set(waiting.chain(self.since).chain(owed).chain(due));
    }

    /// Closes complete epochs, reads the arrived batches, and advances the watermark, in that order.
    fn follow<L: OperatorLogic<E>>(
        &mut self,
        progress: Progress,
        holds: &Capabilities,
        logic: &mut L,
        out: &mut Outputs<L::Out>,
    ) {
        while self.epoch < progress.epoch {
            let waiting = self.waiting.first_epoch();
            let next = match waiting {
                // Epochs without batches are skipped in one step, whatever their number.
                Some(epoch) => epoch.min(progress.epoch),
                None if progress.is_end() => break,
                None => progress.epoch,
            };
            self.close(next, logic, out);
            self.epoch = next;
            // Times held for later epochs justify output from now on.
            self.base = self.base.into_iter().chain(holds.least(next)).min();
            for (time, mut batch) in self.waiting.take(next) {
                self.take(time, &mut batch, logic, out);
            }
        }
        self.read(logic, out);
        self.advance(progress, logic, out);
    }

    /// The least time that output in the open epoch may have. If nothing is held and nothing was read there
    /// is none, nor any output.
    fn from(&self) -> Time {
        Time::new(self.epoch, self.base.unwrap_or(self.watermark))
    }

    /// Closes the open epoch; the one after it will be `next`.
    fn close<L: OperatorLogic<E>>(&mut self, next: u64, logic: &mut L, out: &mut Outputs<L::Out>) {
        logic.close(self.epoch, self.since.take(), out);
        logic.passed(next);
        // Before the state is sealed or saved: a snapshot must not contain the result of a fault.
        operator_fault::check(&self.uid);
        let cuts = self.saving.as_ref().map_or_else(Vec::new, |saving| saving.cuts(self.epoch, next));
        let wanted = self.worker.seal_now(self.epoch, next);
        if cuts.is_empty() {
            wanted.into_iter().for_each(|epoch| logic.states(&mut |state| state.seal(epoch)));
        } else {
            // One seal serves all cuts and readers between here and `next`: no batch came in those epochs, so
            // the state is the same at the end of each.
            let last = cuts.iter().map(|cut| self.worker.counting.first_of(*cut));
            let last = last.filter(|last| *last < next).chain(wanted).fold(self.epoch, u64::max);
            self.cut(last, cuts, logic);
        }
        if self.worker.shared.history > 0 {
            let (epoch, next) = (self.worker.job_epoch(self.epoch), self.worker.job_epoch(next));
            // In a loop many rounds are one epoch of the job.
            if epoch < next {
                logic.states(&mut |state| state.publish(epoch, next));
            }
        }
        // After the seal: entries that were written are evicted without being written again.
        logic.states(&mut |state| state.evict(self.epoch));
    }

    /// Begins to hand over the state as of the end of `epoch` for some cuts.
    fn cut<L: OperatorLogic<E>>(&mut self, epoch: u64, cuts: Vec<u64>, logic: &mut L) {
        // The logic has one list of rows to copy, so the earlier cut is completed before another begins.
        self.hand_over(usize::MAX, logic);
        let clock = &self.worker.shared.clock;
        let began = clock.now();
        let (mut saved, mut result) = (SavedTables::default(), Ok(()));
        logic.states(&mut |state| {
            state.seal(epoch);
            state.cut(epoch);
            if result.is_ok() {
                result = state.save(&mut saved);
            }
        });
        let saved = result.and_then(|()| logic.save(&mut saved)).map(|()| saved);
        self.leaving = Some((cuts, saved));
        let took = clock.now().saturating_sub(began);
        if let Some(saving) = &self.saving {
            saving.copies();
            saving.paused(took);
        }
    }

    /// Copies one slice for the last cut.
    fn hand_over_slice<L: OperatorLogic<E>>(&mut self, logic: &mut L) {
        if let Some(saving) = self.saving.as_ref().filter(|_| self.leaving.is_some()) {
            self.hand_over(saving.slice(), logic);
        }
    }

    /// Copies up to `rows` rows for the last cut, and hands the state over when all is copied.
    fn hand_over<L: OperatorLogic<E>>(&mut self, mut rows: usize, logic: &mut L) {
        let (Some(saving), Some((cuts, state))) = (&self.saving, self.leaving.take()) else { return };
        let clock = &self.worker.shared.clock;
        let began = clock.now();
        let mut is_copied = true;
        logic.states(&mut |state| is_copied = is_copied && state.copy(&mut rows));
        if is_copied {
            saving.hand_over(&cuts, state);
            saving.has_copied();
        } else {
            self.leaving = Some((cuts, state));
            self.activator.activate();
        }
        saving.paused(clock.now().saturating_sub(began));
    }

    /// Runs what is due by the wall clock, and sets the alarm for the next due time.
    fn tick<L: OperatorLogic<E>>(&mut self, progress: Progress, logic: &mut L, out: &mut Outputs<L::Out>) {
        let Some(due) = logic.due() else { return };
        let clock = &self.worker.shared.clock;
        // At the end of the input nothing waits for the wall clock: all that is left is due now.
        let millis = if progress.is_end() { i64::MAX } else { clock.millis() };
        if due <= millis {
            logic.tick(millis, self.from(), out);
        }
        let Some(next) = logic.due().filter(|_| !progress.is_end()) else { return };
        let (now, moment) = (clock.now(), clock.moment_of(next));
        // A function that always registers something due at once would otherwise keep the worker busy.
        self.alarm.ring_at(if moment > now { moment } else { now + MIN_WAIT }, now);
    }

    fn take<L: OperatorLogic<E>>(
        &mut self,
        time: Time,
        batch: &mut Vec<E>,
        logic: &mut L,
        out: &mut Outputs<L::Out>,
    ) {
        // Output of the epoch may be no older than its oldest batch, which is when its capability was taken.
        let event = self.since.map_or(time.event, |since| since.event.min(time.event));
        self.since = Some(Time::new(self.epoch, event));
        self.base = Some(self.base.map_or(time.event, |base| base.min(time.event)));
        logic.batch(time, batch, out);
        batch.clear();
    }

    fn read<L: OperatorLogic<E>>(&mut self, logic: &mut L, out: &mut Outputs<L::Out>) {
        let mut inputs = std::mem::take(&mut self.inputs);
        for input in &mut inputs {
            while let Some((time, batch)) = input.next() {
                if time.epoch == self.epoch {
                    self.take(time, batch, logic, out);
                } else {
                    debug_assert!(
                        time.epoch > self.epoch,
                        "{time:?} came after epoch {} had closed",
                        self.epoch
                    );
                    // Unread: applying it now would mix a later epoch into the state as of this one.
                    self.waiting.push(time, std::mem::take(batch));
                }
            }
        }
        self.inputs = inputs;
    }

    fn advance<L: OperatorLogic<E>>(&mut self, progress: Progress, logic: &mut L, out: &mut Outputs<L::Out>) {
        // The frontier has passed delivered batches. Their records are not applied yet, so the watermark must
        // not pass them.
        let watermark = self.waiting.times().fold(progress, |least, time| least.and(&time)).watermark;
        if watermark > self.watermark {
            self.watermark = watermark;
            logic.advance(watermark, self.from(), out);
        }
    }
}
