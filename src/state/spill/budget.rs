//! What a limit of memory asks of an operator: when an epoch closes, keys leave until there is room.
//!
//! A hand goes round the slots. A key that was touched since the hand last came by is passed over once; the
//! others leave. What is written at once is little more than the epoch has brought, so no epoch pays for the
//! size of the state. If keys cannot leave, as those with timers in memory cannot wholly, it is not tried
//! again before much has come.
//!
//! What is written once and read once, in order, has no use for a hand ([`SpillBudget`]): of what is to be
//! done at a time the farthest leaves, and the panes of a window all together.

use std::rc::Rc;

use crate::metric::{Metric, Metrics};
use crate::state::spill::files::SharedBudget;
use crate::state::table::key_table::Slot;

/// State of which keys can leave memory.
pub(crate) trait Evictable {
    /// The bytes of memory that it takes, about.
    fn bytes(&self) -> usize;

    /// The number of slots, vacant ones included.
    fn slots(&self) -> usize;

    /// What holds it to its memory, if that is limited.
    fn limit(&mut self) -> &mut Option<MemoryBudget>;

    /// Lets the key of a slot leave memory, unless it was touched since the last call. False if it was, or is
    /// not there.
    fn evict_key(&mut self, slot: Slot) -> bool;

    /// The number of rows that tell of keys that are no more, and that are not written before something
    /// leaves.
    fn tombstones(&self) -> usize {
        0
    }

    /// Writes what has left, and what is no more.
    fn write(&mut self, epoch: u64);

    /// Lets keys leave memory, if they take more than they may, now that an epoch has closed and, if anyone
    /// wanted that, was sealed.
    fn evict_keys(&mut self, epoch: u64)
    where
        Self: Sized,
    {
        if let Some(mut limit) = self.limit().take() {
            limit.evict(self, epoch);
            *self.limit() = Some(limit);
        }
    }
}

/// So many rows that tell of keys that are no more are written, though nothing leaves: memory has them until
/// then, and files what they undo.
const MAX_TOMBSTONES: usize = 4096;

/// The rows of what is no more, and after them those of what has left. The later of two for a key counts.
pub(crate) fn rows_to_write<K, V>(
    tombstones: impl IntoIterator<Item = K>,
    left: &mut Vec<(K, Option<V>)>,
) -> Vec<(K, Option<V>)> {
    let mut rows: Vec<_> = tombstones.into_iter().map(|key| (key, None)).collect();
    rows.append(left);
    rows
}

/// What a limit of memory asks of one operator.
pub(crate) struct MemoryBudget {
    memory: Rc<SharedBudget>,
    /// The bytes that the memory was told of.
    bytes: usize,
    /// Below this it is no use trying: what is left cannot leave.
    least: usize,
    /// True if keys have left memory.
    pub(crate) has_evicted: bool,
    hand: Slot,
    /// Keys that have left since an epoch closed, and that have entered.
    moved: (i64, i64),
    left: Metric,
    entered: Metric,
}

/// So many keys are let go between two looks at the whole.
const BATCH: usize = 256;

impl MemoryBudget {
    /// The limit of an operator, which counts the keys that leave and enter as `keys_evicted` and
    /// `keys_reloaded`.
    pub(crate) fn new(memory: &Rc<SharedBudget>, operator: &str, metrics: &Metrics) -> MemoryBudget {
        MemoryBudget {
            memory: Rc::clone(memory),
            bytes: 0,
            least: 0,
            has_evicted: false,
            hand: Slot::default(),
            moved: (0, 0),
            left: metrics.metric(operator, "keys_evicted"),
            entered: metrics.metric(operator, "keys_reloaded"),
        }
    }

    /// True if state that takes so many bytes may be in memory.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.memory.has_room(self.bytes, bytes)
    }

    /// Takes note that a key has come back.
    pub(crate) fn entered(&mut self) {
        self.moved.1 += 1;
    }

    /// Lets keys leave: see [`evict_keys`](Evictable::evict_keys).
    fn evict(&mut self, state: &mut impl Evictable, epoch: u64) {
        let now = state.bytes();
        self.account(now);
        if let Some(allowance) = self.memory.allowance(now).filter(|_| now > self.least) {
            self.evict_to(allowance, state, epoch);
        }
        if self.has_evicted && state.tombstones() > MAX_TOMBSTONES {
            state.write(epoch);
        }
        let (left, entered) = std::mem::take(&mut self.moved);
        if left + entered > 0 {
            self.left.add(left);
            self.entered.add(entered);
        }
    }

    /// Takes note that so many bytes are taken.
    pub(crate) fn account(&mut self, now: usize) {
        self.memory.account(self.bytes, now);
        self.bytes = now;
    }

    #[cold]
    fn evict_to(&mut self, allowance: usize, state: &mut impl Evictable, epoch: u64) {
        // The slots may all have been touched, so the hand may have to go round twice.
        let mut steps = 2 * state.slots();
        while steps > 0 && state.bytes() > allowance {
            let mut batch = BATCH.min(state.slots() / 16 + 1);
            while steps > 0 && batch > 0 {
                steps -= 1;
                let next = self.hand.index() + 1;
                self.hand = Slot::at(if next < state.slots() { next } else { 0 });
                if state.evict_key(self.hand) {
                    batch -= 1;
                    self.moved.0 += 1;
                }
            }
        }
        self.has_evicted = true;
        state.write(epoch);
        let now = state.bytes();
        self.account(now);
        self.least = if now > allowance { now + now / 16 } else { 0 };
    }
}

/// What a limit of memory asks of state that leaves memory in its own order.
pub(crate) struct SpillBudget {
    memory: Rc<SharedBudget>,
    /// The bytes that the memory was told of.
    bytes: usize,
    /// Less than this does not leave.
    pub(in crate::state) least: usize,
    left: Metric,
}

/// Less than this is not worth a file.
const LEAST: usize = 64 << 10;

impl SpillBudget {
    /// The quota of an operator, which counts the rows that leave as the metric `left`.
    pub(crate) fn new(
        memory: &Rc<SharedBudget>,
        operator: &str,
        left: &'static str,
        metrics: &Metrics,
    ) -> SpillBudget {
        let left = metrics.metric(operator, left);
        SpillBudget { memory: Rc::clone(memory), bytes: 0, least: LEAST, left }
    }

    pub(crate) fn memory(&self) -> &Rc<SharedBudget> {
        &self.memory
    }

    /// The bytes that may be read at once of what has left.
    pub(crate) fn portion(&self) -> usize {
        self.memory.spare().max(LEAST)
    }

    /// The bytes that were last told of.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes note that so many bytes are taken; true if they are to leave.
    pub(crate) fn is_exceeded(&mut self, now: usize) -> bool {
        self.allowance(now).is_some()
    }

    /// Takes note that so many bytes are taken, and says what they must come down to. `None` if there is
    /// room.
    pub(crate) fn allowance(&mut self, now: usize) -> Option<usize> {
        self.account(now);
        if now < self.least { None } else { self.memory.allowance(now) }
    }

    /// Takes note that so many rows have left, and how many bytes are taken now.
    pub(crate) fn left(&mut self, rows: usize, now: usize) {
        self.left.add(rows as i64);
        self.account(now);
    }

    /// True if so many bytes may be taken in place of those that are.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.memory.has_room(self.bytes, bytes)
    }

    fn account(&mut self, now: usize) {
        self.memory.account(self.bytes, now);
        self.bytes = now;
    }
}
