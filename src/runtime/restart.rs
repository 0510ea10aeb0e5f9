//! How a job with snapshots begins: it chooses what to go on from, checks that it can, and takes the store
//! over.
//!
//! The claim ends the run that has the store. So all that can refuse this run is asked first, as far as it
//! can be known: whether the snapshot fits the job, whether its sources are there, whether its sinks can go
//! on. What is asked changes nothing. If that run commits one more snapshot meanwhile, all is asked again of
//! that one, with the claim already there; and what fails even later, such as a worker that cannot open a
//! file, ends this run with no run before it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::config::Options;
use crate::error::{Error, Result};
use crate::snapshot::{
    Cuts, Desk, Gather, Lease, Manifest, Repository, Restore, Restored, Selector, Snapshots, Taker, Writing,
};
use crate::stream::{Beginning, Job, Shared};

/// Gets a job ready to run with snapshots. If workers take turns, so does the work of taking them.
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
    let first = lease.last_epoch().map_or(0, |last| last + 1);
    let shared = Arc::new(Shared::new(options, job.metrics.clone(), first, restored));
    let known = Arc::new(OnceLock::<Weak<Shared>>::new());
    let _ = known.set(Arc::downgrade(&shared));
    let upgrade = move || known.get().and_then(Weak::upgrade);
    let epoch = upgrade.clone();
    let taker = Taker {
        repository,
        lease,
        cuts: Arc::new(Cuts::new(snapshots.often, first)),
        options: snapshots.clone(),
        gather: Gather::new(options.workers),
        writing: Writing::new(snapshots.codec, snapshots.compression),
        workers: options.workers,
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
    let desk = match in_turns {
        true => Desk::without_thread(taker),
        false => Desk::with_thread(taker, move |error| {
            if let Some(shared) = upgrade() {
                shared.fail(error);
            }
        })?,
    };
    shared.take_snapshots(desk);
    Ok(shared)
}

/// What the operators of a job are, by their uids.
fn kinds(job: &Job) -> BTreeMap<String, String> {
    let nodes = job.graph.nodes();
    nodes.iter().enumerate().map(|(id, node)| (node.uid(id), node.kind.to_owned())).collect()
}

/// Checks that the job can begin as it is told to, takes the store over, and gives what the job goes on from.
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
    check(found.as_ref(), epoch)?;
    let lease = claim(repository, snapshots)?;
    let begins = matches!(snapshots.restore, Restore::Nothing | Restore::Anew);
    let claimed = lease.from().filter(|_| !begins).map(|(_, manifest)| restore(manifest.clone()));
    let identity = |restored: &Option<Arc<Restored>>| restored.as_ref().map(|restored| restored.identity());
    if identity(&claimed) != identity(&found) || lease.last_epoch() != epoch {
        check(claimed.as_ref(), lease.last_epoch())?;
    }
    job.graph.recover(&beginning(claimed.as_ref(), lease.last_epoch())?)?;
    Ok((lease, claimed))
}

/// The snapshot that the job is to go on from.
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

/// Takes the store over.
fn claim(repository: &Repository, snapshots: &Snapshots) -> Result<Lease> {
    let job = &snapshots.job;
    match &snapshots.restore {
        Restore::Nothing | Restore::Latest | Restore::Anew => repository.claim(job),
        Restore::Epoch(epoch) => repository.claim_from(job, &Selector::Epoch(*epoch)),
        Restore::Named(name) => repository.claim_from(job, &Selector::Name(name.clone())),
    }
}
