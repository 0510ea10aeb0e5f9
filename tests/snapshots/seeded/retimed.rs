//! Event time given anew, after records have been moved about, is that of each split.

use std::collections::BTreeMap;

use highwater::connector::Collection;
use highwater::stream::Job;
use highwater::time::Watermarks;
use highwater::window::Tumbling;

use super::world::{Ran, millis, sorted, under_seeds};

#[test]
fn windows_and_late_records() {
    under_seeds("retimed::windows_and_late_records", |world| {
        let (splits, size, disorder) = (world.splits(30), 1 + world.below(20), world.below(10));
        let number = |(number, split): (usize, Vec<_>)| -> Vec<_> {
            split.into_iter().map(|event| (number, event)).collect()
        };
        let splits: Vec<Vec<(usize, (u8, i64, i64))>> = splits.into_iter().enumerate().map(number).collect();
        let job = Job::new();
        let source = job.source(Collection::splits(splits.clone()), Watermarks::none());
        let watermarks = Watermarks::bounded(millis(disorder), |event: &(usize, (u8, i64, i64))| event.1.2);
        let timed = source.with_watermarks(watermarks, splits.len(), |event| event.0);
        let windows = timed.key_by(|event| event.1.0).window(Tumbling::of(millis(size)));
        let late = windows.late().map(|(_, event)| event.1.1).collect();
        let sums = windows.sum(|event| event.1.1).map(|w| (w.window.end, w.key, w.value)).collect();
        let trace = world.run(&job);
        let (mut expected, mut behind) = (BTreeMap::<(i64, u8), i64>::new(), Vec::new());
        for split in &splits {
            let mut watermark = i64::MIN;
            for (_, (key, value, time)) in split {
                let end = (time.div_euclid(size) + 1) * size;
                match end > watermark {
                    true => *expected.entry((end, *key)).or_default() += value,
                    false => behind.push(*value),
                }
                watermark = watermark.max(time - disorder);
            }
        }
        let expected: Vec<_> = expected.into_iter().map(|((end, key), sum)| (end, key, sum)).collect();
        assert_eq!((sums.sorted(), late.sorted()), (expected, sorted(behind)));
        Ran::new(trace).and(&sums).and(&late)
    });
}
