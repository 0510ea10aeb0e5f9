//! The shortest way from one place to all others, while streets are opened and closed.
//!
//! A loop finds the distances: from each place that has been reached one goes on along all streets, and of
//! several distances the least is kept, until none gets shorter. When a street is closed, the distances that
//! led along it are taken back, and those places get the next best ones.
//!
//! First a job runs it over all changes at once, on two workers. Then the same computation is driven by hand,
//! one change at a time.
//!
//! ```text
//! $ cargo run --example 08_paths
//! in the end: a 0, b 8, c 10, d 15
//! a to b, 7 long, opens: a 0, b 7
//! a to c, 20 long, opens: c 20
//! b to c, 2 long, opens: c 20 -> 9
//! c to d, 5 long, opens: d 14
//! a to b, 7 long, closes: b 7 -> none, c 9 -> 20, d 14 -> 25
//! d to b, 1 long, opens: b 26
//! a to b, 8 long, opens: b 26 -> 8, c 20 -> 10, d 25 -> 15
//! d to b, 1 long, closes: nothing changes
//! ```

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;

use highwater::harness::Driver;
use highwater::prelude::*;
use highwater::stream::Rounds;

/// From where, to where, and how long: one way.
type Street = (char, char, u32);

/// Where all ways begin.
const START: char = 'a';

/// Streets, and whether they open.
const CHANGES: [(Street, bool); 8] = [
    (('a', 'b', 7), true),
    (('a', 'c', 20), true),
    (('b', 'c', 2), true), // by b it is shorter
    (('c', 'd', 5), true),
    (('a', 'b', 7), false),
    (('d', 'b', 1), true),
    (('a', 'b', 8), true),
    (('d', 'b', 1), false), // nobody goes there any more
];

/// Each place that can be reached, with its distance.
fn distances(
    streets: Stream<Change<Street>, impl Chain<Out = Change<Street>>>,
) -> Stream<Change<(char, u32)>> {
    streets.differential(|computation, streets| {
        let start = streets.clone().map(|_| (START, 0)).distinct();
        let streets = streets.map(|(from, to, length)| (from, (to, length)));
        computation.iterate(start.clone(), Rounds::at_most(1_000), |scope, reached| {
            let (streets, start) = (streets.enter(scope), start.enter(scope));
            let next = reached.join_map(streets, |_, distance, (to, length)| (*to, distance + length));
            next.concat(start).reduce(|_, distances, least| least.push((*distances[0].0, 1)))
        })
    })
}

fn change((street, opens): (Street, bool)) -> Change<Street> {
    if opens { Change::insert(street) } else { Change::retract(street) }
}

/// What has changed, in words.
fn told(changes: Vec<Change<(char, u32)>>) -> String {
    let mut places: BTreeMap<char, [Option<u32>; 2]> = BTreeMap::new();
    for Change { record: (place, distance), diff } in changes {
        places.entry(place).or_default()[usize::from(diff > 0)] = Some(distance);
    }
    let lines = places.into_iter().map(|(place, distances)| match distances {
        [Some(before), Some(now)] => format!("{place} {before} -> {now}"),
        [Some(before), None] => format!("{place} {before} -> none"),
        [_, now] => format!("{place} {}", now.unwrap_or_default()),
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { "nothing changes".to_owned() } else { lines.join(", ") }
}

fn main() -> Result<()> {
    let job = Job::new();
    let reached = distances(job.collection(CHANGES).map(change)).materialize();
    job.run_with(Options::default().workers(2))?;
    let reached: Vec<String> =
        reached.sorted().iter().map(|(place, distance)| format!("{place} {distance}")).collect();
    println!("in the end: {}", reached.join(", "));

    // Each push is an epoch of its own.
    let mut driver = Driver::new(distances)?;
    for (street, opens) in CHANGES {
        driver.push(change((street, opens)), 0)?;
        let (from, to, length) = street;
        let what = if opens { "opens" } else { "closes" };
        println!("{from} to {to}, {length} long, {what}: {}", told(driver.take_output()));
    }
    Ok(())
}
