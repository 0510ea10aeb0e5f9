//! Batches of later epochs, which wait until their epoch is open.
//!
//! Workers are a few epochs apart, so a few batches wait at a time: they lie in a list in order of arrival,
//! and each query scans it. A tree by epochs would be as fast and would generate a thousand lines of code
//! for each type of record.

use crate::time::Time;

/// Batches with their times.
pub(crate) struct Waiting<E>(Vec<(Time, Vec<E>)>);

impl<E> Default for Waiting<E> {
    fn default() -> Waiting<E> {
        Waiting(Vec::new())
    }
}

impl<E> Waiting<E> {
    /// Adds a batch.
    pub(crate) fn push(&mut self, time: Time, batch: Vec<E>) {
        self.0.push((time, batch));
    }

    /// The times of all batches.
    pub(crate) fn times(&self) -> impl Iterator<Item = Time> {
        self.0.iter().map(|(time, _)| *time)
    }

    /// The first epoch that has a batch.
    pub(crate) fn first_epoch(&self) -> Option<u64> {
        self.times().map(|time| time.epoch).min()
    }

    /// Takes the batches of an epoch, in order of arrival.
    pub(crate) fn take(&mut self, epoch: u64) -> Vec<(Time, Vec<E>)> {
        let mut taken = Vec::new();
        // Each batch is moved at most once: those that stay keep their order.
        for (time, batch) in std::mem::take(&mut self.0) {
            let to = if time.epoch == epoch { &mut taken } else { &mut self.0 };
            to.push((time, batch));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_an_epoch_come_in_order_of_arrival() {
        let mut waiting = Waiting::default();
        for (epoch, value) in [(3, 'a'), (2, 'b'), (3, 'c'), (2, 'd')] {
            waiting.push(Time::new(epoch, 0), vec![value]);
        }
        assert_eq!(waiting.first_epoch(), Some(2));
        let values = |taken: Vec<(Time, Vec<char>)>| taken.into_iter().flat_map(|(_, batch)| batch).collect();
        let second: String = values(waiting.take(2));
        let third: String = values(waiting.take(3));
        assert_eq!((second.as_str(), third.as_str()), ("bd", "ac"));
        assert_eq!(waiting.first_epoch(), None);
    }
}
