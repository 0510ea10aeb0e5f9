//! The input: numbers that look random, with keys and times.

/// A thousand records for each millisecond of event time.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) records: u64,
    pub(crate) keys: u64,
    pub(crate) workers: u64,
}

impl Numbers {
    pub(crate) fn key(self, n: u64) -> u64 {
        mix(n) % self.keys
    }

    /// The numbers of one worker.
    pub(crate) fn of(self, worker: u64) -> impl Iterator<Item = u64> {
        (worker..self.records).step_by(self.workers as usize)
    }
}

/// When a number happened, in milliseconds.
pub(crate) fn time(n: u64) -> u64 {
    n / 1000
}

pub(crate) fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    (n ^ (n >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d) ^ (n >> 33)
}
