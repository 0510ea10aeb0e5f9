//! Rounds: the timestamps in a loop.
//!
//! A record in a loop needs one more coordinate than [`Time`] has: how often it has been around. In a loop
//! the epoch of a [`Time`] stands for both, `epoch * 2^20 + round`. So rounds are to the operators of a loop
//! what epochs are to others: their state is complete at the end of each round, and what they emit then is
//! part of that round. The rounds of an epoch come after all rounds of the epoch before, which is the order
//! that operators with state need.
//!
//! Event time does not change.
//!
//! # Why it is sound
//!
//! [`inside`](Rounds::inside) and [`outside`] are monotone in the order of times, and
//! `outside(inside(t)) = t`. So the head, which holds `inside` of the times that may still enter, and the
//! exit, which holds `outside` of the times that may still leave, hold times that justify their messages, and
//! give up only times that cannot occur any more. A round adds one to a number that is not the last of its
//! epoch, which is monotone and strictly greater, so timely can detect when no record circulates any more.

use crate::error::{Error, Result};
use crate::time::{Advance, Time};

/// The bits of a number that are the round.
const BITS: u32 = 20;

/// How often a record may go around a loop.
///
/// A loop that does not end is a mistake in its body, and one that a job cannot get out of: the epoch never
/// completes, and stopping a job completes its epochs. So there always is a bound. A record that would go
/// around once more ends the job with an error.
///
/// ```
/// use highwater::stream::Rounds;
/// assert_eq!(Rounds::default(), Rounds::at_most(1_000_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    most: u32,
}

impl Default for Rounds {
    /// A million.
    fn default() -> Rounds {
        Rounds { most: 1_000_000 }
    }
}

impl Rounds {
    /// At most so many, and no more than a million.
    pub fn at_most(rounds: u32) -> Rounds {
        Rounds { most: rounds.min(Rounds::default().most) }
    }

    /// How many.
    pub(crate) fn most(self) -> u64 {
        self.most.into()
    }

    /// The time of the first round.
    ///
    /// # Errors
    ///
    /// If there are no numbers left for epochs, after 200,000 days of milliseconds.
    pub(super) fn inside(time: Time) -> Result<Time> {
        match time.epoch >> (u64::BITS - BITS) {
            0 => Ok(Time::new(time.epoch << BITS, time.event)),
            _ => Err(Error::config("a loop has no numbers left for epochs: let epochs be longer")),
        }
    }

    /// The time of the next round.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(super) fn next(self, time: Time) -> Result<Time> {
        let round = time.epoch & ((1 << BITS) - 1);
        if round >= self.most() {
            return Err(self.exceeded());
        }
        Ok(Time::new(time.epoch + 1, time.event))
    }

    /// What ends a job whose loop does not end.
    pub(crate) fn exceeded(self) -> Error {
        Error::data(format!(
            "a loop has not ended after {} rounds: mend its body, or allow it more",
            self.most
        ))
    }
}

/// The time of a round as it is outside the loop.
pub(super) fn outside(time: Time) -> Time {
    Time::new(time.epoch >> BITS, time.event)
}

/// How epochs are counted where an operator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// As they are.
    Epochs,
    /// With the rounds of a loop.
    Rounds,
}

impl Counting {
    /// The first number of an epoch in this counting. After the last epoch there is none.
    pub(crate) fn first_of(self, epoch: u64) -> u64 {
        match self {
            // The shift may overflow; the head of the loop reports that as an error.
            Counting::Rounds if epoch < u64::MAX => epoch << BITS,
            Counting::Epochs | Counting::Rounds => epoch,
        }
    }

    /// The epoch of a number in this counting. After the last epoch there is none.
    pub(crate) fn epoch_of(self, number: u64) -> u64 {
        match self {
            Counting::Rounds if number < u64::MAX => number >> BITS,
            Counting::Epochs | Counting::Rounds => number,
        }
    }
}

/// By how much the feedback edge advances a time.
pub(super) const ONCE: Advance = Advance { epochs: 1, event: 0 };

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use timely::PartialOrder;
    use timely::progress::timestamp::PathSummary;

    proptest! {
        #[test]
        fn rounds_are_told_without_loss_and_in_order(
            (e, f) in (0..1u64 << 44, 0..1u64 << 44),
            (t, u) in (any::<i64>(), any::<i64>()),
            rounds in 0..100u32,
        ) {
            let (a, b) = (Time::new(e, t), Time::new(f, u));
            let [mut inner, other] = [a, b].map(|time| Rounds::inside(time).unwrap());
            prop_assert_eq!(a.less_equal(&b), inner.less_equal(&other));
            for _ in 0..rounds {
                let next = Rounds::default().next(inner).unwrap();
                prop_assert_eq!(ONCE.results_in(&inner), Some(next));
                prop_assert!(inner.less_than(&next));
                inner = next;
                prop_assert_eq!(outside(inner), a);
                prop_assert!(!inner.less_equal(&other) || a.less_equal(&b));
            }
        }
    }

    #[test]
    fn an_epoch_is_over_when_its_rounds_are() {
        let (epochs, rounds) = (Counting::Epochs, Counting::Rounds);
        assert_eq!((epochs.first_of(7), epochs.epoch_of(7), rounds.first_of(u64::MAX)), (7, 7, u64::MAX));
        let first = rounds.first_of(7);
        assert_eq!(first, Rounds::inside(Time::new(7, 0)).unwrap().epoch);
        let last = first + Rounds::default().most();
        assert_eq!(
            [first, last, rounds.first_of(8), u64::MAX].map(|n| rounds.epoch_of(n)),
            [7, 7, 8, u64::MAX]
        );
    }

    #[test]
    fn rounds_end() {
        let rounds = Rounds::at_most(2);
        let mut time = Rounds::inside(Time::new(7, 3)).unwrap();
        for _ in 0..2 {
            time = rounds.next(time).unwrap();
        }
        assert!(rounds.next(time).unwrap_err().to_string().contains("after 2 rounds"));
        assert!(Rounds::at_most(u32::MAX).most() < 1 << BITS);
        assert!(Rounds::inside(Time::new(1 << 44, 0)).is_err());
        assert!(Rounds::at_most(0).next(Rounds::inside(Time::new(0, 0)).unwrap()).is_err());
    }
}
