//! The decisions of the parties that share a store, as functions of what each party has read. They need no
//! store, so a model can try them in every order.
//!
//! Three kinds of parties share a store: a *claimer* takes the store over, a *committer* appends manifests, a
//! *collector* deletes what is no longer needed. No party can ask another, and each may sleep at any point
//! for any time.
//!
//! # Why at most one run commits
//!
//! Every entry is created under the number after an existing entry, so the numbers ever used have no holes. A
//! run's numbers follow its claim one by one. The number that a later run's claim takes is the next number of
//! the run that committed before, or follows another claim that took it; and claims are never deleted. So the
//! earlier run's next put always fails, however long it slept.
//!
//! A put whose outcome is unknown is settled by reading its number. If the number holds the put manifest,
//! that is committed; if it holds anything else, a claim was first. If it holds nothing, the put never
//! happened, or the manifest was collected since; in the latter case the number after it holds the claim of a
//! run that went on. A list may be out of date, and show neither the newest entries nor that old ones are
//! gone. A claimer that trusted it might claim a number that was used and collected, and fence no run. So it
//! lists again after its claim: a list that shows the claim is not older than it, and shows whatever lies
//! above.
//!
//! # Why nothing is deleted that is needed
//!
//! A run's next manifest names segments of the one before it, of the one that the run went on from, and those
//! that this run wrote after its last manifest. All of these are kept, as of any moment at which the
//! collector looked, and as of every later one: what is needed later is built from what is needed now, and
//! from what is written later.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::snapshot::log::names::SegmentName;

/// The content of a number after a put there that did not report success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// What was put.
    Ours,
    /// Anything else.
    Other,
    /// Nothing.
    Nothing,
}

/// What a committer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its manifest is committed.
    Committed,
    /// Another run has taken over: it never writes again.
    Fenced,
    /// It puts the same once more.
    Retry,
}

/// Settles a manifest's put. `is_above` is true if there is an entry at the number after it, read after
/// `found`.
pub fn settle(found: Found, is_above: bool) -> Next {
    match found {
        Found::Ours => Next::Committed,
        // Only a later run's claim can take the next number of this run.
        Found::Other => Next::Fenced,
        // The put may have succeeded and its manifest been collected since. Above it only a later run's claim
        // can stand, so this run is fenced either way.
        Found::Nothing if is_above => Next::Fenced,
        Found::Nothing => Next::Retry,
    }
}

/// The number that a claimer tries first, given the numbers in the log.
pub fn first_free(listed: &[u64]) -> u64 {
    listed.iter().max().map_or(1, |greatest| greatest.saturating_add(1))
}

/// What a claimer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The number holds the claim; whether that is the last entry is still to be checked.
    Held,
    /// The number is taken: it tries the next.
    Taken,
    /// It puts the same once more.
    Retry,
}

/// Settles a claim's put.
pub fn settle_claim(found: Found) -> Claimed {
    match found {
        Found::Ours => Claimed::Held,
        Found::Other => Claimed::Taken,
        Found::Nothing => Claimed::Retry,
    }
}

/// Whether a claim has fenced the runs before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was the last entry of the log.
    Sure,
    /// The list is older than the claim: list again.
    Unseen,
    /// There are entries above. It fences no run: claim again.
    Passed,
}

/// Whether a claim is the last entry, by a list that was requested after the claim.
pub fn standing(number: u64, listed: &[u64]) -> Standing {
    match listed.iter().max() {
        // The number may be one that was used and collected, which is no run's next number.
        Some(greatest) if *greatest > number => Standing::Passed,
        Some(greatest) if *greatest == number => Standing::Sure,
        // A list without the claim is older than the claim, so it cannot rule out entries above.
        _ => Standing::Unseen,
    }
}

/// The first of the segments that a manifest may not name.
///
/// It may name those of the manifests `before` it, and those `written` by its run for an epoch after its
/// run's last manifest: a collector that looked before now keeps no others.
pub fn unfounded<'a>(
    named: impl IntoIterator<Item = &'a Arc<str>>,
    before: &BTreeSet<Arc<str>>,
    written: &BTreeSet<Arc<str>>,
    last: Option<u64>,
) -> Option<&'a Arc<str>> {
    // A segment for an epoch up to `last` that no manifest names is garbage to a collector, and may be
    // deleted already.
    let is_new = |segment: &Arc<str>| {
        let name = SegmentName::parse(segment);
        written.contains(segment) && name.is_some_and(|name| last.is_none_or(|last| name.epoch > last))
    };
    named.into_iter().find(|segment| !before.contains(*segment) && !is_new(segment))
}

/// An entry of the log, as a collector sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub number: u64,
    /// The run that wrote it.
    pub generation: u64,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What it is.
    pub what: What,
}

/// What an entry of the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A claim by a run that goes on from the manifest of a number.
    Claim {
        /// That number.
        from: Option<u64>,
    },
    /// A manifest.
    Manifest {
        /// Its epoch.
        epoch: u64,
        /// The segments that it names.
        segments: BTreeSet<Arc<str>>,
    },
}

/// What a collector sees. The log was listed before the segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The log, in the order of numbers.
    pub entries: Vec<Seen>,
    /// The numbers of the manifests that have names.
    pub named: BTreeSet<u64>,
    /// All segments there are.
    pub segments: Vec<SegmentName>,
}

/// What may be deleted, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Manifests, by number.
    pub manifests: Vec<u64>,
    /// Segments.
    pub segments: Vec<SegmentName>,
}

/// What is not needed any more.
///
/// Manifests are kept if they are among the last `retain`, or the last; if they have a name; if the newest
/// run went on from them; and if they were the last after `horizon`, in milliseconds since 1970. Segments are
/// kept that these name, that the newest run wrote after its last manifest, that a still newer run wrote, and
/// that became garbage only after `horizon`.
pub fn garbage(view: &View, retain: usize, horizon: u64) -> Garbage {
    // A void claim fenced no run: it must not make segments of the run that went on garbage.
    let entries: Vec<&Seen> = view.entries.iter().filter(|entry| !is_void(&view.entries, entry)).collect();
    let manifests: Vec<&Seen> = entries.iter().copied().filter(|entry| entry.epoch().is_some()).collect();
    // Earlier runs are fenced, so only the newest can still name segments of the manifest that it went on
    // from.
    let from = entries.iter().rev().copied().find_map(Seen::claim_from).flatten();
    let is_kept = |place: usize| {
        // At least 1: the last manifest is never deleted.
        let is_recent = place + retain.max(1) >= manifests.len();
        let is_wanted =
            view.named.contains(&manifests[place].number) || from == Some(manifests[place].number);
        // A manifest was the last one until the next was written; its grace begins then.
        is_recent || is_wanted || manifests.get(place + 1).is_some_and(|next| next.at > horizon)
    };
    let (kept, doomed): (Vec<usize>, Vec<usize>) = (0..manifests.len()).partition(|place| is_kept(*place));
    let named: BTreeSet<&str> =
        kept.iter().flat_map(|place| manifests[*place].segments()).map(|segment| &**segment).collect();
    let is_garbage = |segment: &&SegmentName| {
        // The grace of a segment begins with the first entry after which no new manifest can name it.
        let end = entries.iter().find(|entry| entry.outdates(segment));
        end.is_some_and(|end| end.at <= horizon) && !named.contains(segment.to_string().as_str())
    };
    Garbage {
        manifests: doomed.into_iter().map(|place| manifests[place].number).collect(),
        segments: view.segments.iter().filter(is_garbage).copied().collect(),
    }
}

/// True for a claim of a number that had been used and collected: who was there before has gone on above it.
/// It fenced no run, and its own run noticed that, or crashed before it could.
pub fn is_void(entries: &[Seen], claim: &Seen) -> bool {
    // A run of an earlier generation has committed above the claim, so the claim did not take its next
    // number.
    let goes_on = |entry: &Seen| entry.number > claim.number && entry.generation < claim.generation;
    claim.epoch().is_none() && entries.iter().any(|entry| entry.epoch().is_some() && goes_on(entry))
}

impl Seen {
    fn epoch(&self) -> Option<u64> {
        match self.what {
            What::Claim { .. } => None,
            What::Manifest { epoch, .. } => Some(epoch),
        }
    }

    fn claim_from(&self) -> Option<Option<u64>> {
        match self.what {
            What::Claim { from } => Some(from),
            What::Manifest { .. } => None,
        }
    }

    fn segments(&self) -> impl Iterator<Item = &Arc<str>> {
        let segments = match &self.what {
            What::Claim { .. } => None,
            What::Manifest { segments, .. } => Some(segments),
        };
        segments.into_iter().flatten()
    }

    /// True if no manifest after this entry will name the segment, unless one before did.
    fn outdates(&self, segment: &SegmentName) -> bool {
        let is_past = self.epoch().is_some_and(|epoch| epoch >= segment.epoch);
        // A later run fences the one that wrote the segment. In the same run, a manifest of the segment's
        // epoch or a later one is past the last manifest that could name it for the first time.
        self.generation > segment.generation || (self.generation == segment.generation && is_past)
    }
}
