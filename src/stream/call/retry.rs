//! When a failed call is made again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often and when a call that failed is made again: Flink's `AsyncRetryStrategy`.
///
/// A call that waits for its next attempt is in flight like others, and its timeout runs; it occupies no
/// thread. Attempts are counted anew when a job goes on from a snapshot.
///
/// ```
/// use highwater::stream::Retry;
/// use std::io::{Error, ErrorKind};
/// use std::time::Duration;
///
/// // After 10, 20, 40, 80, 100 ms, and only if the call was refused.
/// let retry = Retry::times(5)
///     .after(Duration::from_millis(10))
///     .doubling_to(Duration::from_millis(100))
///     .when(|error: &Error| error.kind() == ErrorKind::ConnectionRefused);
/// ```
pub struct Retry<E> {
    times: u32,
    delay: Duration,
    most: Option<Duration>,
    when: Arc<dyn Fn(&E) -> bool + Send + Sync>,
}

impl<E> Retry<E> {
    /// At most so many attempts after the first, each at once, whatever the error.
    pub fn times(times: u32) -> Retry<E> {
        Retry { times, delay: Duration::ZERO, most: None, when: Arc::new(|_| true) }
    }

    /// So long after the failure.
    pub fn after(mut self, delay: Duration) -> Retry<E> {
        self.delay = delay;
        self
    }

    /// The delay doubles with each attempt, up to `most`.
    pub fn doubling_to(mut self, most: Duration) -> Retry<E> {
        self.most = Some(most);
        self
    }

    /// Only errors of which `f` says true are worth another attempt.
    pub fn when(mut self, f: impl Fn(&E) -> bool + Send + Sync + 'static) -> Retry<E> {
        self.when = Arc::new(f);
        self
    }

    /// How long after the failure of attempt number `attempts` to make the next one; `None` if that was the
    /// last.
    pub(super) fn delay(&self, attempts: u32, error: &E) -> Option<Duration> {
        if attempts > self.times || !(self.when)(error) {
            return None;
        }
        let Some(most) = self.most else { return Some(self.delay) };
        let doubled = 1u32.checked_shl(attempts - 1).map_or(Duration::MAX, |n| self.delay.saturating_mul(n));
        Some(doubled.min(most))
    }
}

impl<E> Clone for Retry<E> {
    fn clone(&self) -> Retry<E> {
        Retry { times: self.times, delay: self.delay, most: self.most, when: Arc::clone(&self.when) }
    }
}

impl<E> fmt::Debug for Retry<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Retry { times, delay, most, .. } = self;
        f.debug_struct("Retry").field("times", times).field("delay", delay).field("most", most).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn the_delay_doubles_up_to_its_bound_and_attempts_end() {
        let retry = Retry::times(4).after(10 * MILLI).doubling_to(35 * MILLI);
        let delays: Vec<_> = (1..=5).map(|attempts| retry.delay(attempts, &())).collect();
        let [ten, twenty, most] = [10, 20, 35].map(|n| Some(n * MILLI));
        assert_eq!(delays, [ten, twenty, most, most, None]);
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let retry = Retry::times(u32::MAX).after(MILLI).doubling_to(Duration::MAX);
        assert_eq!(retry.delay(33, &()), Some(Duration::MAX));
        assert_eq!(retry.delay(u32::MAX, &()), Some(Duration::MAX));
    }

    #[test]
    fn some_errors_are_final() {
        let retry = Retry::times(1).when(|error: &&str| *error == "busy");
        assert_eq!((retry.delay(1, &"busy"), retry.delay(1, &"gone")), (Some(Duration::ZERO), None));
        assert_eq!(Retry::times(0).delay(1, &"busy"), None);
    }
}
