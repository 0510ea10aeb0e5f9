//! Patterns whose state is larger than memory: partial matches of keys that are away, and records that wait
//! long.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::cep::{Match, Pattern};
use highwater::connector::Generator;
use highwater::stream::{Chain, Job, KeyedStream};
use highwater::time::Watermarks;

use crate::heap::alone;
use crate::{Digest, goes_on, holds, lock, mix, number, text_of, texts};

/// Records of a key, of which one in four ends what the others begin, within so many seconds.
fn begun_and_ended(seconds: u64) -> Pattern<String> {
    let ends = |text: &String| mix(number(text)).is_multiple_of(4);
    Pattern::begin("begun", move |text| !ends(text))
        .followed_by("ended", ends)
        .within(Duration::from_secs(seconds))
        .skip_past_last()
}

/// The key, the time, and the numbers of the events, of a match or of what has timed out.
fn fields(what: u64, found: &Match<u64, String>) -> Vec<u64> {
    let numbers = found.events.iter().map(|text| number(text));
    [what, found.key, found.timestamp as u64].into_iter().chain(numbers).collect()
}

/// Tells what a pattern finds, and what times out.
fn detect<C: Chain<Out = (u64, String)>>(
    keyed: KeyedStream<u64, String, C>,
    pattern: Pattern<String>,
    digest: &Arc<Digest>,
) {
    let found = keyed.detect(pattern);
    let (matches, timed_out) = (Arc::clone(digest), Arc::clone(digest));
    found.matches().for_each(move |_, record| matches.add(fields(1, &record.value)));
    found.timed_out().for_each(move |_, record| timed_out.add(fields(2, &record.value)));
}

#[test]
fn partial_matches_may_be_larger_than_memory() {
    let _alone = alone();
    // Keys come again after a quarter of a minute or so, when some match, some go on, and some are over.
    holds("partial matches", 4 << 20, |job, digest| {
        detect(texts(job, 1200, 45_000, 14_000), begun_and_ended(20), &digest);
    });
}

#[test]
fn records_that_wait_may_be_larger_than_memory() {
    let _alone = alone();
    holds("records that wait", 6 << 20, |job, digest| {
        let numbers = Generator::new(2, move |n| (n < 50_000).then_some(n));
        // The watermark is half a minute behind, and records come some seconds out of order.
        let half = Duration::from_secs(30);
        let numbers = job.source(numbers, Watermarks::bounded(half, |n: &u64| (*n + mix(*n) % 5_000) as i64));
        let keyed = numbers.key_by(|n| mix(*n) % 3_000).map_values(|n| text_of(n, 1200));
        detect(keyed, begun_and_ended(2), &digest);
    });
}

/// What was told: see [`fields`].
type Told = Arc<Mutex<BTreeSet<Vec<u64>>>>;

#[test]
fn patterns_that_are_larger_than_memory_go_on_from_a_snapshot() {
    let _alone = alone();
    let build = |told: &Told, rate: Option<f64>| {
        let job = Job::new();
        let numbers = Generator::new(2, move |n| (n < 40_000).then_some(n));
        let numbers = rate.map_or(numbers.clone(), |rate| numbers.rate(rate));
        let disorder = Duration::from_secs(5);
        let at = |n: &u64| (*n + mix(*n) % 4_000) as i64;
        let numbers = job.source(numbers, Watermarks::bounded(disorder, at));
        let keyed = numbers.key_by(|n| mix(*n) % 8_000).map_values(|n| format!("{n:>300}"));
        let found = keyed.detect(begun_and_ended(12));
        for (what, all) in [(1, found.matches().uid("pairs")), (2, found.timed_out())] {
            let told = Arc::clone(told);
            all.for_each(move |_, record| {
                lock(&told).insert(fields(what, &record.value));
            });
        }
        job
    };
    let run = goes_on(build, 10_000.0, 1_400, "keys_evicted");
    assert!(run.told.len() > 10_000 && run.left.last() > Some(&1_000));
}
