//! Rows whose pages lie in files, if memory is limited.

use std::cell::Cell;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::snapshot::{Codec, Schema};
use crate::state::run::page::{PAGE_ROWS, Page};
use crate::state::run::rows::Rows;
use crate::state::run::saves::{Encoded, Saves};
use crate::state::spill::files::{Files, SharedBudget};
use crate::state::spill::page_file as stored;

/// Rows of another kind, with pages in files.
#[derive(Clone)]
pub(crate) struct Spilling<R: Rows> {
    rows: R,
    /// The hash that a row's page is asked for by: that of the part of the key that is looked for.
    hash: fn(&R::Key) -> u64,
    files: Option<Rc<Files>>,
    /// How long rows have been of late, in bytes; 0 if nothing is known of them.
    row: Rc<Cell<usize>>,
}

/// About how long a page in a file is to be, in bytes: what a look-up has to read of it is less.
const PAGE_BYTES: usize = 64 << 10;

/// The rows of the first page in a file, when nothing is known of them. They may be long.
const FIRST_ROWS: usize = 64;

impl<R: Rows> Spilling<R> {
    /// Rows in files, if `memory` is limited.
    pub(crate) fn new(rows: R, memory: Option<&Rc<SharedBudget>>, hash: fn(&R::Key) -> u64) -> Spilling<R> {
        let files = memory.map(|memory| Rc::new(Files::new(Rc::clone(memory))));
        Spilling { rows, hash, files, row: Rc::default() }
    }
}

impl<R> Rows for Spilling<R>
where
    R: Rows<Key: Serialize + DeserializeOwned, Value: Serialize + DeserializeOwned>,
{
    type Key = R::Key;
    type Value = R::Value;

    fn absorb(&self, older: &mut R::Value, newer: &R::Value) {
        self.rows.absorb(older, newer);
    }

    fn is_vacant(&self, value: &R::Value, oldest: bool) -> bool {
        self.rows.is_vacant(value, oldest)
    }

    fn is_expired(key: &R::Key, clock: i64) -> bool {
        R::is_expired(key, clock)
    }

    fn clock(&self) -> i64 {
        self.rows.clock()
    }

    fn reach(&self, time: i64) {
        self.rows.reach(time);
    }

    fn page(&self, rows: Vec<(R::Key, R::Value)>) -> Page<R::Key, R::Value> {
        let Some(files) = &self.files else { return Page::resident(rows) };
        let count = rows.len();
        let (page, len) = stored::store(files, rows, self.hash);
        // Rows that only say that a key is no more are short, and others may follow: what was long is
        // forgotten slowly, lest a page be very long.
        let before = self.row.get();
        self.row.set((len / count.max(1)).max(before - before / 8).max(1));
        page
    }

    fn page_rows(&self) -> usize {
        match self.row.get() {
            _ if self.files.is_none() => PAGE_ROWS,
            0 => FIRST_ROWS,
            row => (PAGE_BYTES / row).clamp(16, PAGE_ROWS),
        }
    }
}

impl<R> Saves for Spilling<R>
where
    R: Saves<Key: Serialize + DeserializeOwned, Value: Serialize + DeserializeOwned>,
{
    type Part = R::Part;
    type Resident = R::Resident;

    fn resident(&self) -> &R::Resident {
        self.rows.resident()
    }

    const BY_KEY: bool = R::BY_KEY;
    const ORDERED_BY_PART: bool = R::ORDERED_BY_PART;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        R::schema_of::<P>()
    }

    fn owner(key: &R::Key) -> u64 {
        R::owner(key)
    }

    fn encode(rows: &[(R::Key, R::Value)], codec: Codec) -> Result<Vec<u8>> {
        R::encode(rows, codec)
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> R::Part,
    ) -> Result<Vec<(R::Key, R::Value)>> {
        self.rows.decode_of(page, own)
    }
}
