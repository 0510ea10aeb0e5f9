//! What a pattern finds, from the definition: all lists of takes are enumerated, and each is looked at on its
//! own.
//!
//! Nothing of the automaton is used. A [`Spec`] says what a pattern is, and becomes a [`Pattern`] by way of
//! the builder; an event is one of a few kinds, and knows its place.

use super::Pattern;
use super::notation::{Event, is_of};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum How {
    Next,
    Then,
    Any,
    NotNext,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum After {
    NoSkip,
    ToNext,
    PastLast,
    ToFirst(usize),
    ToLast(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) how: How,
    /// The kinds that it takes, apart by bars.
    pub(super) kinds: &'static str,
    /// How often: at least, at most.
    pub(super) times: Option<(u32, Option<u32>)>,
    pub(super) inner: How,
    pub(super) optional: bool,
    pub(super) greedy: bool,
    pub(super) until: Option<&'static str>,
    /// It takes only events of another parity than the last taken one's.
    pub(super) alternates: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) parts: Vec<Part>,
    pub(super) within: Option<i64>,
    pub(super) after: After,
}

/// Takes: the number of a stage and the place of an event.
pub(super) type Takes = Vec<(usize, usize)>;

/// Matches and time-outs: when, and the events by stage.
pub(super) type Found = (Vec<(i64, Takes)>, Vec<(i64, Takes)>);

fn alternate(event: &Event, last: Option<&Event>) -> bool {
    last.is_none_or(|last| last.number() % 2 != event.number() % 2)
}

impl Spec {
    pub(super) fn pattern(&self) -> Pattern<Event> {
        let mut pattern: Option<Pattern<Event>> = None;
        for (number, part) in self.parts.iter().enumerate() {
            let (name, kinds) = (number.to_string(), part.kinds);
            let condition = move |event: &Event| is_of(kinds, event);
            let mut next = match (pattern, part.how) {
                (None, _) => Pattern::begin(&name, condition),
                (Some(pattern), How::Next) => pattern.next(&name, condition),
                (Some(pattern), How::Then) => pattern.followed_by(&name, condition),
                (Some(pattern), How::Any) => pattern.followed_by_any(&name, condition),
                (Some(pattern), How::NotNext) => pattern.not_next(&name, condition),
                (Some(pattern), How::Not) => pattern.not_followed_by(&name, condition),
            };
            next = match part.times {
                None => next,
                Some((1, None)) => next.one_or_more(),
                Some((least, None)) => next.times_or_more(least),
                Some((least, Some(most))) if least == most => next.times(least),
                Some((least, Some(most))) => next.times_range(least, most),
            };
            next = match part.inner {
                How::Next => next.consecutive(),
                How::Any => next.allow_combinations(),
                _ => next,
            };
            next = if part.optional { next.optional() } else { next };
            next = if part.greedy { next.greedy() } else { next };
            if let Some(until) = part.until {
                next = next.until(move |event, _| is_of(until, event));
            }
            if part.alternates {
                next = next.iterative(|event, earlier| alternate(event, earlier.last()));
            }
            pattern = Some(next);
        }
        let pattern = pattern.unwrap();
        let pattern = match self.within {
            Some(within) => pattern.within(Duration::from_millis(within as u64)),
            None => pattern,
        };
        match self.after {
            After::NoSkip => pattern,
            After::ToNext => pattern.skip_to_next(),
            After::PastLast => pattern.skip_past_last(),
            After::ToFirst(stage) => pattern.skip_to_first(&stage.to_string()),
            After::ToLast(stage) => pattern.skip_to_last(&stage.to_string()),
        }
    }
}

/// The last moment there is, at which the input ends.
const END: i64 = i64::MAX - 1;

/// What becomes of a list of takes.
struct Fate {
    takes: Takes,
    /// When it became a match: the place of the event, or none for the end of its time.
    completed: Option<Option<usize>>,
    /// The last place after which it could still become longer or a match; none if it never could.
    alive: Option<usize>,
}

pub(super) struct Oracle<'a> {
    pub(super) spec: &'a Spec,
    pub(super) events: &'a [(i64, Event)],
}

impl Oracle<'_> {
    fn meets(&self, part: usize, at: usize, takes: &Takes) -> bool {
        let Part { kinds, alternates, .. } = &self.spec.parts[part];
        let event = &self.events[at].1;
        let last = takes.last().map(|(_, place)| &self.events[*place].1);
        is_of(kinds, event) && (!alternates || alternate(event, last))
    }

    fn ends(&self, part: usize, at: usize) -> bool {
        self.spec.parts[part].until.is_some_and(|until| is_of(until, &self.events[at].1))
    }

    fn is_negation(&self, part: usize) -> bool {
        matches!(self.spec.parts[part].how, How::Not | How::NotNext)
    }

    /// The negations directly after a part.
    fn negations(&self, part: usize, how: How) -> impl Iterator<Item = usize> {
        let parts = &self.spec.parts;
        (part + 1..parts.len()).take_while(|p| self.is_negation(*p)).filter(move |p| parts[*p].how == how)
    }

    fn count(&self, takes: &Takes) -> u32 {
        takes.iter().filter(|(part, _)| Some(*part) == takes.last().map(|take| take.0)).count() as u32
    }

    fn bounds(&self, part: usize) -> (u32, Option<u32>) {
        self.spec.parts[part].times.unwrap_or((1, Some(1)))
    }

    /// The first part that a list could go on with after `part`, and those after it as long as they may be
    /// left out; the number of parts stands for the end.
    fn following(&self, part: Option<usize>) -> Vec<usize> {
        let mut next = Vec::new();
        let first = part.map_or(0, |part| part + 1);
        for other in (first..self.spec.parts.len()).filter(|other| !self.is_negation(*other)) {
            next.push(other);
            if !self.spec.parts[other].optional {
                return next;
            }
        }
        next.push(self.spec.parts.len());
        next
    }

    /// What may come next after some takes.
    fn targets(&self, takes: &Takes) -> Vec<usize> {
        let Some((part, _)) = takes.last().copied() else { return self.following(None) };
        let (least, most) = self.bounds(part);
        let mut targets = Vec::new();
        if most.is_none_or(|most| self.count(takes) < most) {
            targets.push(part);
        }
        if self.count(takes) >= least {
            targets.extend(self.following(Some(part)));
        }
        targets
    }

    fn deadline(&self, takes: &Takes) -> Option<i64> {
        self.spec.within.map(|within| self.events[takes[0].1].0 + within)
    }

    /// True if the event directly after the last take says that this cannot go on.
    fn is_refused(&self, takes: &Takes) -> bool {
        let (part, at) = takes[takes.len() - 1];
        at + 1 < self.events.len()
            && self.count(takes) >= self.bounds(part).0
            && self.negations(part, How::NotNext).any(|negation| self.meets(negation, at + 1, takes))
    }

    /// True if an event may not be left to `target` because the greedy part before it takes it.
    fn is_claimed(&self, takes: &Takes, target: usize, at: usize) -> bool {
        let last = takes.last().map(|take| take.0);
        if last == Some(target) || target == self.spec.parts.len() {
            return false;
        }
        let Some(before) = (0..target).rev().find(|part| !self.is_negation(*part)) else { return false };
        let Part { greedy, times, .. } = self.spec.parts[before];
        let choice = times.is_some_and(|(least, most)| most != Some(least));
        let since = takes.last().map_or(at, |(_, place)| place + 1);
        greedy && choice && !(since..=at).any(|at| self.ends(before, at)) && self.is_list(takes, before, at)
    }

    /// True if some takes and one more, of the event at `at` by a part, are a list of takes. If the part is a
    /// loop that has been left, because it is full or because of an event that may not lie in it, they are
    /// none.
    fn is_list(&self, takes: &Takes, part: usize, at: usize) -> bool {
        let since = takes.last().map_or(at, |(_, place)| place + 1);
        self.targets(takes).contains(&part)
            && (since..at).all(|between| self.may_skip(takes, part, between))
            && self.may_take(takes, part, at)
    }

    /// True if an event may be skipped on the way to `target`.
    fn may_skip(&self, takes: &Takes, target: usize, at: usize) -> bool {
        let (part, _) = takes[takes.len() - 1];
        if self.negations(part, How::Not).any(|negation| self.meets(negation, at, takes)) {
            return false;
        }
        if target == self.spec.parts.len() {
            return true;
        }
        let again = target == part;
        let how = if again { self.spec.parts[part].inner } else { self.spec.parts[target].how };
        let fits = match how {
            How::Next => false,
            How::Any => true,
            _ => !self.meets(target, at, takes),
        };
        fits && !(again && self.ends(part, at)) && !self.is_claimed(takes, target, at)
    }

    fn may_take(&self, takes: &Takes, target: usize, at: usize) -> bool {
        self.meets(target, at, takes) && !self.ends(target, at) && !self.is_claimed(takes, target, at)
    }

    /// True if the time of an event is over for the takes.
    fn is_over(&self, takes: &Takes, at: usize) -> bool {
        self.deadline(takes).is_some_and(|deadline| self.events[at].0 >= deadline)
    }

    /// Looks at a list, and at all that begin with it.
    fn explore(&self, takes: Takes, fates: &mut Vec<Fate>) {
        let end = self.spec.parts.len();
        let (part, place) = takes[takes.len() - 1];
        let trailing = part + 1 < end && (part + 1..end).all(|part| self.is_negation(part));
        let waits = trailing && self.negations(part, How::Not).next().is_some();
        let mut fate = Fate { takes: takes.clone(), completed: None, alive: None };
        if !trailing && self.targets(&takes).contains(&end) {
            fate.completed = Some(Some(place));
        }
        for target in self.targets(&takes).into_iter().filter(|target| *target < end || trailing) {
            fate.alive = fate.alive.max(Some(place));
            let mut open = true;
            for at in place + 1..self.events.len() {
                if self.is_over(&takes, at) {
                    break;
                }
                open = !(at == place + 1 && self.is_refused(&takes));
                if open && target == end && !waits {
                    fate.completed = Some(Some(at));
                    open = false;
                }
                if open && target < end && self.may_take(&takes, target, at) {
                    let mut longer = takes.clone();
                    longer.push((target, at));
                    self.explore(longer, fates);
                }
                open = open && self.may_skip(&takes, target, at);
                if !open {
                    break;
                }
                fate.alive = fate.alive.max(Some(at));
            }
            // Nothing has come that a negation is about, and nothing can come any more.
            if open && target == end && (waits || self.spec.within.is_none()) {
                fate.completed = Some(None);
            }
        }
        fates.push(fate);
    }

    pub(super) fn found(&self) -> Found {
        let mut fates = Vec::new();
        for at in 0..self.events.len() {
            for target in self.following(None) {
                if target < self.spec.parts.len() && self.may_take(&Vec::new(), target, at) {
                    self.explore(vec![(target, at)], &mut fates);
                }
            }
        }
        self.play(&fates)
    }

    /// Lets time pass: gives matches when they are decided, and lets each discard others.
    fn play(&self, fates: &[Fate]) -> Found {
        let (mut matches, mut timed_out) = (Vec::new(), Vec::new());
        let deadlines: BTreeSet<i64> = fates.iter().filter_map(|fate| self.deadline(&fate.takes)).collect();
        // Deadlines come before the events of the same time, and the end of the input after all.
        let mut steps: Vec<(i64, Option<usize>)> = deadlines.into_iter().map(|time| (time, None)).collect();
        steps.push((END, None));
        steps.extend(self.events.iter().enumerate().map(|(at, (time, _))| (*time, Some(at))));
        steps.sort();
        // What begins before this place is discarded.
        let mut floor = 0;
        let mut withheld: Vec<Takes> = Vec::new();
        for (now, event) in steps {
            let passed =
                event.unwrap_or_else(|| self.events.iter().filter(|(time, _)| *time < now).count() - 1);
            let mut alive = BTreeSet::new();
            let mut fresh = Vec::new();
            for Fate { takes, completed, alive: until } in fates {
                let (first, last) = (takes[0].1, takes[takes.len() - 1].1);
                if first < floor || last > passed {
                    continue;
                }
                let deadline = self.deadline(takes).unwrap_or(END);
                let is_due = event.is_none() && deadline == now;
                let completes = match completed {
                    Some(Some(place)) => event == Some(*place),
                    Some(None) => is_due,
                    None => false,
                };
                fresh.extend(completes.then(|| takes.clone()));
                let lives = *until >= Some(passed);
                if lives && deadline > now {
                    alive.insert(first);
                } else if lives && is_due && !completes && deadline < END {
                    timed_out.push((now, takes.clone()));
                }
            }
            fresh.sort_by(order);
            withheld.extend(fresh);
            withheld.sort_by_key(|takes| takes[0].1);
            while let Some(first) = withheld.first().map(|takes| takes[0].1) {
                if self.spec.after != After::NoSkip && alive.range(floor..first).next().is_some() {
                    break;
                }
                let takes = withheld.remove(0);
                floor = floor.max(self.resume(&takes));
                withheld.retain(|takes| takes[0].1 >= floor);
                matches.push((now, takes));
            }
        }
        (matches, timed_out)
    }

    /// The first place that a match may begin at after this one.
    fn resume(&self, takes: &Takes) -> usize {
        let of = |stage: usize| takes.iter().filter(move |(s, _)| *s == stage).map(|(_, place)| *place);
        match self.spec.after {
            After::NoSkip => 0,
            After::ToNext => takes[0].1 + 1,
            After::PastLast => takes[takes.len() - 1].1 + 1,
            After::ToFirst(stage) => of(stage).min().unwrap_or(0),
            After::ToLast(stage) => of(stage).max().unwrap_or(0),
        }
    }
}

/// Among matches that begin with the same event and are decided at once, the one that takes an event which
/// the other skips comes first.
fn order(one: &Takes, other: &Takes) -> Ordering {
    for (a, b) in one.iter().zip(other) {
        let order = (a.1, a.0).cmp(&(b.1, b.0));
        if order.is_ne() {
            return order;
        }
    }
    other.len().cmp(&one.len())
}
