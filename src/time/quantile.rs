//! A watermark strategy that adapts to the disorder: it keeps the distance that a given share of the recent
//! records does not exceed.
//!
//! The *lateness* of a record is how much older it is than the newest record before it in its split. With a
//! watermark at a distance `d` behind the newest, exactly the records with a lateness above `d` are behind
//! the watermark. So if `d` is the `q`-quantile of the lateness of the records so far, about one record in
//! `1 / (1 - q)` falls behind, whatever the distribution, and if disorder grows or shrinks the distance
//! follows. It is K-slack with a target for the share of lost records instead of the largest lateness seen
//! (Ji, Zhou, Jerzak, Nica, Hackenbroich, Fetzer: Quality-Driven Processing of Sliding Window Aggregates over
//! Out-of-Order Data Streams, DEBS 2015). The target is on records: a record behind the watermark is late for
//! a window only if the window has ended, too, so fewer are lost.
//!
//! # The estimate
//!
//! The last `n` latenesses are kept, `n` being so large that a hundred of them lie above the quantile, in a
//! histogram whose buckets are at most 1/32 of their values wide. The distance is the upper end of the
//! quantile's bucket: not less than the exact quantile of the last `n`, and at most 1/32 more. A split
//! promises nothing before it has seen `n / 100` records.
//!
//! Costs amortized constant time for each record: the bucket of the quantile is followed as latenesses enter
//! and leave. Space is 2 bytes for each of the `n` latenesses and up to 8 KiB for the buckets, for each
//! split.

use std::collections::VecDeque;

use super::{EventTime, WatermarkGenerator, Watermarks};

impl<T, F: Fn(&T) -> EventTime> Watermarks<T, F> {
    /// The watermark keeps a distance that a share of the recent records, `quantile`, does not exceed: see
    /// [`LatenessQuantile`].
    ///
    /// ```
    /// use highwater::time::Watermarks;
    /// let most = Watermarks::quantile(0.99, |time: &i64| *time);
    /// ```
    pub fn quantile(quantile: f64, timestamp: F) -> Watermarks<T, F> {
        Watermarks::custom(timestamp, move || LatenessQuantile::new(quantile))
    }
}

/// Follows the quantile of the lateness of a split's recent records, and keeps the watermark at that distance
/// behind the newest.
///
/// It depends on the split's records alone, as a strategy should: the same input has the same late records.
///
/// ```
/// use highwater::time::{LatenessQuantile, WatermarkGenerator};
///
/// let mut half = LatenessQuantile::new(0.5);
/// let times = [10, 20, 17, 30, 26, 40]; // the latenesses are 0, 0, 3, 0, 4, 0
/// let watermarks = times.map(|time| half.on_record(&(), time));
/// assert_eq!(watermarks[5], Some(40)); // half of them are 0
/// ```
#[derive(Clone, Debug)]
pub struct LatenessQuantile {
    quantile: f64,
    /// How many latenesses are kept.
    history: usize,
    /// The buckets of the recent latenesses, oldest first.
    recent: VecDeque<u16>,
    /// How many of them are in each bucket.
    counts: Vec<u32>,
    /// The bucket of the quantile, and how many latenesses are in it or below.
    at: usize,
    below: usize,
    newest: Option<EventTime>,
}

/// How many latenesses lie above the quantile in a full history.
const ABOVE: f64 = 100.0;

/// The longest history: quantiles beyond 0.9999 rest on fewer latenesses above them.
const LONGEST: usize = 1 << 20;

impl LatenessQuantile {
    /// Follows this quantile of the lateness, from 0 (nothing older than the newest record is waited for) to
    /// 1 (the greatest recent lateness). A number outside that range is clamped to it, and NaN counts as 1.
    pub fn new(quantile: f64) -> LatenessQuantile {
        let quantile = if quantile.is_nan() { 1.0 } else { quantile.clamp(0.0, 1.0) };
        let history = (ABOVE / (1.0 - quantile)).round().min(LONGEST as f64) as usize;
        LatenessQuantile {
            quantile,
            history,
            recent: VecDeque::new(),
            counts: Vec::new(),
            at: 0,
            below: 0,
            newest: None,
        }
    }

    /// The distance that it keeps now, in milliseconds; `None` until it has seen enough records.
    pub fn distance(&self) -> Option<u64> {
        (self.recent.len() >= (self.history / 100).max(1)).then(|| upper_end(self.at))
    }

    /// Counts a record in a bucket.
    fn record(&mut self, bucket: u16) {
        if self.recent.len() == self.history
            && let Some(oldest) = self.recent.pop_front()
        {
            let oldest = usize::from(oldest);
            self.counts[oldest] -= 1;
            self.below -= usize::from(oldest <= self.at);
        }
        let place = usize::from(bucket);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.below += usize::from(place <= self.at);
        self.recent.push_back(bucket);
        // One record enters and at most one leaves, so the bucket moves little: amortized constant time.
        self.follow();
    }

    /// Moves to the first bucket up to which there are enough.
    fn follow(&mut self) {
        let enough = ((self.recent.len() as f64 * self.quantile).ceil() as usize).max(1);
        while self.below < enough {
            self.at += 1;
            self.below += self.counts[self.at] as usize;
        }
        while self.at > 0 && self.below - self.counts[self.at] as usize >= enough {
            self.below -= self.counts[self.at] as usize;
            self.at -= 1;
        }
    }
}

impl<T> WatermarkGenerator<T> for LatenessQuantile {
    fn on_record(&mut self, _: &T, timestamp: EventTime) -> Option<EventTime> {
        let newest = self.newest.map_or(timestamp, |newest| newest.max(timestamp));
        self.newest = Some(newest);
        self.record(bucket(newest.abs_diff(timestamp)) as u16);
        Some(newest.saturating_sub_unsigned(self.distance()?))
    }

    /// The newest event time, and the buckets of the recent latenesses.
    fn save(&self) -> Vec<u8> {
        let Some(newest) = self.newest else { return Vec::new() };
        let recent = self.recent.iter().flat_map(|bucket| bucket.to_le_bytes());
        newest.to_le_bytes().into_iter().chain(recent).collect()
    }

    /// Ignores bytes that another strategy has saved.
    fn restore(&mut self, known: &[u8]) {
        let Some((newest, recent)) = known.split_first_chunk() else { return };
        let (recent, rest) = recent.as_chunks();
        let recent = recent.iter().map(|bucket| u16::from_le_bytes(*bucket));
        if !rest.is_empty() || recent.clone().any(|bucket| usize::from(bucket) >= BUCKETS) {
            return;
        }
        *self = LatenessQuantile::new(self.quantile);
        self.newest = Some(EventTime::from_le_bytes(*newest));
        recent.for_each(|bucket| self.record(bucket));
    }
}

/// The number of buckets between two powers of two.
const PARTS: u32 = 5;

/// A number that no bucket has.
const BUCKETS: usize = ((u64::BITS - PARTS + 1) << PARTS) as usize;

/// The bucket of a lateness. Below 64 each number has its own; above, there are 32 to a power of two.
fn bucket(lateness: u64) -> usize {
    let shift = (u64::BITS - lateness.leading_zeros()).saturating_sub(PARTS + 1);
    ((shift as usize) << PARTS) + (lateness >> shift) as usize
}

/// The greatest lateness in a bucket.
fn upper_end(bucket: usize) -> u64 {
    let shift = (bucket >> PARTS).saturating_sub(1);
    let first = (bucket - (shift << PARTS)) as u64;
    // The last of the buckets ends where the numbers do.
    ((u128::from(first) + 1) << shift).saturating_sub(1).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn buckets_are_narrow_and_in_order(lateness in any::<u64>(), shift in 0..64u32) {
            let lateness = lateness >> shift;
            let (number, end) = (bucket(lateness), upper_end(bucket(lateness)));
            prop_assert!(end >= lateness && end - lateness <= lateness / 32, "{lateness} in a bucket up to {end}");
            prop_assert!(number < BUCKETS);
            prop_assert!(end == u64::MAX || bucket(end + 1) == number + 1);
        }

        #[test]
        fn what_it_knows_can_be_handed_on(
            steps in vec((0..50i64, 0..400i64), 1..400),
            at in 0..400usize,
            quantile in prop_oneof![Just(0.0), Just(0.5), 0.0..0.95f64],
            noise in vec(any::<u8>(), 0..30),
        ) {
            let (mut whole, mut broken) = (LatenessQuantile::new(quantile), LatenessQuantile::new(quantile));
            for (step, (later, delay)) in steps.into_iter().enumerate() {
                if step == at {
                    let known = WatermarkGenerator::<()>::save(&broken);
                    broken = LatenessQuantile::new(quantile);
                    WatermarkGenerator::<()>::restore(&mut broken, &known);
                }
                let time = 10 * step as i64 + later - delay * delay / 100;
                prop_assert_eq!(broken.on_record(&(), time), whole.on_record(&(), time));
            }
            // What another rule has saved does no harm.
            WatermarkGenerator::<()>::restore(&mut broken, &noise);
            let _: Option<EventTime> = broken.on_record(&(), 0);
        }

        /// Against sorting the recent latenesses for every record.
        #[test]
        fn the_distance_is_the_quantile_of_the_recent_latenesses(
            steps in vec((0..50i64, 0..400i64), 1..600),
            quantile in prop_oneof![Just(0.0), Just(0.5), Just(0.9), 0.0..0.95f64],
        ) {
            let mut subject = LatenessQuantile::new(quantile);
            let (mut clock, mut newest, mut all) = (0, i64::MIN, Vec::new());
            for (later, delay) in steps {
                clock += later;
                let time = clock - delay * delay / 100;
                newest = newest.max(time);
                all.push((newest - time) as u64);
                let promised = subject.on_record(&(), time);
                let mut recent = all[all.len().saturating_sub(subject.history)..].to_vec();
                recent.sort_unstable();
                let rank = ((recent.len() as f64 * quantile).ceil() as usize).max(1);
                let exact = recent[rank - 1];
                match promised {
                    None => prop_assert!(all.len() < subject.history / 100),
                    Some(promised) => {
                        let distance = (newest - promised) as u64;
                        prop_assert!(distance >= exact && distance - exact <= exact / 32, "{distance}, not {exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_distance_follows_when_disorder_changes() {
        let mut subject = LatenessQuantile::new(0.9);
        let mut run = |disorder: i64| {
            let records = (0..5_000i64).map(|n| n * 10 + disorder * (n % 20) / 20 - disorder);
            let start = subject.newest.unwrap_or(0) + disorder;
            records.for_each(|time| {
                subject.on_record(&(), start + time);
            });
            subject.distance().unwrap()
        };
        let (calm, rough, calm_again) = (run(100), run(10_000), run(100));
        assert!(calm < 100 && rough > 5_000 && calm_again < 100, "{calm}, {rough}, {calm_again}");
    }

    #[test]
    fn odd_quantiles_are_taken_for_the_nearest_and_odd_times_do_no_harm() {
        for quantile in [-1.0, 2.0, f64::NAN, f64::INFINITY] {
            let mut subject = LatenessQuantile::new(quantile);
            for time in [0, EventTime::MAX, EventTime::MIN, 0, -1, EventTime::MIN] {
                let _: Option<EventTime> = subject.on_record(&(), time);
            }
        }
        assert_eq!(LatenessQuantile::new(2.0).quantile, 1.0);
    }
}
