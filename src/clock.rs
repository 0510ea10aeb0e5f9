//! The only place where wall-clock time enters.
//!
//! Everything that waits, ticks or measures asks a [`Clock`]. A program runs on [`Clock::system`]; a test
//! holds a [`Clock::manual`] and moves it by hand, and then the run depends on nothing but its input.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads the time that has passed since the clock was made. Cloning shares the clock.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Where it began: on the monotonic clock, and as time since 1970.
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

    /// The time since the clock was made. Costs 20 to 50 nanoseconds on the system clock.
    #[inline]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Kind::System(start, _) => start.elapsed(),
            Kind::Manual(nanos) => Duration::from_nanos(nanos.load(Ordering::SeqCst)),
        }
    }

    /// Milliseconds since 1970-01-01 UTC: what processing time is. It does not follow corrections of the
    /// machine's clock, and so never goes back. A manual clock begins at zero.
    pub fn millis(&self) -> i64 {
        let since = match &self.0 {
            Kind::System(_, unix) => *unix,
            Kind::Manual(_) => Duration::ZERO,
        };
        (since + self.now()).as_millis() as i64
    }

    /// What [`now`](Clock::now) is when [`millis`](Clock::millis) comes to this.
    pub(crate) fn moment_of(&self, millis: i64) -> Duration {
        let since = match &self.0 {
            Kind::System(_, unix) => *unix,
            Kind::Manual(_) => Duration::ZERO,
        };
        Duration::from_millis(u64::try_from(millis).unwrap_or(0)).saturating_sub(since)
    }

    /// True if the clock moves by hand.
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self.0, Kind::Manual(_))
    }

    /// Moves a manual clock forward, to 584 years and no further. Does nothing to the system clock.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(nanos) = &self.0 {
            let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            nanos.update(Ordering::SeqCst, Ordering::SeqCst, |now| now.saturating_add(by));
        }
    }
}

/// An instant of the machine's monotonic clock, for interfaces that want one.
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
