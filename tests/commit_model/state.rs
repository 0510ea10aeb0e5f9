//! What there is in the model: a store, runs of a job, a collector.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use highwater::snapshot::names::SegmentName;
use highwater::snapshot::protocol::{Found, Seen, View, What};

pub(crate) type Segments = BTreeSet<SegmentName>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Entry {
    Claim { run: usize, generation: u64, from: Option<u64> },
    Manifest { run: usize, generation: u64, epoch: u64, segments: Segments },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) log: BTreeMap<u64, Entry>,
    pub(crate) segments: Segments,
    /// Manifests on their way to the store.
    pub(crate) flying: BTreeSet<(u64, Entry)>,
    pub(crate) runs: Vec<Run>,
    pub(crate) collector: Collector,
    /// The manifests that a collector has deleted.
    pub(crate) collected: BTreeSet<u64>,
    /// The claims that their runs rely on.
    pub(crate) sure: BTreeMap<u64, usize>,
    /// The greatest epoch that a run was told to be committed.
    pub(crate) told: u64,
    pub(crate) is_void_noticed: bool,
    pub(crate) broken: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Run {
    Idle {
        lists: u8,
    },
    Listed {
        number: u64,
        lists: u8,
    },
    Ready(Claiming),
    Unknown(Claiming),
    Unconfirmed(Claiming),
    Held(Held),
    Waiting(Held),
    Settling(Held),
    /// It has found nothing under its number.
    Missing(Held),
    Fenced,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claiming {
    pub(crate) number: u64,
    pub(crate) generation: u64,
    pub(crate) latest: Option<(u64, u64, Segments)>,
    pub(crate) lists: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) number: u64,
    pub(crate) generation: u64,
    pub(crate) commits: u8,
    /// The epoch and the segments of the last manifest.
    pub(crate) latest: Option<(u64, Segments)>,
    pub(crate) origin: Segments,
    pub(crate) own: Option<u64>,
    pub(crate) written: Segments,
    /// What is being committed.
    pub(crate) pending: Option<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Collector {
    Idle { left: u8 },
    Intends { left: u8, manifests: Vec<u64>, segments: Vec<SegmentName> },
    Deletes { left: u8, manifests: Vec<u64>, segments: Vec<SegmentName> },
}

pub(crate) fn texts(segments: &Segments) -> BTreeSet<Arc<str>> {
    segments.iter().map(|segment| segment.to_string().into()).collect()
}

impl State {
    pub(crate) fn last_manifest(&self) -> Option<(u64, u64, &Segments)> {
        self.log.iter().rev().find_map(|(number, entry)| match entry {
            Entry::Manifest { epoch, segments, .. } => Some((*number, *epoch, segments)),
            Entry::Claim { .. } => None,
        })
    }

    pub(crate) fn create(&mut self, number: u64, entry: &Entry) -> bool {
        if self.log.contains_key(&number) {
            return false;
        }
        let holder = self.sure.range(..number).next_back().map(|(_, run)| *run);
        if matches!(entry, Entry::Manifest { run, .. } if Some(*run) != holder) {
            self.broken = Some("a run wrote after another had taken over");
        }
        self.log.insert(number, entry.clone());
        true
    }

    /// What a claimer reads below a number.
    pub(crate) fn below(&self, number: u64, lists: u8) -> Option<Claiming> {
        let (mut generation, mut latest) = (0, None);
        if number > 1 && !self.log.contains_key(&(number - 1)) {
            return None;
        }
        for (place, entry) in self.log.range(..number).rev() {
            match entry {
                Entry::Claim { generation: claimed, .. } => generation = generation.max(*claimed),
                Entry::Manifest { generation: wrote, epoch, segments, .. } => {
                    generation = generation.max(*wrote);
                    latest = Some((*place, *epoch, segments.clone()));
                    break;
                }
            }
        }
        Some(Claiming { number, generation: generation + 1, latest, lists })
    }

    pub(crate) fn view(&self) -> View {
        let seen = |(number, entry): (&u64, &Entry)| {
            let (generation, what) = match entry {
                Entry::Claim { generation, from, .. } => (*generation, What::Claim { from: *from }),
                Entry::Manifest { generation, epoch, segments, .. } => {
                    (*generation, What::Manifest { epoch: *epoch, segments: texts(segments) })
                }
            };
            Seen { number: *number, generation, at: 0, what }
        };
        let entries = self.log.iter().map(seen).collect();
        View { entries, named: BTreeSet::new(), segments: self.segments.iter().copied().collect() }
    }

    pub(crate) fn found(&self, number: u64, ours: &Entry) -> Found {
        match self.log.get(&number) {
            None => Found::Nothing,
            Some(entry) if entry == ours => Found::Ours,
            Some(_) => Found::Other,
        }
    }
}

impl Claiming {
    pub(crate) fn entry(&self, run: usize) -> Entry {
        let from = self.latest.as_ref().map(|(number, ..)| *number);
        Entry::Claim { run, generation: self.generation, from }
    }
}

impl Held {
    pub(crate) fn epoch(&self) -> u64 {
        self.latest.as_ref().map_or(1, |(epoch, _)| epoch + 1)
    }

    /// A manifest of what was written, and of the newest segment before.
    pub(crate) fn manifest(&self, run: usize, with_written: bool) -> Entry {
        let before = self.latest.iter().flat_map(|(_, segments)| segments.iter().next_back());
        let written = self.written.iter().filter(|_| with_written);
        let segments = before.chain(written).copied().collect();
        Entry::Manifest { run, generation: self.generation, epoch: self.epoch(), segments }
    }
}
