//! The source of a table's pages: for a run that restores them, and for one that has written them and dropped
//! their rows from memory.

use std::sync::Arc;

use crate::error::Result;
use crate::snapshot::log::manifest::PageRef;
use crate::snapshot::log::repository::{Expected, Repository};
use crate::snapshot::page::codec::Codec;

/// The repository that the pages of a table lie in, and what a reader expects of all of them.
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
