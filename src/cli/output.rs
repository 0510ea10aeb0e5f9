//! Sinks for the rows of a result: JSON lines, or CSV if the output's name ends in `.csv`.

use std::marker::PhantomData;
use std::path::Path;

use highwater::connector::{Encode, FileSink};
use highwater::data::write_json;
use serde::Serialize;

use super::answer::Form;

/// A sink of rows.
pub(crate) type Output<F> = FileSink<RowLines<F>>;

/// Rows as lines. `F` defines how items represent rows.
pub(crate) struct RowLines<F> {
    is_csv: bool,
    form: PhantomData<fn() -> F>,
}

impl<F> Clone for RowLines<F> {
    fn clone(&self) -> RowLines<F> {
        RowLines { ..*self }
    }
}

/// The sink of an output of this name.
pub(crate) fn output<F>(path: &Path, overwrite: bool) -> Output<F> {
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let sink = FileSink::new(path, RowLines { is_csv, form: PhantomData });
    if overwrite { sink.overwrite() } else { sink }
}

impl<I: Serialize, F: Form<I>> Encode<I> for RowLines<F> {
    fn extension(&self) -> &'static str {
        if self.is_csv { ".csv" } else { ".json" }
    }

    fn encode(&self, item: &I, lines: &mut Vec<u8>, header: &mut Vec<u8>) -> Result<(), String> {
        if !self.is_csv {
            write_json(item, lines)?;
            lines.push(b'\n');
            return Ok(());
        }
        let row = |has_headers, lines| -> Result<Vec<u8>, String> {
            let mut out = csv::WriterBuilder::new().has_headers(has_headers).from_writer(lines);
            F::write_csv(item, &mut out).map_err(|error| error.to_string())?;
            out.into_inner().map_err(|error| error.to_string())
        };
        if header.is_empty() {
            *header = row(true, Vec::new())?;
            let end = header.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            header.truncate(end);
        }
        *lines = row(false, std::mem::take(lines))?;
        Ok(())
    }
}
