//! Patterns: what a user says.
//!
//! A pattern is a list of parts, and each method adds one or changes the last. Nothing is checked on the way
//! but what would be forgotten; [`compile`](Pattern::compile) checks the whole and says what is wrong with
//! it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Earlier;
use super::skip::Skip;

/// What events to look for, and in which order: Flink's `Pattern`.
///
/// What the words mean is told in the [module](super).
///
/// ```
/// use highwater::cep::Pattern;
/// use std::time::Duration;
///
/// struct Login { ok: bool, city: String }
///
/// let guessed = Pattern::begin("failures", |l: &Login| !l.ok)
///     .times_or_more(3)
///     .consecutive()
///     .next("success", |l| l.ok)
///     .within(Duration::from_secs(60));
/// assert_eq!(guessed.to_string(), "failures{3,} consecutive, next success; within 60s");
///
/// let moved = Pattern::begin("here", |l: &Login| l.ok)
///     .followed_by("there", |l| l.ok)
///     .iterative(|login, earlier| earlier.of("here").iter().all(|here| here.city != login.city));
/// assert!(moved.compile().is_ok());
/// ```
pub struct Pattern<T> {
    pub(super) parts: Vec<Part<T>>,
    pub(super) within: Option<Duration>,
    pub(super) skip: Option<Skip>,
    /// What is wrong and cannot be seen from the rest.
    pub(super) mistake: Option<String>,
}

/// A stage or a negation.
pub(super) struct Part<T> {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) condition: Condition<T>,
    /// How often it takes, if that is not just once.
    pub(super) times: Option<Times>,
    /// What may lie between two takes of a loop, if that was said.
    pub(super) inner: Option<Contiguity>,
    pub(super) optional: bool,
    pub(super) greedy: bool,
    pub(super) until: Option<Iterative<T>>,
}

/// What a part does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Take(Contiguity),
    NotNext,
    NotFollowedBy,
}

/// Which events may be skipped before one is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contiguity {
    /// None.
    Strict,
    /// Those that are not taken.
    Relaxed,
    /// All.
    Any,
}

/// How often a stage takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) least: u32,
    pub(super) most: Option<u32>,
}

/// A condition on an event alone.
pub(super) type Simple<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// A condition on an event and those that the partial match has taken.
pub(super) type Iterative<T> = Arc<dyn Fn(&T, &Earlier<'_, T>) -> bool + Send + Sync>;

/// What an event must meet: all of these.
pub(super) struct Condition<T> {
    pub(super) simple: Option<Simple<T>>,
    pub(super) iterative: Vec<Iterative<T>>,
}

impl<T> Clone for Condition<T> {
    fn clone(&self) -> Condition<T> {
        Condition { simple: self.simple.clone(), iterative: self.iterative.clone() }
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Part<T> {
        Part {
            name: Arc::clone(&self.name),
            condition: self.condition.clone(),
            until: self.until.clone(),
            ..*self
        }
    }
}

impl<T> Clone for Pattern<T> {
    fn clone(&self) -> Pattern<T> {
        let Pattern { parts, within, skip, mistake } = self;
        Pattern { parts: parts.clone(), within: *within, skip: skip.clone(), mistake: mistake.clone() }
    }
}

impl<T> Pattern<T> {
    /// The first stage: takes an event that meets the condition, wherever it is.
    pub fn begin(name: &str, condition: impl Fn(&T) -> bool + Send + Sync + 'static) -> Pattern<T> {
        let pattern = Pattern { parts: Vec::new(), within: None, skip: None, mistake: None };
        pattern.part(name, Kind::Take(Contiguity::Any), condition)
    }

    /// A stage that takes the event directly after the last taken one (strict contiguity).
    pub fn next(self, name: &str, condition: impl Fn(&T) -> bool + Send + Sync + 'static) -> Pattern<T> {
        self.part(name, Kind::Take(Contiguity::Strict), condition)
    }

    /// A stage that takes the first event after the last taken one that meets the condition (relaxed
    /// contiguity).
    pub fn followed_by(
        self,
        name: &str,
        condition: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Pattern<T> {
        self.part(name, Kind::Take(Contiguity::Relaxed), condition)
    }

    /// A stage that takes any event after the last taken one that meets the condition, in a match of its own
    /// for each (non-deterministic relaxed contiguity).
    pub fn followed_by_any(
        self,
        name: &str,
        condition: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Pattern<T> {
        self.part(name, Kind::Take(Contiguity::Any), condition)
    }

    /// The event directly after the stage before must not meet the condition.
    pub fn not_next(self, name: &str, condition: impl Fn(&T) -> bool + Send + Sync + 'static) -> Pattern<T> {
        self.part(name, Kind::NotNext, condition)
    }

    /// No event that meets the condition may lie between the stage before and the one after; at the end of a
    /// pattern, none may come in the time that is left [within](Pattern::within) its bound.
    pub fn not_followed_by(
        self,
        name: &str,
        condition: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Pattern<T> {
        self.part(name, Kind::NotFollowedBy, condition)
    }

    /// The last part takes only events that meet this condition too, which sees the events that the partial
    /// match has taken so far. It should depend on nothing else.
    ///
    /// Such a condition is asked anew for each partial match; one of the event alone is asked once for each
    /// event.
    pub fn iterative(
        self,
        condition: impl Fn(&T, &Earlier<'_, T>) -> bool + Send + Sync + 'static,
    ) -> Pattern<T> {
        self.change(|part| part.condition.iterative.push(Arc::new(condition)))
    }

    /// The last stage takes so many events.
    pub fn times(self, times: u32) -> Pattern<T> {
        self.repeat(times, Some(times))
    }

    /// The last stage takes at least `least` events and at most `most`; with a `least` of zero it is also
    /// optional.
    pub fn times_range(self, least: u32, most: u32) -> Pattern<T> {
        let pattern = self.repeat(least.max(1), Some(most));
        if least == 0 { pattern.optional() } else { pattern }
    }

    /// The last stage takes at least `least` events.
    pub fn times_or_more(self, least: u32) -> Pattern<T> {
        self.repeat(least, None)
    }

    /// The last stage takes one event or more.
    pub fn one_or_more(self) -> Pattern<T> {
        self.repeat(1, None)
    }

    /// The last stage may take none.
    pub fn optional(self) -> Pattern<T> {
        let again = self.parts.last().is_some_and(|part| part.optional);
        let pattern = self.change(|part| part.optional = true);
        if again { pattern.wrong("is optional already") } else { pattern }
    }

    /// The last stage takes all events that it can, before the next stage takes one. One that has its most
    /// takes no more, and the next stage may skip or take what comes. At the end of a pattern this changes
    /// nothing: a match is told as soon as it is there. Nor does it for a stage that takes a certain number
    /// of events, even if it is optional, as in Flink.
    pub fn greedy(self) -> Pattern<T> {
        self.change(|part| part.greedy = true)
    }

    /// No event may lie between those that the last stage takes.
    pub fn consecutive(self) -> Pattern<T> {
        self.inner(Contiguity::Strict)
    }

    /// The last stage may also skip events that it could take.
    pub fn allow_combinations(self) -> Pattern<T> {
        self.inner(Contiguity::Any)
    }

    /// An event that meets the condition ends the loop of the last stage, which does not take it. The
    /// condition sees the event and those that the partial match has taken.
    pub fn until(
        self,
        condition: impl Fn(&T, &Earlier<'_, T>) -> bool + Send + Sync + 'static,
    ) -> Pattern<T> {
        let again = self.parts.last().is_some_and(|part| part.until.is_some());
        let pattern = self.change(|part| part.until = Some(Arc::new(condition)));
        if again { pattern.wrong("has two conditions that end it") } else { pattern }
    }

    /// From the first event of a match to its last there must be less than this time. If it is said more than
    /// once, the shortest counts.
    pub fn within(mut self, time: Duration) -> Pattern<T> {
        self.within = Some(self.within.map_or(time, |within| within.min(time)));
        self
    }

    /// All matches are given. This is so if nothing else is said.
    pub fn no_skip(self) -> Pattern<T> {
        self.after_match(Skip::None)
    }

    /// A match discards all others that begin with the same event.
    pub fn skip_to_next(self) -> Pattern<T> {
        self.after_match(Skip::ToNext)
    }

    /// A match discards all others that begin before its end.
    pub fn skip_past_last(self) -> Pattern<T> {
        self.after_match(Skip::PastLast)
    }

    /// A match discards all others that begin before the first event which the named stage took. If that took
    /// none, it discards nothing.
    pub fn skip_to_first(self, stage: &str) -> Pattern<T> {
        self.after_match(Skip::ToFirst(stage.to_owned()))
    }

    /// A match discards all others that begin before the last event which the named stage took. If that took
    /// none, it discards nothing.
    pub fn skip_to_last(self, stage: &str) -> Pattern<T> {
        self.after_match(Skip::ToLast(stage.to_owned()))
    }

    fn part(
        mut self,
        name: &str,
        kind: Kind,
        condition: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Pattern<T> {
        self.parts.push(Part {
            name: name.into(),
            kind,
            condition: Condition { simple: Some(Arc::new(condition)), iterative: Vec::new() },
            times: None,
            inner: None,
            optional: false,
            greedy: false,
            until: None,
        });
        self
    }

    fn change(mut self, change: impl FnOnce(&mut Part<T>)) -> Pattern<T> {
        if let Some(part) = self.parts.last_mut() {
            change(part);
        }
        self
    }

    fn repeat(self, least: u32, most: Option<u32>) -> Pattern<T> {
        let again = self.parts.last().is_some_and(|part| part.times.is_some());
        let pattern = self.change(|part| part.times = Some(Times { least, most }));
        if again { pattern.wrong("is told twice how often it takes") } else { pattern }
    }

    fn inner(self, inner: Contiguity) -> Pattern<T> {
        let again = self.parts.last().is_some_and(|part| part.inner.is_some());
        let pattern = self.change(|part| part.inner = Some(inner));
        if again { pattern.wrong("is told twice what may lie between its events") } else { pattern }
    }

    fn after_match(mut self, skip: Skip) -> Pattern<T> {
        if self.skip.is_some() {
            self.mistake.get_or_insert("the pattern is told twice what to skip after a match".to_owned());
        }
        self.skip = Some(skip);
        self
    }

    /// Takes note of what is wrong with the last part.
    fn wrong(mut self, what: &str) -> Pattern<T> {
        let name = self.parts.last().map_or("", |part| &*part.name);
        let mistake = format!("\"{name}\" {what}");
        self.mistake.get_or_insert(mistake);
        self
    }
}

impl<T> fmt::Display for Pattern<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.parts.iter().enumerate() {
            f.write_str(match part.kind {
                _ if number == 0 => "",
                Kind::Take(Contiguity::Strict) => ", next ",
                Kind::Take(Contiguity::Relaxed) => ", followed by ",
                Kind::Take(Contiguity::Any) => ", followed by any ",
                Kind::NotNext => ", not next ",
                Kind::NotFollowedBy => ", not followed by ",
            })?;
            part.fmt(f)?;
        }
        if let Some(within) = self.within {
            write!(f, "; within {within:?}")?;
        }
        match &self.skip {
            Some(skip) => write!(f, "; {skip}"),
            None => Ok(()),
        }
    }
}

impl<T> fmt::Display for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.times {
            Some(Times { least: 1, most: None }) => f.write_str("+")?,
            Some(Times { least, most: None }) => write!(f, "{{{least},}}")?,
            Some(Times { least, most: Some(most) }) if least == most => write!(f, "{{{least}}}")?,
            Some(Times { least, most: Some(most) }) => write!(f, "{{{least},{most}}}")?,
            None => {}
        }
        let inner = match self.inner {
            Some(Contiguity::Strict) => " consecutive",
            Some(Contiguity::Any) => " combinations",
            _ => "",
        };
        let said = [(self.greedy, " greedy"), (self.until.is_some(), " until"), (self.optional, " optional")];
        f.write_str(inner)?;
        said.iter().filter(|(said, _)| *said).try_for_each(|(_, word)| f.write_str(word))
    }
}
