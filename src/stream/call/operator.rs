//! The operator that makes calls, and tracks the state of each record.
//!
//! A record waits, is in flight, and ends, once: with an answer, by its timeout, or by a failure that is
//! final. Its time is held from the message that brings it to the message that carries its outcome, so
//! neither its epoch closes nor the watermark passes it meanwhile. Records of the oldest epoch are called for
//! first, because later epochs wait for that one to complete.
//!
//! # Why it terminates
//!
//! The room for new calls depends on the records in flight alone. Each of those has an attempt that will be
//! answered, waits for an attempt that the alarm begins, or, with a timeout, ends by that. With ordered
//! answers, the record that others wait for is always in flight: it began before them.
//!
//! # Cost
//!
//! For each record a clone, and some look-ups in trees as large as the capacity; for each activation the
//! number of distinct times held.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use super::caller::Caller;
use super::failure::{CallError, Failed};
use super::held::HeldTimes;
use super::options::CallOptions;
use super::release::{Pending, Release};
use crate::data::{Data, Record};
use crate::error::{Error, ErrorKind, Result as Outcome};
use crate::metric::Metric;
use crate::stream::{Alarm, Capabilities, Input, Outputs, WorkerContext};
use crate::time::Time;

/// One worker's instance of the operator.
pub(super) struct Calling<T: Data, U, E, C> {
    pub(super) uid: String,
    pub(super) worker: WorkerContext,
    pub(super) options: CallOptions<E>,
    pub(super) caller: C,
    pub(super) input: Input<Record<T>>,
    pub(super) ports: CallOutlets<T, U, E>,
    pub(super) alarm: Alarm,
    pub(super) counts: Counts,
    pub(super) queue: Queue<T>,
    pub(super) release: Release<U>,
    pub(super) flight: Flight<T>,
}

/// The outputs for the outcomes of calls.
pub(super) struct CallOutlets<T, U, E> {
    pub(super) answers: Outputs<U>,
    pub(super) timed_out: Outputs<T>,
    pub(super) failed: Outputs<Failed<T, E>>,
}

pub(super) struct Counts {
    pub(super) calls: Metric,
    pub(super) retries: Metric,
    pub(super) timed_out: Metric,
    pub(super) failed: Metric,
}

/// Records that wait to be called for, by epoch, and the times of all records of the operator.
pub(super) struct Queue<T> {
    waiting: BTreeMap<u64, VecDeque<(Time, IntoIter<Record<T>>)>>,
    held: HeldTimes,
}

/// Records in flight.
pub(super) struct Flight<T> {
    records: BTreeMap<u64, Flying<T>>,
    next: u64,
    /// When which record times out.
    deadlines: BTreeSet<(Duration, u64)>,
    /// When which record is called for again.
    retries: BTreeSet<(Duration, u64)>,
}

struct Flying<T> {
    record: Record<T>,
    time: Time,
    attempts: u32,
    deadline: Option<Duration>,
    /// When the next attempt begins; none if one is being made.
    retry: Option<Duration>,
}

impl<T: Data> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { waiting: BTreeMap::new(), held: HeldTimes::default() }
    }
}

impl<T> Default for Flight<T> {
    fn default() -> Flight<T> {
        Flight { records: BTreeMap::new(), next: 0, deadlines: BTreeSet::new(), retries: BTreeSet::new() }
    }
}

impl<T: Data> Queue<T> {
    fn add(&mut self, time: Time, batch: Vec<Record<T>>) {
        self.held.add(time, batch.len());
        self.waiting.entry(time.epoch).or_default().push_back((time, batch.into_iter()));
    }

    /// The next record of the oldest epoch.
    fn next(&mut self) -> Option<(Time, Record<T>)> {
        // Exhausted batches and epochs are dropped here, not where their last record is taken.
        loop {
            let mut oldest = self.waiting.first_entry()?;
            match oldest.get_mut().front_mut().map(|(time, batch)| (*time, batch.next())) {
                Some((time, Some(record))) => return Some((time, record)),
                Some((_, None)) => {
                    oldest.get_mut().pop_front();
                }
                None => {
                    oldest.remove();
                }
            }
        }
    }
}

impl<T: Data> Flight<T> {
    /// Removes a record that has ended.
    fn land(&mut self, id: u64) -> Option<Flying<T>> {
        let flying = self.records.remove(&id)?;
        flying.deadline.map(|deadline| self.deadlines.remove(&(deadline, id)));
        flying.retry.map(|retry| self.retries.remove(&(retry, id)));
        Some(flying)
    }

    /// The next moment at which something is due.
    fn next_due(&self) -> Option<Duration> {
        let first = |set: &BTreeSet<(Duration, u64)>| set.first().map(|(moment, _)| *moment);
        first(&self.deadlines).into_iter().chain(first(&self.retries)).min()
    }
}

impl<T, U, E, C> Calling<T, U, E, C>
where
    T: Data,
    U: Data,
    E: CallError,
    C: Caller<T, U, E>,
{
    /// Runs the operator once; an error ends the job.
    pub(super) fn activate_or_fail(&mut self, holds: &mut Capabilities) {
        if self.worker.shared.has_failed() {
            return;
        }
        let before = self.flight.next;
        if let Err(error) = self.activate() {
            self.worker.shared.fail(error);
        }
        self.counts.calls.add((self.flight.next - before).cast_signed());
        self.ports.answers.flush();
        self.ports.timed_out.flush();
        self.ports.failed.flush();
        // After the flush: a record's time may be given up only once its outcome is sent.
        holds.set(self.queue.held.times());
    }

    fn activate(&mut self) -> Outcome<()> {
        while let Some((time, batch)) = self.input.next() {
            self.queue.add(time, std::mem::take(batch));
        }
        let now = self.worker.shared.clock.now();
        // A future that begins here is polled below, in the same activation.
        self.fill(now)?;
        for (id, answer) in self.caller.answers() {
            match answer {
                Ok(answer) => self.answered(id, answer),
                Err(error) => self.refused(id, error, now)?,
            }
        }
        // After the answers: a record that was answered in time does not time out.
        self.expire(now)?;
        self.call_again(now)?;
        // Answers and timeouts have made room.
        self.fill(now)?;
        if let Some(moment) = self.flight.next_due() {
            self.alarm.ring_at(moment, now);
        }
        Ok(())
    }

    /// Begins calls while there is room.
    fn fill(&mut self, now: Duration) -> Outcome<()> {
        while self.flight.records.len() < self.options.capacity {
            let Some((time, record)) = self.queue.next() else { break };
            let id = self.flight.next;
            self.flight.next += 1;
            let deadline = self.options.timeout.map(|timeout| now.saturating_add(timeout));
            if let Some(deadline) = deadline {
                self.flight.deadlines.insert((deadline, id));
            }
            let value = record.value.clone();
            let flying = Flying { record, time, attempts: 1, deadline, retry: None };
            self.flight.records.insert(id, flying);
            self.release.begin(time.epoch, id);
            self.caller.begin(id, value)?;
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, answer: U) {
        // The record has timed out already.
        let Some(Flying { record, time, .. }) = self.flight.land(id) else { return };
        self.end(time, id, Pending::Answered(time, Record::new(answer, record.stamp)));
    }

    /// An attempt has failed: makes another one, or none.
    fn refused(&mut self, id: u64, error: E, now: Duration) -> Outcome<()> {
        let Some(flying) = self.flight.records.get_mut(&id) else { return Ok(()) };
        let retry = self.options.retry.as_ref();
        if let Some(delay) = retry.and_then(|retry| retry.delay(flying.attempts, &error)) {
            let moment = now.saturating_add(delay);
            // It stays in flight: the room and its time are held until its last attempt.
            flying.retry = Some(moment);
            self.flight.retries.insert((moment, id));
            return Ok(());
        }
        let Some(Flying { record, time, attempts, .. }) = self.flight.land(id) else { return Ok(()) };
        self.counts.failed.add(1);
        // A record is never dropped: if nothing reads it, the job ends.
        if self.ports.failed.is_unread() {
            return Err(Error::new(ErrorKind::Io, format!("{}: {error}", self.uid)));
        }
        let failed = Failed { record: record.value, error: Arc::new(error), attempts };
        self.ports.failed.give(time, Record::new(failed, record.stamp));
        self.end(time, id, Pending::Gone);
        self.queue.held.remove(time);
        Ok(())
    }

    /// Ends the records whose time is up.
    fn expire(&mut self, now: Duration) -> Outcome<()> {
        // Collected first: ending a record changes the set.
        let due: Vec<_> = self.flight.deadlines.range(..=(now, u64::MAX)).map(|(_, id)| *id).collect();
        for id in due {
            // Between two attempts there is no call to give up.
            let is_called = self.flight.records.get(&id).is_some_and(|flying| flying.retry.is_none());
            if is_called && !self.caller.give_up(id) {
                // The answer came after the answers were taken. The next activation will read it.
                continue;
            }
            let Some(Flying { record, time, .. }) = self.flight.land(id) else { continue };
            self.counts.timed_out.add(1);
            if self.ports.timed_out.is_unread() {
                let timeout = self.options.timeout.unwrap_or_default();
                let text = format!("{}: a call was not answered within {timeout:?}", self.uid);
                return Err(Error::new(ErrorKind::Io, text));
            }
            self.ports.timed_out.give(time, record);
            self.end(time, id, Pending::Gone);
            self.queue.held.remove(time);
        }
        Ok(())
    }

    /// Makes the attempts that are due.
    fn call_again(&mut self, now: Duration) -> Outcome<()> {
        while let Some((moment, id)) = self.flight.retries.first().copied()
            && moment <= now
        {
            self.flight.retries.pop_first();
            let Some(flying) = self.flight.records.get_mut(&id) else { continue };
            flying.retry = None;
            flying.attempts += 1;
            self.counts.retries.add(1);
            self.caller.begin(id, flying.record.value.clone())?;
        }
        Ok(())
    }

    /// Ends a call, and sends the answers that need not wait any more.
    fn end(&mut self, time: Time, id: u64, place: Pending<U>) {
        let (answers, held) = (&mut self.ports.answers, &mut self.queue.held);
        self.release.end(time.epoch, id, place, |time, answer| {
            answers.give(time, answer);
            held.remove(time);
        });
    }
}
