//! Keys whose sessions have left memory: what of them must stay.
//!
//! Their sessions are rows of the arrangement, in files. What stays is the key and the time of its alarm, some forty bytes: so it is known of each key whether there is anything to
//! be read, and nothing is looked for in vain.

use std::mem::size_of;

use crate::data::{Key, hash64};
use crate::state::{Agenda, INDEXED, Slot, Table};
use crate::time::EventTime;

/// Keys that are not in memory, with their alarms.
pub(super) struct Absent<K> {
    keys: Table<K, EventTime>,
    alarms: Agenda<Slot>,
}

impl<K: Key> Default for Absent<K> {
    fn default() -> Absent<K> {
        Absent { keys: Table::default(), alarms: Agenda::default() }
    }
}

impl<K: Key> Absent<K> {
    /// True if all keys are in memory.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The bytes of memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.keys.len() * (size_of::<Option<(K, EventTime)>>() + INDEXED + size_of::<(u8, Slot)>())
    }

    /// Takes note of a key that leaves.
    pub(super) fn add(&mut self, hash: u64, key: K, alarm: EventTime) {
        let slot = self.keys.insert(hash, key, alarm);
        self.alarms.add(alarm, slot);
    }

    /// Takes a key out, if it is there.
    pub(super) fn take(&mut self, hash: u64, key: &K) -> bool {
        let slot = self.keys.find(hash, key);
        slot.and_then(|slot| self.keys.remove(slot)).is_some()
    }

    /// No alarm is earlier than this.
    pub(super) fn next(&self) -> Option<EventTime> {
        self.alarms.next()
    }

    /// Takes the keys out whose alarms are before a time.
    pub(super) fn due(&mut self, before: EventTime) -> Vec<(u64, K)> {
        let Absent { keys, alarms } = self;
        let due = alarms.due(before).into_iter().filter_map(|(time, slot)| {
            // The key may have come back, and the slot may be another's.
            keys.try_get(slot).filter(|(_, alarm)| *alarm == time)?;
            keys.remove(slot)
        });
        due.map(|(key, _)| (hash64(&key), key)).collect()
    }
}
