//! The repository: a store with snapshots in it, and how these are claimed, found, read and kept.
//!
//! Reading needs no lease and never changes anything. A damaged object is an error that names it. To fall
//! back to the snapshot before would publish again what was published since, and that is not for a program to
//! decide. A user who does decide it [finds](Repository::find) the snapshot before by its epoch.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::object::{PutError, Store, check, nonce};
use crate::snapshot::log::entries::{ATTEMPTS, Below, Log, Placed, TRIES, stale};
use crate::snapshot::log::envelope::{self, Kind};
use crate::snapshot::log::generation::{Generation, Generations};
use crate::snapshot::log::lease::{Lease, Opening, millis};
use crate::snapshot::log::manifest::{Claim, Entry, Manifest, PageRef};
use crate::snapshot::log::names::{LOG, NAMES, numbered};
use crate::snapshot::log::protocol::{Claimed, Found, Standing, first_free, settle_claim, standing};
use crate::snapshot::page::format::{self as page, PageHead};

/// A store with snapshots in it. Cloning shares the store.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(in crate::snapshot) log: Log,
    pub(in crate::snapshot) clock: Clock,
}

/// Which snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The last one.
    Latest,
    /// The one of an epoch.
    Epoch(u64),
    /// The one that was kept under a name.
    Name(String),
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The name.
    pub name: String,
    /// The number of the manifest.
    pub number: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Its checksum.
    pub checksum: u32,
}

/// What [`Repository::page`] expects of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The operator.
    pub uid: &'a str,
    /// The table in it.
    pub table: &'a str,
    /// The type of the rows.
    pub fingerprint: u64,
}

impl Repository {
    /// The snapshots in a store. Reads nothing yet.
    pub fn open(store: Arc<dyn Store>) -> Repository {
        Repository { log: Log(store), clock: Clock::system() }
    }

    /// The same with another clock, by which entries are dated.
    pub fn clock(mut self, clock: Clock) -> Repository {
        self.clock = clock;
        self
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.log.0
    }

    /// Takes the store over for a new run of the job, which goes on from the last snapshot. No run before it
    /// can commit from then on.
    ///
    /// Costs a dozen calls. An error if the store lets names be created twice, holds snapshots of another
    /// job, or if the last manifest is damaged. Whether there was a later one, only
    /// [`find`](Repository::find) asks.
    pub fn claim(&self, job: &str) -> Result<Lease> {
        self.claim_from(job, &Selector::Latest)
    }

    /// Takes the store over for a new run that goes on from any snapshot. The later ones stay until they are
    /// collected, and epochs are counted on from the last.
    pub fn claim_from(&self, job: &str, selector: &Selector) -> Result<Lease> {
        // A store that lets a second put win would let two runs commit, so it is refused before the claim.
        check(&*self.log.0)?;
        let chosen = match selector {
            Selector::Latest => None,
            chosen => Some(self.placed(chosen)?.ok_or_else(|| chosen.missing())?),
        };
        let nonce = nonce();
        for _ in 0..ATTEMPTS {
            let listed = self.log.numbers()?;
            let mut number = first_free(&listed);
            let lowest = listed.first().copied().unwrap_or(1);
            // A number that is taken is soon followed by others, so the next one is tried. If the number
            // below is empty, its entry was collected since the list was made, and the log is listed again.
            while let Some(below) = self.log.below(number, lowest)? {
                if let Some(opening) = self.try_claim(job, nonce, number, below, chosen.as_ref())? {
                    if self.is_sure(number)? {
                        // After the claim, which makes collectors keep that manifest; it may have been
                        // collected before.
                        self.recheck(&opening)?;
                        return Ok(Lease::new(self.log.clone(), self.clock.clone(), opening));
                    }
                    // The claim is below other entries and fences no run: list again, and claim a later
                    // number.
                    break;
                }
                number += 1;
            }
        }
        Err(stale())
    }

    /// Puts a claim. `None` if the number is taken.
    fn try_claim(
        &self,
        job: &str,
        nonce: u64,
        number: u64,
        below: Below,
        chosen: Option<&Placed>,
    ) -> Result<Option<Opening>> {
        let Below { generation, latest } = below;
        // Before the put: the claim would fence the runs of the other job.
        if let Some(other) = latest.as_ref().filter(|latest| latest.manifest.job != job) {
            let other = &other.manifest.job;
            return Err(Error::config(format!(
                "the store holds snapshots of the job {other:?}, and this one is {job:?}: use another directory"
            )));
        }
        let generation = generation + 1;
        let from = chosen.or(latest.as_ref()).cloned();
        let (at, job) = (millis(&self.clock), job.to_owned());
        let claim =
            Claim { generation, nonce, job: job.clone(), at, from: from.as_ref().map(|from| from.number) };
        let bytes = Entry::Claim(claim).encode(number)?;
        let name = numbered(LOG, number);
        let mut last = None;
        for _ in 0..TRIES {
            let found = match self.log.0.create(&name, &bytes) {
                Ok(()) => Found::Ours,
                Err(error) => {
                    last = Some(error);
                    // Also if the name is taken: an earlier try whose reply was lost may have put this very
                    // claim.
                    match self.log.0.read(&name)? {
                        Some(found) if found == bytes => Found::Ours,
                        Some(_) => Found::Other,
                        None => Found::Nothing,
                    }
                }
            };
            match settle_claim(found) {
                Claimed::Held => return Ok(Some(Opening { job, nonce, generation, number, latest, from })),
                Claimed::Taken => return Ok(None),
                Claimed::Retry => {}
            }
        }
        let error =
            Error::new(ErrorKind::Io, format!("{name} cannot be written, so no run can take the store over"));
        Err(match last {
            Some(PutError::Failed(last)) => error.because(last),
            _ => error,
        })
    }

    /// True if a claim was the last entry of the log, and so fences all runs before it.
    fn is_sure(&self, number: u64) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            // Listed after the claim: a list that shows the claim also shows whatever lay above it.
            match standing(number, &self.log.numbers()?) {
                Standing::Sure => return Ok(true),
                Standing::Passed => return Ok(false),
                Standing::Unseen => {}
            }
        }
        Err(stale())
    }

    /// Checks that the manifest that a run goes on from was not collected before its claim named it.
    fn recheck(&self, opening: &Opening) -> Result<()> {
        let Some(from) = &opening.from else { return Ok(()) };
        if self.log.0.read(&numbered(LOG, from.number))?.is_some() {
            return Ok(());
        }
        Err(Error::data(format!(
            "the snapshot of epoch {} was deleted just now: choose another",
            from.manifest.epoch
        )))
    }

    /// The runs that have taken this store over. Costs a read for each entry of the log; damaged entries are
    /// left out.
    pub fn generations(&self) -> Result<Generations> {
        let mut claims = Vec::new();
        for number in self.log.numbers()? {
            match self.log.entry(number) {
                Ok(Some((Entry::Claim(claim), _))) => {
                    claims.push(Generation { number: claim.generation, nonce: claim.nonce });
                }
                Err(error) if error.kind() != ErrorKind::Data => return Err(error),
                _ => {}
            }
        }
        Ok(claims.into_iter().collect())
    }

    /// All snapshots, oldest first, with the numbers of their manifests. Costs a read for each.
    pub fn list(&self) -> Result<Vec<(u64, Manifest)>> {
        let placed =
            self.log.numbers()?.into_iter().filter_map(|number| self.log.manifest(number).transpose());
        placed.map(|placed| placed.map(|placed| (placed.number, placed.manifest))).collect()
    }

    /// The epoch of the last manifest that is there, though there may have been later ones.
    pub(crate) fn last_epoch(&self) -> Result<Option<u64>> {
        Ok(self.log.latest()?.map(|latest| latest.manifest.epoch))
    }

    /// The snapshot that is selected, with the number of its manifest; `None` if there is none.
    ///
    /// An error if it is damaged. A name without its snapshot is one too.
    pub fn find(&self, selector: &Selector) -> Result<Option<(u64, Manifest)>> {
        Ok(self.placed(selector)?.map(|placed| (placed.number, placed.manifest)))
    }

    pub(in crate::snapshot) fn placed(&self, selector: &Selector) -> Result<Option<Placed>> {
        match selector {
            Selector::Latest => self.log.latest_of_all(),
            Selector::Epoch(epoch) => self.of_epoch(*epoch),
            Selector::Name(name) => {
                let Some(kept) = self.kept(name)? else { return Ok(None) };
                let placed = self.log.manifest(kept.number)?;
                // The checksum proves that it is the manifest that was named, and not another one of that
                // number.
                let placed = placed.filter(|placed| placed.checksum == kept.checksum);
                placed.map(Some).ok_or_else(|| {
                    let object = numbered(LOG, kept.number);
                    Error::data(format!(
                        "{NAMES}{name} stands for {object}, which is not there: the store was changed by hand"
                    ))
                })
            }
        }
    }

    /// The snapshot of an epoch. Goes down from the top, past damaged ones: a caller that asks for an epoch
    /// below one does so knowingly.
    fn of_epoch(&self, epoch: u64) -> Result<Option<Placed>> {
        let mut damaged = None;
        for number in self.log.numbers()?.into_iter().rev() {
            match self.log.manifest(number) {
                Ok(Some(placed)) if placed.manifest.epoch == epoch => return Ok(Some(placed)),
                // Epochs ascend with numbers.
                Ok(Some(placed)) if placed.manifest.epoch < epoch => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Data => damaged = Some(error),
                Err(error) => return Err(error),
            }
        }
        // The damaged manifest may be that of the epoch.
        damaged.map_or(Ok(None), Err)
    }

    /// Reads a page: its head and its body. Costs a read of its bytes.
    ///
    /// An error, which names the segment, if it is not there, not as it was written, or not what is expected.
    pub fn page(&self, page: &PageRef, expected: Expected<'_>) -> Result<(PageHead, Vec<u8>)> {
        let PageRef { segment, offset, len, rows, hashes, crc } = page;
        let wrong = |what: &str| Error::data(format!("the page at {offset} in {segment} {what}"));
        let bytes = self.log.0.read_range(segment, *offset, *len as usize)?;
        let bytes =
            bytes.ok_or_else(|| Error::data(format!("{segment} is missing, and a snapshot needs it")))?;
        // Compares the checksum at the page's end, without a pass over its bytes: an intact page of other
        // content fails here, and damage fails in `decode`.
        if page::checksum(&bytes) != *crc {
            return Err(wrong("is damaged: it does not end with the checksum that the manifest tells"));
        }
        let (head, body) =
            PageHead::decode(&bytes).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        if head.uid != expected.uid || head.table != expected.table {
            let (uid, table) = (&head.uid, &head.table);
            return Err(wrong(&format!(
                "is of {uid}/{table} and not of {}/{}",
                expected.uid, expected.table
            )));
        }
        if head.fingerprint != expected.fingerprint {
            return Err(wrong("has rows of another type than is expected"));
        }
        // The reference may cover fewer hashes than the page: a shard made by another number of workers.
        if head.rows != *rows || head.hashes.0 > hashes.0 || head.hashes.1 < hashes.1 {
            return Err(wrong("does not hold the rows that the manifest tells"));
        }
        Ok((head, body))
    }

    /// Keeps a snapshot under a name until the name is [deleted](Repository::delete).
    ///
    /// Names have 1 to 100 letters, digits, `-`, `_` and `.`, and are not only dots. An error if the name is
    /// taken by another snapshot, or if the snapshot is being collected.
    pub fn keep(&self, selector: &Selector, name: &str) -> Result<Kept> {
        check_kept(name)?;
        let Placed { number, checksum, manifest } =
            self.placed(selector)?.ok_or_else(|| selector.missing())?;
        let kept = Kept { name: name.to_owned(), number, epoch: manifest.epoch, checksum };
        let bytes = envelope::seal(Kind::Name, 0, &kept, "a name")?;
        let object = format!("{NAMES}{name}");
        if let Err(put) = self.log.0.create(&object, &bytes) {
            match (self.kept(name)?, put) {
                // The put succeeded though its reply was lost, or the name was given before.
                (Some(found), _) if found == kept => {}
                (Some(found), _) => {
                    let epoch = found.epoch;
                    return Err(Error::config(format!(
                        "{name:?} is the snapshot of epoch {epoch} already: choose another name"
                    )));
                }
                (None, PutError::Failed(error)) => return Err(error),
                (None, PutError::Exists) => {
                    return Err(Error::config(format!("{name:?} was deleted just now: try again")));
                }
            }
        }
        // A collector that wrote its intent before the name was there may not have seen it.
        if self.is_doomed(number)? || self.log.manifest(number)?.is_none() {
            self.log.0.delete(&object)?;
            let epoch = manifest.epoch;
            return Err(Error::data(format!(
                "the snapshot of epoch {epoch} is being collected: choose a later one"
            )));
        }
        Ok(kept)
    }

    /// All names, in their order.
    pub fn names(&self) -> Result<Vec<Kept>> {
        let listed = self.log.0.list(NAMES)?;
        let names = listed.iter().filter_map(|(object, _)| object.strip_prefix(NAMES));
        names.filter_map(|name| self.kept(name).transpose()).collect()
    }

    /// What a name stands for, if there is such a name.
    fn kept(&self, name: &str) -> Result<Option<Kept>> {
        check_kept(name)?;
        let object = format!("{NAMES}{name}");
        let Some(bytes) = self.log.0.read(&object)? else { return Ok(None) };
        let kept: Kept = envelope::open(Kind::Name, 0, &bytes, &object)?;
        if kept.name == name {
            return Ok(Some(kept));
        }
        Err(Error::data(format!("{object} is damaged: it is the name {:?}", kept.name)))
    }
}

fn check_kept(name: &str) -> Result<()> {
    let is_ok = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=100).contains(&name.len()) && name.bytes().all(is_ok) && name.bytes().any(|byte| byte != b'.') {
        return Ok(());
    }
    Err(Error::config(format!(
        "{name:?} cannot be the name of a snapshot: use 1 to 100 letters, digits, '-', '_' and '.'"
    )))
}

impl Selector {
    /// That there is no such snapshot.
    pub(crate) fn missing(&self) -> Error {
        Error::config(match self {
            Selector::Latest => "there is no snapshot yet".to_owned(),
            Selector::Epoch(epoch) => format!("there is no snapshot of epoch {epoch}: list those there are"),
            Selector::Name(name) => format!("there is no snapshot named {name:?}: list those there are"),
        })
    }
}
