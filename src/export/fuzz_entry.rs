//! Fuzz entry: the decoder of exports, for arbitrary bytes as a table's schema and a page of it.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::export::layout::{Layout, RowMeaning, RowValue};
use crate::export::value::Value;
use crate::snapshot::Codec;

/// Reads the rows of a table by its schema alone.
pub(crate) fn table(bytes: &[u8]) {
    std::hint::black_box(values(bytes));
}

/// How many values are in them.
pub(crate) fn values(bytes: &[u8]) -> usize {
    try_rows(bytes).unwrap_or(0)
}

/// Reads the rows of a page: the name of the table and its schema in a line each, a byte for the codec, two
/// for how many rows there are, and the body. Shows them as an export does, and returns how many it has
/// shown.
fn try_rows(bytes: &[u8]) -> Result<usize> {
    let short = || Error::data("there is no page");
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().ok_or_else(short);
    let (table, schema, page) = (line()?, line()?, line()?);
    let [table, schema] = [table, schema].map(String::from_utf8_lossy);
    let layout = Layout::of(&table, &schema).ok_or_else(|| Error::data("its schema is not understood"))?;
    let (head, body) = page.split_first_chunk::<3>().ok_or_else(short)?;
    let codec = [Codec::Columnar, Codec::Rows, Codec::Abomonation][usize::from(head[0] % 3)];
    let count = u16::from_le_bytes([head[1], head[2]]);
    let mut held = BTreeMap::<Vec<Value>, RowValue>::new();
    let mut rows = Vec::new();
    for row in layout.plan.decode(body, usize::from(count), codec)? {
        match layout.read(row, 0, 0)? {
            RowMeaning::Nothing => {}
            RowMeaning::Row(row) => rows.push(row),
            RowMeaning::Of(key, said) => match held.get_mut(&key) {
                Some(held) => held.absorb(said),
                None => drop(held.insert(key, said)),
            },
        }
    }
    for (key, held) in held {
        rows.extend(layout.rows(key, held)?);
    }
    let mut shown = 0;
    for value in rows.iter().flatten() {
        std::hint::black_box(value.to_string());
        shown += 1;
    }
    Ok(shown)
}
