//! The start of a job with snapshots: chooses the snapshot to restore, checks that it can be restored, and
//! claims the store.
//!
//! The claim fences the run that holds the store. So everything that can refuse this run is checked first, as
//! far as it can be known: that the snapshot fits the job, that its sources exist, that its sinks can
//! continue. The checks change nothing. If the earlier run commits one more snapshot meanwhile, the checks
//! are repeated on that snapshot, after the claim. A later failure, such as a worker that cannot open a file,
//! ends this run when the earlier one has already been fenced.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::config::Options;
use crate::error::{Error, Result};
use crate::snapshot::{
    Coordinator, CoordinatorHandle, Lease, Manifest, PendingSnapshots, Repository, Restore, Restored,
    SegmentWriting, Selector, SnapshotTrigger, Snapshots,
};
use crate::stream::{Beginning, Job, Shared};

/// Prepares a job to run with snapshots. If workers take turns, the coordinator runs within their turns too.
pub(crate) fn prepare(
    job: &Job,
    options: &Options,
    snapshots: &Snapshots,
    in_turns: bool,
) -> Result<Arc<Shared>> {
    job.graph.check(Some(snapshots.store.directory()))?;
    let kinds = kinds(job);
    let repository = Repository::open(Arc::clone(&snapshots.store)).clock(options.clock.clone());
    let (lease, restored) = begin(job, options, snapshots, &repository, &kinds)?;
    // Epochs ascend in the log, so this run numbers its own after all that any run has committed, even if it
    // restores an older snapshot.
    let first = lease.last_epoch().map_or(0, |last| last + 1);
    let shared = Arc::new(Shared::new(options, job.metrics.clone(), first, restored));
    // Weak, because `Shared` owns the coordinator: a strong pointer back would keep both for ever.
    let known = Arc::new(OnceLock::<Weak<Shared>>::new());
    let _ = known.set(Arc::downgrade(&shared));
    let upgrade = move || known.get().and_then(Weak::upgrade);
    let epoch = upgrade.clone();
    let taker = Coordinator {
        repository,
        lease,
        trigger: Arc::new(SnapshotTrigger::new(snapshots.often, first)),
        options: snapshots.clone(),
        pending: PendingSnapshots::new(options.workers),
        writing: SegmentWriting::new(snapshots.codec, snapshots.compression),
        ownership: options.owners(),
        kinds,
        epoch: Box::new(move || epoch().map_or(0, |shared| shared.epochs.current())),
        clock: options.clock.clone(),
        metrics: job.metrics.clone(),
        notices: job.notices.clone(),
        is_failing: false,
        commits: 0,
        began: BTreeMap::new(),
        patience: Duration::ZERO,
    };
    let coordinator = match in_turns {
        true => CoordinatorHandle::without_thread(taker),
        false => CoordinatorHandle::with_thread(taker, move |error| {
            if let Some(shared) = upgrade() {
                shared.fail(error);
            }
        })?,
    };
    shared.take_snapshots(coordinator);
    Ok(shared)
}

/// The kinds of a job's operators, by their uids.
fn kinds(job: &Job) -> BTreeMap<String, String> {
    let nodes = job.graph.nodes();
    nodes.iter().enumerate().map(|(id, node)| (node.uid(id), node.kind.to_owned())).collect()
}

/// Checks that the job can start as its options say, claims the store, and returns what the job restores.
fn begin(
    job: &Job,
    options: &Options,
    snapshots: &Snapshots,
    repository: &Repository,
    kinds: &BTreeMap<String, String>,
) -> Result<(Lease, Option<Arc<Restored>>)> {
    let migrations = job.migrations_told();
    migrations.check(|uid| kinds.contains_key(uid))?;
    let restore = |manifest: Manifest| {
        let restored = Restored::new(repository.clone(), manifest);
        Arc::new(restored.migrating(migrations.clone(), snapshots.drops_state))
    };
    let beginning = |restored: Option<&Arc<Restored>>, latest| -> Result<Beginning> {
        let (workers, notices, restored) = (options.workers, job.notices.clone(), restored.cloned());
        let anew = snapshots.restore == Restore::Anew;
        Ok(Beginning { workers, anew, generations: repository.generations()?, latest, restored, notices })
    };
    let check = |restored: Option<&Arc<Restored>>, latest| {
        if let Some(restored) = restored {
            restored.check(|uid| kinds.get(uid).map(String::as_str))?;
        }
        job.graph.check_beginning(&beginning(restored, latest)?)
    };
    let epoch = repository.last_epoch()?;
    let found = wanted(repository, snapshots)?.map(restore);
    // Before the claim, so that a job that is refused fences nobody.
    check(found.as_ref(), epoch)?;
    let lease = claim(repository, snapshots)?;
    let begins = matches!(snapshots.restore, Restore::Nothing | Restore::Anew);
    let claimed = lease.from().filter(|_| !begins).map(|(_, manifest)| restore(manifest.clone()));
    let identity = |restored: &Option<Arc<Restored>>| restored.as_ref().map(|restored| restored.identity());
    // The earlier run may have committed between the look and the claim; nothing can commit after it.
    if identity(&claimed) != identity(&found) || lease.last_epoch() != epoch {
        check(claimed.as_ref(), lease.last_epoch())?;
    }
    // From here on sinks change their outputs: they commit what the snapshot has prepared and drop the rest.
    job.graph.recover(&beginning(claimed.as_ref(), lease.last_epoch())?)?;
    Ok((lease, claimed))
}

/// The manifest of the snapshot that the job restores, if any.
fn wanted(repository: &Repository, snapshots: &Snapshots) -> Result<Option<Manifest>> {
    let find = |selector: Selector| Ok(repository.find(&selector)?.map(|(_, manifest)| manifest));
    let must_find = |selector: Selector| match find(selector.clone())? {
        Some(manifest) => Ok(Some(manifest)),
        None => Err(selector.missing()),
    };
    match &snapshots.restore {
        Restore::Nothing if find(Selector::Latest)?.is_some() => Err(Error::config(
            "there are snapshots of an earlier run: go on from the latest, or say that the job begins anew",
        )),
        Restore::Nothing | Restore::Anew => Ok(None),
        Restore::Latest => find(Selector::Latest),
        Restore::Epoch(epoch) => must_find(Selector::Epoch(*epoch)),
        Restore::Named(name) => must_find(Selector::Name(name.clone())),
    }
}

/// Claims the store, which fences the run before.
fn claim(repository: &Repository, snapshots: &Snapshots) -> Result<Lease> {
    let job = &snapshots.job;
    match &snapshots.restore {
        Restore::Nothing | Restore::Latest | Restore::Anew => repository.claim(job),
        Restore::Epoch(epoch) => repository.claim_from(job, &Selector::Epoch(*epoch)),
        Restore::Named(name) => repository.claim_from(job, &Selector::Name(name.clone())),
    }
}
