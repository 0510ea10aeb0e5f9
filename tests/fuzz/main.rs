//! Decoders and bytes that nobody has written: they neither panic nor take memory without end.
//!
//! Each target of `highwater::fuzz` is fed what is in its folder of `fuzz/corpus`, and thousands of things
//! made of that by a seed. A failure tells the bytes, to be put into the folder once it is mended.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod corpus;
#[path = "../support/heap.rs"]
mod heap;
mod mutate;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use heap::{alone, peak};
use highwater::fuzz::{Target, targets};
use mutate::Mutations;

/// The most memory that bytes justify: some buffers, and for each of them what a bit of a column may stand
/// for.
const fn most(len: usize) -> usize {
    (1 << 20) + (4 << 10) * len
}

/// How many things are made of each corpus, unless the environment says otherwise.
const MUTATIONS: u64 = 3000;

/// What a target begins with.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = corpus::folder(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Feeds a target, which must bear it; `told` says what it is fed.
fn feed((name, decode): Target, bytes: &[u8], told: &dyn Fn() -> String) {
    let (outcome, took) = peak(|| catch_unwind(AssertUnwindSafe(|| decode(bytes))));
    let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(outcome.is_ok(), "{name} panicked on {}: {}", told(), hex());
    let (len, most) = (bytes.len(), most(bytes.len()));
    assert!(took <= most, "{name} took {took} bytes for {len} of {}: {}", told(), hex());
}

#[test]
fn nothing_that_may_come_makes_a_decoder_panic_or_take_memory_without_end() {
    let _alone = alone();
    let count = std::env::var("HIGHWATER_MUTATIONS").map_or(MUTATIONS, |count| count.parse().unwrap());
    for target in targets() {
        let corpus = corpus(target.0);
        assert!(corpus.len() >= 2, "the corpus of {} is no longer there", target.0);
        for (path, bytes) in &corpus {
            feed(target, bytes, &|| path.display().to_string());
        }
        for bytes in [&[][..], &[0], &[0xff; 64]] {
            feed(target, bytes, &|| String::from("almost nothing"));
        }
        let all: Vec<&[u8]> = corpus.iter().map(|(_, bytes)| &bytes[..]).collect();
        for seed in 0..count {
            let bytes = Mutations::of(seed).make(&all);
            feed(target, &bytes, &|| format!("seed {seed}"));
        }
    }
}

/// Else nothing would be tried but refusals.
#[test]
fn what_is_in_the_corpus_is_what_the_program_writes() {
    let _alone = alone();
    corpus::check(&|name| corpus(name).into_iter().map(|(_, bytes)| bytes).collect());
}

#[test]
fn each_target_has_a_program_and_a_corpus() {
    let list = |folder: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let known: BTreeSet<String> = targets().iter().map(|(name, _)| (*name).to_owned()).collect();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    for name in &known {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
    if cfg!(feature = "cli") {
        assert_eq!((list("fuzz_targets"), list("corpus")), (known.clone(), known));
    }
    let small = |(path, bytes): &(PathBuf, Vec<u8>)| assert!(bytes.len() <= 4096, "{}", path.display());
    let all: Vec<_> = targets().iter().flat_map(|(name, _)| corpus(name)).collect();
    all.iter().for_each(small);
    assert!(all.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < 50_000, "the corpus is too large");
}

#[test]
#[ignore = "writes the corpus; to be run when a format has changed or a target is new"]
fn write_the_corpus() {
    corpus::write();
}
