//! The order in which answers leave.
//!
//! Calls get ascending numbers when they begin, and they begin in the order of their records within an epoch.
//! So the calls of an epoch are a queue sorted by number, and a call is found in it by binary search. Answers
//! at its head leave; an answer behind a call that is not answered waits. No order holds between epochs:
//! workers need not agree on the epoch they are in, so there is no order of arrival between epochs that would
//! mean anything.

use std::collections::{BTreeMap, VecDeque};

use super::options::Order;
use crate::data::Record;
use crate::time::Time;

/// What decides when an answer leaves.
pub(super) enum Release<U> {
    /// At once.
    Any,
    /// When those before it in its epoch have left.
    Arrival(BTreeMap<u64, VecDeque<(u64, Pending<U>)>>),
}

/// What is known of a call.
pub(super) enum Pending<U> {
    Called,
    Answered(Time, Record<U>),
    /// There will be no answer.
    Gone,
}

impl<U> Release<U> {
    pub(super) fn new(order: Order) -> Release<U> {
        match order {
            Order::Any => Release::Any,
            Order::Arrival => Release::Arrival(BTreeMap::new()),
        }
    }

    /// Adds a call that begins, the latest so far.
    pub(super) fn begin(&mut self, epoch: u64, id: u64) {
        if let Release::Arrival(queues) = self {
            queues.entry(epoch).or_default().push_back((id, Pending::Called));
        }
    }

    /// Records the outcome of a call, and passes the answers that may leave now to `leave`.
    pub(super) fn end(
        &mut self,
        epoch: u64,
        id: u64,
        place: Pending<U>,
        mut leave: impl FnMut(Time, Record<U>),
    ) {
        let queues = match (self, place) {
            (Release::Any, Pending::Answered(time, answer)) => return leave(time, answer),
            (Release::Any, _) => return,
            (Release::Arrival(queues), place) => {
                let Some(queue) = queues.get_mut(&epoch) else { return };
                if let Ok(at) = queue.binary_search_by_key(&id, |(id, _)| *id) {
                    queue[at].1 = place;
                }
                queues
            }
        };
        let Some(queue) = queues.get_mut(&epoch) else { return };
        while let Some((_, place)) = queue.pop_front_if(|(_, place)| !matches!(place, Pending::Called)) {
            if let Pending::Answered(time, answer) = place {
                leave(time, answer);
            }
        }
        // No call of the epoch is in flight. If one begins later, the queue is created again.
        if queue.is_empty() {
            queues.remove(&epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stamp;

    fn answered(value: u64) -> Pending<u64> {
        Pending::Answered(Time::new(0, 0), Record::new(value, Stamp::UNTIMED))
    }

    #[test]
    fn answers_leave_in_order_within_an_epoch_and_pass_those_that_are_gone() {
        let mut release = Release::new(Order::Arrival);
        for (epoch, id) in [(1, 0), (1, 1), (2, 2), (1, 3), (1, 4)] {
            release.begin(epoch, id);
        }
        let mut left = Vec::new();
        let mut end = |epoch, id, place| release.end(epoch, id, place, |_, answer| left.push(answer.value));
        end(1, 3, answered(3));
        end(1, 1, Pending::Gone);
        end(2, 2, answered(2));
        end(1, 0, answered(0));
        end(1, 4, answered(4));
        assert_eq!(left, [2, 0, 3, 4]);
        assert!(matches!(release, Release::Arrival(queues) if queues.is_empty()));
    }
}
