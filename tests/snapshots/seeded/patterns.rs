//! Patterns with a time limit: matches, and beginnings whose time is up.

use std::collections::BTreeMap;

use highwater::cep::Pattern;
use highwater::stream::Job;

use super::world::{Ran, millis, sorted, under_seeds};
use crate::draws::Event;

fn is_low(event: &Event) -> bool {
    event.1 % 3 == 0
}

fn is_high(event: &Event) -> bool {
    event.1 % 2 == 1
}

/// Key, time, and the values of the events.
type Found = (u8, i64, Vec<i64>);

/// Each low event with the first high one after it, and when; or when its time is up, if that is earlier.
fn pairs(events: Vec<Event>, within: i64) -> (Vec<Found>, Vec<Found>) {
    let mut keys = BTreeMap::<u8, Vec<Event>>::new();
    events.into_iter().for_each(|event| keys.entry(event.0).or_default().push(event));
    let (mut matches, mut timed_out) = (Vec::new(), Vec::new());
    for (key, mut events) in keys {
        events.sort_by_key(|event| (event.2, event.1));
        for (at, low) in events.iter().enumerate().filter(|(_, event)| is_low(event)) {
            let end = low.2 + within;
            match events[at + 1..].iter().find(|event| is_high(event)).filter(|high| high.2 < end) {
                Some(high) => matches.push((key, high.2, vec![low.1, high.1])),
                None => timed_out.push((key, end, vec![low.1])),
            }
        }
    }
    (sorted(matches), sorted(timed_out))
}

#[test]
fn a_low_value_before_a_high_one() {
    under_seeds("patterns::a_low_value_before_a_high_one", |world| {
        let (splits, within) = (world.splits(20), 1 + world.below(40));
        let job = Job::new();
        let pattern = Pattern::begin("low", is_low).followed_by("high", is_high).within(millis(within));
        let found = world.read(&job, &splits).key_by(|event| event.0).detect(pattern);
        let tell = |found: highwater::cep::Match<u8, Event>| {
            let values: [Vec<i64>; 2] =
                ["low", "high"].map(|name| found.events.of(name).iter().map(|event| event.1).collect());
            (found.key, found.timestamp, values.concat())
        };
        let timed_out = found.timed_out().map(tell).collect();
        let matches = found.matches().map(tell).collect();
        let trace = world.run(&job);
        assert_eq!((matches.sorted(), timed_out.sorted()), pairs(world.on_time(&splits), within));
        Ran::new(trace).and(&matches).and(&timed_out)
    });
}
