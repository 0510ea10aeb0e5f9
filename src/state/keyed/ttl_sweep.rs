//! How expired items are found: a hand goes over the cells, round after round, as fast as time passes.
//!
//! An expired item is never seen, so that it leaves memory soon is enough. The hand goes round twice in the
//! time that an item lives, so what has expired takes up to half as much memory as what lives, and a quarter
//! on average where items come evenly. Finding it costs two looks at each cell in that time, in the order in
//! which they lie in memory, however often items are written and given more time. A timer queue of expiries
//! costs an entry for each write and a look at a cell somewhere for each entry.
//!
//! If time leaps, the hand has a whole round to go at once; what it finds then is that most has expired.

/// The hand, and the clock that moves it.
pub(in crate::state) struct TtlSweep {
    /// How long an item lives at most, in milliseconds.
    lives: i64,
    /// The time that the hand has been moved for.
    reached: i64,
    hand: usize,
}

impl TtlSweep {
    pub(in crate::state) fn new(lives: i64) -> TtlSweep {
        TtlSweep { lives: lives.max(1), reached: i64::MIN, hand: 0 }
    }

    /// How long an item lives at most, in milliseconds.
    pub(in crate::state) fn lives(&self) -> i64 {
        self.lives
    }

    /// The places of the cells, of so many, that are to be looked at now that the clock shows this.
    pub(in crate::state) fn due(&mut self, now: i64, cells: usize) -> impl Iterator<Item = usize> + use<> {
        let passed = (i128::from(now) - i128::from(self.reached)).max(0);
        self.reached = self.reached.max(now);
        // One more than is due, so that none is missed by rounding.
        let due =
            (2 * passed).checked_mul(cells as i128).map_or(i128::MAX, |cells| cells / i128::from(self.lives));
        let count =
            if passed > 0 { usize::try_from(due).unwrap_or(cells).saturating_add(1).min(cells) } else { 0 };
        let first = if self.hand < cells { self.hand } else { 0 };
        self.hand = if cells > 0 { (first + count) % cells } else { 0 };
        (first..cells).chain(0..first).take(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hand_is_round_twice_in_a_life() {
        let mut sweep = TtlSweep::new(100);
        assert_eq!(sweep.due(0, 1000).count(), 1000, "time begins with a leap");
        let mut seen = vec![0; 1000];
        (1..=100).for_each(|now| sweep.due(now, 1000).for_each(|cell| seen[cell] += 1));
        assert!(seen.iter().all(|times| (2..=3).contains(times)), "{seen:?}");
        assert_eq!(sweep.due(50, 1000).count(), 0, "a clock that goes back moves nothing");
        assert_eq!(sweep.due(i64::MAX, 1000).count(), 1000);
    }

    proptest! {
        #[test]
        fn no_cell_is_passed_over_in_the_time_that_an_item_lives(
            lives in 1..50i64,
            cells in 1..200usize,
            steps in proptest::collection::vec(1..60i64, 1..100),
        ) {
            let mut sweep = TtlSweep::new(lives);
            let (mut now, mut seen) = (0, vec![0; cells]);
            sweep.due(now, cells).for_each(drop);
            for step in steps {
                now += step;
                sweep.due(now, cells).for_each(|cell| seen[cell] = now);
                prop_assert!(seen.iter().all(|seen| now - seen < lives + step));
            }
        }
    }
}
