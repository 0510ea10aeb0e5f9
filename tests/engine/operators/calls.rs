//! Asynchronous calls: each record ends once and in the right place, in its epoch, ahead of the watermark,
//! whatever the service does.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::stream::{CallOptions, Calls, Chain, Job, Retry, Stream};
use highwater::time::{Epochs, Watermarks};
use highwater::window::Tumbling;
use proptest::collection::vec;
use proptest::prelude::*;

use super::scripted::{Log, Scripted};

const MICRO: Duration = Duration::from_micros(1);

/// A record: its split, its number there, and what the service does with it.
type Request = (usize, usize, Service);

/// How the service answers: after how long, and after how many refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Service {
    delay: u8,
    refusals: u8,
}

/// How calls are made.
#[derive(Clone, Copy, Debug)]
struct Way {
    by_threads: bool,
    is_ordered: bool,
    capacity: usize,
    workers: usize,
    epochs: Epochs,
}

fn epochs() -> impl Strategy<Value = Epochs> {
    prop_oneof![
        (1..80u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        Just(Epochs::every(Duration::from_millis(1))),
    ]
}

fn ways() -> impl Strategy<Value = Way> {
    let way = (any::<bool>(), any::<bool>(), 1..12usize, 1..5usize, epochs());
    way.prop_map(|(by_threads, is_ordered, capacity, workers, epochs)| Way {
        by_threads,
        is_ordered,
        capacity,
        workers,
        epochs,
    })
}

/// The requests of some splits.
fn requests(most_refusals: u8) -> impl Strategy<Value = Vec<Vec<Request>>> {
    let service = (0..20u8, 0..12u8).prop_map(move |(delay, luck)| Service {
        // Most are answered at once.
        delay: delay.saturating_sub(12),
        refusals: luck.saturating_sub(11 - most_refusals),
    });
    let splits = vec(vec(service, 0..60), 0..4);
    splits.prop_map(|splits| {
        let number = |(split, services): (usize, Vec<_>)| {
            services.into_iter().enumerate().map(move |(n, s)| (split, n, s))
        };
        splits.into_iter().enumerate().map(|split| number(split).collect()).collect()
    })
}

/// How many calls are being made, and were at most.
#[derive(Clone, Default)]
struct Gauge {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Gauge {
    fn enter(&self) -> Entered {
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        Entered(Arc::clone(&self.now))
    }
}

struct Entered(Arc<AtomicUsize>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// What the service says to attempt number `attempts` of a request.
fn answer(request: Request, attempts: u8) -> Result<Request, String> {
    match attempts > request.2.refusals {
        true => Ok(request),
        false => Err(format!("refusal {attempts}")),
    }
}

/// Numbers the attempts that are made for each request.
#[derive(Clone, Default)]
struct Attempts(Arc<std::sync::Mutex<BTreeMap<(usize, usize), u8>>>);

impl Attempts {
    fn next(&self, request: Request) -> u8 {
        let mut attempts = self.0.lock().unwrap();
        let attempts = attempts.entry((request.0, request.1)).or_default();
        *attempts += 1;
        *attempts
    }
}

/// Pending for a while: now and then until another thread says so.
async fn delay(amount: u8) {
    let mut left = amount;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        let waker = cx.waker().clone();
        match left {
            0 => drop(thread::spawn(move || {
                thread::sleep(100 * MICRO * amount.into());
                waker.wake();
            })),
            _ => waker.wake(),
        }
        Poll::Pending
    })
    .await;
}

fn call<C: Chain<Out = Request>>(
    requests: Stream<Request, C>,
    way: Way,
    options: CallOptions<String>,
    gauge: &Gauge,
) -> Calls<Request, Request, String> {
    let (gauge, attempts) = (gauge.clone(), Attempts::default());
    let options = options.capacity(way.capacity);
    if way.by_threads {
        let service = move |request: Request| {
            let _entered = gauge.enter();
            thread::sleep(100 * MICRO * request.2.delay.into());
            answer(request, attempts.next(request))
        };
        return requests.call(service, options);
    }
    let service = move |request: Request| {
        let (gauge, attempts) = (gauge.clone(), attempts.clone());
        // What is made when the call begins lives until the future is dropped.
        let entered = gauge.enter();
        async move {
            let _entered = entered;
            delay(request.2.delay).await;
            answer(request, attempts.next(request))
        }
    };
    requests.call_async(service, options)
}

fn options(is_ordered: bool) -> CallOptions<String> {
    if is_ordered { CallOptions::ordered() } else { CallOptions::unordered() }
}

fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_answers_of_an_epoch_are_those_to_its_records(
        splits in requests(4),
        pause in 1..100usize,
        retries in 0..4u32,
        way in ways(),
    ) {
        let job = Job::new();
        let (source, gauge) = (Scripted::with_pauses(splits.clone(), pause), Gauge::default());
        let requests = job.source(source.clone(), Watermarks::none());
        let options = options(way.is_ordered).retry(Retry::times(retries).after(200 * MICRO));
        let calls = call(requests, way, options, &gauge);
        let failed = Log::of(calls.failed());
        let answers = Log::of(calls.answers());
        job.run_with(Options::default().workers(way.workers).epochs(way.epochs)).unwrap();

        let all: BTreeSet<u64> =
            [source.epochs(), answers.epochs(), failed.epochs()].concat().into_iter().collect();
        for epoch in all {
            let given = splits.iter().enumerate();
            let given = given.flat_map(|(number, split)| &split[..source.given(number, epoch)]);
            let (good, bad): (Vec<_>, Vec<_>) = given.partition(|request| u32::from(request.2.refusals) <= retries);
            prop_assert_eq!(sorted(answers.up_to(epoch)), good, "answers at epoch {}", epoch);
            for failed in failed.up_to(epoch) {
                prop_assert_eq!(failed.attempts, retries + 1);
                prop_assert_eq!(&*failed.error, &format!("refusal {}", retries + 1));
            }
            let failed = failed.up_to(epoch).into_iter().map(|failed| failed.record);
            prop_assert_eq!(sorted(failed.collect()), bad, "failures at epoch {}", epoch);
        }
        let refusals = splits.iter().flatten().map(|request| u32::from(request.2.refusals).min(retries));
        prop_assert_eq!(job.metrics().sum("retries"), i64::from(refusals.sum::<u32>()));
        prop_assert_eq!(job.metrics().sum("calls"), splits.iter().map(Vec::len).sum::<usize>() as i64);
        prop_assert!(gauge.most.load(SeqCst) <= way.capacity * way.workers);
        prop_assert_eq!(gauge.now.load(SeqCst), 0);
    }

    #[test]
    fn answers_leave_in_order_if_they_should(
        splits in requests(3),
        way in ways(),
        timeout in proptest::option::of(1..3u64),
    ) {
        let job = Job::new();
        let requests = job.source(Collection::splits(splits.clone()), Watermarks::none());
        let options = options(true).retry(Retry::times(1).after(200 * MICRO));
        let options = match timeout {
            Some(timeout) => options.timeout(Duration::from_millis(timeout)),
            None => options,
        };
        let calls = call(requests, way, options, &Gauge::default());
        let (failed, timed_out) = (calls.failed().collect(), calls.timed_out().collect());
        let answers = calls.answers().collect();
        job.run_with(Options::default().workers(way.workers).epochs(way.epochs)).unwrap();

        // A split is read by one worker, whose sink has its answers one after the other.
        let mut last = BTreeMap::new();
        for (epoch, answer) in answers.records() {
            let (split, number, _) = answer.value;
            let before = last.insert((split, epoch), number);
            prop_assert!(before < Some(number), "{number} came after {before:?} in epoch {epoch}");
        }
        let failed = failed.values().into_iter().map(|failed| failed.record);
        let mut all = [answers.values(), timed_out.values(), failed.collect()].concat();
        all.sort();
        prop_assert_eq!(all, splits.concat());
    }

    #[test]
    fn a_record_ends_once_though_it_times_out(splits in requests(4), way in ways(), timeout in 1..800u64) {
        let job = Job::new();
        let (source, gauge) = (Collection::splits(splits.clone()), Gauge::default());
        let requests = job.source(source, Watermarks::none());
        let options = options(way.is_ordered).timeout(timeout as u32 * MICRO);
        let options = options.retry(Retry::times(2).after(100 * MICRO).doubling_to(300 * MICRO));
        let calls = call(requests, way, options, &gauge);
        let (failed, timed_out) = (calls.failed().collect(), calls.timed_out().collect());
        let answers = calls.answers().collect();
        job.run_with(Options::default().workers(way.workers).epochs(way.epochs)).unwrap();

        prop_assert_eq!(job.metrics().sum("timed_out"), timed_out.values().len() as i64);
        prop_assert_eq!(job.metrics().sum("failed"), failed.values().len() as i64);
        prop_assert!(answers.values().iter().all(|request| request.2.refusals <= 2));
        let failed = failed.values().into_iter().map(|failed| failed.record);
        let all = [answers.values(), timed_out.values(), failed.collect()].concat();
        prop_assert_eq!(sorted(all), splits.concat());
        prop_assert!(gauge.most.load(SeqCst) <= way.capacity * way.workers);
    }

    #[test]
    fn windows_of_answers_are_those_of_the_records(splits in requests(0), way in ways(), size in 1..20u64) {
        let job = Job::new();
        // The event time is the number, with some disorder.
        let at = |request: &Request| (request.1 ^ 3) as i64;
        let watermarks = Watermarks::bounded(Duration::from_millis(2), at);
        let requests = job.source(Collection::splits(splits), watermarks);
        let windows = Tumbling::of(Duration::from_millis(size));
        let plain = requests.clone().key_by(|request| request.0).window(windows);
        let plain_late = plain.late().map(|(_, request)| request).collect();
        let plain = plain.count().collect();
        let answers = call(requests, way, options(way.is_ordered), &Gauge::default()).answers();
        let answers = answers.key_by(|request| request.0).window(windows);
        let late = answers.late().map(|(_, request)| request).collect();
        let answers = answers.count().collect();
        job.run_with(Options::default().workers(way.workers).epochs(way.epochs)).unwrap();
        prop_assert_eq!(answers.sorted(), plain.sorted());
        prop_assert_eq!(late.sorted(), plain_late.sorted());
    }
}
