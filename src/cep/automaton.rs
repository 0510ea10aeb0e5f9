//! The automaton: what an event does to the partial matches of a key.
//!
//! A partial match is a [`Run`]: its last take, and the set of stages that could take next. It is not decided which of them will,
//! so leaving out optional stages costs no copies. An event does two things to a run. Each stage of the set that takes
//! it makes a new run; and each stage that may skip it stays in the set of the old one, which ends when its set is empty. So
//! each list of takes is one run and is met once, and nothing has to be merged or compared.
//!
//! # Why it is correct
//!
//! By the [definition](super), whether an event may lie between a take and the next one depends on these two takes and on
//! the events between them alone. So a run's set is exactly the stages that can still be next after all events so far, and the
//! runs are exactly the lists that can still become longer or are held back at the end.
//!
//! # Order
//!
//! Runs stay in the order of their first events: a run's children take its place, in front of it. That is the order in which
//! strategies after a match look at matches, and the oldest run is the next to time out.
//!
//! # Cost
//!
//! An event asks each condition that does not look back at most once, and an iterative one at most once for each run that waits
//! for it. Each run costs a few words, each take one link of the buffer.

use std::mem::size_of;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::buffer::{Buffer, Earlier, LinkId, NONE, Size, Taken};
use super::pattern::{Condition, Contiguity};
use super::skip::AfterMatch;
use crate::time::EventTime;

/// Looks for one pattern. It holds no state: that of each key is its [`Partials`].
///
/// ```
/// use highwater::cep::{Outcome, Partials, Pattern};
///
/// let pattern = Pattern::begin("low", |n: &i32| *n < 10).one_or_more().followed_by("high", |n| *n > 99);
/// let automaton = pattern.compile()?;
/// let (mut partials, mut outcome) = (Partials::default(), Outcome::default());
/// for (timestamp, n) in [(1, 3), (2, 50), (3, 4), (4, 100)] {
///     automaton.advance(&mut partials, n, timestamp, &mut outcome);
/// }
/// let found: Vec<(i64, Vec<i32>)> =
///     outcome.matches.iter().map(|(at, taken)| (*at, taken.iter().copied().collect())).collect();
/// assert_eq!(found, [(4, vec![3, 4, 100]), (4, vec![3, 100]), (4, vec![4, 100])]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub struct Automaton<T> {
    pub(super) stages: Vec<Stage>,
    pub(super) conditions: Vec<Condition<T>>,
    /// Of the stages.
    pub(super) names: Vec<Arc<str>>,
    /// The stages that can take first.
    pub(super) starts: u64,
    pub(super) end: End,
    /// In milliseconds.
    pub(super) within: Option<EventTime>,
    pub(super) skip: AfterMatch,
}

/// A stage. Conditions are numbers in the automaton's list.
pub(super) struct Stage {
    pub(super) condition: usize,
    pub(super) until: Option<usize>,
    /// What may lie before its first take.
    pub(super) reach: Contiguity,
    /// What may lie between its takes.
    pub(super) inner: Contiguity,
    pub(super) least: u32,
    pub(super) most: Option<u32>,
    pub(super) optional: bool,
    pub(super) greedy: bool,
    /// The negations after it.
    pub(super) guards: Vec<Guard>,
    /// What can come after it: stages, and the end.
    pub(super) after: u64,
}

/// A negation.
pub(super) struct Guard {
    pub(super) condition: usize,
    /// True if it is about the next event alone.
    pub(super) directly: bool,
}

/// What a match waits for when all stages have what they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    AtOnce,
    AfterNext,
    AtDeadline,
}

/// The end in a set of stages.
pub(super) const END: usize = 63;

/// A stage as a set.
pub(super) const fn bit(stage: usize) -> u64 {
    1 << stage
}

/// The stages of a set, in order, without the end.
fn stages(set: u64) -> impl Iterator<Item = usize> {
    let set = set & !bit(END);
    std::iter::successors(Some(set), |set| Some(set & set.wrapping_sub(1)))
        .take_while(|set| *set != 0)
        .map(|set| set.trailing_zeros() as usize)
}

/// A partial match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    /// Its last take.
    link: LinkId,
    /// How many events the stage of the last take has taken; no more than make a difference.
    count: u32,
    /// What can come next.
    waits: u64,
    /// The number of its first event, and its time.
    first: u64,
    began: EventTime,
    stage: u8,
    /// True until an event has been skipped.
    fresh: bool,
    /// True if an event has ended the loop of a greedy stage, which has no more claims.
    released: bool,
}

/// The partial matches of one key, and the matches that wait for some of these.
///
/// Its size is that of what is live, and up to as much again. Cloning and serializing cost that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partials<T> {
    buffer: Buffer<T>,
    /// In the order of their first events.
    runs: Vec<Run>,
    /// Matches that an earlier partial match could still discard: the last take and the number of the first event. In the order of
    /// the latter, then of completion.
    withheld: Vec<(LinkId, u64)>,
}

/// What events and time have led to. It is only added to: take out what you have seen.
pub struct Outcome<T> {
    /// Matches, each with the event time of what completed or released it.
    pub matches: Vec<(EventTime, Taken<T>)>,
    /// Partial matches that have timed out, each with the time at which it did.
    pub timed_out: Vec<(EventTime, Taken<T>)>,
    /// False if no one wants to know of time-outs.
    wants_timed_out: bool,
    /// Matches of the event at hand: their last takes and the numbers of their first events.
    fresh: Vec<(LinkId, u64)>,
    /// Memory for the runs of the next event.
    runs: Vec<Run>,
}

impl<T> Default for Partials<T> {
    fn default() -> Partials<T> {
        Partials { buffer: Buffer::default(), runs: Vec::new(), withheld: Vec::new() }
    }
}

impl<T> Default for Outcome<T> {
    fn default() -> Outcome<T> {
        let (matches, timed_out) = (Vec::new(), Vec::new());
        Outcome { matches, timed_out, wants_timed_out: true, fresh: Vec::new(), runs: Vec::new() }
    }
}

impl<T> Outcome<T> {
    /// An outcome that leaves `timed_out` empty.
    pub fn of_matches() -> Outcome<T> {
        Outcome { wants_timed_out: false, ..Outcome::default() }
    }
}

impl<T> Partials<T> {
    /// The number of partial matches.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// True if there is nothing: no partial match, and so no match that waits for one.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.withheld.is_empty()
    }

    /// Forgets what no run and no match needs, if that is much.
    fn prune(&mut self) {
        let Partials { buffer, runs, withheld } = self;
        if runs.is_empty() && withheld.is_empty() {
            buffer.clear();
        } else if buffer.is_full() {
            let needed = runs.iter().map(|run| run.link).chain(withheld.iter().map(|(link, _)| *link));
            let places = buffer.sweep(needed);
            runs.iter_mut().for_each(|run| run.link = places[run.link as usize]);
            withheld.iter_mut().for_each(|(link, _)| *link = places[*link as usize]);
        }
        if runs.capacity() > 4 * runs.len() + SPARE {
            runs.shrink_to(2 * runs.len());
        }
    }

    /// The event that was taken last.
    pub(super) fn newest(&self) -> Option<&T> {
        self.buffer.newest()
    }

    /// What they take of memory, beside their own places.
    #[inline]
    pub(super) fn size(&self) -> Size {
        let Size { bytes, events } = self.buffer.size();
        let lists =
            self.runs.capacity() * size_of::<Run>() + self.withheld.capacity() * size_of::<(LinkId, u64)>();
        Size { bytes: bytes + lists, events }
    }

    /// The number of takes and of events that are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        self.buffer.len()
    }
}

/// What an event is to a run.
#[derive(Default)]
struct Verdict {
    /// The stages that take it.
    takes: u64,
    /// The stages, and the end, that may skip it.
    skips: u64,
    /// True if it completes a match that waited for the next event.
    completes: bool,
    released: bool,
}

/// Room for so many runs is not worth giving back.
const SPARE: usize = 16;

/// The answers that conditions gave.
#[derive(Clone, Copy, Default)]
struct Answers {
    given: u64,
    yes: u64,
}

impl Answers {
    fn get(&mut self, condition: usize, ask: impl FnOnce() -> bool) -> bool {
        if self.given & bit(condition) == 0 {
            self.given |= bit(condition);
            self.yes |= u64::from(ask()) << condition;
        }
        self.yes & bit(condition) != 0
    }
}

/// Asks conditions of an event, each once.
struct Judge<'a, T> {
    conditions: &'a [Condition<T>],
    event: &'a T,
    /// What the run at hand has taken.
    earlier: Earlier<'a, T>,
    /// Of the event alone.
    simple: Answers,
    /// For the run at hand.
    iterative: Answers,
}

impl<T> Judge<'_, T> {
    fn meets(&mut self, condition: usize) -> bool {
        let Condition { simple, iterative } = &self.conditions[condition];
        let event = self.event;
        simple.as_ref().is_none_or(|simple| self.simple.get(condition, || simple(event)))
            && (iterative.is_empty()
                || self
                    .iterative
                    .get(condition, || iterative.iter().all(|meets| meets(event, &self.earlier))))
    }
}

impl<T: Clone> Automaton<T> {
    /// Takes the next event of a key. Partial matches that have timed out before it are told first. Returns true if the partial
    /// matches are not what they were.
    ///
    /// Timestamps, in milliseconds, must not decrease; if one does, partial matches may time out late.
    pub fn advance(
        &self,
        partials: &mut Partials<T>,
        event: T,
        timestamp: EventTime,
        outcome: &mut Outcome<T>,
    ) -> bool {
        let mut changed = self.expire(partials, timestamp, outcome);
        let Outcome { fresh, runs, .. } = outcome;
        runs.append(&mut partials.runs);
        let mut simple = Answers::default();
        let mut taken = 0;
        for run in runs.drain(..) {
            let mut judge = self.judge(&event, &partials.buffer, run.link, simple);
            let verdict = self.verdict(&run, &mut judge);
            simple = judge.simple;
            taken |= verdict.takes;
            changed |= run.fresh || verdict.skips != run.waits || verdict.released != run.released;
            self.branch(run, verdict, partials, fresh);
        }
        let mut judge = self.judge(&event, &partials.buffer, NONE, simple);
        let begins = stages(self.starts).filter(|stage| self.begins(*stage, &mut judge));
        let begins = begins.fold(0, |set, stage| set | bit(stage));
        let first = partials.buffer.next();
        for stage in stages(begins) {
            self.step(None, stage, (first, timestamp), partials, fresh);
        }
        if taken | begins != 0 {
            partials.buffer.keep(event);
            changed = true;
        }
        self.settle(partials, timestamp, outcome);
        partials.prune();
        changed
    }

    /// Tells of the partial matches that have timed out when no event before `now` can come. Returns true if there were any.
    pub fn expire(&self, partials: &mut Partials<T>, now: EventTime, outcome: &mut Outcome<T>) -> bool {
        let mut changed = false;
        while let Some(deadline) = self.deadline(partials).filter(|deadline| *deadline <= now) {
            let began = partials.runs.first().map(|run| run.began);
            let over = partials.runs.iter().take_while(|run| Some(run.began) == began).count();
            for run in partials.runs.drain(..over) {
                if run.waits & bit(END) != 0 && self.end == End::AtDeadline {
                    outcome.fresh.push((run.link, run.first));
                } else if outcome.wants_timed_out {
                    outcome.timed_out.push((deadline, partials.buffer.taken(run.link, &self.names)));
                }
            }
            self.settle(partials, deadline, outcome);
            partials.prune();
            changed = true;
        }
        changed
    }

    /// The time at which the next partial match times out.
    pub fn deadline(&self, partials: &Partials<T>) -> Option<EventTime> {
        let within = self.within?;
        partials.runs.first().map(|run| run.began.saturating_add(within))
    }

    fn judge<'a>(
        &'a self,
        event: &'a T,
        buffer: &'a Buffer<T>,
        link: LinkId,
        simple: Answers,
    ) -> Judge<'a, T> {
        let earlier = Earlier { buffer, link, names: &self.names };
        Judge { conditions: &self.conditions, event, earlier, simple, iterative: Answers::default() }
    }

    /// What an event is to a run; nothing at all if it ends it.
    fn verdict(&self, run: &Run, judge: &mut Judge<'_, T>) -> Verdict {
        let at = usize::from(run.stage);
        let here = &self.stages[at];
        let mut guarded = false;
        for guard in &here.guards {
            // What a guard says of the next event, it says once the stage could be left.
            let applies = !guard.directly || (run.fresh && run.count >= here.least);
            if applies && judge.meets(guard.condition) {
                if guard.directly {
                    return Verdict::default();
                }
                guarded = true;
            }
        }
        let mut verdict = Verdict { released: run.released, ..Verdict::default() };
        for next in stages(run.waits) {
            let stage = &self.stages[next];
            let again = next == at;
            if !again && self.is_claimed(next, &mut verdict.released, judge) {
                continue;
            }
            let over = stage.until.is_some_and(|until| judge.meets(until));
            let meets = judge.meets(stage.condition);
            let skips = match if again { stage.inner } else { stage.reach } {
                Contiguity::Strict => false,
                Contiguity::Relaxed => !meets,
                Contiguity::Any => true,
            };
            verdict.takes |= u64::from(meets && !over) << next;
            verdict.skips |= u64::from(skips && !guarded && !(again && over)) << next;
        }
        if run.waits & bit(END) != 0 {
            match self.end {
                End::AtDeadline if !guarded => verdict.skips |= bit(END),
                End::AfterNext => verdict.completes = true,
                _ => {}
            }
        }
        verdict
    }

    /// True if a greedy stage before `next` would take the event, unless its loop is over.
    fn is_claimed(&self, next: usize, released: &mut bool, judge: &mut Judge<'_, T>) -> bool {
        let greedy = next.checked_sub(1).map(|before| &self.stages[before]).filter(|before| before.greedy);
        greedy.is_some_and(|greedy| {
            *released |= greedy.until.is_some_and(|until| judge.meets(until));
            !*released && judge.meets(greedy.condition)
        })
    }

    /// True if a match can begin with the event, taken by this stage.
    fn begins(&self, stage: usize, judge: &mut Judge<'_, T>) -> bool {
        let Stage { condition, until, .. } = self.stages[stage];
        !self.is_claimed(stage, &mut false, judge)
            && judge.meets(condition)
            && !until.is_some_and(|until| judge.meets(until))
    }

    /// Puts a run's children in its place, and then itself if it can go on.
    fn branch(
        &self,
        mut run: Run,
        verdict: Verdict,
        partials: &mut Partials<T>,
        matches: &mut Vec<(LinkId, u64)>,
    ) {
        for stage in stages(verdict.takes) {
            self.step(Some(&run), stage, (run.first, run.began), partials, matches);
        }
        if verdict.completes {
            matches.push((run.link, run.first));
        }
        if verdict.skips != 0 {
            run.waits = verdict.skips;
            run.released = verdict.released;
            run.fresh = false;
            partials.runs.push(run);
        }
    }

    /// Lets a stage take the event after `before`, in a match that began so.
    fn step(
        &self,
        before: Option<&Run>,
        next: usize,
        (first, began): (u64, EventTime),
        partials: &mut Partials<T>,
        matches: &mut Vec<(LinkId, u64)>,
    ) {
        let stage = &self.stages[next];
        let again = before.filter(|run| usize::from(run.stage) == next);
        let count = again.map_or(1, |run| run.count + 1).min(stage.most.unwrap_or(stage.least));
        let mut waits = 0;
        if stage.most.is_none_or(|most| count < most) {
            waits |= bit(next);
        }
        if count >= stage.least {
            waits |= stage.after;
        }
        let link = partials.buffer.take(before.map_or(NONE, |run| run.link), next as u8);
        if waits & bit(END) != 0 && self.end == End::AtOnce {
            waits &= !bit(END);
            matches.push((link, first));
        }
        if waits != 0 {
            let stage = next as u8;
            partials.runs.push(Run { link, count, waits, first, began, stage, fresh: true, released: false });
        }
    }

    /// Gives the matches that nothing holds back, and discards what they say.
    fn settle(&self, partials: &mut Partials<T>, now: EventTime, outcome: &mut Outcome<T>) {
        let Partials { buffer, runs, withheld } = partials;
        if self.skip == AfterMatch::NoSkip {
            let matches = outcome.fresh.drain(..);
            outcome.matches.extend(matches.map(|(link, _)| (now, buffer.taken(link, &self.names))));
            return;
        }
        if !outcome.fresh.is_empty() {
            withheld.append(&mut outcome.fresh);
            // Stable: what was completed first comes first among those that begin with the same event.
            withheld.sort_by_key(|(_, first)| *first);
        }
        while let Some((link, first)) = withheld.first().copied() {
            if runs.first().is_some_and(|run| run.first < first) {
                break;
            }
            outcome.matches.push((now, buffer.taken(link, &self.names)));
            withheld.remove(0);
            let resume = self.skip.resume(&buffer.takes(link));
            runs.retain(|run| run.first >= resume);
            withheld.retain(|(_, first)| *first >= resume);
        }
    }
}
