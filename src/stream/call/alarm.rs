//! Running an operator when the clock has come to a moment.

use std::time::Duration;

use timely::scheduling::Activator;

use crate::clock::Clock;

/// How often to look at a clock that is moved by hand, and announces nothing.
const MANUAL_POLL: Duration = Duration::from_millis(1);

/// An operator's one alarm. Timely's timers cannot be taken back, so it sets one only if none goes off sooner.
pub(super) struct Alarm {
    clock: Clock,
    activator: Activator,
    /// The earliest timer that is set.
    set: Option<Duration>,
}

impl Alarm {
    pub(super) fn new(clock: Clock, activator: Activator) -> Alarm {
        Alarm { clock, activator, set: None }
    }

    /// Runs the operator at `moment`, or earlier.
    pub(super) fn ring_at(&mut self, moment: Duration, now: Duration) {
        let wait = moment.saturating_sub(now);
        if self.clock.is_manual() {
            self.activator.activate_after(wait.min(MANUAL_POLL));
        } else if self.set.is_none_or(|set| set <= now || moment < set) {
            self.set = Some(moment);
            self.activator.activate_after(wait);
        }
    }
}
