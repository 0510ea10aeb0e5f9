//! What Flink's documentation and published tests say that patterns find, and what is refused.

use std::time::Duration;

use super::notation::{Event, events, finds, outcome, pattern, shown};
use super::{Outcome, Partials, Pattern, Taken};
use crate::time::EventTime;

/// Asserts that a pattern finds these matches.
fn check(text: &str, input: &str, expected: &str) {
    finds(&pattern(text), input, expected);
}

/// The nine cases of the published suite that the engine is held to.
#[test]
fn published_cases() {
    check("s=*, then e=*", "a b c d e", "a b | b c | c d | d e");
    check("m=a, next e=b", "a1@3 b1@5", "a1 b1");
    let within = "start, any middle, any end; within 10";
    let input = "start1@1 start2@2 middle3@3 foobar4@4 end5@11 end6@13";
    check(within, input, "start2 middle3 end5");
    check("a, notnext b, then c, then d", "a1 b1 c1 c2 d", "");
    check("a{3}; skip past last", "a1 a2 a3 a4 a5 a6", "a1 a2 a3 | a4 a5 a6");
    check("a, any b; skip to next", "a1@1 b1@2 a2@4 b2@5", "a1 b1 | a2 b2");
    check("a+ consecutive greedy, next b; skip no", "a1 a2 a3 b1", "a1 a2 a3 b1 | a2 a3 b1 | a3 b1");
    check("a+ consecutive greedy, next b; skip to last a", "a1 a2 a3 b1", "a1 a2 a3 b1 | a3 b1");
    let twice = "start=ab{2}, next end=ab{2}; skip to last end";
    check(twice, "ab1 ab2 ab3 ab4 ab5 ab6 ab7", "ab1 ab2 ab3 ab4 | ab4 ab5 ab6 ab7");
}

/// Timed-out partial matches, with the time at which nothing could complete them any more.
fn time_outs(text: &str, input: &str) -> Vec<String> {
    let found = outcome(&pattern(text).compile().unwrap(), events(input)).timed_out;
    found.iter().map(|(at, taken)| format!("{} at {at}", shown(taken))).collect()
}

#[test]
fn partial_matches_time_out_with_their_first_event() {
    let input = "start1@1 start2@2 middle3@3 foobar4@4 end5@11 end6@13";
    let expected = ["start1 middle3 at 11", "start1 at 11", "start2 middle3 at 12", "start2 at 12"];
    assert_eq!(time_outs("start, any middle, any end; within 10", input), expected);
    assert_eq!(time_outs("a, then b?, then c; within 5", "a1@1 b1@3"), ["a1 b1 at 6", "a1 at 6"]);
    // What a match could have become is told, what it was is not.
    assert_eq!(time_outs("a, then b+; within 5", "a1@1 b1@3"), ["a1 b1 at 6"]);
    assert_eq!(time_outs("a, not b; within 5", "a1@1"), [""; 0]);
}

#[test]
fn matches_have_the_time_at_which_they_are_decided() {
    let decided = |text: &str, input: &str| -> Vec<(i64, String)> {
        let found = outcome(&pattern(text).compile().unwrap(), events(input)).matches;
        found.iter().map(|(at, taken)| (*at, shown(taken))).collect()
    };
    let of =
        |found: &[(i64, &str)]| found.iter().map(|(at, shown)| (*at, shown.to_string())).collect::<Vec<_>>();
    assert_eq!(decided("a, then b", "a1@1 b1@7"), of(&[(7, "a1 b1")]));
    assert_eq!(decided("a, notnext b", "a1@1 c1@7"), of(&[(7, "a1")]), "the next event tells");
    assert_eq!(decided("a, not b; within 5", "a1@1 c1@3 a2@4 b1@8"), of(&[(6, "a1")]), "time tells");
    assert_eq!(decided("a, notnext c, not b; within 5", "a1@1 b1@2 a2@3 c1@3 a3@9"), of(&[(14, "a3")]));
    // The match of b2 waits for a1, which could have discarded it.
    let open = open().within(Duration::from_millis(9)).skip_past_last();
    let found = outcome(&open.compile().unwrap(), events("a1@1 b2@3 c2@4"));
    assert_eq!(found.matches.len(), 1);
    assert_eq!(found.matches[0].0, 10, "until then a1 could have discarded it");
}

/// Many more, as a table: pattern, events, matches (or a dash), an empty line.
#[test]
fn published_table() {
    let table = include_str!("cases.txt");
    let blocks = table.split("\n\n").filter(|block| !block.starts_with('#'));
    let mut count = 0;
    for block in blocks {
        let lines: Vec<&str> = block.lines().collect();
        let [text, input, expected] = lines[..] else { panic!("what is {block:?}?") };
        check(text, input, if expected == "-" { "" } else { expected });
        count += 1;
    }
    assert!(count > 80, "{count} cases");
}

/// A pattern of `c`, a loop of `a`s until one has a number above 4, and perhaps that one.
fn until(middle: &str, end: &str) -> Pattern<Event> {
    let pattern = pattern(&format!("c, {middle}")).until(|event, _| event.number() > 4);
    match end {
        "" => pattern,
        _ => pattern.followed_by("end", |event| event.number() > 4),
    }
}

#[test]
fn a_loop_ends_where_it_is_told_to() {
    let input = "c1 a2 a3 a5 a6";
    finds(&until("then a+", "end"), input, "c1 a2 a3 a5 | c1 a2 a5");
    finds(&until("then a+ consecutive", "end"), input, "c1 a2 a3 a5 | c1 a2 a5");
    finds(&until("then a+ consecutive", "end"), "c1 a2 b3 a4 a5 a6", "c1 a2 a5");
    finds(&until("then a*", "end"), input, "c1 a2 a3 a5 | c1 a2 a5 | c1 a5");
    finds(&until("then a* consecutive", "end"), input, "c1 a2 a3 a5 | c1 a2 a5 | c1 a5");
    let four = "c1 a2 a3 a4 a5 a6";
    finds(
        &until("then a+ combinations", "end"),
        four,
        "c1 a2 a3 a4 a5 | c1 a2 a3 a5 | c1 a2 a4 a5 | c1 a2 a5",
    );
    finds(
        &until("then a* combinations", "end"),
        four,
        "c1 a2 a3 a4 a5 | c1 a2 a3 a5 | c1 a2 a4 a5 | c1 a2 a5 | c1 a5",
    );
    let again = "c1 a2 a3 a5 a4";
    finds(&until("any a+", ""), again, "c1 a2 a3 | c1 a2 | c1 a3 | c1 a4");
    finds(&until("any a*", ""), again, "c1 a2 a3 | c1 a2 | c1 a3 | c1 a4 | c1");
    finds(&until("then a=*+", ""), "c0 a2 a3 d1 a5 a4", "c0 a2 a3 d1 | c0 a2 a3 | c0 a2");
}

#[test]
fn the_end_of_a_loop_may_depend_on_its_events() {
    let six = |middle: &str| {
        pattern(&format!("c, {middle}"))
            .until(|_, earlier| earlier.of("a").iter().map(|event| event.number()).sum::<u32>() == 6)
    };
    finds(&six("then a=*+"), "c1 a2 a3 d1 a5 a6", "c1 a2 a3 d1 | c1 a2 a3 | c1 a2");
    finds(&six("then a=**"), "c1 a2 a3 d1 a5 a6", "c1 a2 a3 d1 | c1 a2 a3 | c1 a2 | c1");
    let three = pattern("a, then d+").until(|_, earlier| earlier.of("d").len() == 3);
    finds(&three, "a1@1 d1@2 d2@2 d3@2 d4@4", "a1 d1 d2 d3 | a1 d1 d2 | a1 d1");
}

#[test]
fn greed_ends_with_the_loop() {
    let greedy = |middle: &str| {
        let pattern = pattern(&format!("c, {middle} greedy")).until(|event, _| event.number() > 4);
        pattern.followed_by("d", |event| event.0.starts_with('d'))
    };
    finds(&greedy("then a*"), "c1 a1 a2 a3 a5 d1", "c1 a1 a2 a3 d1");
    finds(&greedy("then a*"), "c1 a5 a1 a2 a3 d1", "c1 d1");
    finds(&greedy("then a+"), "c1 a1 a2 a3 a5 d1", "c1 a1 a2 a3 d1");
    finds(&greedy("then a+"), "c1 a5 a1 a2 a3 d1", "");
}

#[test]
fn a_full_loop_claims_nothing() {
    let four = "a1 a2 a3 b1";
    check("a{1,2} greedy, then b", four, "a1 a2 b1 | a2 a3 b1 | a3 b1");
    check(
        "a{1,2} greedy, any b",
        "a1 a2 a3 b1 b2",
        "a1 a2 b1 | a1 a2 b2 | a2 a3 b1 | a2 a3 b2 | a3 b1 | a3 b2",
    );
    check("a{1,2} greedy, next b", four, "a2 a3 b1 | a3 b1");
    check("a{1,2} consecutive greedy, then b", four, "a1 a2 b1 | a2 a3 b1 | a3 b1");
    check("a{2,3} greedy, then b", "a1 a2 a3 a4 b1", "a1 a2 a3 b1 | a2 a3 a4 b1 | a3 a4 b1");
    check("a{1,2} greedy, not c, then b", four, "a1 a2 b1 | a2 a3 b1 | a3 b1");
    check("a{1,2} greedy, notnext c, then b", four, "a1 a2 b1 | a2 a3 b1 | a3 b1");
    check("a{1,2} greedy, then b; skip past last", four, "a1 a2 b1");
    check(
        "a{1,2} greedy, then b{1,2} greedy, then c",
        "a1 a2 a3 b1 b2 b3 c1",
        "a1 a2 b1 b2 c1 | a2 a3 b1 b2 c1 | a3 b1 b2 c1",
    );
    // The next stage may take what the loop takes no more.
    check("a{1,2} greedy, then x=a|b", four, "a1 a2 a3 | a2 a3 b1 | a3 b1");
    check("c, then a{0,2} greedy, then d", "c1 a1 a2 a3 d1", "c1 a1 a2 d1");
    check("c, then a{2,3} greedy optional, then d", "c1 a1 a2 a3 a4 d1", "c1 a1 a2 a3 d1");
    // A stage that takes a certain number has no choice.
    check("a{2} greedy, then b", four, "a1 a2 b1 | a2 a3 b1");
    // A loop that may not skip is left with the first event that it does not take.
    check("a+ consecutive greedy, then b", "a1 z1 a2 b1", "a1 b1 | a2 b1");
    check("a{2,3} consecutive greedy, then b", "a1 a2 z1 a3 b1", "a1 a2 b1");
    check("c, next a* greedy, then d", "c1 z1 a1 d1", "c1 d1");
    // One that may skip is not.
    check("a{1,3} greedy, then b", "a1 z1 a2 z2 b1", "a1 a2 b1 | a2 b1");
}

/// Where a match may wait for a partial match that began earlier.
fn open() -> Pattern<Event> {
    pattern("x=a|b, then y=c")
        .iterative(|c, earlier| earlier.last().is_some_and(|x| x.number() == c.number()))
}

#[test]
fn at_the_end_nothing_discards_what_waits() {
    let decided = |pattern: &Pattern<Event>, input: &str| -> Vec<(i64, String)> {
        let found = outcome(&pattern.compile().unwrap(), events(input));
        assert!(found.timed_out.is_empty(), "without a bound nothing times out");
        found.matches.iter().map(|(at, taken)| (*at, shown(taken))).collect()
    };
    let end = EventTime::MAX - 1;
    let of = |found: &[&str]| found.iter().map(|shown| (end, (*shown).to_owned())).collect::<Vec<_>>();
    for pattern in
        [open().skip_past_last(), open().skip_to_next(), open().skip_to_first("y"), open().skip_to_last("x")]
    {
        assert_eq!(decided(&pattern, "a1 b2 c2"), of(&["b2 c2"]), "{pattern}");
        // In the order of their first events, and each discards what it would have discarded.
        let crossed = decided(&pattern, "a1 b2 b3 c3 b4 c2 c4");
        let discards = !pattern.to_string().contains("to next") && !pattern.to_string().contains("last x");
        let expected: &[&str] = if discards { &["b2 c2"] } else { &["b2 c2", "b3 c3", "b4 c4"] };
        assert_eq!(crossed, of(expected), "{pattern}");
    }
    // No event comes that a negation at the end is about.
    let next = pattern("a, notnext b");
    assert_eq!(decided(&next, "a1@1 a2@2"), [(2, "a1".to_owned()), (end, "a2".to_owned())]);
    assert_eq!(decided(&pattern("a, notnext b; skip past last"), "a1"), of(&["a1"]));
    let negated = pattern("x=a|b, then y=c, not d; within 100").skip_past_last();
    assert_eq!(decided(&negated, "a1@1 b2@2 c2@4"), [(101, "a1 c2".to_owned())]);
    // The bound may reach beyond the end of time.
    let far = pattern("a, not b; within 1000");
    let late = format!("a1@{}", i64::MAX - 3);
    assert_eq!(decided(&far, &late), of(&["a1"]));
}

#[test]
fn conditions_see_earlier_events() {
    // Volumes that rise, as in the documentation of iterative conditions.
    let sum = |earlier: &super::Earlier<'_, Event>| earlier.of("a").iter().map(|a| a.number()).sum::<u32>();
    let small = |how: &str| {
        pattern(&format!("s, {how}")).iterative(move |event, earlier| sum(earlier) + event.number() < 5)
    };
    let (eager, any) = (small("then a+"), small("any a+ combinations"));
    finds(&eager.followed_by("e", |e| e.0 == "e"), "s1 a1 a2 a3 e", "s1 a1 a2 e | s1 a1 e");
    let all = "s1 a1 a2 e | s1 a1 a3 e | s1 a1 e | s1 a2 e | s1 a3 e";
    finds(&any.followed_by("e", |e| e.0 == "e"), "s1 a1 a2 a3 e", all);
    let equal = pattern("a, then c, then b")
        .iterative(|b, earlier| earlier.of("a")[0].number() == b.number())
        .skip_to_first("c");
    finds(&equal, "a1 c1 a2 c2 b2 b1", "a1 c1 b1 | a2 c2 b2");
}

#[test]
fn events_are_found_by_stage() {
    let automaton = pattern("a+, next b?, next c").compile().unwrap();
    let (mut partials, mut found) = (Partials::default(), Outcome::default());
    for (at, event) in events("a1 a2 c1") {
        assert!(automaton.advance(&mut partials, event, at, &mut found));
    }
    let taken: &Taken<Event> = &found.matches[0].1;
    assert_eq!(
        taken.stages().map(|(stage, events)| (stage, events.len())).collect::<Vec<_>>(),
        [("a", 2), ("c", 1)]
    );
    assert_eq!(taken.first("a").map(|a| a.0.as_str()), Some("a1"));
    assert_eq!(taken.last("a").map(|a| a.0.as_str()), Some("a2"));
    assert_eq!((taken.of("b"), taken.first("b")), (&[][..], None));
    assert!(!automaton.advance(&mut partials, Event("z".to_owned()), 9, &mut found), "it begins nothing");
    assert_eq!(partials.len(), 2, "both loops could go on");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |pattern: &Pattern<Event>, reason: &str| match pattern.compile() {
        Ok(_) => panic!("{pattern} is taken"),
        Err(error) => {
            assert_eq!(error.kind(), crate::ErrorKind::Config);
            assert!(error.to_string().contains(reason), "{error} is not about {reason:?}");
        }
    };
    let cases = [
        ("a, then a", "the name of two stages"),
        ("a, not a=b, then c, then a=d", "the name of two stages"),
        ("a{0}", "takes no event"),
        ("a{0,0}", "takes no event"),
        ("a{0,}", "takes no event"),
        ("a{3,2}", "at least more events than at most"),
        ("a, not b", "needs a bound"),
        ("a, not b, notnext c", "needs a bound"),
        ("a, not b+, then c", "is a negation"),
        ("a, notnext b?, then c", "is a negation"),
        ("a, not b greedy, then c", "is a negation"),
        ("a, then b?, not c, then d", "after an optional stage"),
        ("a greedy, then b", "cannot be greedy"),
        ("a+ greedy combinations, then b", "may not skip what it could take"),
        ("a+ greedy, then b?, then c", "after a greedy stage"),
        ("a+ greedy, not b, then c?, then d", "after a greedy stage"),
        ("a consecutive, then b", "takes one event"),
        ("a combinations, then b", "takes one event"),
        ("a+ consecutive combinations, then b", "twice what may lie between"),
        ("a? optional, then b", "is optional already"),
        ("a{0,2} optional, then b", "is optional already"),
        ("a, then b; within 0", "less than a millisecond"),
        ("a, then b; skip to first c", "no stage \"c\""),
        ("a, not c, then b; skip to last c", "no stage \"c\""),
        ("a, then b; skip past last; skip to next", "twice what to skip"),
    ];
    for (text, reason) in cases {
        refused(&pattern(text), reason);
    }
    refused(&pattern("a").times(2).times(3), "twice how often");
    refused(&pattern("a").until(|_, _| true), "needs no condition that ends it");
    refused(&pattern("a{2}").until(|_, _| true), "needs no condition that ends it");
    refused(&pattern("a+").until(|_, _| true).until(|_, _| true), "two conditions that end it");
    refused(&Pattern::begin("", |_| true), "has no name");
    refused(&pattern("a").within(Duration::MAX), "two million years");
    let long = (1..64).fold(pattern("p0"), |long, n| long.next(&format!("p{n}"), |_| true));
    refused(&long, "64 conditions");
    assert!(pattern("a, notnext b").compile().is_ok(), "the next event decides");
    assert!(pattern("a, not b; within 1").compile().is_ok());
}
