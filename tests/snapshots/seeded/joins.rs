//! Interval joins of disordered and late events.

use highwater::join::{Interval, Offset, Outer};
use highwater::stream::Job;

use super::world::{Ran, sorted, under_seeds};
use crate::draws::Event;

#[test]
fn interval_joins() {
    under_seeds("joins::interval_joins", |world| {
        let (left, right) = (world.splits(20), world.splits(20));
        let (lower, upper) = (world.below(24) - 12, world.below(24) - 12);
        let outer = [Outer::None, Outer::Left, Outer::Right, Outer::Both][world.below(4) as usize];
        let job = Job::new();
        let (lefts, rights) = (world.read(&job, &left), world.read(&job, &right));
        let join = lefts.key_by(|event| event.0).interval_join(
            rights.key_by(|event| event.0),
            Interval::between(Offset::millis(lower), Offset::millis(upper)),
        );
        let joined = join
            .outer(outer, |_, l: Option<&Event>, r: Option<&Event>| Some((l.copied(), r.copied())))
            .collect();
        let trace = world.run(&job);

        let (lefts, rights) = (world.on_time(&left), world.on_time(&right));
        let fits = |l: &Event, r: &Event| l.0 == r.0 && (lower..=upper).contains(&(r.2 - l.2));
        let mut expected = Vec::new();
        for l in &lefts {
            expected.extend(rights.iter().filter(|r| fits(l, r)).map(|r| (Some(*l), Some(*r))));
        }
        if matches!(outer, Outer::Left | Outer::Both) {
            let alone = lefts.iter().filter(|l| !rights.iter().any(|r| fits(l, r)));
            expected.extend(alone.map(|l| (Some(*l), None)));
        }
        if matches!(outer, Outer::Right | Outer::Both) {
            let alone = rights.iter().filter(|r| !lefts.iter().any(|l| fits(l, r)));
            expected.extend(alone.map(|r| (None, Some(*r))));
        }
        assert_eq!(joined.sorted(), sorted(expected));
        Ran::new(trace).and(&joined)
    });
}
