//! Keys that have left memory wholly: what of them must stay.
//!
//! What is kept of such a key is a row of an arrangement, in files. What stays is the key and the time of its
//! alarm, at which it must be back whether or not anything comes for it: some forty bytes, and as many again
//! while a table grows. So it is known of each key whether there is anything to be read, and nothing is
//! looked for in vain.
//!
//! The alarm of a key that has come back stays in the list of alarms; it is passed over when its time has
//! come, and the list is made anew when most of it is such, or all.

use std::mem::size_of;

use crate::data::{Key, hash64};
use crate::state::keyed::store::INDEXED;
use crate::state::table::key_table::{KeyTable, Slot};
use crate::state::timer::queue::TimerQueue;
use crate::time::EventTime;

/// Keys that are not in memory, with their alarms.
pub(crate) struct EvictedKeys<K> {
    /// A key without an alarm has the last moment there is, when nothing more can come.
    keys: KeyTable<K, EventTime>,
    alarms: TimerQueue<Slot, ()>,
    /// The number of alarms, those of keys that have come back included.
    listed: usize,
}

impl<K: Key> Default for EvictedKeys<K> {
    fn default() -> EvictedKeys<K> {
        EvictedKeys { keys: KeyTable::default(), alarms: TimerQueue::default(), listed: 0 }
    }
}

impl<K: Key> EvictedKeys<K> {
    /// True if all keys are in memory.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The number of keys.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The bytes of memory that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.len() * (size_of::<Option<(K, EventTime)>>() + INDEXED)
            + self.listed * size_of::<(u8, Slot)>()
    }

    /// Takes note of a key that leaves, and of its alarm, if it has one.
    pub(crate) fn add(&mut self, hash: u64, key: K, alarm: Option<EventTime>) {
        let slot = self.keys.insert(hash, key, alarm.unwrap_or(EventTime::MAX));
        let Some(alarm) = alarm else { return };
        self.alarms.add(alarm, slot);
        self.listed += 1;
        if self.listed > MANY + 2 * self.keys.len() {
            self.list();
        }
    }

    /// Makes the list of alarms anew.
    fn list(&mut self) {
        self.alarms = TimerQueue::default();
        for slot in self.keys.occupied() {
            self.alarms.add(self.keys.get(slot).1, slot);
        }
        self.listed = self.keys.len();
    }

    /// Takes a key out, if it is there.
    pub(crate) fn take(&mut self, hash: u64, key: &K) -> bool {
        let slot = self.keys.find(hash, key);
        let is_there = slot.and_then(|slot| self.keys.remove(slot)).is_some();
        if is_there && self.keys.is_empty() {
            self.list();
        }
        is_there
    }

    /// No alarm is earlier than this.
    #[inline]
    pub(crate) fn next(&self) -> Option<EventTime> {
        self.alarms.next()
    }

    /// Takes the keys out whose alarms are at a time or before.
    pub(crate) fn due(&mut self, until: EventTime) -> Vec<(u64, K)> {
        let EvictedKeys { keys, alarms, listed } = self;
        let due = match until.checked_add(1) {
            Some(before) => alarms.due(before),
            None => alarms.take(),
        };
        *listed -= due.len();
        let due: Vec<_> = due
            .into_iter()
            .filter_map(|(time, slot)| {
                // The key may have come back, and the slot may be another's.
                keys.try_get(slot).filter(|(_, alarm)| *alarm == time)?;
                keys.remove(slot)
            })
            .map(|(key, _)| (hash64(&key), key))
            .collect();
        if !due.is_empty() && self.keys.is_empty() {
            self.list();
        }
        due
    }
}

/// So many alarms may be in vain.
const MANY: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn keys_that_are_away_agree_with_a_map(
            steps in proptest::collection::vec((0..40u32, 0..9u8, 0..500i64), 0..6000),
        ) {
            let (mut evicted, mut oracle) = (EvictedKeys::<u32>::default(), BTreeMap::<u32, i64>::new());
            for (key, step, time) in steps {
                match step {
                    0 => {
                        let mut due: Vec<u32> = evicted.due(time).into_iter().map(|(_, key)| key).collect();
                        due.sort();
                        let expected: Vec<u32> = oracle.extract_if(.., |_, alarm| *alarm <= time).map(|(key, _)| key).collect();
                        prop_assert_eq!(due, expected);
                    }
                    1..5 => prop_assert_eq!(evicted.take(hash64(&key), &key), oracle.remove(&key).is_some()),
                    _ if oracle.contains_key(&key) => {}
                    _ => {
                        oracle.insert(key, time);
                        evicted.add(hash64(&key), key, Some(time));
                    }
                }
                prop_assert_eq!(evicted.len(), oracle.len());
                prop_assert!(!oracle.is_empty() || evicted.next().is_none());
                let first = oracle.values().min();
                prop_assert!(first.is_none_or(|first| evicted.next().is_some_and(|next| next <= *first)));
                prop_assert!(evicted.listed <= MANY + 2 * oracle.len() + 80);
            }
        }
    }

    #[test]
    fn a_key_without_an_alarm_stays_until_it_is_taken() {
        let mut evicted = EvictedKeys::default();
        evicted.add(hash64(&1), 1, None);
        evicted.add(hash64(&2), 2, Some(EventTime::MAX));
        assert!(evicted.due(EventTime::MAX - 1).is_empty());
        assert!(evicted.due(EventTime::MAX).contains(&(hash64(&2), 2)));
        assert!(!evicted.take(hash64(&2), &2));
        assert!(evicted.take(hash64(&1), &1) && evicted.is_empty());
    }
}
