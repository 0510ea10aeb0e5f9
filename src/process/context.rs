//! The context of a process function.

use std::collections::btree_map::Entry;

use super::SideOutput;
use super::core::{Call, Core, Stateful};
use super::side_output::Sides;
use crate::data::{Data, Key, Record, Stamp};
use crate::metric::{Metric, Metrics};
use crate::state::TimeDomain;
use crate::stream::Outputs;
use crate::time::{EventTime, Time};

/// A timer that fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    /// When it was to fire, in milliseconds.
    pub time: i64,
    /// True if that is a time of the wall clock.
    pub wall: bool,
}

/// The context of a process function: the current key with its state, the time, timers, and outputs.
pub struct Context<'a, K: Key, O: Data> {
    pub(crate) core: &'a mut Core<K>,
    pub(crate) out: &'a mut Outputs<O>,
    pub(crate) sides: &'a mut Sides,
    pub(crate) counters: &'a mut Counters,
    /// A time that output may have.
    pub(crate) from: Time,
    pub(crate) stamp: Stamp,
}

impl<K: Key, O: Data> Stateful for Context<'_, K, O> {
    type Key = K;

    #[inline]
    fn core(&self) -> &Core<K> {
        self.core
    }

    #[inline]
    fn core_mut(&mut self) -> &mut Core<K> {
        self.core
    }
}

impl<K: Key, O: Data> Context<'_, K, O> {
    /// The current key.
    pub fn key(&self) -> &K {
        self.core.store.key(self.core.slot)
    }

    /// The event time of the current record, or the time of the timer.
    #[inline]
    pub fn timestamp(&self) -> EventTime {
        self.stamp.timestamp
    }

    /// The stamp of the current record, with the watermark of its split.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The watermark: nothing older than this will come any more.
    pub fn watermark(&self) -> EventTime {
        self.core.now.watermark
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.core.epoch
    }

    /// Processing time, in milliseconds since 1970. Costs 20 to 50 ns, and makes results depend on when they
    /// are computed.
    pub fn processing_time(&self) -> i64 {
        self.core.clock.millis()
    }

    /// Emits a record at the event time of the current one.
    #[inline]
    pub fn emit(&mut self, value: O) {
        self.out.give(self.from, Record::new(value, self.stamp));
    }

    /// Emits a record at another event time. If that is behind the watermark of the current record, the
    /// emitted one is late.
    pub fn emit_at(&mut self, value: O, timestamp: EventTime) {
        self.out.give(self.from, Record::new(value, Stamp { timestamp, ..self.stamp }));
    }

    /// Emits a record at an event time that [`hold`](Context::hold) has kept the watermark at: it is not late
    /// for anyone.
    pub(crate) fn emit_on_time(&mut self, value: O, timestamp: EventTime) {
        self.out.give(self.from, Record::new(value, Stamp { timestamp, watermark: timestamp }));
    }

    /// The state, to be read while records are emitted at times of their own.
    #[inline]
    pub(crate) fn read_and_emit(&mut self) -> (&Core<K>, impl FnMut(O, EventTime) + '_) {
        let Context { core, out, from, stamp, .. } = self;
        let emit = |value, timestamp| out.give(*from, Record::new(value, Stamp { timestamp, ..*stamp }));
        (core, emit)
    }

    /// Keeps the watermark of the output at or below a time, until it is released as often: for records that
    /// are to be emitted later at that time.
    pub(crate) fn hold(&mut self, time: EventTime) {
        *self.core.held.entry(time).or_insert(0) += 1;
    }

    /// Releases a hold.
    pub(crate) fn release(&mut self, time: EventTime) {
        if let Entry::Occupied(mut held) = self.core.held.entry(time) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }

    /// Emits a record to a side output, at the event time of the current one. `open` must have registered the
    /// side output.
    pub fn side<S: Data>(&mut self, side: &SideOutput<S>, value: S) {
        if self.core.knows(side.key) {
            self.sides.give(side, self.from, Record::new(value, self.stamp));
        }
    }

    /// Registers a timer of this key that fires when the watermark has passed `time`: when nothing at or
    /// before it can come any more.
    pub fn register_timer(&mut self, time: EventTime) {
        self.core.time(TimeDomain::EventTime, time, Call::Register);
    }

    /// Deletes a timer of [`register_timer`](Context::register_timer).
    pub fn delete_timer(&mut self, time: EventTime) {
        self.core.time(TimeDomain::EventTime, time, Call::Delete);
    }

    /// Registers a timer of this key that fires when the wall clock has reached `millis` (since 1970).
    pub fn register_wall_timer(&mut self, millis: i64) {
        self.core.time(TimeDomain::ProcessingTime, millis, Call::Register);
    }

    /// Deletes a timer of [`register_wall_timer`](Context::register_wall_timer).
    pub fn delete_wall_timer(&mut self, millis: i64) {
        self.core.time(TimeDomain::ProcessingTime, millis, Call::Delete);
    }

    /// Adds to a counter of the operator's metrics. Seen by others when the epoch closes.
    pub fn count(&mut self, name: &'static str, by: i64) {
        self.counters.add(name, by);
    }
}

/// The user's counters of one instance.
pub(crate) struct Counters {
    metrics: Metrics,
    uid: String,
    counts: Vec<(&'static str, i64, Metric)>,
}

impl Counters {
    pub(crate) fn new(metrics: Metrics, uid: &str) -> Counters {
        Counters { metrics, uid: uid.to_owned(), counts: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &'static str, by: i64) {
        match self.counts.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, count, _)) => *count += by,
            None => self.counts.push((name, by, self.metrics.metric(&self.uid, name))),
        }
    }

    pub(crate) fn flush(&mut self) {
        for (_, count, metric) in self.counts.iter_mut().filter(|(_, count, _)| *count != 0) {
            metric.add(std::mem::take(count));
        }
    }
}
