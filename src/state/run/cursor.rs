//! A place in a run, and the row there.

use std::sync::Arc;

use crate::error::Result;
use crate::state::lsm::lsm::Failures;
use crate::state::lsm::page::PageReader;
use crate::state::lsm::row_type::{Prefix, RowType};
use crate::state::lsm::sorted_run::SortedRun;
use crate::state::run::rows::Rows;

/// The rows of a run that are still to be read. The next one is decoded.
pub(crate) struct Cursor<R: Rows> {
    rows: R,
    run: Arc<SortedRun>,
    /// The number of the next page.
    page: usize,
    reader: Option<PageReader>,
    row: Option<(R::Key, R::Value)>,
    /// Where it is kept what cannot be read, if that is the worker's own.
    failures: Option<Arc<Failures>>,
}

impl<R: Rows> Cursor<R> {
    /// The rows of a run from a prefix on. Of what cannot be read it is kept that it cannot, and none comes
    /// after it.
    pub(crate) fn new(
        rows: R,
        run: Arc<SortedRun>,
        from: Prefix,
        failures: Option<Arc<Failures>>,
    ) -> Cursor<R> {
        let mut cursor = Cursor { rows, run, page: 0, reader: None, row: None, failures };
        cursor.go_to(from);
        cursor
    }

    fn check(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.row = None;
            if let Some(failures) = &self.failures {
                failures.keep::<()>(Err(error));
            }
        }
    }

    /// Goes to the first row from a prefix on, of the whole run.
    pub(crate) fn go_to(&mut self, from: Prefix) {
        (self.page, self.reader, self.row) = (self.run.first_page(from), None, None);
        let outcome = self.seek(from);
        self.check(outcome);
    }

    fn seek(&mut self, from: Prefix) -> Result<()> {
        let Some(page) = self.run.pages().get(self.page) else { return Ok(()) };
        self.page += 1;
        let mut reader = page.read_from(&self.rows, from)?;
        while reader.row().is_some_and(|row| RowType::place(&self.rows, row.key).prefix < from) {
            reader.step()?;
        }
        self.reader = Some(reader);
        self.load()
    }

    /// The next row, if there is one.
    #[inline]
    pub(crate) fn row(&self) -> Option<&(R::Key, R::Value)> {
        self.row.as_ref()
    }

    /// Takes the next row.
    pub(crate) fn take(&mut self) -> Option<(R::Key, R::Value)> {
        let row = self.row.take();
        if row.is_some() {
            let outcome = self.step();
            self.check(outcome);
        }
        row
    }

    /// Reads the row after the one at hand.
    fn step(&mut self) -> Result<()> {
        if let Some(reader) = &mut self.reader {
            reader.step()?;
        }
        self.load()
    }

    /// Decodes the row at hand, of the next page if this one has no more.
    fn load(&mut self) -> Result<()> {
        loop {
            if let Some(row) = self.reader.as_ref().and_then(PageReader::row) {
                self.row = Some(self.rows.decode_row(row)?);
                return Ok(());
            }
            let Some(page) = self.run.pages().get(self.page) else {
                self.row = None;
                return Ok(());
            };
            self.page += 1;
            self.reader = Some(page.read(&self.rows)?);
        }
    }
}
