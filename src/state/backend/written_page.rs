//! Pages whose rows a snapshot has, and memory has not.
//!
//! What is only saved is read again for nothing but merges. So once it is written, a
//! [delta log](crate::state::backend::delta_log::DeltaLog) lets go of the rows of a page, and a merge reads
//! them back from where they were written: with local files they are in the cache of the operating system, or
//! were not wanted for long. What a job goes on from is let go as it is read. So a state that is saved lies
//! in memory once, and not twice.
//!
//! What a page is read from stays: it is named by the last snapshot that is committed, or is newer than that,
//! until the merge that reads it is done; and a merge is done by whoever commits the next one.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool};

use crate::data::{Exchange, Key};
use crate::error::Result;
use crate::snapshot::{PageRef, PageSource};
use crate::state::run::hashed::{Hashed, Owner};
use crate::state::run::item_rows::Row;
use crate::state::run::item_rows::{ItemOrTombstone, ItemRows};
use crate::state::run::page::{Page, Stored};
use crate::state::run::saves::{Encoded, Saves};

/// What is known of a page whose rows are not in memory.
struct Released<K, S, V> {
    origin: Arc<PageSource>,
    place: PageRef,
    owner: Owner<K>,
    lost: UnreadablePage,
    row: PhantomData<fn() -> (S, V)>,
}

/// Set when something could not be read, by all pages that share it.
#[derive(Clone, Default)]
pub(in crate::state) struct UnreadablePage(Arc<AtomicBool>);

impl UnreadablePage {
    fn set(&self) {
        self.0.store(true, atomic::Ordering::Relaxed);
    }

    /// True if something could not be read since it was [taken](UnreadablePage::take).
    pub(in crate::state) fn is_set(&self) -> bool {
        self.0.load(atomic::Ordering::Relaxed)
    }

    /// True if something could not be read since this was asked last.
    pub(in crate::state) fn take(&self) -> bool {
        self.0.swap(false, atomic::Ordering::Relaxed)
    }
}

/// A page of so many rows, of which the last one has this key, that can be read from a place. What cannot be
/// read is noted as `lost`, and reads as nothing.
pub(in crate::state) fn evicted_page<K: Key, S: Key, V: Exchange>(
    (len, last): (usize, (Hashed<K>, S)),
    (origin, place): (&Arc<PageSource>, PageRef),
    owner: Owner<K>,
    lost: &UnreadablePage,
) -> Page<(Hashed<K>, S), ItemOrTombstone<V>> {
    let (origin, lost) = (Arc::clone(origin), lost.clone());
    let stored = Released { origin, place: place.clone(), owner, lost, row: PhantomData };
    let page = Page::stored(len, last, stored);
    let _ = page.written().set(place);
    page
}

impl<K: Key, S: Key, V: Exchange> Released<K, S, V> {
    fn try_read(&self) -> Result<Vec<Row<K, S, V>>> {
        let (bytes, codec) = self.origin.page(&self.place)?;
        let encoded = Encoded { bytes: &bytes, rows: self.place.rows as usize, codec };
        ItemRows::<K, S, V>::new(self.owner).decode(encoded)
    }
}

impl<K: Key, S: Key, V: Exchange> Stored<(Hashed<K>, S), ItemOrTombstone<V>> for Released<K, S, V> {
    fn read(&self) -> Vec<Row<K, S, V>> {
        self.try_read().unwrap_or_else(|_| {
            self.lost.set();
            Vec::new()
        })
    }

    fn may_hold(&self, hash: u64) -> bool {
        (self.place.hashes.0..=self.place.hashes.1).contains(&hash)
    }

    fn range(
        &self,
        place: &dyn Fn(&(Hashed<K>, S)) -> Ordering,
        visit: &mut dyn FnMut((Hashed<K>, S), ItemOrTombstone<V>),
    ) {
        let rows = self.read().into_iter().filter(|(key, _)| place(key).is_eq());
        rows.for_each(|(key, kept)| visit(key, kept));
    }
}
