//! The interval join: pairs of records with the same key whose times are so far apart.
//!
//! Each side keeps its records by time. A record looks for partners among the other side's in the interval,
//! and is kept until the watermark has passed the last moment at which a partner can be. A record of an outer
//! side that has met no partner by then is emitted alone. It has its own event time, behind the watermark
//! that released it; so the operator holds the watermark back for it meanwhile, as Flink's interval joins in
//! SQL do.
//!
//! # Cost
//!
//! A record costs a look-up of its key, a look at each of its partners, and, if records come nearly in order
//! of time, a push and a pop at the ends of a queue. With an outer side, a key has a timer for each time at
//! which records of that side are emitted. Records of other sides stay in memory for up to half the interval
//! longer than they are wanted.

use std::time::Duration;

use crate::time::EventTime;

/// How much earlier or later than the first record the second one is: a bound of an [`Interval`].
///
/// ```
/// use highwater::join::Offset;
/// use std::time::Duration;
/// let second = Duration::from_secs(1);
/// assert!(Offset::before(second) < Offset::ZERO && Offset::ZERO < Offset::after(second));
/// assert_eq!(Offset::millis(-1_000), Offset::before(second));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset {
    /// In nanoseconds. Wider than durations are, so that each has its opposite.
    nanos: i128,
}

impl Offset {
    /// The same time.
    pub const ZERO: Offset = Offset { nanos: 0 };

    /// So much earlier; by `Duration::MAX`, without any bound.
    pub fn before(duration: Duration) -> Offset {
        Offset { nanos: -nanos(duration) }
    }

    /// So much later; by `Duration::MAX`, without any bound.
    pub fn after(duration: Duration) -> Offset {
        Offset { nanos: nanos(duration) }
    }

    /// `millis` milliseconds later, or earlier if they are negative.
    pub fn millis(millis: i64) -> Offset {
        Offset { nanos: i128::from(millis) * NANOS }
    }
}

/// A duration in nanoseconds, of which there are fewer than 2 to the power of 94.
fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

/// The nanoseconds in a millisecond.
const NANOS: i128 = 1_000_000;

/// How far apart two records are in event time, both bounds included: the second one's time less the first
/// one's.
///
/// ```
/// use highwater::join::{Interval, Offset};
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let later = Interval::after(seconds(5)).excluding_lower();
/// let around = Interval::within(seconds(1));
/// assert_eq!(around, Interval::between(Offset::before(seconds(1)), Offset::after(seconds(1))));
/// // The second record comes five to ten seconds before the first.
/// let earlier = Interval::between(Offset::before(seconds(10)), Offset::before(seconds(5)));
/// # let _ = (later, earlier);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    lower: Offset,
    upper: Offset,
}

impl Interval {
    /// From `lower` to `upper`. If `lower` is later there are no pairs.
    pub fn between(lower: Offset, upper: Offset) -> Interval {
        Interval { lower, upper }
    }

    /// The second record comes at the time of the first or up to so much later.
    pub fn after(duration: Duration) -> Interval {
        Interval::between(Offset::ZERO, Offset::after(duration))
    }

    /// The second record comes at the time of the first or up to so much earlier.
    pub fn before(duration: Duration) -> Interval {
        Interval::between(Offset::before(duration), Offset::ZERO)
    }

    /// The two records are at most so far apart, whichever is earlier.
    pub fn within(duration: Duration) -> Interval {
        Interval::between(Offset::before(duration), Offset::after(duration))
    }

    /// Without the lower bound itself.
    pub fn excluding_lower(self) -> Interval {
        Interval { lower: Offset { nanos: self.lower.nanos + 1 }, ..self }
    }

    /// Without the upper bound itself.
    pub fn excluding_upper(self) -> Interval {
        Interval { upper: Offset { nanos: self.upper.nanos - 1 }, ..self }
    }

    /// The same seen from the second record.
    pub(super) fn turned(self) -> Interval {
        Interval { lower: Offset { nanos: -self.upper.nanos }, upper: Offset { nanos: -self.lower.nanos } }
    }

    /// The times of the partners of a record of this time; none if they would lie before or after all there
    /// are.
    pub(super) fn around(self, time: EventTime) -> Option<(EventTime, EventTime)> {
        let (first, last) = (i128::from(EventTime::MIN), i128::from(EventTime::MAX));
        // Times are whole milliseconds: the first that is not below the lower bound, the last that is not
        // above the upper one.
        let from = i128::from(time) - (-self.lower.nanos).div_euclid(NANOS);
        let to = i128::from(time) + self.upper.nanos.div_euclid(NANOS);
        if from > last || to < first {
            return None;
        }
        let limited = |time: i128| time.clamp(first, last) as EventTime;
        Some((limited(from), limited(to)))
    }

    /// The time after which no partner can come.
    pub(super) fn last(self, time: EventTime) -> EventTime {
        // A record without possible partners is dropped as soon as its own time has passed.
        self.around(time).map_or(time, |(_, to)| to.max(time))
    }
}

/// Which records are emitted without a partner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outer {
    /// None: an inner join.
    #[default]
    None,
    /// Those of the first stream.
    Left,
    /// Those of the second stream.
    Right,
    /// All: a full outer join.
    Both,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any number at all, and more of those where arithmetic ends.
    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            any::<i64>(),
            -20..20i64,
            (0..40i64).prop_map(|near| i64::MAX - near),
            (0..40i64).prop_map(|near| i64::MIN + near),
        ]
    }

    /// A bound in nanoseconds: any whole number of milliseconds, and others near it.
    fn bound() -> impl Strategy<Value = i128> {
        (number(), -2..3i128).prop_map(|(millis, near)| i128::from(millis) * NANOS + near)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn partners_are_those_of_the_definition(
            first in number(), second in number(), lower in bound(), upper in bound(), open in 0..4u8,
        ) {
            let apart = (i128::from(second) - i128::from(first)) * NANOS;
            let meets = if open & 1 == 0 { lower <= apart } else { lower < apart };
            let meets = meets && if open & 2 == 0 { apart <= upper } else { apart < upper };
            let mut interval = Interval::between(Offset { nanos: lower }, Offset { nanos: upper });
            if open & 1 == 1 { interval = interval.excluding_lower(); }
            if open & 2 == 2 { interval = interval.excluding_upper(); }
            let contains = |interval: Interval, time, other| {
                interval.around(time).is_some_and(|(from, to)| (from..=to).contains(&other))
            };
            prop_assert_eq!(contains(interval, first, second), meets);
            prop_assert_eq!(contains(interval.turned(), second, first), meets);
            // It is kept as long as partners can come.
            prop_assert!(interval.last(first) >= first && (!meets || second <= interval.last(first)));
        }

        #[test]
        fn the_longest_duration_is_no_bound(first in number(), second in number()) {
            for interval in [Interval::within(Duration::MAX), Interval::within(Duration::MAX).turned()] {
                let (from, to) = interval.around(first).unwrap();
                prop_assert!((from..=to).contains(&second));
            }
        }
    }
}
