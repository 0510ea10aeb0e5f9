//! An entry point for fuzzing: decodes arbitrary bytes in each format.

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek, Write};
use std::sync::Arc;

use super::csv::Csv;
use super::format::{Decoder, Format, Json, Next, Plain};
use super::input::Input;
use crate::connector::lines::Lines;
use crate::error::{Error, Result};

/// The longest line.
const MAX: usize = 1 << 10;

/// Reads bytes as text, as JSON lines and as CSV, and returns the number of records.
pub(crate) fn try_formats(bytes: &[u8]) -> Result<usize> {
    type Row = (u64, String, Option<f64>);
    let mut bare = Csv::<Row>::new();
    bare.header = false;
    let all = [
        count(bytes, Plain),
        count(bytes, Json::<Row>::new()),
        count(bytes, Csv::<Row>::new()),
        count(bytes, bare),
    ];
    all.into_iter().sum()
}

fn count(bytes: &[u8], format: impl Format) -> Result<usize> {
    let cannot = |error| Error::io("cannot make a file", error);
    let mut file: File = tempfile::tempfile().map_err(cannot)?;
    file.write_all(bytes).and_then(|()| file.rewind()).map_err(cannot)?;
    let input = Input::new(Arc::new(file)).map_err(|error| Error::io("cannot read the bytes", error))?;
    let (mut decoder, mut lines) = (format.decoder(), Lines::new(input, String::from("bytes"), MAX, false));
    let mut count = 0;
    loop {
        match decoder.next(&mut lines)? {
            Next::Record(_) => count += 1,
            Next::Malformed(malformed) => drop(black_box(format!("{malformed:?}"))),
            Next::Busy => {}
            Next::Nothing | Next::End => return Ok(count),
        }
    }
}
