//! Time and memory of a cell.

use std::time::{Duration, Instant};

/// No cell takes much longer.
const LIMIT: Duration = Duration::from_secs(2);

pub(crate) struct Measured {
    /// Million records per second.
    pub(crate) rate: f64,
    /// The longest epoch in milliseconds.
    pub(crate) worst: f64,
    pub(crate) megabytes: f64,
}

/// Measures from when it is made.
pub(crate) struct Meter {
    start: Instant,
    last: Instant,
    worst: Duration,
    records: usize,
    at_first: usize,
    at_last: usize,
}

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// Bytes of memory that are this process's.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

impl Meter {
    pub(crate) fn new() -> Meter {
        let at_first = resident();
        let now = now();
        Meter { start: now, last: now, worst: Duration::ZERO, records: 0, at_first, at_last: at_first }
    }

    /// An epoch, or several at once, with so many records is complete.
    pub(crate) fn complete(&mut self, records: usize) {
        let now = now();
        self.worst = self.worst.max(now - self.last);
        self.last = now;
        self.records += records;
    }

    /// True if it is time to end.
    pub(crate) fn is_over(&self) -> bool {
        now() - self.start > LIMIT
    }

    /// Takes note of the memory in use. To be called while the state is there.
    pub(crate) fn weigh(&mut self) {
        self.at_last = resident();
    }

    pub(crate) fn finish(&self) -> Measured {
        Measured {
            rate: self.records as f64 / (self.last - self.start).as_secs_f64() / 1e6,
            worst: self.worst.as_secs_f64() * 1e3,
            megabytes: self.at_last.saturating_sub(self.at_first) as f64 / 1e6,
        }
    }
}
