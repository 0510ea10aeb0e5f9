//! A page: sorted rows that never change, in memory or in a local file.
//!
//! Pages are what runs share, what is held on to when a state is held on to, and what is read when state is
//! larger than memory. A page in a file keeps its last key in memory, so finding the page of a key reads
//! nothing.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use crate::snapshot::PageRef;

/// Rows in a full page. Large enough that its costs vanish in the rows', small enough to be written, read or
/// skipped in well under a millisecond.
pub(crate) const PAGE_ROWS: usize = 1024;

/// Sorted rows with distinct keys, at least one.
pub(crate) struct Page<K, V> {
    len: usize,
    body: Body<K, V>,
    /// Where a snapshot has it.
    written: OnceLock<PageRef>,
}

enum Body<K, V> {
    Resident(Vec<(K, V)>),
    Stored { last: K, file: Box<dyn Stored<K, V>> },
}

/// Rows that lie in a file. What cannot be read is reported to the job, which then ends; meanwhile it reads
/// as nothing.
pub(crate) trait Stored<K, V>: Send + Sync {
    /// All rows.
    fn read(&self) -> Vec<(K, V)>;

    /// False if no row's key has this hash. May be true if none has.
    fn may_hold(&self, hash: u64) -> bool;

    /// Calls `visit` for the rows of a range of keys: those that are [`Equal`](Ordering::Equal) by what
    /// `place` says. Keys before them are less.
    fn range(&self, place: &dyn Fn(&K) -> Ordering, visit: &mut dyn FnMut(K, V));
}

impl<K: Clone, V: Clone> Page<K, V> {
    /// A page in memory.
    pub(crate) fn resident(rows: Vec<(K, V)>) -> Page<K, V> {
        debug_assert!(!rows.is_empty(), "a page has rows");
        Page { len: rows.len(), body: Body::Resident(rows), written: OnceLock::new() }
    }

    /// A page of `len` rows in a file.
    pub(crate) fn stored(len: usize, last: K, file: impl Stored<K, V> + 'static) -> Page<K, V> {
        Page { len, body: Body::Stored { last, file: Box::new(file) }, written: OnceLock::new() }
    }

    /// Where a snapshot has it, once it has been written to one.
    pub(crate) fn written(&self) -> &OnceLock<PageRef> {
        &self.written
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// True if the last key is `below`, and so all are.
    #[inline]
    pub(crate) fn is_below(&self, below: impl Fn(&K) -> bool) -> bool {
        match &self.body {
            Body::Resident(rows) => rows.last().is_some_and(|(key, _)| below(key)),
            Body::Stored { last, .. } => below(last),
        }
    }

    /// The rows, if they are in memory.
    #[inline]
    pub(crate) fn rows(&self) -> Option<&[(K, V)]> {
        match &self.body {
            Body::Resident(rows) => Some(rows),
            Body::Stored { .. } => None,
        }
    }

    /// A copy of the rows.
    pub(crate) fn read(&self) -> Vec<(K, V)> {
        match &self.body {
            Body::Resident(rows) => rows.clone(),
            Body::Stored { file, .. } => file.read(),
        }
    }

    /// False if no row's key has this hash, as far as that is known without reading.
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        match &self.body {
            Body::Resident(_) => true,
            Body::Stored { file, .. } => file.may_hold(hash),
        }
    }

    /// Calls `visit` for copies of the rows of a range of keys: those that are [`Equal`](Ordering::Equal) by
    /// what `place` says.
    fn range(&self, place: &dyn Fn(&K) -> Ordering, visit: &mut dyn FnMut(K, V)) {
        match &self.body {
            Body::Resident(rows) => {
                let start = rows.partition_point(|(key, _)| place(key).is_lt());
                let rows = rows[start..].iter().take_while(|(key, _)| place(key).is_eq());
                rows.for_each(|(key, value)| visit(key.clone(), value.clone()));
            }
            Body::Stored { file, .. } => file.range(place, visit),
        }
    }
}

/// Calls `visit` for copies of the rows of a range of keys in a run of pages: of those keys that are
/// [`Equal`](Ordering::Equal) by what `place` says and are part of the key of this hash. Reads only pages
/// that may hold one.
pub(crate) fn range<K: Clone, V: Clone>(
    pages: &[Arc<Page<K, V>>],
    hash: u64,
    place: &dyn Fn(&K) -> Ordering,
    visit: &mut dyn FnMut(K, V),
) {
    let start = pages.partition_point(|page| page.is_below(|key| place(key).is_lt()));
    for page in &pages[start..] {
        if page.may_hold(hash) {
            page.range(place, visit);
        }
        if !page.is_below(|key| place(key).is_le()) {
            break;
        }
    }
}
