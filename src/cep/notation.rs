//! A notation for patterns, events and matches, so that tests can be tables.
//!
//! * `c, next a{2,3} greedy, not b, then d?; within 9; skip past last` is a pattern. Parts are apart by
//!   commas: how one follows (`next`, `then` for relaxed, `any`, `notnext`, `not`), a name, perhaps `=` and
//!   the kinds it takes, perhaps how often, perhaps options. Without kinds it takes its name's; `*` is all
//!   kinds, and `~a` those that contain an `a`.
//! * `c1 a1@4 a2` are events: a name, whose letters are its kind, perhaps a time. An event without one is one
//!   later than that before.
//! * `c1 a1 | c1 a2` are matches.

use super::{Automaton, Outcome, Partials, Pattern, Taken};
use crate::time::EventTime;
use std::time::Duration;

/// An event: its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct Event(pub(super) String);

impl Event {
    fn kind(&self) -> &str {
        self.0.trim_end_matches(|c: char| c.is_ascii_digit())
    }

    /// The number at the end of its name.
    pub(super) fn number(&self) -> u32 {
        self.0[self.kind().len()..].parse().unwrap_or(0)
    }
}

/// True if one of the kinds, apart by bars, is that of the event.
pub(super) fn is_of(kinds: &str, event: &Event) -> bool {
    kinds.split('|').any(|kind| match kind.strip_prefix('~') {
        Some(part) => event.kind().contains(part),
        None => kind == "*" || kind == event.kind(),
    })
}

pub(super) fn pattern(text: &str) -> Pattern<Event> {
    let mut pieces = text.split(';').map(str::trim);
    let mut pattern = None;
    for part in pieces.next().unwrap().split(',').map(str::trim).fold(Vec::new(), rejoin) {
        pattern = Some(add(pattern, &part));
    }
    pieces.fold(pattern.unwrap(), setting)
}

/// Undoes the splitting of `a{2,3}`.
fn rejoin(mut parts: Vec<String>, piece: &str) -> Vec<String> {
    match parts.last_mut() {
        Some(last) if last.contains('{') && !last.contains('}') => *last = format!("{last},{piece}"),
        _ => parts.push(piece.to_owned()),
    }
    parts
}

fn setting(pattern: Pattern<Event>, setting: &str) -> Pattern<Event> {
    match setting.split(' ').collect::<Vec<_>>()[..] {
        ["within", millis] => pattern.within(Duration::from_millis(millis.parse().unwrap())),
        ["skip", "no"] => pattern.no_skip(),
        ["skip", "to", "next"] => pattern.skip_to_next(),
        ["skip", "past", "last"] => pattern.skip_past_last(),
        ["skip", "to", "first", stage] => pattern.skip_to_first(stage),
        ["skip", "to", "last", stage] => pattern.skip_to_last(stage),
        _ => panic!("what is {setting:?}?"),
    }
}

fn add(pattern: Option<Pattern<Event>>, part: &str) -> Pattern<Event> {
    let mut words: Vec<&str> = part.split_whitespace().collect();
    let how = if pattern.is_some() { words.remove(0) } else { "begin" };
    let (stage, options) = words.split_first().unwrap();
    let bare = stage.trim_end_matches(['+', '?', '*']);
    let (bare, times) = bare.split_once('{').unwrap_or((bare, ""));
    // In `x=*` the star is a kind.
    let bare = if bare.ends_with('=') { &stage[..=bare.len()] } else { bare };
    let often = &stage[bare.len() + if times.is_empty() { 0 } else { times.len() + 1 }..];
    let (name, kinds) = bare.split_once('=').unwrap_or((bare, bare));
    let kinds = kinds.to_owned();
    let condition = move |event: &Event| is_of(&kinds, event);
    let mut pattern = match (pattern, how) {
        (None, _) => Pattern::begin(name, condition),
        (Some(pattern), "next") => pattern.next(name, condition),
        (Some(pattern), "then") => pattern.followed_by(name, condition),
        (Some(pattern), "any") => pattern.followed_by_any(name, condition),
        (Some(pattern), "notnext") => pattern.not_next(name, condition),
        (Some(pattern), "not") => pattern.not_followed_by(name, condition),
        _ => panic!("what is {how:?}?"),
    };
    pattern = match times.trim_end_matches('}').split_once(',') {
        Some((least, "")) => pattern.times_or_more(least.parse().unwrap()),
        Some((least, most)) => pattern.times_range(least.parse().unwrap(), most.parse().unwrap()),
        None if times.is_empty() => pattern,
        None => pattern.times(times.trim_end_matches('}').parse().unwrap()),
    };
    pattern = match often {
        "" => pattern,
        "?" => pattern.optional(),
        "+" => pattern.one_or_more(),
        "*" => pattern.one_or_more().optional(),
        _ => panic!("what is {often:?}?"),
    };
    options.iter().fold(pattern, |pattern, option| match *option {
        "greedy" => pattern.greedy(),
        "consecutive" => pattern.consecutive(),
        "combinations" => pattern.allow_combinations(),
        "optional" => pattern.optional(),
        _ => panic!("what is {option:?}?"),
    })
}

pub(super) fn events(text: &str) -> Vec<(EventTime, Event)> {
    let mut last = 0;
    let event = |word: &str| {
        let (name, time) = word.split_once('@').map_or((word, last + 1), |(n, t)| (n, t.parse().unwrap()));
        last = time;
        (time, Event(name.to_owned()))
    };
    text.split_whitespace().map(event).collect()
}

pub(super) fn shown(taken: &Taken<Event>) -> String {
    taken.iter().map(|event| event.0.as_str()).collect::<Vec<_>>().join(" ")
}

/// What a pattern finds among events, the time after them included.
pub(super) fn outcome(automaton: &Automaton<Event>, events: Vec<(EventTime, Event)>) -> Outcome<Event> {
    let (mut partials, mut outcome) = (Partials::default(), Outcome::default());
    for (timestamp, event) in events {
        automaton.advance(&mut partials, event, timestamp, &mut outcome);
    }
    automaton.expire(&mut partials, EventTime::MAX, &mut outcome);
    outcome
}

/// Asserts that a pattern finds these matches, in any order.
pub(super) fn finds(pattern: &Pattern<Event>, input: &str, expected: &str) {
    let automaton = pattern.compile().unwrap();
    let mut found: Vec<String> =
        outcome(&automaton, events(input)).matches.iter().map(|(_, taken)| shown(taken)).collect();
    let expected = expected.split('|').map(|words| words.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut expected: Vec<String> = expected.filter(|words| !words.is_empty()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{pattern} in {input}");
}
