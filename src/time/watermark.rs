//! Watermark strategies: what a split promises about event times to come.
//!
//! Each split of a source has a watermark of its own, a function of the split's records so far and of nothing
//! else. It promises that nothing older will come from this split. So operators downstream may drop older
//! state, and a record that breaks the promise is *late*, on any number of workers and in any interleaving.
//!
//! The watermark that a record is judged by is the one from before the record itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::EventTime;
use crate::data::Stamp;

/// How a source gives its records event times, and what it promises about those to come.
///
/// `F` reads the event time off a record. It is part of the type, so that it is compiled into the
/// loop that reads.
///
/// ```
/// use highwater::time::Watermarks;
/// use std::time::Duration;
///
/// struct Reading { at: i64, celsius: f64 }
/// let ordered = Watermarks::monotone(|r: &Reading| r.at);
/// let disordered = Watermarks::bounded(Duration::from_secs(5), |r: &Reading| r.at)
///     .idle_after(Duration::from_secs(1));
/// ```
#[derive(Clone)]
pub struct Watermarks<T, F = fn(&T) -> EventTime> {
    pub(crate) timestamp: F,
    pub(crate) strategy: Strategy<T>,
    pub(crate) idle_after: Option<Duration>,
    pub(crate) max_drift: Option<u64>,
}

/// The rule by which a split's watermark follows its records.
pub enum Strategy<T> {
    /// There is no event time: the watermark stays at the beginning of time until the input ends.
    None,
    /// The watermark follows the greatest event time at this distance in milliseconds; 0 for ordered input.
    Behind(u64),
    /// Some records say how far event time has come.
    Punctuated(Punctuation<T>),
    /// A user's own rule: makes a generator for each split.
    Custom(Arc<dyn Fn() -> Box<dyn WatermarkGenerator<T>> + Send + Sync>),
}

type Punctuation<T> = Arc<dyn Fn(&T, EventTime) -> Option<EventTime> + Send + Sync>;

impl<T> Clone for Strategy<T> {
    fn clone(&self) -> Strategy<T> {
        match self {
            Strategy::None => Strategy::None,
            Strategy::Behind(distance) => Strategy::Behind(*distance),
            Strategy::Punctuated(rule) => Strategy::Punctuated(Arc::clone(rule)),
            Strategy::Custom(make) => Strategy::Custom(Arc::clone(make)),
        }
    }
}

impl<T> fmt::Debug for Strategy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Strategy::None => f.write_str("no event time"),
            Strategy::Behind(0) => f.write_str("monotone"),
            Strategy::Behind(distance) => write!(f, "disorder up to {distance} ms"),
            Strategy::Punctuated(_) => f.write_str("punctuated"),
            Strategy::Custom(_) => f.write_str("custom"),
        }
    }
}

/// A user's own watermark rule, one instance for each split.
///
/// It should depend on the records alone: then which records are late is a property of the input. A
/// generator that looks at a clock gives that up.
pub trait WatermarkGenerator<T>: Send {
    /// Sees a record and its event time, and may return a watermark: a promise that nothing older will come
    /// from the split. A watermark below an earlier one has no effect.
    fn on_record(&mut self, value: &T, timestamp: EventTime) -> Option<EventTime>;

    /// The state that it needs after a restore, in an encoding of its own, without the watermark, which is
    /// saved for it. Called at each snapshot.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Restores what was [saved](WatermarkGenerator::save), before it sees a record. If the strategy has
    /// changed, another generator may have saved it.
    fn restore(&mut self, _known: &[u8]) {}
}

/// A duration in milliseconds, saturating.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<T> Watermarks<T> {
    /// Records without event times: each has [`Stamp::UNTIMED`], and windows close when the input ends.
    pub fn none() -> Watermarks<T> {
        Watermarks::new(Strategy::None, |_| Stamp::UNTIMED.timestamp)
    }
}

impl<T, F> Watermarks<T, F> {
    /// True if there is any event time.
    pub(crate) fn gives_time(&self) -> bool {
        !matches!(self.strategy, Strategy::None)
    }
}

impl<T, F: Fn(&T) -> EventTime> Watermarks<T, F> {
    fn new(strategy: Strategy<T>, timestamp: F) -> Watermarks<T, F> {
        Watermarks { timestamp, strategy, idle_after: None, max_drift: None }
    }

    /// Event times never decrease within a split. A record that is older than one before it is late by the
    /// difference.
    pub fn monotone(timestamp: F) -> Watermarks<T, F> {
        Watermarks::new(Strategy::Behind(0), timestamp)
    }

    /// A record is at most `disorder` older than the newest before it in its split.
    pub fn bounded(disorder: Duration, timestamp: F) -> Watermarks<T, F> {
        Watermarks::new(Strategy::Behind(millis(disorder)), timestamp)
    }

    /// Some records carry the watermark: `rule` sees each record with its event time and returns the
    /// watermark from then on, or `None`.
    pub fn punctuated(
        timestamp: F,
        rule: impl Fn(&T, EventTime) -> Option<EventTime> + Send + Sync + 'static,
    ) -> Watermarks<T, F> {
        Watermarks::new(Strategy::Punctuated(Arc::new(rule)), timestamp)
    }

    /// A custom strategy: `make` is called once for each split.
    pub fn custom<G>(timestamp: F, make: impl Fn() -> G + Send + Sync + 'static) -> Watermarks<T, F>
    where
        G: WatermarkGenerator<T> + 'static,
    {
        Watermarks::new(Strategy::Custom(Arc::new(move || Box::new(make()))), timestamp)
    }

    /// The idle timeout: a split that has nothing for this long stops holding back the watermark.
    ///
    /// Its reader decides: it was polled and had nothing, and had nothing when it was polled again after this
    /// time. A split that is not polled, because there is much else to read, a sink is slow, or it is too far
    /// [ahead](Watermarks::align), is not silent, and a restart starts the timeout over. If all splits are
    /// silent, nothing holds event time back, and the watermark becomes the greatest of theirs, as in Flink.
    ///
    /// When a split comes back, its records are judged by the watermark that advanced without it: those that
    /// fell behind meanwhile are late. This is the one place where lateness depends on the wall clock, so it
    /// is off by default.
    pub fn idle_after(mut self, silence: Duration) -> Watermarks<T, F> {
        self.idle_after = Some(silence);
        self
    }

    /// No split is read further than `drift` of event time ahead of the slowest one, on any worker.
    ///
    /// It bounds the state of windows when splits run at different speeds. A worker all of whose splits are
    /// that far ahead sleeps until those behind have advanced.
    pub fn align(mut self, drift: Duration) -> Watermarks<T, F> {
        self.max_drift = Some(millis(drift));
        self
    }
}

/// Stamps records and advances a watermark by them.
pub(crate) trait Stamps<T> {
    /// Stamps a record with the watermark before it, then advances the watermark by the record.
    fn stamp(&mut self, value: &T, timestamp: EventTime) -> Stamp;
}

/// The watermark of one split while it is read.
pub(crate) struct SplitWatermark<T> {
    rule: Rule<T>,
    current: EventTime,
}

enum Rule<T> {
    Behind(u64),
    Punctuated(Punctuation<T>),
    Custom(Box<dyn WatermarkGenerator<T>>),
}

impl<T> SplitWatermark<T> {
    pub(crate) fn new(strategy: &Strategy<T>) -> SplitWatermark<T> {
        let rule = match strategy {
            // So far behind that it never moves.
            Strategy::None => Rule::Behind(u64::MAX),
            Strategy::Behind(distance) => Rule::Behind(*distance),
            Strategy::Punctuated(rule) => Rule::Punctuated(Arc::clone(rule)),
            Strategy::Custom(make) => Rule::Custom(make()),
        };
        SplitWatermark { rule, current: EventTime::MIN }
    }

    /// The current watermark.
    #[inline]
    pub(crate) fn current(&self) -> EventTime {
        self.current.min(MOST)
    }

    /// Raises the watermark: to the one that advanced without an idle split, or to that of a [`Behind`].
    pub(crate) fn raise(&mut self, to: EventTime) {
        self.current = self.current.max(to);
    }

    /// The watermark, and the state of its generator.
    pub(crate) fn save(&self) -> (EventTime, Vec<u8>) {
        let known = match &self.rule {
            Rule::Custom(generator) => generator.save(),
            _ => Vec::new(),
        };
        (self.current, known)
    }

    /// Restores both.
    pub(crate) fn restore(&mut self, current: EventTime, known: &[u8]) {
        self.raise(current);
        if let Rule::Custom(generator) = &mut self.rule {
            generator.restore(known);
        }
    }

    /// The same strategy, if it reads event times alone.
    pub(crate) fn behind(&self) -> Option<Behind> {
        match self.rule {
            Rule::Behind(distance) => Some(Behind::new(distance, self.current)),
            _ => None,
        }
    }
}

impl<T> Stamps<T> for SplitWatermark<T> {
    fn stamp(&mut self, value: &T, timestamp: EventTime) -> Stamp {
        let stamp = Stamp { timestamp, watermark: self.current };
        let promised = match &mut self.rule {
            Rule::Behind(distance) => Some(timestamp.saturating_sub_unsigned(*distance)),
            Rule::Punctuated(rule) => rule(value, timestamp),
            Rule::Custom(generator) => generator.on_record(value, timestamp),
        };
        self.current = promised.map_or(self.current, |promised| promised.min(MOST).max(self.current));
        stamp
    }
}

/// The greatest watermark of a split. Only the end of the input ends event time, not a record at its last
/// moment: others may follow, and none of them is late.
const MOST: EventTime = EventTime::MAX - 1;

/// A watermark at a fixed distance behind the greatest event time.
///
/// A custom generator takes the record by reference, so the record must lie in memory. This one does not, and
/// a reading loop that is compiled for it alone keeps records in registers: three times as fast where little
/// is done with them.
#[derive(Clone, Copy)]
pub(crate) struct Behind {
    distance: u64,
    /// The least event time from which the distance can be subtracted.
    least: EventTime,
    pub(crate) current: EventTime,
}

impl Behind {
    fn new(distance: u64, current: EventTime) -> Behind {
        Behind { distance, least: EventTime::MIN.saturating_add_unsigned(distance), current }
    }
}

impl<T> Stamps<T> for Behind {
    #[inline(always)]
    fn stamp(&mut self, _: &T, timestamp: EventTime) -> Stamp {
        let stamp = Stamp { timestamp, watermark: self.current };
        // A saturating subtraction, in half of the instructions.
        let promised = timestamp.max(self.least).wrapping_sub(self.distance as i64);
        self.current = self.current.max(promised.min(MOST));
        stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(strategy: &Strategy<i64>, times: &[i64]) -> Vec<(i64, i64)> {
        let mut split = SplitWatermark::new(strategy);
        let stamps = times.iter().map(|t| split.stamp(t, *t));
        stamps.map(|stamp| (stamp.timestamp, stamp.watermark)).collect()
    }

    #[test]
    fn a_record_is_judged_by_the_watermark_before_it() {
        let monotone = Watermarks::monotone(|t: &i64| *t).strategy;
        assert_eq!(stamps(&monotone, &[5, 9, 7]), [(5, i64::MIN), (9, 5), (7, 9)]);
        let bounded = Watermarks::bounded(Duration::from_millis(3), |t: &i64| *t).strategy;
        assert_eq!(stamps(&bounded, &[5, 9, 7]), [(5, i64::MIN), (9, 2), (7, 6)]);
    }

    #[test]
    fn a_distance_saturates() {
        for distance in [0, 1, 1 << 40, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
            for time in [EventTime::MIN, EventTime::MIN + 1, -1, 0, 1, 1 << 41, EventTime::MAX] {
                let mut behind = Behind::new(distance, EventTime::MIN);
                behind.stamp(&(), time);
                let expected = time.saturating_sub_unsigned(distance).min(MOST);
                assert_eq!(behind.current, expected, "{time} - {distance}");
            }
        }
    }

    #[test]
    fn punctuation_never_takes_back_a_promise() {
        let punctuated = Watermarks::punctuated(|t: &i64| *t, |t, _| (t % 10 == 0).then_some(*t)).strategy;
        assert_eq!(stamps(&punctuated, &[3, 20, 10, 4]), [(3, i64::MIN), (20, i64::MIN), (10, 20), (4, 20)]);
    }

    #[test]
    fn a_generator_lives_with_its_split() {
        struct EverySecond(u32);
        impl WatermarkGenerator<i64> for EverySecond {
            fn on_record(&mut self, _: &i64, timestamp: EventTime) -> Option<EventTime> {
                self.0 += 1;
                self.0.is_multiple_of(2).then_some(timestamp)
            }
        }
        let custom = Watermarks::custom(|t: &i64| *t, || EverySecond(0)).strategy;
        assert_eq!(stamps(&custom, &[1, 2, 3]), [(1, i64::MIN), (2, i64::MIN), (3, 2)]);
    }
}
