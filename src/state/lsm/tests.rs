//! A delta log against a map: deltas of random rows, keys that are equal and not encoded alike, clocks that
//! come on, and runs as of each delta.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::hash64;
use crate::snapshot::{Codec, DeferredRuns, RunSnapshot};
use crate::state::lsm::delta_log::DeltaLog;
use crate::state::lsm::expiry::{NEVER, is_over};
use crate::state::run::item_rows::{ItemOrTombstone, ItemRows};

/// A word whose case does not matter. Words of one first letter have one hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Word(String);

impl Word {
    fn lower(&self) -> String {
        self.0.to_lowercase()
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Word) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Word {}

impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Word) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Word {
    fn cmp(&self, other: &Word) -> Ordering {
        self.lower().cmp(&other.lower())
    }
}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lower().chars().next().hash(state);
    }
}

type Item = ItemOrTombstone<u64>;

fn word() -> impl Strategy<Value = Word> {
    "[a-cA-C][a-zA-Z]{0,1}".prop_map(Word)
}

fn delta() -> impl Strategy<Value = (Vec<((Word, u8), Item)>, i64)> {
    let expires = prop_oneof![3 => Just(NEVER), 1 => 0..60i64];
    let item = proptest::option::weighted(0.8, (any::<u64>(), expires));
    (vec(((word(), 0..3u8), item), 0..60), 0..8i64)
}

/// All rows of some runs, older ones first.
fn rows(runs: &[RunSnapshot]) -> Vec<((Word, u8), Item)> {
    let mut rows = Vec::new();
    for page in runs.iter().flat_map(|run| &run.pages) {
        let encodings = [Codec::Blocks, Codec::Rows, Codec::Columnar].map(|codec| {
            let bytes = page.encode(codec).unwrap();
            codec.decode::<(Word, u8, Item)>(&bytes, page.rows()).unwrap()
        });
        assert!(encodings.iter().all(|rows| *rows == encodings[0]));
        let [read, ..] = encodings;
        let hashes = read.iter().map(|(word, ..)| hash64(word));
        assert!(hashes.clone().is_sorted());
        assert_eq!((hashes.clone().min(), hashes.max()), (Some(page.hashes().0), Some(page.hashes().1)));
        rows.extend(read.into_iter().map(|(word, sub, item)| ((word, sub), item)));
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn runs_as_of_a_delta_have_the_newest_row_of_each_key(deltas in vec(delta(), 1..40)) {
        let log = DeltaLog::new(Arc::new(ItemRows::<Word, u8, u64>::new(hash64)));
        let (mut oracle, mut clock) = (BTreeMap::new(), 0);
        for (number, (changes, passes)) in (1..).zip(deltas) {
            clock += passes;
            let mut delta = log.delta(number, clock);
            let mut changed = BTreeMap::<(Word, u8), Item>::new();
            for (key, item) in changes {
                delta.add(hash64(&key.0), &key, item.as_ref().map(|(value, expires)| (value, *expires)));
                // A row that says that a key is no more is older than another one of the delta.
                match changed.get(&key) {
                    Some(Some(_)) if item.is_none() => {}
                    _ => drop(changed.insert(key, item)),
                }
            }
            oracle.extend(changed);
            log.append(delta);
            let built = log.runs(number, None).unwrap();
            prop_assert_eq!(built.put_off, 0);
            let is_there = |item: &Item| item.is_some_and(|(_, expires)| !is_over(expires, clock));
            let mut found = BTreeMap::new();
            found.extend(rows(&built.runs));
            found.retain(|_, item| is_there(item));
            oracle.retain(|_, item| is_there(item));
            prop_assert_eq!(&found, &oracle);
            prop_assert!(built.runs.len() < 12, "{} runs", built.runs.len());
        }
    }
}

/// A value that does not serialize.
#[derive(Clone, Debug, Deserialize)]
struct Refusing;

impl Serialize for Refusing {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not these"))
    }
}

#[test]
fn what_cannot_be_encoded_is_told() {
    let log = DeltaLog::new(Arc::new(ItemRows::<u64, (), u64>::new(hash64)));
    let mut delta = log.delta(1, 0);
    delta.add(1, &(1u64, ()), Some((&2u64, NEVER)));
    delta.add(3, &(3u64, ()), Some((&Refusing, NEVER)));
    delta.add(4, &(4u64, ()), Some((&5u64, NEVER)));
    log.append(delta);
    let told = log.runs(1, None).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("see its type's `Serialize`"), "{told}");
}

#[test]
fn rows_longer_than_a_segment_are_there() {
    let log = DeltaLog::new(Arc::new(ItemRows::<u64, (), Vec<u8>>::new(hash64)));
    let mut delta = log.delta(1, 0);
    let value = |key: u64| vec![key as u8; (key as usize * 7919) % 50_000];
    (0..100u64).for_each(|key| delta.add(hash64(&key), &(key, ()), Some((&value(key), NEVER))));
    log.append(delta);
    let runs = log.runs(1, None).unwrap().runs;
    let pages = runs.iter().flat_map(|run| &run.pages);
    let read = pages.flat_map(|page| {
        let bytes = page.encode(Codec::Blocks).unwrap();
        Codec::Blocks.decode::<(u64, (), ItemOrTombstone<Vec<u8>>)>(&bytes, page.rows()).unwrap()
    });
    let read: BTreeMap<_, _> = read.map(|(key, (), item)| (key, item.unwrap().0)).collect();
    assert_eq!(read, (0..100).map(|key| (key, value(key))).collect());
}
