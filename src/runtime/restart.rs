//! How a job with snapshots begins: it takes the store over, chooses what to go on from, and checks that it can.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::config::Options;
use crate::error::{Error, Result};
use crate::snapshot::{
    Cuts, Desk, Gather, Lease, Manifest, Repository, Restore, Restored, Selector, Snapshots, Taker, Writing,
};
use crate::stream::{Job, Shared};

/// Gets a job ready to run with snapshots. If workers take turns, so does the work of taking them.
pub(crate) fn prepare(
    job: &Job,
    options: &Options,
    snapshots: &Snapshots,
    in_turns: bool,
) -> Result<Arc<Shared>> {
    let kinds = kinds(job);
    let repository = Repository::open(Arc::clone(&snapshots.store)).clock(options.clock.clone());
    let migrations = job.migrations_told();
    migrations.check(|uid| kinds.contains_key(uid))?;
    let (lease, manifest) = claim(&repository, snapshots)?;
    let restored = manifest.map(|manifest| {
        let restored = Restored::new(repository.clone(), manifest);
        Arc::new(restored.migrating(migrations, snapshots.drops_state))
    });
    if let Some(restored) = &restored {
        restored.check(|uid| kinds.get(uid).map(String::as_str))?;
    }
    job.graph.prepare(options.workers, true, restored.as_ref())?;
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

/// Takes the store over, and gives what the job is to go on from.
fn claim(repository: &Repository, snapshots: &Snapshots) -> Result<(Lease, Option<Manifest>)> {
    let lease = match &snapshots.restore {
        Restore::Nothing if repository.find(&Selector::Latest)?.is_some() => {
            return Err(Error::config(
                "there are snapshots of an earlier run: go on from the latest, or say that the job begins anew",
            ));
        }
        Restore::Nothing | Restore::Anew | Restore::Latest => repository.claim(&snapshots.job)?,
        Restore::Epoch(epoch) => repository.claim_from(&snapshots.job, &Selector::Epoch(*epoch))?,
        Restore::Named(name) => repository.claim_from(&snapshots.job, &Selector::Name(name.clone()))?,
    };
    let begins = matches!(snapshots.restore, Restore::Nothing | Restore::Anew);
    let from = lease.from().filter(|_| !begins).map(|(_, manifest)| manifest.clone());
    Ok((lease, from))
}
