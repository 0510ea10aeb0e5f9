//! A detector that is driven by hand, and what it has told.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::operator::Detector;
use super::partials::clamped;
use super::{Match, Pattern};
use crate::data::{Exchange, Record, Stamp};
use crate::metric::Metrics;
use crate::state::{MemoryBudget, SharedBudget, SpillBudget, StateReaders};
use crate::stream::{ConsumerPort, OperatorLogic, Outputs};
use crate::time::{EventTime, Time};

/// What was told, in order.
type Told<T> = Rc<RefCell<Vec<Match<u8, T>>>>;

/// An output that is kept, by whoever holds the other end.
struct Kept<T>(Told<T>);

impl<T: Exchange> ConsumerPort<Match<u8, T>> for Kept<T> {
    fn walk(&mut self, time: Time, batch: &mut Vec<Record<Match<u8, T>>>, _: bool) {
        for record in batch.drain(..) {
            assert!(record.stamp.timestamp >= time.event, "what is told cannot be sent at {time:?}");
            assert_eq!(record.stamp.timestamp, record.value.timestamp);
            self.0.borrow_mut().push(record.value);
        }
    }

    fn flush(&mut self) {}

    fn take_sent(&mut self) -> usize {
        0
    }

    fn heap(&self) -> usize {
        0
    }
}

/// A detector and its outputs: matches and time-outs. Its state may be limited to some bytes.
pub(super) struct Driven<T: Exchange + Ord> {
    pub(super) detector: Detector<u8, T>,
    out: Outputs<Match<u8, T>>,
    outputs: [Told<T>; 2],
    pattern: Pattern<T>,
    bytes: Option<usize>,
    pub(super) metrics: Metrics,
}

impl<T: Exchange + Ord> Driven<T> {
    pub(super) fn new(pattern: &Pattern<T>, bytes: Option<usize>) -> Driven<T> {
        let metrics = Metrics::default();
        let mut state_readers = StateReaders::default();
        let limits = bytes.map(|bytes| {
            let memory = SharedBudget::new(bytes, std::env::temp_dir(), Arc::new(|error| panic!("{error}")));
            state_readers.memory = Some(Rc::clone(&memory));
            (
                MemoryBudget::new(&memory, "pattern", &metrics),
                SpillBudget::new(&memory, "pattern", "records_spilled", &metrics),
            )
        });
        let outputs = [Told::default(), Told::default()];
        let [out, timed_out] =
            outputs.each_ref().map(|output| Outputs::to(vec![Box::new(Kept(Rc::clone(output)))]));
        let automaton = Arc::new(pattern.compile().unwrap());
        let detector = Detector::new(automaton, timed_out, &state_readers, limits);
        Driven { detector, out, outputs, pattern: pattern.clone(), bytes, metrics }
    }

    /// Brings records that the split was at `watermark` before: times, keys and values.
    pub(super) fn bring(&mut self, epoch: u64, watermark: EventTime, events: &[(EventTime, (u8, T))]) {
        let record = |(timestamp, event): &(EventTime, (u8, T))| {
            Record::new(event.clone(), Stamp { timestamp: *timestamp, watermark })
        };
        let mut batch = events.iter().map(record).collect();
        self.detector.batch(Time::new(epoch, watermark), &mut batch, &mut self.out);
    }

    /// Does all that is due at a watermark.
    pub(super) fn advance(&mut self, epoch: u64, watermark: EventTime) {
        loop {
            let from = Time::new(epoch, self.detector.owes().map_or(watermark, |owed| owed.min(watermark)));
            self.detector.advance(watermark, from, &mut self.out);
            self.detector.flush();
            self.out.flush();
            if !self.detector.is_amid() {
                break;
            }
        }
        let is_owed = |owed| owed < watermark || watermark == EventTime::MAX;
        assert!(!self.detector.owes().is_some_and(is_owed), "what was due is still owed");
    }

    /// The time of the first record that waits, or of the first deadline. All of it is owed.
    pub(super) fn least_owed(&self) -> Option<EventTime> {
        let deadline = self.detector.keys.least_deadline();
        let least = self.detector.waiting.next().into_iter().chain(deadline).min().map(clamped);
        assert!(least.is_none_or(|least| self.detector.owes().is_some_and(|owed| owed <= least)));
        least
    }

    /// Closes an epoch, and lets state leave memory that is too much. `seals` says if someone asks for the
    /// state.
    pub(super) fn close(&mut self, epoch: u64, seals: bool) {
        self.detector.close(epoch, None, &mut self.out);
        if seals {
            self.detector.states(&mut |state| state.seal(epoch));
        }
        self.detector.states(&mut |state| state.evict(epoch));
    }

    pub(super) fn take(&mut self) -> [Vec<Match<u8, T>>; 2] {
        self.outputs.each_ref().map(|output| output.take())
    }

    /// A detector that knows what this one's arrangements say, which were sealed as of an epoch, and how far
    /// records have been taken.
    pub(super) fn restored(&self, epoch: u64) -> Driven<T> {
        let mut restored = Driven::new(&self.pattern, self.bytes);
        restored.detector.waiting.restore_from(&self.detector.waiting, epoch);
        restored.detector.keys.restore_from(&self.detector.keys, epoch);
        restored.detector.portion = self.detector.portion;
        restored
    }
}
