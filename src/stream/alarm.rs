//! Alarms: the activation of an operator at a moment of the clock.
//!
//! The machine's clock advances by itself, and timely's timers wait for it. A clock that is moved by hand
//! notifies nobody, so its waiters are in the worker's list of alarms, and the driver of the worker
//! [rings](Alarms::ring) those that are due before each step.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use timely::scheduling::Activator;

use crate::clock::Clock;

/// The operators of one worker that wait for a clock that is moved by hand, by the moments at which they are
/// to run.
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

/// The alarm of an operator. An alarm that was set cannot be cancelled, so another is set only if none rings
/// sooner.
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
        // The operator runs then, finds out what is due, and sets the alarm again.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::instant;
    use timely::scheduling::activate::Activations;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn alarms_ring_when_they_are_due_and_once() {
        let activations = Rc::new(RefCell::new(Activations::new(Some(instant()))));
        let (clock, alarms) = (Clock::manual(), Alarms::default());
        let alarm = |operator: usize| {
            let activator = Activator::new(Rc::from([operator]), Rc::clone(&activations));
            Alarm::new(clock.clone(), alarms.clone(), activator)
        };
        let rung = |now| {
            alarms.ring(millis(now));
            let mut activations = activations.borrow_mut();
            activations.advance();
            let mut rung = Vec::new();
            activations.for_extensions(&[], |operator| rung.push(operator));
            rung
        };
        let (mut first, mut second) = (alarm(1), alarm(2));
        first.ring_at(millis(10), millis(0));
        first.ring_at(millis(12), millis(1)); // it runs at 10, and can ask again
        second.ring_at(millis(20), millis(2));
        second.ring_at(millis(10), millis(3)); // sooner
        assert_eq!(alarms.next(), Some(millis(10)));
        assert_eq!((rung(9), rung(10), rung(11)), (vec![], vec![1, 2], vec![]));
        first.ring_at(millis(12), millis(11));
        clock.advance(millis(11));
        second.ring_in(millis(2));
        assert_eq!((rung(12), rung(19), rung(20)), (vec![1], vec![2], vec![2]));
        assert_eq!(alarms.next(), None);
    }
}
