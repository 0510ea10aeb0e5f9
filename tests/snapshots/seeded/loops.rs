//! Loops of records that visit all workers.

use highwater::stream::{Job, Rounds};

use super::world::{Ran, sorted, under_seeds};

/// One step of a walk down to zero, which leaves something at every third number.
fn step(n: i64) -> (Option<i64>, Vec<i64>) {
    let next = if n % 2 == 0 { n / 2 } else { n - 1 };
    ((n > 0).then_some(next), if n % 3 == 0 { vec![n, n] } else { vec![] })
}

fn walk(mut n: i64) -> Vec<i64> {
    let mut left = Vec::new();
    loop {
        let (next, leaves) = step(n);
        left.extend(leaves);
        match next {
            Some(next) => n = next,
            None => return left,
        }
    }
}

#[test]
fn walks() {
    under_seeds("loops::walks", |world| {
        let splits = world.splits(0);
        let job = Job::new();
        let numbers = world.read(&job, &splits).map(|event| event.1 * 37);
        let left = numbers.iterate(Rounds::at_most(40), |numbers, _| {
            let steps = numbers.partition_with(|n, _| *n as usize).map(step).share();
            (steps.clone().filter_map(|(next, _)| next), steps.flat_map(|(_, leaves)| leaves))
        });
        let left = left.collect();
        let trace = world.run(&job);
        assert_eq!(left.sorted(), sorted(splits.iter().flatten().flat_map(|event| walk(event.1 * 37))));
        Ran::new(trace).and(&left)
    });
}
