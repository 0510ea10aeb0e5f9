//! The commit protocol of snapshots in all orders: a few runs of a job, a collector, and a store that may
//! lose replies and delay puts.
//!
//! The parties decide by the functions that the engine decides by; the model adds the store, and that anyone
//! may sleep at any point for any time. A crash is to sleep for ever. A list that is out of date is one that
//! was asked for long ago. So neither needs a step of its own.
//!
//! That the model can tell right from wrong is shown by taking one guard away at a time: each time it finds
//! how a snapshot is lost.

mod state;

use std::collections::{BTreeMap, BTreeSet};

use highwater::snapshot::names::SegmentName;
use highwater::snapshot::protocol::{
    Claimed, Found, Garbage, Next, Standing, first_free, garbage, settle, settle_claim, standing, unfounded,
};
use stateright::{Checker, HasDiscoveries, Model, Property};

use state::{Claiming, Collector, Entry, Held, Run, Segments, State, texts};

/// What keeps the protocol safe, to be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// A claimer lists again after its claim.
    Confirm,
    /// A committer whose number is taken reads who has it.
    ReadBack,
    /// Claims are never deleted.
    ClaimsStay,
    /// What the newest run has written since its last manifest is not deleted.
    NewStays,
    /// What a run has written for an epoch that is past is not named.
    OldUnnamed,
}

/// What there is of everything.
struct Protocol {
    /// For each run, how many snapshots it tries to commit.
    commits: Vec<u8>,
    collections: u8,
    /// How often a claimer asks for a list.
    lists: u8,
    without: Option<Guard>,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    /// A run takes its next step, if there is only one.
    Step(usize),
    /// A claim is put; it may be lost, or its reply.
    PutClaim(usize, Put),
    Write(usize),
    /// A manifest is sent; it names what was written or only what was there.
    Commit(usize, bool),
    Land((u64, Entry)),
    GiveUpWaiting(usize),
    Collect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Well,
    ReplyLost,
    Lost,
}

impl Protocol {
    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    fn garbage(&self, state: &State) -> (Vec<u64>, Vec<SegmentName>) {
        let Garbage { mut manifests, mut segments } = garbage(&state.view(), 1, u64::MAX);
        if !self.has(Guard::ClaimsStay) {
            let claims = state.log.iter().filter(|(_, entry)| matches!(entry, Entry::Claim { .. }));
            manifests.extend(claims.map(|(number, _)| *number));
        }
        if !self.has(Guard::NewStays) {
            let named: Segments =
                state.last_manifest().map(|(.., segments)| segments.clone()).unwrap_or_default();
            segments = state.segments.difference(&named).copied().collect();
        }
        (manifests, segments)
    }

    fn may_commit(&self, held: &Held, manifest: &Entry) -> bool {
        let Entry::Manifest { segments, .. } = manifest else { return false };
        let mut before = texts(&held.origin);
        before.extend(held.latest.iter().flat_map(|(_, segments)| texts(segments)));
        let last = if self.has(Guard::OldUnnamed) { held.own } else { None };
        unfounded(&texts(segments), &before, &texts(&held.written), last).is_none()
    }

    fn committed(&self, state: &mut State, mut held: Held) -> Run {
        if let Some(Entry::Manifest { epoch, segments, .. }) = held.pending.take() {
            state.told = state.told.max(epoch);
            (held.own, held.number) = (Some(epoch), held.number + 1);
            if self.has(Guard::OldUnnamed) {
                held.written.retain(|segment| segment.epoch > epoch);
            }
            held.latest = Some((epoch, segments));
        }
        Run::Held(held)
    }

    /// The step of a run that has no choice.
    fn step(&self, state: &mut State, run: usize) -> Option<Run> {
        let listed: Vec<u64> = state.log.keys().copied().collect();
        Some(match state.runs[run].clone() {
            Run::Idle { lists: 0 } => return None,
            Run::Idle { lists } => Run::Listed { number: first_free(&listed), lists: lists - 1 },
            Run::Listed { number, lists } => {
                state.below(number, lists).map_or(Run::Idle { lists }, Run::Ready)
            }
            Run::Unknown(claiming) => {
                match settle_claim(state.found(claiming.number, &claiming.entry(run))) {
                    Claimed::Held => Run::Unconfirmed(claiming),
                    Claimed::Taken => Run::Listed { number: claiming.number + 1, lists: claiming.lists },
                    Claimed::Retry => Run::Ready(claiming),
                }
            }
            Run::Unconfirmed(claiming) => {
                let standing = if self.has(Guard::Confirm) {
                    standing(claiming.number, &listed)
                } else {
                    Standing::Sure
                };
                match standing {
                    Standing::Sure => self.hold(state, run, claiming),
                    Standing::Passed => {
                        state.is_void_noticed = true;
                        Run::Idle { lists: claiming.lists }
                    }
                    Standing::Unseen => return None,
                }
            }
            Run::Settling(held) => match state.found(held.number + 1, held.pending.as_ref()?) {
                Found::Nothing => Run::Missing(held),
                found => self.settled(state, held, settle(found, false))?,
            },
            Run::Missing(held) => {
                let is_above = state.log.contains_key(&(held.number + 2));
                self.settled(state, held, settle(Found::Nothing, is_above))?
            }
            Run::Ready(_) | Run::Held(_) | Run::Waiting(_) | Run::Fenced => return None,
        })
    }

    fn hold(&self, state: &mut State, run: usize, claiming: Claiming) -> Run {
        state.sure.insert(claiming.number, run);
        let epoch = claiming.latest.as_ref().map_or(0, |(_, epoch, _)| *epoch);
        if epoch < state.told {
            state.broken = Some("a run went on from less than was committed");
        }
        let latest = claiming.latest.map(|(_, epoch, segments)| (epoch, segments));
        let origin = latest.as_ref().map(|(_, segments)| segments.clone()).unwrap_or_default();
        let (number, generation) = (claiming.number, claiming.generation);
        let (own, written, pending) = (None, Segments::new(), None);
        Run::Held(Held { number, generation, commits: 0, latest, origin, own, written, pending })
    }

    fn settled(&self, state: &mut State, held: Held, next: Next) -> Option<Run> {
        Some(match next {
            Next::Committed => self.committed(state, held),
            Next::Fenced => Run::Fenced,
            Next::Retry => {
                state.flying.insert((held.number + 1, held.pending.clone()?));
                Run::Waiting(held)
            }
        })
    }

    /// A manifest comes to the store. Whoever still waits for it gets the reply.
    fn land(&self, state: &mut State, put: &(u64, Entry)) {
        state.flying.remove(put);
        let (number, entry) = put;
        let is_created = state.create(*number, entry);
        let Entry::Manifest { run, .. } = entry else { return };
        if let Run::Waiting(held) = state.runs[*run].clone() {
            let is_committed = is_created || !self.has(Guard::ReadBack);
            state.runs[*run] = if is_committed { self.committed(state, held) } else { Run::Settling(held) };
        }
    }

    fn collect(&self, state: &mut State) -> Option<Collector> {
        Some(match state.collector.clone() {
            Collector::Idle { left: 0 } => return None,
            Collector::Idle { left } => {
                let (manifests, segments) = self.garbage(state);
                if manifests.is_empty() && segments.is_empty() {
                    return None;
                }
                Collector::Intends { left: left - 1, manifests, segments }
            }
            Collector::Intends { left, mut manifests, mut segments } => {
                let (still_manifests, still_segments) = self.garbage(state);
                manifests.retain(|manifest| still_manifests.contains(manifest));
                segments.retain(|segment| still_segments.contains(segment));
                Collector::Deletes { left, manifests, segments }
            }
            Collector::Deletes { left, manifests, segments } if manifests.is_empty() => {
                state.segments.retain(|segment| !segments.contains(segment));
                Collector::Idle { left }
            }
            Collector::Deletes { left, manifests, segments } => {
                state.log.retain(|number, _| !manifests.contains(number));
                state.collected.extend(manifests);
                Collector::Deletes { left, manifests: Vec::new(), segments }
            }
        })
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            log: BTreeMap::new(),
            segments: Segments::new(),
            flying: BTreeSet::new(),
            runs: vec![Run::Idle { lists: self.lists }; self.commits.len()],
            collector: Collector::Idle { left: self.collections },
            collected: BTreeSet::new(),
            sure: BTreeMap::new(),
            told: 0,
            is_void_noticed: false,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (run, what) in state.runs.iter().enumerate() {
            match what {
                // None has done anything yet: they begin in order. The first may still sleep, and be the last
                // to claim.
                Run::Idle { lists } if *lists == self.lists && run > 0 && state.runs[run - 1] == *what => {}
                Run::Ready(_) => {
                    actions
                        .extend([Put::Well, Put::ReplyLost, Put::Lost].map(|put| Action::PutClaim(run, put)));
                }
                Run::Held(held) if held.commits < self.commits[run] => {
                    actions.extend([
                        Action::Write(run),
                        Action::Commit(run, false),
                        Action::Commit(run, true),
                    ]);
                }
                Run::Waiting(_) => actions.push(Action::GiveUpWaiting(run)),
                Run::Held(_) | Run::Fenced => {}
                _ => actions.push(Action::Step(run)),
            }
        }
        actions.extend(state.flying.iter().cloned().map(Action::Land));
        actions.push(Action::Collect);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Step(run) => state.runs[run] = self.step(&mut state, run)?,
            Action::PutClaim(run, put) => {
                let Run::Ready(claiming) = state.runs[run].clone() else { return None };
                let is_created = put != Put::Lost && state.create(claiming.number, &claiming.entry(run));
                let is_told = is_created && put == Put::Well;
                state.runs[run] = if is_told { Run::Unconfirmed(claiming) } else { Run::Unknown(claiming) };
            }
            Action::Write(run) => {
                let Run::Held(held) = &mut state.runs[run] else { return None };
                let (generation, epoch) = (held.generation, held.epoch());
                let segment = SegmentName { generation, epoch, worker: 0, n: u64::from(held.commits) };
                if !held.written.insert(segment) {
                    return None;
                }
                state.segments.insert(segment);
            }
            Action::Commit(run, with_written) => {
                let Run::Held(mut held) = state.runs[run].clone() else { return None };
                let manifest = held.manifest(run, with_written);
                if with_written && held.written.is_empty() || !self.may_commit(&held, &manifest) {
                    return None;
                }
                (held.pending, held.commits) = (Some(manifest.clone()), held.commits + 1);
                state.flying.insert((held.number + 1, manifest));
                state.runs[run] = Run::Waiting(held);
            }
            Action::Land(put) => self.land(&mut state, &put),
            Action::GiveUpWaiting(run) => {
                let Run::Waiting(held) = state.runs[run].clone() else { return None };
                state.runs[run] = Run::Settling(held);
            }
            Action::Collect => state.collector = self.collect(&mut state)?,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        vec![
            Property::always("one run writes", |_, state: &State| state.broken.is_none()),
            Property::always("the last snapshot never goes back", |_, state: &State| {
                state.last_manifest().map_or(0, |(_, epoch, _)| epoch) >= state.told
            }),
            Property::always("snapshots are whole", |_, state: &State| {
                state.log.iter().all(|(number, entry)| match entry {
                    // A put that was delayed until its manifest was collected brings it back; no one goes on
                    // from there.
                    Entry::Manifest { segments, .. } => {
                        segments.is_subset(&state.segments) || state.collected.contains(number)
                    }
                    Entry::Claim { .. } => true,
                })
            }),
            Property::sometimes("two runs commit", |_, state: &State| {
                let has_committed = |run: &&Run| matches!(run, Run::Held(held) if held.own.is_some());
                state.runs.iter().filter(has_committed).count() == 2
            }),
            Property::sometimes("a run is fenced", |_, state: &State| state.runs.contains(&Run::Fenced)),
            Property::sometimes("garbage is collected", |_, state: &State| !state.collected.is_empty()),
            Property::sometimes("a void claim is noticed", |_, state: &State| state.is_void_noticed),
        ]
    }
}

#[test]
fn in_every_order_one_run_writes_and_nothing_is_lost() {
    let model = Protocol { commits: vec![2, 1], collections: 1, lists: 2, without: None };
    let checker = model.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
}

#[test]
fn of_three_runs_one_writes() {
    let model = Protocol { commits: vec![1, 1, 0], collections: 0, lists: 1, without: None };
    let checker = model.checker().threads(2).spawn_bfs().join();
    checker.assert_no_discovery("one run writes");
    checker.assert_no_discovery("the last snapshot never goes back");
    checker.assert_no_discovery("snapshots are whole");
    checker.assert_any_discovery("two runs commit");
}

/// What is found when a guard is missing.
fn assert_found(without: Guard, property: &str) {
    let model = Protocol { commits: vec![3, 1], collections: 1, lists: 2, without: Some(without) };
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let found = checker.discoveries();
    assert!(found.contains_key(property), "{without:?}: {:?}", found.keys());
}

#[test]
fn without_a_second_list_a_claim_may_fence_no_one() {
    assert_found(Guard::Confirm, "one run writes");
}

#[test]
fn without_reading_back_a_run_believes_that_it_committed() {
    assert_found(Guard::ReadBack, "the last snapshot never goes back");
}

#[test]
fn without_its_claim_an_old_run_goes_on() {
    assert_found(Guard::ClaimsStay, "one run writes");
}

#[test]
fn without_sparing_what_is_new_a_snapshot_misses_pages() {
    assert_found(Guard::NewStays, "snapshots are whole");
}

#[test]
fn without_forgetting_what_is_old_a_snapshot_misses_pages() {
    assert_found(Guard::OldUnnamed, "snapshots are whole");
}
