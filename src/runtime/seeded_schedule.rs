//! A seeded schedule: which worker steps next, how much a source reads then, how far the clock moves.
//!
//! Fair turns find few bugs: the hard ones need one worker far behind, or two that meet at one point. So each
//! worker has a weight from 1 to 64, and all weights are drawn anew after some tens of turns. For a while one
//! worker then does most of the work, or next to none.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA
//! 2014), and never changes: a seed gives the same turns on every machine, as long as the workers do the
//! same.

use std::time::Duration;

use crate::data::hash64;

/// The ranges that a schedule draws from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    pub(crate) seed: u64,
    /// The most that the clock moves between two turns.
    pub(crate) tick: Duration,
    /// The most records that a source reads in a turn.
    pub(crate) piece: usize,
}

/// The schedule of one run.
pub(crate) struct Schedule {
    drawn: Drawn,
    state: u64,
    weights: Vec<u64>,
    /// Turns until the weights are drawn anew.
    rest: u64,
    /// A hash of everything that was drawn and done.
    fingerprint: u64,
    /// The turns of each worker.
    turns: Vec<u64>,
}

/// A worker's weight is a power of two up to this one.
const HEAVIEST: u64 = 6;

/// The most turns between two draws of the weights.
const STRETCH: u64 = 64;

impl Schedule {
    pub(crate) fn new(drawn: Drawn, workers: usize) -> Schedule {
        let weights = vec![1; workers];
        Schedule { drawn, state: drawn.seed, weights, rest: 0, fingerprint: 0, turns: vec![0; workers] }
    }

    /// Draws one of the workers that are awake, of which there is at least one.
    pub(crate) fn pick(&mut self, awake: &[usize]) -> usize {
        if self.rest == 0 {
            self.rest = 1 + self.below(STRETCH);
            self.weights = (0..self.weights.len()).map(|_| 1 << self.below(HEAVIEST + 1)).collect();
        }
        self.rest -= 1;
        // A point on the line of all weights: the worker on whose stretch it lies is drawn.
        let mut left = self.below(awake.iter().map(|worker| self.weights[*worker]).sum());
        let chosen = awake.iter().copied().find(|worker| {
            let weight = self.weights[*worker];
            left.checked_sub(weight).inspect(|rest| left = *rest).is_none()
        });
        let worker = chosen.unwrap_or(0);
        self.turns[worker] += 1;
        self.note(worker as u64);
        worker
    }

    /// How many records a source may read in the next turn: often few.
    pub(crate) fn piece(&mut self) -> usize {
        // Drawn twice, so that small numbers are frequent and large ones still come.
        let most = 1 + self.below(self.drawn.piece as u64);
        1 + self.below(most) as usize
    }

    /// How far the clock moves before the next turn: in half of them not at all.
    pub(crate) fn tick(&mut self) -> Duration {
        match self.below(2) {
            0 => Duration::ZERO,
            _ => {
                let most = u64::try_from(self.drawn.tick.as_nanos()).unwrap_or(u64::MAX);
                Duration::from_nanos(self.below(most.saturating_add(1)))
            }
        }
    }

    /// Adds an event to the fingerprint.
    pub(crate) fn note(&mut self, what: u64) {
        self.fingerprint = hash64(&(self.fingerprint, what));
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn turns(&self) -> &[u64] {
        &self.turns
    }

    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The high half of the product: uniform without a division, but for a bias of n in 2^64.
        ((u128::from(z) * u128::from(n)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(seed: u64) -> Schedule {
        Schedule::new(Drawn { seed, tick: Duration::from_millis(1), piece: 8 }, 3)
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let turns = |seed| {
            let mut schedule = schedule(seed);
            let turns: Vec<_> =
                (0..200).map(|_| (schedule.pick(&[0, 1, 2]), schedule.piece(), schedule.tick())).collect();
            (turns, schedule.fingerprint())
        };
        assert_eq!(turns(7), turns(7));
        assert_ne!(turns(7), turns(8));
    }

    #[test]
    fn only_workers_that_are_awake_are_picked_and_all_of_them() {
        let mut schedule = schedule(1);
        let picked: Vec<_> = (0..2_000).map(|_| schedule.pick(&[0, 2])).collect();
        assert!(!picked.contains(&1));
        assert!([0, 2].iter().all(|worker| picked.iter().filter(|other| *other == worker).count() > 400));
        // For some time one of them waits.
        let longest = picked.chunk_by(|a, b| a == b).map(<[usize]>::len).max();
        assert!(longest > Some(16), "{longest:?}");
    }

    #[test]
    fn pieces_and_ticks_stay_in_their_limits() {
        let mut schedule = schedule(2);
        let pieces: Vec<_> = (0..1_000).map(|_| schedule.piece()).collect();
        assert_eq!((pieces.iter().min(), pieces.iter().max()), (Some(&1), Some(&8)));
        assert!((0..1_000).all(|_| schedule.tick() <= Duration::from_millis(1)));
    }
}
