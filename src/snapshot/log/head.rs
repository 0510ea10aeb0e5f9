//! Heads: markers of how far the log has come, by which a log that has lost its end is noticed.
//!
//! A log that has lost its last entries looks like a shorter log. To go on from it would repeat work whose
//! output is already there. So after each commit, when its sinks know of it, a run puts `head/<number>` and
//! deletes the head before. The entry is in the log before its head is put, and garbage collections keep the
//! last manifest; so a head above the last manifest shows that entries in between were deleted. Nothing else
//! reads heads: they take no part in commits. A crash, or a put that fails, leaves a head that is too low,
//! which proves nothing.
//!
//! Costs a put and a deletion for each snapshot, after it is durable.

use crate::error::{Error, Result};
use crate::snapshot::log::entries::{ATTEMPTS, Log, Placed};
use crate::snapshot::log::names::{HEAD, LOG, number_of, numbered};

impl Log {
    /// Puts the head of `number`. `before` is the number of the head that this run has put before.
    pub(in crate::snapshot) fn put_head(&self, number: u64, before: Option<u64>) {
        // A missing head does no harm, so a failure is no reason to fail a committed snapshot.
        if self.0.create(&numbered(HEAD, number), &[]).is_err() {
            return;
        }
        let stale = match before {
            Some(before) => vec![before],
            // The first head of this run: those of earlier runs are still there.
            None => self.heads().unwrap_or_default(),
        };
        for stale in stale.into_iter().filter(|stale| *stale < number) {
            // A head that stays is below others, and only the greatest counts.
            let _ = self.0.delete(&numbered(HEAD, stale));
        }
    }

    /// The numbers of all heads.
    pub(in crate::snapshot) fn heads(&self) -> Result<Vec<u64>> {
        Ok(self.0.list(HEAD)?.iter().filter_map(|(name, _)| number_of(HEAD, name)).collect())
    }

    /// The last manifest, or an error if there was a later one.
    ///
    /// Costs a list more than [`latest`](Log::latest), and reads only where lists are out of date.
    pub(in crate::snapshot) fn latest_of_all(&self) -> Result<Option<Placed>> {
        for _ in 0..ATTEMPTS {
            // Heads are listed before the log: a commit in between makes the log longer, and raises no alarm.
            let Some(head) = self.heads()?.into_iter().max() else { return self.latest() };
            let latest = self.latest()?;
            if latest.as_ref().is_some_and(|latest| latest.number >= head) {
                return Ok(latest);
            }
            if self.0.read(&numbered(LOG, head))?.is_some() {
                // The list was out of date, or a claim has taken the place of what was deleted.
                return self.latest();
            }
            // If the entry is gone because the log went on and it was collected, the last manifest has
            // changed: start over.
            if self.latest()? == latest {
                return Err(missing(head, latest.as_ref()));
            }
        }
        self.latest()
    }
}

fn missing(head: u64, latest: Option<&Placed>) -> Error {
    let (entry, head) = (numbered(LOG, head), numbered(HEAD, head));
    let rest = match latest {
        Some(latest) => format!(
            "To go on from the snapshot of epoch {}, which is the last that is left, name its epoch",
            latest.manifest.epoch
        ),
        None => "No snapshot is left".to_owned(),
    };
    Error::data(format!(
        "{entry} is missing, for {head} says that there was a snapshot of that number: it was deleted, and what came after is lost. {rest}"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::ErrorKind;
    use crate::object::{Memory, Store};
    use crate::snapshot::log::manifest::Cause;
    use crate::snapshot::log::repository::{Repository, Selector};

    #[test]
    fn a_log_that_has_lost_its_end_is_noticed() {
        let memory = Arc::new(Memory::default());
        let repository = Repository::open(memory.clone());
        let mut lease = repository.claim("job").unwrap();
        for epoch in [1, 2, 3] {
            lease.commit(lease.manifest(epoch, Cause::Interval, 1)).unwrap();
            lease.put_head();
        }
        assert_eq!(memory.list(HEAD).unwrap().len(), 1);
        let latest = || repository.find(&Selector::Latest).map(|found| found.map(|(_, found)| found.epoch));
        assert_eq!(latest().unwrap(), Some(3));
        memory.delete(&numbered(LOG, 4)).unwrap();
        let error = latest().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let told = error.to_string();
        assert!(told.contains(&numbered(LOG, 4)) && told.contains("epoch 2"), "{told}");
        let findings = repository.verify().unwrap().findings;
        assert!(findings.len() == 1 && findings[0].object == numbered(LOG, 4), "{findings:?}");
        // Whoever names an epoch knows what is lost, and from then on the log is whole.
        let mut lease = repository.claim_from("job", &Selector::Epoch(2)).unwrap();
        lease.commit(lease.manifest(4, Cause::Interval, 1)).unwrap();
        lease.put_head();
        assert_eq!((latest().unwrap(), memory.list(HEAD).unwrap().len()), (Some(4), 1));
        assert_eq!(repository.verify().unwrap().findings, []);
    }

    #[test]
    fn a_log_that_is_lost_altogether_is_noticed() {
        let memory = Arc::new(Memory::default());
        let repository = Repository::open(memory.clone());
        let mut lease = repository.claim("job").unwrap();
        lease.commit(lease.manifest(1, Cause::Interval, 1)).unwrap();
        lease.put_head();
        for (name, _) in memory.list(LOG).unwrap() {
            memory.delete(&name).unwrap();
        }
        let told = repository.find(&Selector::Latest).unwrap_err().to_string();
        assert!(told.contains("No snapshot is left"), "{told}");
    }
}
