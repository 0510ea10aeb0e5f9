//! Running an operator when the clock has come to a moment.
//!
//! The machine's clock goes on by itself, and timely's timers wait for it. A clock that is moved by hand announces nothing, so what waits for
//! one is on the worker's list of alarms, and whoever steps the worker [rings](Alarms::ring) those that are due before each step.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use timely::scheduling::Activator;

use crate::clock::Clock;

/// The operators of one worker that wait for a clock that is moved by hand, by the moments at which they are to run.
#[derive(Clone, Default)]
pub(crate) struct Alarms(Rc<RefCell<BTreeMap<Duration, Vec<Activator>>>>);

impl Alarms {
    /// The next moment at which something is to run.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.0.borrow().keys().next().copied()
    }

    /// Activates all that is to run by `now`.
    pub(crate) fn ring(&self, now: Duration) {
        let mut alarms = self.0.borrow_mut();
        while let Some(first) = alarms.first_entry().filter(|first| *first.key() <= now) {
            first.remove().iter().for_each(Activator::activate);
        }
    }

    fn set(&self, moment: Duration, activator: &Activator) {
        self.0.borrow_mut().entry(moment).or_default().push(activator.clone());
    }
}

/// An operator's one alarm. An alarm that was set cannot be taken back, so it sets one only if none goes off sooner.
pub(crate) struct Alarm {
    clock: Clock,
    alarms: Alarms,
    activator: Activator,
    /// The earliest alarm that is set.
    set: Option<Duration>,
}

impl Alarm {
    pub(super) fn new(clock: Clock, alarms: Alarms, activator: Activator) -> Alarm {
        Alarm { clock, alarms, activator, set: None }
    }

    /// Runs the operator at `moment`, or earlier.
    pub(crate) fn ring_at(&mut self, moment: Duration, now: Duration) {
        if self.set.is_some_and(|set| now < set && set <= moment) {
            return;
        }
        self.set = Some(moment);
        if self.clock.is_manual() {
            self.alarms.set(moment, &self.activator);
        } else {
            self.activator.activate_after(moment.saturating_sub(now));
        }
    }

    /// Runs the operator after this long, or earlier.
    pub(crate) fn ring_in(&mut self, wait: Duration) {
        let now = self.clock.now();
        self.ring_at(now.saturating_add(wait), now);
    }
}
