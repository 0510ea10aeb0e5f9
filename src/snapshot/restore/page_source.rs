//! Where the pages of a table are read from: by a run that goes on from them, and by one that has written
//! them and let go of their rows.

use std::sync::Arc;

use crate::error::Result;
use crate::snapshot::log::manifest::PageRef;
use crate::snapshot::log::repository::{Expected, Repository};
use crate::snapshot::page::codec::Codec;

/// What the pages of a table lie in, and what is known of all of them.
#[derive(Clone)]
pub(crate) struct PageSource {
    repository: Repository,
    uid: Arc<str>,
    table: Arc<str>,
    fingerprint: u64,
}

impl PageSource {
    /// The pages of an operator's table, whose rows have this fingerprint.
    pub(crate) fn new(repository: &Repository, uid: &str, table: &str, fingerprint: u64) -> PageSource {
        PageSource { repository: repository.clone(), uid: uid.into(), table: table.into(), fingerprint }
    }

    /// True if reading them again costs little more than keeping them would.
    pub(crate) fn is_near(&self) -> bool {
        self.repository.store().is_near()
    }

    /// The body of a page, and how it is encoded.
    pub(crate) fn page(&self, page: &PageRef) -> Result<(Vec<u8>, Codec)> {
        let expected = Expected { uid: &self.uid, table: &self.table, fingerprint: self.fingerprint };
        let (head, body) = self.repository.page(page, expected)?;
        Ok((body, head.codec))
    }
}
