//! From a pattern to an automaton, or to what is wrong with it.

use std::sync::Arc;

use super::automaton::{Automaton, END, End, Guard, Stage, bit};
use super::pattern::{Condition, Contiguity, Iterative, Kind, Part, Pattern, Times};
use super::skip::{AfterMatch, Skip};
use crate::error::{Error, Result};
use crate::time::EventTime;

/// The most conditions that a pattern may have: sets of them are words of 64 bits, one bit of which is for
/// the end.
const CONDITIONS: usize = 63;

/// The longest time that a match may take: it is added to event times.
const WITHIN: u128 = 1 << 56;

impl<T> Pattern<T> {
    /// The automaton that looks for the pattern.
    ///
    /// # Errors
    ///
    /// A [`Config`](crate::ErrorKind::Config) error if the pattern cannot be meant: names that are empty or
    /// used twice, a stage that takes no event, words that do not go together, a negation at the end that
    /// nothing bounds, a time of zero.
    pub fn compile(&self) -> Result<Automaton<T>> {
        self.check()
            .map_err(|mistake| Error::config(format!("the pattern \"{self}\" cannot be: {mistake}")))?;
        let mut automaton = Automaton {
            stages: Vec::new(),
            conditions: Vec::new(),
            names: Vec::new(),
            starts: 0,
            end: End::AtOnce,
            within: self.within.map(|within| within.as_millis() as EventTime),
            skip: AfterMatch::NoSkip,
        };
        for part in &self.parts {
            automaton.add(part);
        }
        automaton.connect();
        automaton.skip = match &self.skip {
            None | Some(Skip::None) => AfterMatch::NoSkip,
            Some(Skip::ToNext) => AfterMatch::SkipToNext,
            Some(Skip::PastLast) => AfterMatch::SkipPastLast,
            Some(Skip::ToFirst(stage)) => AfterMatch::SkipToFirst(automaton.stage(stage)),
            Some(Skip::ToLast(stage)) => AfterMatch::SkipToLast(automaton.stage(stage)),
        };
        Ok(automaton)
    }

    /// What is wrong, if anything is.
    fn check(&self) -> Result<(), String> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let conditions = self.parts.iter().map(|part| 1 + usize::from(part.until.is_some())).sum::<usize>();
        if conditions > CONDITIONS {
            return Err(format!("it has {conditions} conditions, of {CONDITIONS} at most"));
        }
        for (at, part) in self.parts.iter().enumerate() {
            if part.name.is_empty() {
                return Err("a stage has no name".to_owned());
            }
            if self.parts[..at].iter().any(|other| other.name == part.name) {
                return Err(format!("\"{}\" is the name of two stages", part.name));
            }
            part.check(&self.parts[..at]).map_err(|mistake| format!("\"{}\" {mistake}", part.name))?;
        }
        if let Some(within) = self.within {
            if within.as_millis() == 0 {
                return Err("nothing is within less than a millisecond".to_owned());
            }
            if within.as_millis() > WITHIN {
                return Err("it cannot take more than two million years".to_owned());
            }
        }
        if self.within.is_none()
            && self.parts.iter().rev().map_while(Part::negation).any(|kind| kind == Kind::NotFollowedBy)
        {
            return Err(
                "a negation at the end needs a bound: say within what time nothing may follow".to_owned()
            );
        }
        match &self.skip {
            Some(Skip::ToFirst(stage) | Skip::ToLast(stage)) => {
                let takes = |part: &&Part<T>| *part.name == **stage && part.negation().is_none();
                self.parts
                    .iter()
                    .find(takes)
                    .map(drop)
                    .ok_or_else(|| format!("there is no stage \"{stage}\" to skip to"))
            }
            _ => Ok(()),
        }
    }
}

impl<T> Part<T> {
    fn negation(&self) -> Option<Kind> {
        match self.kind {
            Kind::Take(_) => None,
            negation => Some(negation),
        }
    }

    /// What is wrong with a part that comes after those before.
    fn check(&self, before: &[Part<T>]) -> Result<(), &'static str> {
        let Part { times, inner, optional, greedy, until, .. } = self;
        if self.negation().is_some() {
            if times.is_some() || inner.is_some() || *optional || *greedy || until.is_some() {
                return Err("is a negation, which takes nothing and so has no number, option or end");
            }
            if before.last().is_some_and(|before| before.optional) {
                return Err(
                    "is a negation after an optional stage; use two patterns, one of which has that stage",
                );
            }
            return Ok(());
        }
        match times {
            Some(Times { least: 0, .. } | Times { most: Some(0), .. }) => return Err("takes no event"),
            Some(Times { least, most: Some(most) }) if least > most => {
                return Err("takes at least more events than at most");
            }
            None if inner.is_some() => {
                return Err("takes one event: nothing lies between those that it takes");
            }
            None if *greedy => return Err("takes one event, and cannot be greedy"),
            _ => {}
        }
        if *greedy && *inner == Some(Contiguity::Any) {
            return Err("is greedy, and may not skip what it could take");
        }
        if until.is_some() && !matches!(times, Some(Times { most: None, .. })) {
            return Err("takes a certain number of events, and needs no condition that ends it");
        }
        let stage = before.iter().rev().find(|part| part.negation().is_none());
        if *optional && stage.is_some_and(|stage| stage.greedy) {
            return Err("is optional after a greedy stage, which would have no one to wait for");
        }
        Ok(())
    }
}

impl<T> Automaton<T> {
    fn stage(&self, name: &str) -> u8 {
        self.names.iter().position(|other| **other == *name).unwrap_or_default() as u8
    }

    fn condition(&mut self, condition: Condition<T>) -> usize {
        self.conditions.push(condition);
        self.conditions.len() - 1
    }

    /// Adds a stage, or a guard to the last one.
    fn add(&mut self, part: &Part<T>) {
        let condition = self.condition(part.condition.clone());
        let reach = match part.kind {
            Kind::Take(reach) => reach,
            kind => {
                if let Some(stage) = self.stages.last_mut() {
                    stage.guards.push(Guard { condition, directly: kind == Kind::NotNext });
                }
                return;
            }
        };
        let only = |until: &Iterative<T>| Condition { simple: None, iterative: vec![Arc::clone(until)] };
        let until = part.until.as_ref().map(only).map(|until| self.condition(until));
        let times = part.times.unwrap_or(Times { least: 1, most: Some(1) });
        self.names.push(Arc::clone(&part.name));
        self.stages.push(Stage {
            condition,
            until,
            reach,
            inner: part.inner.unwrap_or(Contiguity::Relaxed),
            least: times.least,
            most: times.most,
            optional: part.optional,
            // If there is no choice of a number, there is nothing to be greedy about.
            greedy: part.greedy && times.most != Some(times.least),
            guards: Vec::new(),
            after: 0,
        });
    }

    /// Finds out which stages can follow which, and what the end waits for.
    fn connect(&mut self) {
        let mut after = bit(END);
        for at in (0..self.stages.len()).rev() {
            self.stages[at].after = after;
            after = bit(at) | if self.stages[at].optional { after } else { 0 };
        }
        self.starts = after & !bit(END);
        let guards = self.stages.last().map_or(&[][..], |stage| &stage.guards);
        self.end = match guards {
            [] => End::AtOnce,
            guards if guards.iter().all(|guard| guard.directly) => End::AfterNext,
            _ => End::AtDeadline,
        };
    }
}
