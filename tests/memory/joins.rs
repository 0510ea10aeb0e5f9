//! Rolling aggregates, and joins of all that has come, of which there is more than memory has room for.

use std::collections::BTreeMap;

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::data::{Change, consolidate};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

use crate::heap::alone;
use crate::{mix, number};

#[test]
fn aggregates_and_joins_are_those_of_all_that_came() {
    let _alone = alone();
    let run = |options: Options| {
        let job = Job::new();
        let numbers = |splits, many: u64| {
            let numbers = Generator::new(splits, move |n| (n < many).then_some(n));
            job.source(numbers, Watermarks::none())
        };
        let texts = numbers(2, 60_000).key_by(|n| mix(*n) % 15_000).map_values(|n| format!("{n:>50}"));
        let longest = texts.max_by(|text| text.trim().parse::<u64>().unwrap_or(0)).materialize();
        let left = numbers(1, 8_000).key_by(|n| mix(*n) % 3_000).map_values(|n| format!("left {n:>90}"));
        let right = numbers(2, 8_000).key_by(|n| mix(n + 1) % 3_000).map_values(|n| format!("right {n:>90}"));
        let pairs =
            left.clone().join(right.clone(), |_, left, right| left.len() as u64 * mix(right.len() as u64));
        let pairs = pairs.collect();
        let changes = numbers(1, 8_000).map(change_of).key_by(|(n, _)| mix(*n) % 3_000);
        let changes = changes.map_values(|(n, diff)| Change { record: format!("left {n:>90}"), diff });
        let changed = changes.join_changes(right.map_values(Change::insert), |_, left, right| {
            (number(&left[5..]), number(&right[6..]))
        });
        let changed = changed.collect();
        let options = options.epochs(Epochs::records(2_000)).max_bytes_in_flight(64 << 10);
        let summary = job.run_with(options).unwrap();
        let state = (longest.sorted(), pairs.sorted(), consolidate(changed.values()));
        (state, summary.metrics.sum("keys_evicted"))
    };
    let (expected, _) = run(Options::default());
    let (longest, pairs, changed) = &expected;
    let mut by_hand = BTreeMap::<(u64, u64), i64>::new();
    for (left, diff) in (0..8_000).map(change_of) {
        let partners = (0..8_000u64).filter(|right| mix(right + 1) % 3_000 == mix(left) % 3_000);
        partners.for_each(|right| *by_hand.entry((left, right)).or_default() += diff);
    }
    by_hand.retain(|_, diff| *diff != 0);
    assert!(by_hand.values().any(|diff| *diff < 0) && *changed == by_hand.into_iter().collect::<Vec<_>>());
    assert!(longest.len() > 14_000 && pairs.len() > 20_000, "{} {}", longest.len(), pairs.len());
    for workers in 1..=2 {
        let limited = Options::default().workers(workers).state_memory(1 << 20, std::env::temp_dir());
        let (state, left) = run(limited);
        assert!(state == expected, "with {workers} workers");
        assert!(left > 10_000, "{left} keys left memory");
    }
}

/// One number in four takes back one that came long before it, or the one before it; so some are taken back
/// twice.
fn change_of(n: u64) -> (u64, i64) {
    if n % 4 == 3 { (n.checked_sub(3_001).unwrap_or(n - 1), -1) } else { (n, 1) }
}
