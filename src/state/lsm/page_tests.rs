//! Pages against lists of rows: in memory and in files, read as a whole, from a place on, and searched.

use std::rc::Rc;
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::snapshot::Codec;
use crate::snapshot::block::{EncodedRow, unpack};
use crate::state::lsm::expiry::{NEVER, UNBEGUN, is_over};
use crate::state::lsm::page::{Page, outgoing};
use crate::state::lsm::page_builder::PageBuilder;
use crate::state::lsm::row_type::{RowPlace, RowType};
use crate::state::lsm::sorted_run::{SortedRun, pages_at};
use crate::state::run::item_rows::ItemRows;
use crate::state::spill::files::{Files, SharedBudget};

/// The rows of keys with hashes of our own: some have one hash.
fn row_type() -> Arc<dyn RowType> {
    Arc::new(ItemRows::<u64, u8, Vec<u8>>::new(|key| key / 3 * 1000))
}

type Item = Option<(Vec<u8>, i64)>;
type Owned = ((u64, u8), Item);

fn rows() -> impl Strategy<Value = Vec<Owned>> {
    let expires = prop_oneof![Just(NEVER), Just(UNBEGUN), 1..i64::MAX, -9..9i64];
    let length = prop_oneof![20 => 0..20usize, 1 => 0..6000usize];
    let item = proptest::option::of((length.prop_map(|length| vec![length as u8; length]), expires));
    btree_map((0..3000u64, 0..3u8), item, 0..2500).prop_map(|rows| rows.into_iter().collect())
}

fn bytes<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap()
}

fn files() -> Rc<Files> {
    let memory = SharedBudget::new(1 << 20, std::env::temp_dir(), Arc::new(|error| panic!("{error}")));
    Rc::new(Files::new(memory))
}

fn built(rows: &[Owned], files: Option<Rc<Files>>) -> Vec<Arc<Page>> {
    let mut builder = PageBuilder::new(row_type(), files).searched();
    for (key, item) in rows {
        let (key, value) = (bytes(key), item.as_ref().map(|(value, _)| bytes(value)));
        let expires = item.as_ref().map_or(NEVER, |(_, expires)| *expires);
        let place = row_type().place(&key);
        builder.push(place, EncodedRow { key: &key, value: value.as_deref(), expires });
    }
    builder.finish_page();
    builder.pages
}

fn owned(row: EncodedRow<'_>) -> Owned {
    let value = row.value.map(|value| (postcard::from_bytes(value).unwrap(), row.expires));
    (postcard::from_bytes(row.key).unwrap(), value)
}

fn read(page: &Arc<Page>) -> Vec<Owned> {
    let (mut reader, mut rows) = (page.read(&*row_type()).unwrap(), Vec::new());
    while let Some(row) = reader.row() {
        rows.push(owned(row));
        reader.step().unwrap();
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn rows_are_read_as_they_were_added(rows in rows(), in_files in any::<bool>()) {
        let pages = built(&rows, in_files.then(files));
        let mut first = 0;
        for page in &pages {
            let rows = &rows[first..first + page.len()];
            prop_assert_eq!(&read(page), rows);
            let is_over = |clock| rows.iter().any(|(_, item)| {
                item.as_ref().is_none_or(|(_, expires)| is_over(*expires, clock))
            });
            for clock in [i64::MIN + 1, -3, 0, 5, i64::MAX - 1] {
                prop_assert_eq!(page.over <= clock, is_over(clock));
            }
            let encoded = outgoing(page, &row_type()).encode(Codec::Blocks).unwrap().into_owned();
            let decoded = Codec::Blocks.decode::<(u64, u8, Item)>(&encoded, page.len()).unwrap();
            let decoded: Vec<Owned> = decoded.into_iter().map(|(key, sub, item)| ((key, sub), item)).collect();
            prop_assert_eq!(&decoded, rows);
            first += page.len();
        }
        prop_assert_eq!(first, rows.len());
    }

    #[test]
    fn a_key_is_found_where_it_is(rows in rows(), in_files in any::<bool>(), wanted in vec(0..3100u64, 50)) {
        let run = SortedRun::new((0, 1), built(&rows, in_files.then(files)), Vec::new());
        for key in wanted {
            let RowPlace { prefix, owner } = row_type().place(&bytes(&(key, 0u8)));
            let mut found = Vec::new();
            for page in pages_at([&run].into_iter(), RowPlace { prefix, owner }) {
                page.range(&*row_type(), prefix, &mut |row| found.push(owned(row))).unwrap();
            }
            let is_near = |row: &&Owned| row.0.0 / 3 == key / 3;
            prop_assert_eq!(found, rows.iter().filter(is_near).cloned().collect::<Vec<_>>());
            let mut later = Vec::new();
            for page in &run.pages()[run.first_page(prefix)..] {
                let mut reader = page.read_from(&*row_type(), prefix).unwrap();
                while let Some(row) = reader.row() {
                    later.extend((row_type().place(row.key).prefix >= prefix).then(|| owned(row)));
                    reader.step().unwrap();
                }
            }
            prop_assert_eq!(later, rows.iter().filter(|row| row.0.0 / 3 >= key / 3).cloned().collect::<Vec<_>>());
        }
    }

    #[test]
    fn damaged_pages_are_refused_or_read_as_something(
        rows in rows(),
        flips in vec(any::<(u16, u8)>(), 1..9),
    ) {
        let Some(page) = built(&rows, None).into_iter().next() else { return Ok(()) };
        let mut bytes = outgoing(&page, &row_type()).encode(Codec::Blocks).unwrap().into_owned();
        for (at, flip) in flips {
            let at = usize::from(at) % bytes.len();
            bytes[at] ^= flip;
        }
        let _ = unpack(&bytes, page.len());
    }

    #[test]
    fn noise_is_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = unpack(&bytes, 1);
    }
}

#[test]
fn long_rows_make_short_pages() {
    let rows: Vec<Owned> = (0..40).map(|n| ((n, 0), Some((vec![n as u8; 100_000], NEVER)))).collect();
    let lengths: Vec<usize> = built(&rows, None).iter().map(|page| page.len()).collect();
    assert_eq!(lengths, [vec![3; 13], vec![1]].concat());
    assert!(built(&rows, Some(files())).iter().all(|page| page.len() == 1 && !page.is_resident()));
}
