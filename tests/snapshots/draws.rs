//! What is drawn of a seed: numbers, and the input of a job. Read by other tests as well.

use std::ops::Range;

/// A key, a value, an event time. In a world no two have the same value.
pub(crate) type Event = (u8, i64, i64);

/// The seeds to take: so many, unless the environment says otherwise.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    let number = |name| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    match number("HIGHWATER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HIGHWATER_SEEDS").unwrap_or(count),
    }
}

/// Draws numbers.
pub(crate) struct Draws {
    state: u64,
    values: i64,
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Draws {
        Draws { state: seed.wrapping_mul(0x5851_f42d_4c95_7f2d), values: 0 }
    }

    pub(crate) fn below(&mut self, n: i64) -> i64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as i64
    }

    /// One to four splits of up to `most` events each, of so many keys, up to `back` older than the newest
    /// before them.
    pub(crate) fn splits(&mut self, most: i64, keys: i64, back: i64) -> Vec<Vec<Event>> {
        let mut splits = Vec::new();
        for _ in 0..1 + self.below(4) {
            let (mut split, mut newest) = (Vec::new(), 0);
            for _ in 0..self.below(most + 1) {
                newest += self.below(4);
                self.values += 1;
                split.push((self.below(keys) as u8, self.values, newest - self.below(back + 1)));
            }
            splits.push(split);
        }
        splits
    }
}
