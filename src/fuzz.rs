//! One door to each decoder of what may come from elsewhere, for bytes that nobody has written.
//!
//! Whatever the bytes are, a decoder must come to an end, must not panic, and takes no more memory than they
//! justify: some thousand times their number at the worst, where columns spend a bit on a value. `tests/fuzz`
//! tries that with what is in `fuzz/corpus` and thousands of things made of it, with each test run;
//! `cargo fuzz` goes on from there for as long as one likes:
//!
//! ```text
//! cargo install cargo-fuzz
//! cargo +nightly fuzz run page fuzz/found/page fuzz/corpus/page
//! ```
//!
//! The first folder takes what is found, the second is what it begins with, and is part of the repository:
//! real encodings, written by `cargo test --test fuzz -- --ignored`.
//!
//! This is no interface: it is public for these two alone.

use std::hint::black_box;

use crate::{connector, export, snapshot};

/// A decoder, by a name.
pub type Target = (&'static str, fn(&[u8]));

/// All there are in this build.
pub fn targets() -> Vec<Target> {
    #[cfg_attr(not(any(feature = "nexmark", feature = "lab")), allow(unused_mut))]
    let mut targets: Vec<Target> = vec![
        // A page of a snapshot: its head, its body however it is compressed, and the rows in it.
        ("page", snapshot::fuzz_entry::page),
        // The rows of a page without a head, of both codecs.
        ("body", snapshot::fuzz_entry::body),
        // The log: claims and manifests.
        ("entry", snapshot::fuzz_entry::entry),
        // The name of a snapshot.
        ("name", snapshot::fuzz_entry::name),
        // Rows by the text of a schema, as an export reads and shows them.
        ("table", export::fuzz_entry::table),
        // Files of lines: text, JSON, CSV.
        ("lines", |bytes| drop(black_box(connector::try_formats(bytes)))),
    ];
    #[cfg(feature = "nexmark")]
    targets.push(("events", |bytes| drop(black_box(crate::nexmark::File::try_bytes(bytes.to_vec())))));
    #[cfg(feature = "lab")]
    targets.extend([("case", case as fn(&[u8])), ("recording", recording)]);
    #[cfg(feature = "cli")]
    targets.push(("words", words));
    targets
}

/// How many values are shown of the rows of a table: none if they are not understood.
pub fn rows_of(bytes: &[u8]) -> usize {
    export::fuzz_entry::values(bytes)
}

/// Runs the target of this name.
///
/// # Panics
///
/// If there is none in this build, or if its decoder does.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets().into_iter().find(|(known, _)| *known == name);
    let Some((_, decode)) = target else { panic!("there is no target {name:?}") };
    decode(bytes);
}

/// Cases of the event-time laboratory.
#[cfg(feature = "lab")]
fn case(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        black_box(crate::lab::case::Case::parse(text).is_ok());
    }
}

/// Recordings of streams, as CSV and as JSON lines.
#[cfg(feature = "lab")]
fn recording(bytes: &[u8]) {
    for name in ["bytes.csv", "bytes.json"] {
        black_box(crate::lab::Recording::read_from(bytes, std::path::Path::new(name)).is_ok());
    }
}

/// What stands on a command line: counts, rates, sizes, times and snapshots.
#[cfg(feature = "cli")]
fn words(bytes: &[u8]) {
    use crate::program::{amount, selector};

    for word in String::from_utf8_lossy(bytes).split_whitespace() {
        black_box(
            amount::count(word)
                .map(|count| (amount::whole(count as i64), amount::several(count, "row")))
                .is_ok(),
        );
        black_box(amount::rate(word).map(amount::short).is_ok());
        black_box((amount::epochs(word).is_ok(), amount::interval(word).is_ok(), amount::age(word).is_ok()));
        black_box((selector::selector(word).is_ok(), selector::name(word).is_ok()));
        black_box(word.parse().map(amount::date).is_ok());
    }
}
