//! The automaton: what an event does to the partial matches of a key.
//!
//! A partial match is a [run](super::partials): its last take, and the set of stages that could take next. It
//! is not decided which of them will, so leaving out optional stages costs no copies. An event does two
//! things to a run. Each stage of the set that takes it makes a new run; and each stage that may skip it
//! stays in the set of the old one, which ends when its set is empty. So each list of takes is one run and is
//! met once, and nothing has to be merged or compared.
//!
//! # Why it is correct
//!
//! By the [definition](super), whether an event may lie between a take and the next one depends on these two
//! takes and on the events between them alone. So a run's set is exactly the stages that can still be next
//! after all events so far, and the runs are exactly the lists that can still become longer or are held back
//! at the end.
//!
//! # Order
//!
//! Runs stay in the order of their first events: a run's children take its place, in front of it. That is the
//! order in which strategies after a match look at matches, and the oldest run is the next to time out.
//!
//! # Cost
//!
//! An event asks each condition that does not look back at most once, and an iterative one at most once for
//! each run that waits for it. Each run costs a few words, each take one link of the buffer.

use std::sync::Arc;

use super::buffer::{Buffer, Earlier, LinkId, NONE};
use super::partials::{Outcome, Partials, Run, clamped};
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
    /// Takes the next event of a key. Partial matches that have timed out before it are told first. Returns
    /// true if the partial matches are not what they were.
    ///
    /// Timestamps, in milliseconds, must not decrease; if one does, partial matches may time out late.
    pub fn advance(
        &self,
        partials: &mut Partials<T>,
        event: T,
        timestamp: EventTime,
        outcome: &mut Outcome<T>,
    ) -> bool {
        let timestamp = clamped(timestamp);
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

    /// Tells of the partial matches that have timed out when no event before `now` can come, and of the
    /// matches that this decides. Returns true if there were any.
    ///
    /// At `EventTime::MAX` the input has ended: what is still held back is a match, since nothing can come
    /// any more that would discard it.
    pub fn expire(&self, partials: &mut Partials<T>, now: EventTime, outcome: &mut Outcome<T>) -> bool {
        let mut changed = false;
        while let Some(deadline) = self.deadline(partials).filter(|deadline| *deadline <= now) {
            let began = partials.runs.first().map(|run| run.began);
            let is_over = |run: &&Run| self.within.is_none() || Some(run.began) == began;
            let over = partials.runs.iter().take_while(is_over).count();
            let at = clamped(deadline);
            for run in partials.runs.drain(..over) {
                if self.is_decided_at_end(&run) {
                    outcome.fresh.push((run.link, run.first));
                } else if outcome.wants_timed_out && self.within.is_some() {
                    outcome.timed_out.push((at, partials.buffer.taken(run.link, &self.names)));
                }
            }
            self.settle(partials, at, outcome);
            partials.prune();
            changed = true;
        }
        changed
    }

    /// The time at which the next partial match times out. Without a bound none does; but if matches are held
    /// back, they are until the input ends, which is `EventTime::MAX`.
    pub fn deadline(&self, partials: &Partials<T>) -> Option<EventTime> {
        let Partials { runs, withheld, .. } = partials;
        match self.within {
            Some(within) => runs.first().map(|run| run.began.saturating_add(within)),
            None => {
                let is_negated = |run: &Run| run.waits & bit(END) != 0;
                let holds = !withheld.is_empty() || self.end != End::AtOnce && runs.iter().any(is_negated);
                holds.then_some(EventTime::MAX)
            }
        }
    }

    /// True if a partial match is a whole one when its time is over, or the input: nothing came that its last
    /// negation is about.
    fn is_decided_at_end(&self, run: &Run) -> bool {
        let decides = match self.end {
            End::AtOnce => false,
            End::AfterNext => self.within.is_none(),
            End::AtDeadline => true,
        };
        decides && run.waits & bit(END) != 0
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
            if !again && self.is_claimed(next, run.waits, &mut verdict.released, judge) {
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

    /// True if a greedy stage before `next` takes the event, unless its loop is over. It has no claims where
    /// it is not one of those that could take next: its loop is full, or was left when an event was skipped
    /// that may not lie in it.
    fn is_claimed(&self, next: usize, waits: u64, released: &mut bool, judge: &mut Judge<'_, T>) -> bool {
        let could = |before: &usize| self.stages[*before].greedy && waits & bit(*before) != 0;
        let Some(before) = next.checked_sub(1).filter(could) else { return false };
        let Stage { condition, until, .. } = self.stages[before];
        *released |= until.is_some_and(|until| judge.meets(until));
        !*released && judge.meets(condition)
    }

    /// True if a match can begin with the event, taken by this stage.
    fn begins(&self, stage: usize, judge: &mut Judge<'_, T>) -> bool {
        let Stage { condition, until, .. } = self.stages[stage];
        !self.is_claimed(stage, self.starts, &mut false, judge)
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
