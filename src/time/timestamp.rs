//! The timestamp of the dataflow, and how a path through it changes one.

use std::fmt;

use differential_dataflow::lattice::Lattice;
use serde::{Deserialize, Serialize};
use timely::PartialOrder;
use timely::progress::Timestamp;
use timely::progress::timestamp::{PathSummary, Refines};

use crate::data::EventTime;

/// The timestamp of the dataflow: an epoch and an event time, under the product order.
///
/// ```
/// use highwater::time::Time;
/// use timely::PartialOrder;
///
/// let a = Time::new(1, 5_000);
/// let b = Time::new(2, 4_000);
/// assert!(!a.less_equal(&b) && !b.less_equal(&a)); // neither clock decides alone
/// assert!(a.less_equal(&Time::new(2, 5_000)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time {
    /// The epoch: counts up from 0.
    pub epoch: u64,
    /// The event time, in milliseconds: nothing under this timestamp is older.
    pub event: EventTime,
}

impl Time {
    /// The timestamp of `epoch` and `event`.
    #[inline]
    pub const fn new(epoch: u64, event: EventTime) -> Time {
        Time { epoch, event }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            EventTime::MIN => write!(f, "({}, -)", self.epoch),
            event => write!(f, "({}, {event})", self.epoch),
        }
    }
}

impl PartialOrder for Time {
    #[inline]
    fn less_equal(&self, other: &Time) -> bool {
        self.epoch <= other.epoch && self.event <= other.event
    }
}

impl Timestamp for Time {
    type Summary = Advance;

    fn minimum() -> Time {
        Time::new(0, EventTime::MIN)
    }
}

impl Lattice for Time {
    fn join(&self, other: &Time) -> Time {
        Time::new(self.epoch.max(other.epoch), self.event.max(other.event))
    }

    fn meet(&self, other: &Time) -> Time {
        Time::new(self.epoch.min(other.epoch), self.event.min(other.event))
    }
}

/// A top-level timestamp refines the timestamp without information.
impl Refines<()> for Time {
    fn to_inner((): ()) -> Time {
        Time::minimum()
    }

    fn to_outer(self) {}

    fn summarize(_: Advance) {}
}

/// By how much a path through the dataflow moves a [`Time`] forward: the path summary of timely.
///
/// Operators keep the time; only the feedback edge of a loop advances it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Advance {
    /// Epochs.
    pub epochs: u64,
    /// Milliseconds of event time.
    pub event: u64,
}

impl PartialOrder for Advance {
    #[inline]
    fn less_equal(&self, other: &Advance) -> bool {
        self.epochs <= other.epochs && self.event <= other.event
    }
}

impl PathSummary<Time> for Advance {
    #[inline]
    fn results_in(&self, source: &Time) -> Option<Time> {
        let epoch = source.epoch.checked_add(self.epochs)?;
        let event = source.event.checked_add_unsigned(self.event)?;
        Some(Time { epoch, event })
    }

    #[inline]
    fn followed_by(&self, other: &Advance) -> Option<Advance> {
        let epochs = self.epochs.checked_add(other.epochs)?;
        let event = self.event.checked_add(other.event)?;
        Some(Advance { epochs, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use timely::progress::Antichain;

    fn time() -> impl Strategy<Value = Time> {
        (0..5u64, -3..3i64).prop_map(|(epoch, event)| Time { epoch, event })
    }

    fn advance() -> impl Strategy<Value = Advance> {
        (0..3u64, 0..3u64).prop_map(|(epochs, event)| Advance { epochs, event })
    }

    use proptest::strategy::Strategy;

    proptest! {
        #[test]
        fn the_order_is_partial_and_agrees_with_the_total_one(a in time(), b in time(), c in time()) {
            prop_assert!(a.less_equal(&a));
            prop_assert!(Time::minimum().less_equal(&a));
            prop_assert!(!(a.less_equal(&b) && b.less_equal(&a)) || a == b);
            prop_assert!(!(a.less_equal(&b) && b.less_equal(&c)) || a.less_equal(&c));
            prop_assert!(!a.less_equal(&b) || a <= b);
        }

        #[test]
        fn join_and_meet_are_the_least_upper_and_greatest_lower_bounds(a in time(), b in time(), c in time()) {
            let (join, meet) = (a.join(&b), a.meet(&b));
            prop_assert!(a.less_equal(&join) && b.less_equal(&join));
            prop_assert!(meet.less_equal(&a) && meet.less_equal(&b));
            prop_assert_eq!(a.less_equal(&c) && b.less_equal(&c), join.less_equal(&c));
            prop_assert_eq!(c.less_equal(&a) && c.less_equal(&b), c.less_equal(&meet));
            prop_assert_eq!(a.join(&meet), a);
            prop_assert_eq!(a.meet(&join), a);
        }

        #[test]
        fn summaries_compose_and_never_go_back(t in time(), p in advance(), q in advance(), u in time()) {
            let moved = p.results_in(&t).unwrap();
            prop_assert!(t.less_equal(&moved));
            let both = p.followed_by(&q).unwrap();
            prop_assert_eq!(both.results_in(&t), q.results_in(&moved));
            if t.less_equal(&u) {
                prop_assert!(moved.less_equal(&p.results_in(&u).unwrap()));
            }
            if p.less_equal(&q) {
                prop_assert!(moved.less_equal(&q.results_in(&t).unwrap()));
            }
            prop_assert_eq!(Advance::default().results_in(&t), Some(t));
        }

        #[test]
        fn an_antichain_keeps_exactly_the_minimal_times(times in proptest::collection::vec(time(), 0..8)) {
            let frontier: Antichain<Time> = times.iter().copied().collect();
            for t in &times {
                prop_assert!(frontier.less_equal(t));
                let minimal = !times.iter().any(|s| s.less_than(t));
                prop_assert_eq!(frontier.elements().contains(t), minimal);
            }
        }
    }

    #[test]
    fn overflow_ends_a_path() {
        let end = Time::new(u64::MAX, EventTime::MAX);
        assert_eq!(Advance { epochs: 1, event: 0 }.results_in(&end), None);
        assert_eq!(Advance { epochs: 0, event: 1 }.results_in(&end), None);
        let far = Advance { epochs: u64::MAX, event: 0 };
        assert_eq!(far.followed_by(&Advance { epochs: 1, event: 0 }), None);
    }
}
