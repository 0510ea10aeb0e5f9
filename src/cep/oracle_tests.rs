//! The automaton against the definition: random small patterns over random short inputs.

use super::notation::Event;
use super::oracle::{After, Found, How, Oracle, Part, Spec, Takes};
use super::{Automaton, Outcome, Partials, Taken};
use proptest::collection::vec;
use proptest::prelude::*;

fn times() -> impl Strategy<Value = Option<(u32, Option<u32>)>> {
    prop_oneof![
        6 => Just(None),
        4 => Just(Some((1, None))),
        1 => Just(Some((2, None))),
        1 => Just(Some((2, Some(2)))),
        2 => Just(Some((1, Some(2)))),
        1 => Just(Some((1, Some(3)))),
        1 => Just(Some((2, Some(3)))),
    ]
}

fn kinds() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("a"), 4 => Just("b"), 2 => Just("c"), 1 => Just("a|b"), 1 => Just("b|c"), 1 => Just("*")]
}

/// A part; one that makes no sense is made to make some.
fn part() -> impl Strategy<Value = Part> {
    let how = prop_oneof![
        3 => Just(How::Next), 4 => Just(How::Then), 3 => Just(How::Any), 1 => Just(How::NotNext), 2 => Just(How::Not),
    ];
    let inner = prop_oneof![4 => Just(How::Then), 1 => Just(How::Next), 1 => Just(How::Any)];
    let until = proptest::option::weighted(0.2, kinds());
    let bools =
        (proptest::bool::weighted(0.2), proptest::bool::weighted(0.4), proptest::bool::weighted(0.15));
    (how, kinds(), times(), inner, until, bools).prop_map(|(how, kinds, times, inner, until, bools)| {
        let (optional, greedy, alternates) = bools;
        if matches!(how, How::Not | How::NotNext) {
            let inner = How::Then;
            return Part {
                how,
                kinds,
                times: None,
                inner,
                optional: false,
                greedy: false,
                until: None,
                alternates,
            };
        }
        let inner = if times.is_some() { inner } else { How::Then };
        let greedy = greedy && times.is_some() && inner != How::Any;
        let until = until.filter(|_| matches!(times, Some((_, None))));
        Part { how, kinds, times, inner, optional, greedy, until, alternates }
    })
}

pub(super) fn spec() -> impl Strategy<Value = Spec> {
    let after = prop_oneof![
        4 => Just(After::NoSkip),
        1 => Just(After::ToNext),
        1 => Just(After::PastLast),
        1 => (0..4usize).prop_map(After::ToFirst),
        1 => (0..4usize).prop_map(After::ToLast),
    ];
    (vec(part(), 1..5), proptest::option::of(1..12i64), after).prop_map(|(mut parts, within, after)| {
        if matches!(parts[0].how, How::Not | How::NotNext) {
            parts[0].how = How::Any;
        }
        for at in 1..parts.len() {
            let negation = matches!(parts[at].how, How::Not | How::NotNext);
            parts[at - 1].optional &= !negation;
            let stage = parts[..at].iter().rfind(|part| !matches!(part.how, How::Not | How::NotNext));
            let claimed = stage.is_some_and(|stage| stage.greedy);
            parts[at].optional &= !claimed;
        }
        let is_negation = |part: &Part| matches!(part.how, How::Not | How::NotNext);
        let open = parts.iter().rev().take_while(|part| is_negation(part)).any(|part| part.how == How::Not);
        let within = if open { within.or(Some(7)) } else { within };
        // Back to the last stage that there is.
        let stage =
            |at: usize| (0..parts.len().min(at + 1)).rfind(|at| !is_negation(&parts[*at])).unwrap_or(0);
        let after = match after {
            After::ToFirst(at) => After::ToFirst(stage(at)),
            After::ToLast(at) => After::ToLast(stage(at)),
            other => other,
        };
        Spec { parts, within, after }
    })
}

pub(super) fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let kind = prop_oneof![3 => Just('a'), 3 => Just('b'), 2 => Just('c')];
    vec((0..3i64, kind), 1..9).prop_map(|gaps| {
        let mut now = 0;
        let event = |(number, (gap, kind)): (usize, (i64, char))| {
            now += gap;
            (now, Event(format!("{kind}{number}")))
        };
        gaps.into_iter().enumerate().map(event).collect()
    })
}

pub(super) fn takes(taken: &Taken<Event>) -> Takes {
    let stages = taken.stages();
    let takes = stages.flat_map(|(stage, events)| {
        events.iter().map(move |event| (stage.parse().unwrap(), event.number() as usize))
    });
    takes.collect()
}

/// Shows events to the automaton, and after each what `meanwhile` makes of its state.
fn run(
    automaton: &Automaton<Event>,
    events: &[(i64, Event)],
    mut meanwhile: impl FnMut(Partials<Event>) -> Partials<Event>,
) -> Found {
    let (mut partials, mut outcome) = (Partials::default(), Outcome::default());
    for (timestamp, event) in events {
        automaton.advance(&mut partials, event.clone(), *timestamp, &mut outcome);
        partials = meanwhile(partials);
    }
    automaton.expire(&mut partials, i64::MAX, &mut outcome);
    let of = |found: Vec<(i64, Taken<Event>)>| found.iter().map(|(at, taken)| (*at, takes(taken))).collect();
    (of(outcome.matches), of(outcome.timed_out))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn the_automaton_finds_what_the_definition_says(spec in spec(), events in events()) {
        let automaton = spec.pattern().compile().unwrap();
        let (matches, mut timed_out) = Oracle { spec: &spec, events: &events }.found();
        let got = run(&automaton, &events, |partials| {
            let text = serde_json::to_string(&partials).unwrap();
            let again: Partials<Event> = serde_json::from_str(&text).unwrap();
            assert_eq!(again, partials);
            again
        });
        let mut over = got.1;
        over.sort();
        timed_out.sort();
        // Matches in this order, whatever they discard.
        prop_assert_eq!(got.0, matches, "{}", spec.pattern());
        prop_assert_eq!(over, timed_out, "time-outs of {}", spec.pattern());
    }
}
