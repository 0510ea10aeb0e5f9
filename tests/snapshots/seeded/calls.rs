//! Calls whose futures wake themselves: what they answer, in which order, and whom event time waits for.

use std::future::poll_fn;
use std::task::Poll;

use highwater::stream::{CallOptions, Job, Retry};
use highwater::window::Tumbling;

use super::world::{Ran, millis, sorted, under_seeds};

/// Answers after some polls, or refuses.
async fn answer(value: i64) -> Result<i64, String> {
    let mut left = value % 5;
    poll_fn(|cx| {
        left -= 1;
        if left < 0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    if value % 7 == 0 { Err("never".to_owned()) } else { Ok(value) }
}

#[test]
fn answers_in_windows() {
    under_seeds("calls::answers_in_windows", |world| {
        let (splits, size) = (world.splits(20), 1 + world.below(20));
        let options = [CallOptions::ordered(), CallOptions::unordered()][world.below(2) as usize].clone();
        let options = options.capacity(1 + world.below(8) as usize).retry(Retry::times(1));
        let job = Job::new();
        let calls = world.read(&job, &splits).call_async(|event| answer(event.1), options);
        let failed = calls.failed().map(|failed| failed.record.1).collect();
        let windows = calls.answers().key_by(|value| value % 3).window(Tumbling::of(millis(size)));
        let late = windows.late().map(|(_, value)| value).collect();
        let found = windows.apply(|_: &i64, window, values: Vec<i64>| {
            values.into_iter().map(|value| (window.end, value)).collect::<Vec<_>>()
        });
        let found = found.collect();
        let trace = world.run(&job);
        let end = |time: i64| (time.div_euclid(size) + 1) * size;
        let (lost, others): (Vec<_>, Vec<_>) =
            world.stamped(&splits).into_iter().partition(|(_, event)| event.1 % 7 == 0);
        let (behind, on_time): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(watermark, event)| *watermark >= end(event.2));
        assert_eq!(failed.sorted(), sorted(lost.into_iter().map(|(_, event)| event.1)));
        assert_eq!(late.sorted(), sorted(behind.into_iter().map(|(_, event)| event.1)));
        assert_eq!(found.sorted(), sorted(on_time.into_iter().map(|(_, event)| (end(event.2), event.1))));
        Ran::new(trace).and(&found).and(&failed)
    });
}
