//! The codecs of pages: how large rows become, and how fast they are written and read.

use std::error::Error;

use highwater::clock::Clock;
use highwater::data::{Text, hash64};
use highwater::snapshot::{Codec, Compression, PageHead};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{median, rounds};

/// Rows of a page.
const ROWS: usize = 1024;

/// Pages that are written and read in a round.
const PAGES: usize = 200;

pub(super) fn run() -> Result<(), Box<dyn Error>> {
    println!("{PAGES} pages of {ROWS} rows, median of {} rounds", rounds());
    println!("rows              codec     bytes a row  with LZ4  M rows/s written  read");
    compare("a count", |n| (hash64(&n), Some((n % 1000, i64::MAX))))?;
    compare("eight hashes", |n| {
        (n, Some((std::array::from_fn::<u64, 8, _>(|place| hash64(&(n, place))), i64::MAX)))
    })?;
    compare("a bid", |n| {
        let url = Text::from(format!("https://www.nexmark.com/{}/item.htm?query=1", n % 10_000));
        ((n % 100_000, n % 7777), Some(((n, n % 10_000_000, url, 1_700_000_000_000 + n), i64::MAX)))
    })
}

fn compare<T: Serialize + DeserializeOwned>(
    what: &str,
    row: impl Fn(u64) -> T,
) -> Result<(), Box<dyn Error>> {
    let pages: Vec<Vec<T>> =
        (0..PAGES).map(|page| (0..ROWS).map(|n| row((page * ROWS + n) as u64)).collect()).collect();
    for codec in [Codec::Columnar, Codec::Rows] {
        let (mut written, mut read, mut sizes) = (Vec::new(), Vec::new(), (0, 0));
        for _ in 0..rounds() {
            let clock = Clock::system();
            let bodies =
                pages.iter().map(|rows| codec.encode(rows)).collect::<highwater::Result<Vec<_>>>()?;
            let wrote = clock.now();
            let decoded = bodies
                .iter()
                .map(|body| codec.decode::<T>(body, ROWS))
                .collect::<highwater::Result<Vec<_>>>()?;
            let done = clock.now() - wrote;
            drop(decoded);
            let rate = |time: std::time::Duration| (PAGES * ROWS) as f64 / time.as_secs_f64() / 1e6;
            written.push(rate(wrote));
            read.push(rate(done));
            let small = bodies.iter().map(|body| head(codec).encode(body).map(|page| page.len()));
            sizes = (bodies.iter().map(Vec::len).sum(), small.sum::<highwater::Result<usize>>()?);
        }
        let each = |bytes: usize| bytes as f64 / (PAGES * ROWS) as f64;
        let name = format!("{codec:?}");
        println!(
            "{what:<17} {name:<9} {:>11.1} {:>9.1} {:>17.1} {:>5.1}",
            each(sizes.0),
            each(sizes.1),
            median(&mut written),
            median(&mut read)
        );
    }
    Ok(())
}

fn head(codec: Codec) -> PageHead {
    let (uid, table) = ("operator".to_owned(), "state".to_owned());
    let (hashes, epochs) = ((0, u64::MAX), (0, 0));
    PageHead {
        codec,
        compression: Compression::Lz4,
        uid,
        table,
        fingerprint: 0,
        hashes,
        epochs,
        rows: ROWS as u32,
    }
}
