//! Verification: whether a store holds everything that its log refers to.
//!
//! The log must be consistent: numbers, generations and epochs ascend, each manifest has a claim below it and
//! links to the manifest before. Each snapshot must be whole: all its pages are there and match what the
//! manifest says, and for each table every hash belongs to exactly one shard. Each name must stand for a
//! snapshot. Objects that nothing refers to are no fault: crashes leave such, and collections find them.
//!
//! # When the end of the log is missing
//!
//! Entries that were deleted from the end of the log leave no gap. They are found where something else refers
//! to them: `head/<number>`, which is put after each snapshot, a name of a snapshot that is gone, a claim
//! that went on from it, segments of a run that no claim knows. What cannot be found is a deletion of these
//! with the entries: then the store is one that has never had the snapshot. Neither is that of the last entry
//! of a run that crashed before it put the head. A job that goes on from the snapshot before is still refused
//! by sinks that see their own output ahead of it, such as [`FileSink`](crate::connector::FileSink).
//!
//! All pages are read, each once; so it takes as long as reading the store does, and the memory of one page.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::log::entries::see;
use crate::snapshot::log::manifest::{Claim, Entry, Manifest, PageRef, Shard, TableState};
use crate::snapshot::log::names::{LOG, NAMES, PAGES, SegmentName, number_of, numbered};
use crate::snapshot::log::protocol::{Seen, is_void};
use crate::snapshot::log::repository::{Expected, Repository, Selector};

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The snapshots.
    pub manifests: u64,
    /// Their different pages.
    pub pages: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the object.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.what)
    }
}

impl Report {
    fn add(&mut self, object: impl Into<String>, what: impl Into<String>) {
        self.findings.push(Finding { object: object.into(), what: what.into() });
    }

    /// Records damage as a finding. Any other error, such as one of the network, proves nothing about the
    /// store.
    fn note<X>(&mut self, object: impl Into<String>, outcome: Result<X>) -> Result<Option<X>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::Data => {
                self.add(object, error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// An entry of the log in its place.
struct Numbered {
    number: u64,
    checksum: u32,
    entry: Entry,
}

impl Repository {
    /// Checks all that the store holds. An error only if the store cannot be read; what is damaged is in the
    /// report.
    ///
    /// Nothing may be collected meanwhile, or what is deleted seems to be missing.
    pub fn verify(&self) -> Result<Report> {
        let mut report = Report::default();
        let entries = self.entries(&mut report)?;
        check_claims(&entries, &mut report);
        check_chain(&entries, &mut report);
        let mut checked = BTreeSet::new();
        for Numbered { number, entry, .. } in &entries {
            let Entry::Manifest(manifest) = entry else { continue };
            report.manifests += 1;
            check_shape(&numbered(LOG, *number), manifest, &mut report);
            self.check_pages(manifest, &mut checked, &mut report)?;
        }
        self.check_names(&mut report)?;
        self.check_end(&entries, &mut report)?;
        Ok(report)
    }

    fn entries(&self, report: &mut Report) -> Result<Vec<Numbered>> {
        let mut entries = Vec::new();
        for (name, _) in self.log.0.list(LOG)? {
            let Some(number) = number_of(LOG, &name) else {
                report.add(name, "does not have the name of a log entry: remove it if it is not needed");
                continue;
            };
            let entry = report.note(name, self.log.entry(number))?.flatten();
            entries.extend(entry.map(|(entry, checksum)| Numbered { number, checksum, entry }));
        }
        Ok(entries)
    }

    fn check_pages(
        &self,
        manifest: &Manifest,
        checked: &mut BTreeSet<String>,
        report: &mut Report,
    ) -> Result<()> {
        for operator in &manifest.operators {
            for table in &operator.tables {
                let expected = Expected {
                    uid: &operator.uid,
                    table: &table.name,
                    fingerprint: table.schema.fingerprint,
                };
                for page in pages(table) {
                    // The reference is a part of the key: another manifest may refer to the same page with
                    // other values.
                    if checked.insert(format!("{expected:?} {page:?}")) {
                        self.check_page(page, expected, report)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_page(&self, page: &PageRef, expected: Expected<'_>, report: &mut Report) -> Result<()> {
        report.pages += 1;
        report.bytes += u64::from(page.len);
        report.note(&*page.segment, self.page(page, expected)).map(drop)
    }

    fn check_names(&self, report: &mut Report) -> Result<()> {
        for (object, _) in self.log.0.list(NAMES)? {
            let name = object.trim_start_matches(NAMES).to_owned();
            let found = self.find(&Selector::Name(name));
            report.note(object, found)?;
        }
        Ok(())
    }
}

impl Repository {
    /// Looks for traces of entries that have been deleted from the end of the log. Where entries are damaged,
    /// that is enough of a finding.
    fn check_end(&self, entries: &[Numbered], report: &mut Report) -> Result<()> {
        let numbers = self.log.numbers()?;
        // Some entries could not be decoded, so which claim is the last is not known.
        if numbers.len() != entries.len() {
            return Ok(());
        }
        let head = self.log.heads()?.into_iter().max();
        if let Some(head) = head.filter(|head| numbers.last().is_none_or(|last| last < head)) {
            report.add(numbered(LOG, head), "is missing: the end of the log was deleted");
        }
        let seen: Vec<Seen> = entries.iter().map(|one| see(one.number, &one.entry)).collect();
        // A run whose claim is void never got a lease, so no segments are its own, and it goes on from
        // nothing.
        let is_held = |one: &&Numbered| match &one.entry {
            Entry::Claim(_) => !is_void(&seen, &see(one.number, &one.entry)),
            Entry::Manifest(_) => false,
        };
        let Some(Numbered { number, entry: Entry::Claim(last), .. }) = entries.iter().rev().find(is_held)
        else {
            return Ok(());
        };
        if let Some(from) = last.from.filter(|from| !numbers.contains(from)) {
            let what = format!("went on from {}, which is not there", numbered(LOG, from));
            report.add(numbered(LOG, *number), what);
        }
        for (name, _) in self.log.0.list(PAGES)? {
            let generation = SegmentName::parse(&name).map(|segment| segment.generation);
            if let Some(unknown) = generation.filter(|generation| *generation > last.generation) {
                report.add(name, format!("is of generation {unknown}, of which there is no claim"));
            }
        }
        Ok(())
    }
}

fn pages(table: &TableState) -> impl Iterator<Item = &PageRef> {
    table.shards.iter().flat_map(|shard| &shard.runs).flat_map(|run| &run.pages)
}

/// Checks that claims ascend, and that every manifest has one.
fn check_claims(entries: &[Numbered], report: &mut Report) {
    let seen: Vec<Seen> = entries.iter().map(|one| see(one.number, &one.entry)).collect();
    let mut claims: Vec<&Claim> = Vec::new();
    for (Numbered { number, entry, .. }, claim_seen) in entries.iter().zip(&seen) {
        let last = claims.last().map_or(0, |claim| claim.generation);
        match entry {
            Entry::Claim(_) if is_void(&seen, claim_seen) => {}
            Entry::Claim(claim) => {
                if claim.generation <= last {
                    report.add(
                        numbered(LOG, *number),
                        format!("is generation {} after {last}", claim.generation),
                    );
                }
                claims.push(claim);
            }
            Entry::Manifest(manifest) => {
                let is_claimed =
                    |claim: &&Claim| (claim.generation, claim.nonce) == (manifest.generation, manifest.nonce);
                // Every run before the last claim is fenced, so that claim must be the manifest's own.
                if !claims.last().is_some_and(is_claimed) {
                    let what = format!(
                        "was written by generation {}, which did not hold the store then",
                        manifest.generation
                    );
                    report.add(numbered(LOG, *number), what);
                }
            }
        }
    }
}

/// Checks that manifests link to those before them, and that their epochs ascend.
fn check_chain(entries: &[Numbered], report: &mut Report) {
    let mut before: Option<(u64, u32, u64)> = None;
    for Numbered { number, checksum, entry } in entries {
        let Entry::Manifest(manifest) = entry else { continue };
        let object = || numbered(LOG, *number);
        match (manifest.previous, before) {
            (Some((link, _)), _) if link >= *number => report.add(object(), "links to a manifest after it"),
            (Some((link, crc)), Some((last, found, _))) if link == last && crc != found => {
                report.add(object(), format!("links to another {} than is there", numbered(LOG, last)));
            }
            (None, Some((last, ..))) => {
                report.add(object(), format!("does not link to {}", numbered(LOG, last)))
            }
            (Some((link, _)), Some((last, ..))) if link < last => {
                report.add(object(), format!("links to {link} and not to the last, {last}"));
            }
            // A link to a number above the last manifest is to one that was collected since.
            _ => {}
        }
        if let Some((_, _, epoch)) = before.filter(|(_, _, epoch)| *epoch >= manifest.epoch) {
            report.add(object(), format!("is of epoch {} after epoch {epoch}", manifest.epoch));
        }
        before = Some((*number, *checksum, manifest.epoch));
    }
}

/// Checks that every hash belongs to one shard of each table, and that runs and pages are in order.
fn check_shape(object: &str, manifest: &Manifest, report: &mut Report) {
    let mut uids = BTreeSet::new();
    for operator in &manifest.operators {
        if !uids.insert(&operator.uid) {
            report.add(object, format!("has the operator {} twice", operator.uid));
        }
        let mut names = BTreeSet::new();
        for table in &operator.tables {
            let whose = format!("{}/{}", operator.uid, table.name);
            if !names.insert(&table.name) {
                report.add(object, format!("has the table {whose} twice"));
            }
            let mut workers: Vec<u32> = table.shards.iter().map(|shard| shard.worker).collect();
            workers.sort_unstable();
            // One shard of each worker: together they own every hash once.
            if !workers.iter().copied().eq(0..manifest.workers) {
                let n = manifest.workers;
                report
                    .add(object, format!("has shards of {whose} by workers {workers:?}, and there were {n}"));
            }
            for shard in &table.shards {
                if let Err(error) = check_shard(shard, manifest) {
                    report.add(object, format!("in {whose}, worker {}, {error}", shard.worker));
                }
            }
        }
    }
}

fn check_shard(shard: &Shard, manifest: &Manifest) -> Result<()> {
    let mut last = 0;
    for run in &shard.runs {
        if run.epochs.0 > run.epochs.1 || run.epochs.0 < last || run.epochs.1 > manifest.epoch {
            return Err(Error::data(format!("a run of epochs {:?} is out of order", run.epochs)));
        }
        last = run.epochs.1;
        for PageRef { hashes: (first, end), segment, offset, .. } in &run.pages {
            if first > end {
                return Err(Error::data(format!("the page at {offset} in {segment} is out of order")));
            }
            // Between the two ends there may be hashes of others, of which the page has none. What is of no
            // key lies at hash 0.
            let is_own = |hash: &u64| manifest.ownership.worker_of(*hash) == shard.worker as usize;
            if (*first, *end) != (0, 0) && ![first, end].into_iter().all(is_own) {
                return Err(Error::data(format!("the page at {offset} in {segment} has keys of others")));
            }
        }
    }
    Ok(())
}
