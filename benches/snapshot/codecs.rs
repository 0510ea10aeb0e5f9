//! The codecs of pages and their compressions: how large rows become, and how fast they are written and read.
//!
//! With the features `zstd` and `abomonation` theirs are among them. What is timed is all that happens
//! between rows and the bytes of a page, and back.

use std::error::Error;
use std::time::Duration;

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

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A row of a state: key, sub-key, and the value with its expiry.
type Row<V> = (u64, (), Option<(V, i64)>);

/// A way to compress.
struct Packing {
    name: &'static str,
    pack: fn(&PageHead, &[u8]) -> Outcome<Vec<u8>>,
    unpack: fn(&[u8]) -> Outcome<Vec<u8>>,
}

const PACKINGS: &[Packing] = &[
    Packing {
        name: "none",
        pack: |head, body| page(head, Compression::None, body),
        unpack: |page| Ok(PageHead::decode(page)?.1),
    },
    Packing {
        name: "LZ4",
        pack: |head, body| page(head, Compression::Lz4, body),
        unpack: |page| Ok(PageHead::decode(page)?.1),
    },
    #[cfg(feature = "zstd")]
    Packing {
        name: "zstd 1",
        pack: |head, body| page(head, Compression::Zstd, body),
        unpack: |page| Ok(PageHead::decode(page)?.1),
    },
    // Not to be had in snapshots, but for comparison: so without a head.
    #[cfg(feature = "zstd")]
    Packing {
        name: "zstd 3",
        pack: |_, body| Ok(zstd::bulk::compress(body, 3)?),
        unpack: |page| Ok(zstd::bulk::decompress(page, 1 << 20)?),
    },
];

const CODECS: &[(&str, Codec)] = &[
    ("columns", Codec::Columnar),
    ("rows", Codec::Rows),
    ("blocks", Codec::Blocks),
    #[cfg(feature = "abomonation")]
    ("abomonation", Codec::Abomonation),
];

pub(super) fn run() -> Outcome<()> {
    #[cfg(feature = "abomonation")]
    {
        highwater::snapshot::plain::<u64, (), u64>();
        highwater::snapshot::plain::<u64, (), [u64; 8]>();
    }
    println!("{PAGES} pages of {ROWS} rows, median of {} rounds", rounds());
    println!("state             codec        packing  bytes a row  M rows/s written   read");
    compare("a count", |n| (hash64(&n), (), Some((n % 1000, i64::MAX))))?;
    compare("eight hashes", |n| {
        (n, (), Some((std::array::from_fn::<u64, 8, _>(|place| hash64(&(n, place))), i64::MAX)))
    })?;
    compare("a bid", |n| {
        let url = Text::from(format!("https://www.nexmark.com/{}/item.htm?query=1", n % 10_000));
        (n, (), Some(((n % 7777, n % 10_000_000, url, 1_700_000_000_000 + n), i64::MAX)))
    })
}

fn compare<V: Serialize + DeserializeOwned + 'static>(
    what: &str,
    row: impl Fn(u64) -> Row<V>,
) -> Outcome<()> {
    let pages: Vec<Vec<Row<V>>> =
        (0..PAGES).map(|page| (0..ROWS).map(|n| row((page * ROWS + n) as u64)).collect()).collect();
    for (name, codec) in CODECS {
        for packing in PACKINGS {
            let (size, written, read) = measure(&pages, *codec, packing)?;
            println!("{what:<17} {name:<12} {:<8} {size:>11.1} {written:>17.1} {read:>6.1}", packing.name);
        }
    }
    Ok(())
}

/// Bytes a row, and million rows a second written and read.
fn measure<V: Serialize + DeserializeOwned + 'static>(
    pages: &[Vec<Row<V>>],
    codec: Codec,
    packing: &Packing,
) -> Outcome<(f64, f64, f64)> {
    let (head, mut written, mut read, mut size) = (head(codec), Vec::new(), Vec::new(), 0);
    let rate = |time: Duration| (PAGES * ROWS) as f64 / time.as_secs_f64() / 1e6;
    for _ in 0..rounds() {
        let clock = Clock::system();
        let write = |rows: &Vec<Row<V>>| (packing.pack)(&head, &codec.encode(rows)?);
        let packed = pages.iter().map(write).collect::<Outcome<Vec<_>>>()?;
        let wrote = clock.now();
        let mut rows = 0;
        for page in &packed {
            rows += codec.decode::<Row<V>>(&(packing.unpack)(page)?, ROWS)?.len();
        }
        let done = clock.now() - wrote;
        assert_eq!(rows, PAGES * ROWS);
        written.push(rate(wrote));
        read.push(rate(done));
        size = packed.iter().map(Vec::len).sum();
    }
    Ok((size as f64 / (PAGES * ROWS) as f64, median(&mut written), median(&mut read)))
}

fn page(head: &PageHead, compression: Compression, body: &[u8]) -> Outcome<Vec<u8>> {
    Ok(PageHead { compression, ..head.clone() }.encode(body)?)
}

fn head(codec: Codec) -> PageHead {
    let (uid, table) = ("operator".to_owned(), "state".to_owned());
    let (hashes, epochs) = ((0, u64::MAX), (0, 0));
    PageHead {
        codec,
        compression: Compression::None,
        uid,
        table,
        fingerprint: 0,
        hashes,
        epochs,
        rows: ROWS as u32,
    }
}
