//! The only source of wall-clock time.
//!
//! Everything that waits, ticks or measures reads a [`Clock`]. A program runs on [`Clock::system`]. A test
//! moves a [`Clock::manual`] by hand, and then the run depends on its input alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Measures the time since it was created. Cloning shares the clock.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// The start: on the monotonic clock, and as time since 1970.
    System(Instant, Duration),
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's monotonic clock, counting from now.
    #[allow(clippy::disallowed_methods)]
    pub fn system() -> Clock {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock(Kind::System(instant(), unix))
    }

    /// A clock that stands still until [`advance`](Clock::advance) moves it.
    pub fn manual() -> Clock {
        Clock(Kind::Manual(Arc::new(AtomicU64::new(0))))
    }

    /// The time since the clock was created. Costs 20 to 50 nanoseconds on the system clock.
    #[inline]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Kind::System(start, _) => start.elapsed(),
            Kind::Manual(nanos) => Duration::from_nanos(nanos.load(Ordering::SeqCst)),
        }
    }

    /// Processing time: milliseconds since 1970-01-01 UTC. It does not follow adjustments of the machine's
    /// clock, so it never goes back. A manual clock begins at zero.
    pub fn millis(&self) -> i64 {
        let since = match &self.0 {
            Kind::System(_, unix) => *unix,
            Kind::Manual(_) => Duration::ZERO,
        };
        (since + self.now()).as_millis() as i64
    }

    /// The value of [`now`](Clock::now) when [`millis`](Clock::millis) reaches `millis`.
    pub(crate) fn moment_of(&self, millis: i64) -> Duration {
        let since = match &self.0 {
            Kind::System(_, unix) => *unix,
            Kind::Manual(_) => Duration::ZERO,
        };
        Duration::from_millis(u64::try_from(millis).unwrap_or(0)).saturating_sub(since)
    }

    /// True if the clock is moved by hand.
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self.0, Kind::Manual(_))
    }

    /// Moves a manual clock forward, up to 584 years. Has no effect on the system clock.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(nanos) = &self.0 {
            let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            nanos.update(Ordering::SeqCst, Ordering::SeqCst, |now| now.saturating_add(by));
        }
    }
}

/// An instant of the machine's monotonic clock, for interfaces that require one.
#[allow(clippy::disallowed_methods)]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual();
        let same = clock.clone();
        assert_eq!(clock.now(), Duration::ZERO);
        same.advance(Duration::from_millis(3));
        assert_eq!(clock.now(), Duration::from_millis(3));
        same.advance(Duration::MAX);
        assert_eq!(clock.now(), Duration::from_nanos(u64::MAX));
    }
}
