//! The entries of the log: a run takes the store over, or a snapshot is there.
//!
//! A manifest lists all that a snapshot consists of: for each operator its tables, for each table each
//! worker's share, for each share its runs, oldest first, and for each run where its pages lie. It does not
//! interpret pages; that newer runs take precedence over older ones is up to the reader. A snapshot shares
//! the pages of those before it that have not changed, by naming them again.
//!
//! An encoded manifest takes some 35 bytes for each page: segments are named once, and then by number.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::Ownership;
use crate::error::{Error, Result};
use crate::snapshot::log::envelope::{self, Kind};

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// A run takes the store over; the runs before it can commit no more.
    Claim(Claim),
    /// A snapshot is there.
    Manifest(Manifest),
}

/// A run takes the store over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Counts the runs.
    pub generation: u64,
    /// Distinguishes this run from another that claimed at the same moment.
    pub nonce: u64,
    /// The job, as its user names it.
    pub job: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The number of the manifest that the run goes on from; none if there was no snapshot.
    pub from: Option<u64>,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The run that wrote it.
    pub generation: u64,
    /// The nonce of that run's claim.
    pub nonce: u64,
    /// The epoch that it is the state of: all of it and nothing of the next.
    pub epoch: u64,
    /// The job, as its user names it.
    pub job: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Why it was made.
    pub cause: Cause,
    /// How many workers the run had.
    pub workers: u32,
    /// Which of them owned which keys.
    #[serde(skip)]
    pub ownership: Ownership,
    /// The number and the checksum of the manifest before it.
    pub previous: Option<(u64, u32)>,
    /// The state of each operator.
    pub operators: Vec<OperatorState>,
}

/// Why a snapshot was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It was time.
    Interval,
    /// Someone asked.
    Request,
    /// The input had ended.
    End,
    /// The job was stopped to go on later.
    Stop,
}

/// The state of one operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorState {
    /// Its name, by which it is found again.
    pub uid: String,
    /// What it is.
    pub kind: String,
    /// Its keyed state.
    pub tables: Vec<TableState>,
    /// What else it must remember.
    pub notes: Vec<Note>,
}

/// Something small that an operator remembers: positions of splits, watermarks, handles of prepared output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// What it is.
    pub name: String,
    /// The worker that wrote it.
    pub worker: u32,
    /// For the operator alone to understand.
    pub bytes: Vec<u8>,
}

/// A table of keyed state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableState {
    /// Its name in the operator.
    pub name: String,
    /// The type of its rows.
    pub schema: Schema,
    /// One for each worker.
    pub shards: Vec<Shard>,
}

/// The type of a table's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Two types that are encoded differently have different ones.
    pub fingerprint: u64,
    /// The type, for people.
    pub text: String,
}

/// A worker's share of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// The worker.
    pub worker: u32,
    /// Its runs, oldest first.
    pub runs: Vec<RunState>,
}

/// Changes of a range of epochs, sorted and without duplicates, in pages one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// The first and the last epoch.
    pub epochs: (u64, u64),
    /// Its pages, in the order of their rows.
    pub pages: Vec<PageRef>,
}

/// Where a page lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRef {
    /// The object that it lies in.
    pub segment: Arc<str>,
    /// Where it begins there.
    pub offset: u64,
    /// How many bytes it takes there.
    pub len: u32,
    /// How many rows it has.
    pub rows: u32,
    /// The first and the last hash that is meant. A shard made by another number of workers than the page
    /// means a part of it.
    pub hashes: (u64, u64),
    /// The checksum that the page ends with.
    pub crc: u32,
}

/// A [`PageRef`] with its segment by number.
#[derive(Serialize, Deserialize)]
struct PageRecord(u32, u64, u32, u32, (u64, u64), u32);

/// A log entry as it is encoded: its pages apart, run by run, and the names of their segments.
#[derive(Serialize, Deserialize)]
struct Wire {
    entry: Entry,
    segments: Vec<Arc<str>>,
    pages: Vec<Vec<PageRecord>>,
    /// Which worker owned which keys. Nothing in a claim.
    ownership: Option<Ownership>,
}

/// An entry of the first version of the format: worker `w` of `n` owned the hashes `h` with `h * n >> 64 ==
/// w`.
#[derive(Deserialize)]
struct FirstWire {
    entry: Entry,
    segments: Vec<Arc<str>>,
    pages: Vec<Vec<PageRecord>>,
}

impl From<FirstWire> for Wire {
    fn from(FirstWire { entry, segments, pages }: FirstWire) -> Wire {
        let ownership = match &entry {
            Entry::Claim(_) => None,
            Entry::Manifest(manifest) => Ownership::try_uniform(manifest.workers).ok(),
        };
        Wire { entry, segments, pages, ownership }
    }
}

impl Entry {
    /// Encodes the entry for its place in the log. An error if it takes more than 4 GiB.
    pub fn encode(&self, number: u64) -> Result<Vec<u8>> {
        let ownership = match self {
            Entry::Claim(_) => None,
            Entry::Manifest(manifest) => Some(manifest.ownership.clone()),
        };
        let mut wire = Wire { entry: self.clone(), segments: Vec::new(), pages: Vec::new(), ownership };
        let mut numbers: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        for run in wire.entry.runs_mut() {
            // Segment names are long and shared by many pages: each is stored once, and pages refer to it by
            // number.
            let place = |page: PageRef| {
                let next = numbers.len() as u32;
                let number = *numbers.entry(page.segment.clone()).or_insert_with(|| {
                    wire.segments.push(page.segment);
                    next
                });
                PageRecord(number, page.offset, page.len, page.rows, page.hashes, page.crc)
            };
            wire.pages.push(std::mem::take(&mut run.pages).into_iter().map(place).collect());
        }
        envelope::seal(Kind::Entry, number, &wire, "a manifest")
    }

    /// Decodes the entry of this number; `object` is where it lies, which errors name.
    pub fn decode(number: u64, bytes: &[u8], object: &str) -> Result<Entry> {
        let wire = match envelope::version(bytes) {
            Some(1) => envelope::open_version::<FirstWire>((Kind::Entry, 1), number, bytes, object)?.into(),
            _ => envelope::open(Kind::Entry, number, bytes, object)?,
        };
        let Wire { mut entry, segments, pages, ownership } = wire;
        let damaged = || Error::data(format!("{object} is damaged: its pages are not where it says"));
        if let Entry::Manifest(manifest) = &mut entry {
            let fits = |ownership: &Ownership| ownership.workers() == manifest.workers as usize;
            let unknown =
                || Error::data(format!("{object} is damaged: it does not say who owned which keys"));
            manifest.ownership = ownership.filter(fits).ok_or_else(unknown)?;
        }
        let mut pages = pages.into_iter();
        for run in entry.runs_mut() {
            let page = |PageRecord(number, offset, len, rows, hashes, crc)| {
                let segment = segments.get(number as usize)?.clone();
                Some(PageRef { segment, offset, len, rows, hashes, crc })
            };
            // The checksum holds, and yet the numbers may not fit: an error, and not a panic.
            let places = pages.next().ok_or_else(damaged)?;
            run.pages = places.into_iter().map(page).collect::<Option<_>>().ok_or_else(damaged)?;
        }
        // Pages without a run are damage just as runs without pages.
        if pages.next().is_some() { Err(damaged()) } else { Ok(entry) }
    }

    /// The run that wrote it.
    pub fn generation(&self) -> u64 {
        match self {
            Entry::Claim(claim) => claim.generation,
            Entry::Manifest(manifest) => manifest.generation,
        }
    }

    /// The nonce of the run that wrote it.
    pub fn nonce(&self) -> u64 {
        match self {
            Entry::Claim(claim) => claim.nonce,
            Entry::Manifest(manifest) => manifest.nonce,
        }
    }

    fn runs_mut(&mut self) -> impl Iterator<Item = &mut RunState> {
        let operators = match self {
            Entry::Claim(_) => None,
            Entry::Manifest(manifest) => Some(&mut manifest.operators),
        };
        let tables = operators.into_iter().flatten().flat_map(|operator| &mut operator.tables);
        tables.flat_map(|table| &mut table.shards).flat_map(|shard| &mut shard.runs)
    }
}

impl Manifest {
    /// The bytes that its pages take in the store, and its notes here.
    pub fn bytes(&self) -> u64 {
        let notes = self.operators.iter().flat_map(|operator| &operator.notes);
        self.pages().map(|page| u64::from(page.len)).sum::<u64>()
            + notes.map(|note| note.bytes.len() as u64).sum::<u64>()
    }

    /// The rows in its pages. A key that has changed is counted in each run that has a row for it.
    pub fn rows(&self) -> u64 {
        self.pages().map(|page| u64::from(page.rows)).sum()
    }

    /// The state of the operator of this name.
    pub fn operator(&self, uid: &str) -> Option<&OperatorState> {
        self.operators.iter().find(|operator| operator.uid == uid)
    }

    /// All its pages.
    pub fn pages(&self) -> impl Iterator<Item = &PageRef> {
        let tables = self.operators.iter().flat_map(|operator| &operator.tables);
        let runs = tables.flat_map(|table| &table.shards).flat_map(|shard| &shard.runs);
        runs.flat_map(|run| &run.pages)
    }
}

#[cfg(test)]
pub(in crate::snapshot) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn page() -> impl Strategy<Value = PageRef> {
        (0..4u8, any::<(u64, u32, u32, (u64, u64), u32)>()).prop_map(
            |(segment, (offset, len, rows, hashes, crc))| PageRef {
                segment: format!("pages/1/{segment}").into(),
                offset,
                len,
                rows,
                hashes,
                crc,
            },
        )
    }

    fn run() -> impl Strategy<Value = RunState> {
        (any::<(u64, u64)>(), vec(page(), 0..5)).prop_map(|(epochs, pages)| RunState { epochs, pages })
    }

    fn table() -> impl Strategy<Value = TableState> {
        let shard = (any::<u32>(), vec(run(), 0..3)).prop_map(|(worker, runs)| Shard { worker, runs });
        let schema = (any::<u64>(), ".{0,9}").prop_map(|(fingerprint, text)| Schema { fingerprint, text });
        (".{0,9}", schema, vec(shard, 0..3)).prop_map(|(name, schema, shards)| TableState {
            name,
            schema,
            shards,
        })
    }

    fn operator() -> impl Strategy<Value = OperatorState> {
        let note = (".{0,9}", any::<u32>(), vec(any::<u8>(), 0..9));
        let note = note.prop_map(|(name, worker, bytes)| Note { name, worker, bytes });
        (".{0,9}", ".{0,9}", vec(table(), 0..3), vec(note, 0..3))
            .prop_map(|(uid, kind, tables, notes)| OperatorState { uid, kind, tables, notes })
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let cause =
            prop_oneof![Just(Cause::Interval), Just(Cause::Request), Just(Cause::End), Just(Cause::Stop)];
        let manifest = (
            (any::<(u64, u64, u64, u64)>(), 1..99u32),
            ".{0,9}",
            cause,
            any::<Option<(u64, u32)>>(),
            vec(operator(), 0..4),
        );
        let manifest = manifest.prop_map(
            |(((generation, nonce, epoch, at), workers), job, cause, previous, operators)| {
                Entry::Manifest(Manifest {
                    generation,
                    nonce,
                    epoch,
                    job,
                    at,
                    cause,
                    workers,
                    ownership: Ownership::uniform(workers),
                    previous,
                    operators,
                })
            },
        );
        let claim = (any::<(u64, u64, u64, Option<u64>)>(), ".{0,9}");
        let claim = claim.prop_map(|((generation, nonce, at, from), job)| {
            Entry::Claim(Claim { generation, nonce, job, at, from })
        });
        prop_oneof![claim, manifest]
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(entry in entry(), number in any::<u64>()) {
            let bytes = entry.encode(number).unwrap();
            prop_assert_eq!(Entry::decode(number, &bytes, "log/x").unwrap(), entry);
            prop_assert!(Entry::decode(number ^ 1, &bytes, "log/x").is_err());
        }

        #[test]
        fn noise_in_an_envelope_does_not_panic(noise in vec(any::<u8>(), 0..300)) {
            let mut sealed = envelope::seal(Kind::Entry, 1, &(), "noise").unwrap();
            sealed.truncate(18);
            sealed.extend(&noise);
            sealed[14..18].copy_from_slice(&(noise.len() as u32).to_le_bytes());
            let crc = crc32c::crc32c(&sealed);
            sealed.extend(crc.to_le_bytes());
            let _ = Entry::decode(1, &sealed, "log/x");
        }
    }

    /// A manifest with notes, tables, and so many pages on each of two workers.
    pub(in crate::snapshot) fn sample(pages: u64) -> Manifest {
        let half = 1u64 << 63;
        let page = |worker: u64, n| {
            let hashes = (worker * half + n, worker * half + n);
            let segment = format!("pages/1/00000000000000000001-0000{worker}-0").into();
            PageRef { segment, offset: 100 * n, len: 100, rows: 3, hashes, crc: 5 }
        };
        let run = |worker| RunState { epochs: (1, 1), pages: (0..pages).map(|n| page(worker, n)).collect() };
        let shard = |worker: u32| Shard { worker, runs: vec![run(u64::from(worker))] };
        let schema = Schema { fingerprint: 9, text: "(String, u64)".to_owned() };
        let table = TableState { name: "values".to_owned(), schema, shards: vec![shard(0), shard(1)] };
        let note = Note { name: "splits".to_owned(), worker: 0, bytes: vec![1, 2, 3] };
        let operator = OperatorState {
            uid: "counts".to_owned(),
            kind: "Rolling".to_owned(),
            tables: vec![table],
            notes: vec![note],
        };
        let (job, cause, operators) = ("job".to_owned(), Cause::Interval, vec![operator]);
        Manifest {
            generation: 1,
            nonce: 7,
            epoch: 1,
            job,
            at: 0,
            cause,
            workers: 2,
            ownership: Ownership::uniform(2),
            previous: Some((1, 2)),
            operators,
        }
    }

    #[test]
    fn a_manifest_adds_up() {
        let manifest = sample(10);
        assert_eq!((manifest.bytes(), manifest.rows(), manifest.pages().count()), (2003, 60, 20));
        assert_eq!(manifest.operator("counts").unwrap().kind, "Rolling");
        assert_eq!(manifest.operator("none"), None);
    }

    #[test]
    fn segments_are_named_once() {
        let len = |pages| Entry::Manifest(sample(pages)).encode(1).unwrap().len();
        assert!(len(110) - len(10) < 200 * 35, "{} {}", len(10), len(110));
    }

    #[test]
    fn an_entry_with_a_changed_byte_is_refused() {
        let bytes = Entry::Manifest(sample(3)).encode(4).unwrap();
        let refused = |bytes: &[u8]| {
            let error = Entry::decode(4, bytes, "log/00000000000000000004").unwrap_err();
            assert!(error.to_string().contains("log/00000000000000000004"), "{error}");
        };
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                refused(&flipped);
            }
            let mut spoiled = bytes.clone();
            spoiled[at] = 0;
            if spoiled != bytes {
                refused(&spoiled);
            }
            let mut swapped = bytes.clone();
            swapped.swap(at, (at + 1) % bytes.len());
            if swapped != bytes {
                refused(&swapped);
            }
            refused(&bytes[..at]);
        }
        refused(&[&bytes[..], &[0]].concat());
        refused(&[]);
    }
}
