//! Calls that are under way when a job crashes: each record ends once, though it may be called for again.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use highwater::object::{Memory, Store};
use highwater::stream::{CallOptions, Calls, Chain, Job, Retry, Rounds, Stream};
use highwater::window::Tumbling;

use crate::draws::Event;
use crate::ledger::Ledger;
use crate::world::{millis, read, under_seeds};

/// A service outside of all jobs. It remembers what it was asked.
#[derive(Clone, Default)]
struct Service(Arc<Mutex<BTreeMap<i64, u32>>>);

/// How often a record may be called for after the first time.
const RETRIES: u32 = 3;

impl Service {
    /// Answers some at once; refuses some at first, and some for ever.
    fn answer(&self, value: i64) -> Result<i64, String> {
        let mut asked = self.0.lock().unwrap();
        let asked = asked.entry(value).or_default();
        *asked += 1;
        match value % 7 {
            0 => Err("never".to_owned()),
            1 | 2 if *asked <= RETRIES => Err("not yet".to_owned()),
            _ => Ok(10 * value),
        }
    }

    /// Answers when it was looked at for some times; at some it never does.
    async fn answer_later(self, value: i64, is_silent: bool) -> Result<i64, String> {
        let mut left = if is_silent { i64::MAX } else { value % 5 };
        poll_fn(move |cx| {
            left -= 1;
            if left < 0 {
                return Poll::Ready(());
            }
            if !is_silent {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
        self.answer(value)
    }
}

/// Calls for each event, in one way or another.
fn call(
    events: Stream<Event, impl Chain<Out = Event>>,
    service: &Service,
    options: CallOptions<String>,
    by_threads: bool,
) -> Calls<Event, i64, String> {
    let service = service.clone();
    match by_threads {
        true => events.call(move |event| service.answer(event.1), options),
        false => events.call_async(move |event| service.clone().answer_later(event.1, false), options),
    }
}

#[test]
fn each_record_is_answered_or_refused_once() {
    under_seeds("each_record_is_answered_or_refused_once", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        let (by_threads, is_ordered) = (world.below(4) == 0, world.below(2) == 0);
        let options = if is_ordered { CallOptions::ordered() } else { CallOptions::unordered() };
        let retry = Retry::times(RETRIES).after(millis(world.below(3)));
        let options = options.capacity(1 + world.below(8) as usize).retry(retry);
        let service = Service::default();
        let build = |job: &Job, out: Ledger<(i64, i64)>| {
            let calls = call(read(job, &splits, disorder), &service, options.clone(), by_threads);
            let failed = calls.failed().map(|failed| (failed.record.1, -i64::from(failed.attempts)));
            calls.answers().map(|answer| (answer / 10, answer)).union(failed).sink(out);
        };
        let out = world.crash_and_write(Arc::new(Memory::default()), build);
        let values: Vec<i64> = splits.iter().flatten().map(|event| event.1).collect();
        let ends = |value: &i64| if value % 7 == 0 { -i64::from(RETRIES + 1) } else { 10 * value };
        let mut expected: Vec<_> = values.iter().map(|value| (*value, ends(value))).collect();
        expected.sort();
        assert_eq!(out.visible(), expected);
        assert!(values.iter().all(|value| service.0.lock().unwrap()[value] > 0));
        if is_ordered {
            // A split's values rise, and so do the answers.
            for split in &splits {
                let of_split = |value: &i64| split.iter().any(|event| event.1 == *value);
                let answers = out.written().into_iter().filter(|(_, answer)| *answer > 0);
                let answered: Vec<i64> = answers.map(|(value, _)| value).filter(of_split).collect();
                assert!(answered.is_sorted(), "{answered:?}");
            }
        }
    });
}

#[test]
fn windows_wait_for_answers_that_were_asked_for_again() {
    under_seeds("windows_wait_for_answers_that_were_asked_for_again", |world| {
        let (splits, disorder) = (world.splits(30), world.disorder);
        let (size, capacity) = (millis(1 + world.below(20)), 1 + world.below(8) as usize);
        world.check(|job, out: Ledger<(i64, i64, i64)>| {
            let options = CallOptions::unordered().capacity(capacity);
            let service = Service::default();
            let answers = read(job, &splits, disorder)
                .filter(|event| event.1 % 7 > 2)
                .call_async(move |event| service.clone().answer_later(event.1, false), options);
            let windows = answers.answers().key_by(|answer| answer % 3).window(Tumbling::of(size));
            windows.sum(|answer| answer).map(|w| (w.key, w.window.end, w.value)).sink(out);
        });
    });
}

#[test]
fn a_record_whose_time_is_up_is_told_once() {
    under_seeds("a_record_whose_time_is_up_is_told_once", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        let is_silent = |value: i64| value % 31 == 3;
        let service = Service::default();
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let out = world.crash_and_go_on(store, |job, out: Ledger<(i64, bool)>| {
            let events = read(job, &splits, disorder).filter(|event| event.1 % 7 > 2);
            let service = service.clone();
            let options = CallOptions::ordered().capacity(64).timeout(millis(10));
            let calls = events
                .call_async(move |event| service.clone().answer_later(event.1, is_silent(event.1)), options);
            let timed_out = calls.timed_out().map(|event| (event.1, false));
            calls.answers().map(|answer| (answer / 10, true)).union(timed_out).sink(out);
        });
        let values = splits.iter().flatten().map(|event| event.1).filter(|value| value % 7 > 2);
        let mut values: Vec<i64> = values.collect();
        values.sort();
        // The clock of a simulation makes steps of some milliseconds: who answers may be too late, but who
        // does not cannot be in time.
        assert_eq!(out.iter().map(|(value, _)| *value).collect::<Vec<_>>(), values);
        assert!(out.iter().all(|(value, is_answered)| !(is_silent(*value) && *is_answered)));
    });
}

#[test]
fn calls_in_a_loop() {
    under_seeds("calls_in_a_loop", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        let capacity = 1 + world.below(4) as usize;
        world.check(|job, out: Ledger<(i64, i64)>| {
            let numbers = read(job, &splits, disorder).map(|event| (event.1, event.1));
            // Each number halved until it is odd, by a service.
            let odd = numbers.iterate(Rounds::at_most(100), |numbers, _| {
                let (done, others) = numbers.split(|n| if n.1 % 2 != 0 { Ok(n) } else { Err(n) });
                let halve = |n: (i64, i64)| async move { Ok::<_, String>((n.0, n.1 / 2)) };
                let options = CallOptions::unordered().capacity(capacity);
                (others.call_async(halve, options).answers(), done)
            });
            odd.sink(out);
        });
    });
}
