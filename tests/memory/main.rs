//! Jobs whose state is larger than the memory that it may take.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

#[path = "../support/heap.rs"]
mod heap;
mod arranged;
mod in_flight;
mod joins;
mod patterns;
mod timers;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heap::{alone, peak};
use highwater::ErrorKind;
use highwater::config::Options;
use highwater::connector::Generator;
use highwater::join::{Interval, Offset};
use highwater::object::Memory;
use highwater::process::{Context, Map, Process, States, Timer, Ttl, Value};
use highwater::snapshot::{Restore, Snapshots};
use highwater::stream::{Aggregate, Chain, Job, KeyedStream};
use highwater::time::{Epochs, Watermarks};
use highwater::window::{CountTrigger, Sessions, Sliding, Tumbling};

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    (n ^ (n >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d) ^ (n >> 33)
}

const KEYS: u64 = 60_000;

/// Keeps a long text for each key, and says how long it is and how often the key was seen.
#[derive(Clone, Default)]
struct Hoarding {
    text: Value<String>,
    seen: Map<u8, u64>,
}

impl Process<u64, u64> for Hoarding {
    type Out = (u64, usize, u64);

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.text = states.value("text");
        self.seen = states.map("seen");
    }

    fn process(&mut self, n: u64, cx: &mut Context<'_, u64, Self::Out>) {
        let key = *cx.key();
        let len = self.text.get(cx).map_or(300, String::len) + 1;
        self.text.set(cx, format!("{key:>len$}"));
        self.seen.update(cx, (n % 3) as u8, || 0, |seen| *seen += 1);
        let seen = self.seen.iter(cx).map(|(_, seen)| seen).sum();
        cx.emit((key, len, seen));
    }
}

/// For each key, how long its text was in the end, and how often it was seen. Gives the number of keys that
/// left memory, too.
fn hoard(records: u64, options: Options, last: &Arc<Vec<[AtomicU64; 2]>>) -> i64 {
    let job = Job::new();
    let numbers = Generator::new(2, move |n| (n < records).then_some(n));
    let numbers = job.source(numbers, Watermarks::none());
    let seen = numbers.key_by(|n| mix(*n) % KEYS).process(Hoarding::default());
    let last = Arc::clone(last);
    seen.for_each(move |_, record| {
        let (key, len, seen) = record.value;
        last[key as usize][0].fetch_max(len as u64, Ordering::Relaxed);
        last[key as usize][1].fetch_max(seen, Ordering::Relaxed);
    });
    job.run_with(options).unwrap().metrics.sum("keys_evicted")
}

#[test]
fn state_five_times_its_memory_is_exact_and_memory_is_held() {
    let _alone = alone();
    let records = 2 * KEYS;
    let mut expected = vec![[300, 0]; KEYS as usize];
    for n in 0..records {
        let [len, seen] = &mut expected[(mix(n) % KEYS) as usize];
        (*len, *seen) = (*len + 1, *seen + 1);
    }
    // Some 20 MB of texts, and as much for what they lie in and the maps.
    let limit = 8 << 20;
    for workers in 1..=2 {
        let options = || {
            let options = Options::default().workers(workers).epochs(Epochs::records(500));
            // Epochs grow while others are in flight, up to this.
            options.max_bytes_in_flight(32 << 10)
        };
        let run = |options: Options| {
            let last: Arc<Vec<_>> = Arc::new((0..KEYS).map(|_| Default::default()).collect());
            let (left, peak) = peak(|| hoard(records, options, &last));
            for (key, (expected, last)) in expected.iter().zip(last.iter()).enumerate() {
                let [len, seen] = [0, 1].map(|i| last[i].load(Ordering::Relaxed));
                assert!(*expected == [len, seen] || seen == 0, "{key}: {expected:?}, {len}, {seen}");
            }
            (left, peak)
        };
        let ((none_left, without), (left, with)) =
            (run(options()), run(options().state_memory(limit, std::env::temp_dir())));
        assert_eq!(none_left, 0);
        assert!(left > KEYS as i64, "{left} keys left memory");
        assert!(without > 5 * limit, "{without} bytes are not five times the limit");
        // One epoch's keys, what is in flight, and pages in the making come on top.
        assert!(with < 2 * limit, "{with} of {without} bytes with {workers} workers");
    }
}

/// Says once how often a key was seen in a while, by a timer for each.
#[derive(Clone, Default)]
struct Closing {
    seen: Value<Vec<u64>>,
}

impl Process<u64, u64> for Closing {
    type Out = (u64, u64);

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.seen = states.value("seen");
    }

    fn process(&mut self, n: u64, cx: &mut Context<'_, u64, Self::Out>) {
        if self.seen.get(cx).is_none() {
            cx.register_timer(cx.timestamp() + 4_000);
        }
        self.seen.update(cx, Vec::new, |seen| seen.extend([n; 20]));
    }

    fn timer(&mut self, _: Timer, cx: &mut Context<'_, u64, Self::Out>) {
        let key = *cx.key();
        let seen = self.seen.take(cx).unwrap_or_default();
        cx.emit((key, seen.len() as u64 / 20));
    }
}

#[test]
fn timers_find_the_state_of_keys_that_have_left_memory() {
    let _alone = alone();
    let run = |options: Options| {
        let job = Job::new();
        let numbers = Generator::new(1, move |n| (n < 60_000).then_some(n));
        let numbers = job.source(numbers, Watermarks::monotone(|n: &u64| (*n / 5) as i64));
        let closed = numbers.key_by(|n| mix(*n) % 10_000).process_in_order(Closing::default()).collect();
        // State leaves when epochs close, so they must not all close together.
        let options = options.epochs(Epochs::records(1_000)).max_bytes_in_flight(8 << 10);
        let summary = job.run_with(options).unwrap();
        (closed.sorted(), summary.metrics.sum("keys_evicted"))
    };
    let (expected, _) = run(Options::default());
    assert_eq!(expected.iter().map(|(_, seen)| seen).sum::<u64>(), 60_000);
    for workers in 1..=2 {
        let limited = Options::default().workers(workers).state_memory(1 << 20, std::env::temp_dir());
        let (closed, left) = run(limited);
        assert!(closed == expected, "{} and {} records", closed.len(), expected.len());
        assert!(left > 5_000, "{left} keys left memory");
    }
}

/// Remembers what it has seen lately.
#[derive(Clone, Default)]
struct Repeats(Value<[u64; 16]>);

impl Process<u64, u64> for Repeats {
    type Out = u64;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value_with_ttl("seen", Ttl::of(Duration::from_millis(2_000)));
    }

    fn process(&mut self, n: u64, cx: &mut Context<'_, u64, u64>) {
        if self.0.get(cx).is_some() {
            cx.emit(n);
        }
        self.0.set(cx, [n; 16]);
    }
}

#[test]
fn what_has_expired_does_not_come_back() {
    let _alone = alone();
    let run = |options: Options| {
        let job = Job::new();
        let numbers = Generator::new(1, move |n| (n < 100_000).then_some(n));
        let numbers = job.source(numbers, Watermarks::monotone(|n: &u64| (*n / 10) as i64));
        let repeats = numbers.key_by(|n| mix(*n) % 30_000).process(Repeats::default()).collect();
        let summary = job.run_with(options.epochs(Epochs::records(2_000))).unwrap();
        (repeats.sorted(), summary.metrics.sum("keys_evicted"))
    };
    let (expected, _) = run(Options::default());
    assert!(expected.len() > 30_000 && expected.len() < 70_000);
    let (repeats, left) = run(Options::default().state_memory(1 << 20, std::env::temp_dir()));
    assert!(repeats == expected, "{} and {} repeats", repeats.len(), expected.len());
    assert!(left > 10_000, "{left} keys left memory");
}

/// What records come to, in whatever order: how many they are, and a number that others would hardly have.
#[derive(Default)]
struct Digest([AtomicU64; 2]);

impl Digest {
    fn add(&self, fields: impl IntoIterator<Item = u64>) {
        let number = fields.into_iter().fold(1, |all, field| mix(all ^ mix(field + 1)));
        self.0[0].fetch_add(1, Ordering::Relaxed);
        self.0[1].fetch_add(number, Ordering::Relaxed);
    }

    fn read(&self) -> [u64; 2] {
        [0, 1].map(|i| self.0[i].load(Ordering::Relaxed))
    }
}

/// Checks that a job's output is the same when its state has a fifth of the memory that it takes, or less,
/// and that it keeps to that.
fn holds(name: &str, limit: usize, build: impl Fn(&Job, Arc<Digest>)) {
    let run = |options: Options| {
        let (job, digest) = (Job::new(), Arc::new(Digest::default()));
        build(&job, Arc::clone(&digest));
        let options = options.epochs(Epochs::records(250)).max_bytes_in_flight(8 << 10);
        let (summary, peak) = peak(|| job.run_with(options).unwrap());
        let left = ["keys_evicted", "timers_spilled", "records_spilled"];
        (digest.read(), left.map(|name| summary.metrics.sum(name)).iter().sum::<i64>(), peak)
    };
    let (expected, none_left, without) = run(Options::default());
    assert!(expected[0] > 1_000 && none_left == 0, "{name}: {expected:?}");
    assert!(without > 5 * limit, "{name}: {without} bytes are not five times the limit");
    for workers in 1..=2 {
        let limited = Options::default().workers(workers).state_memory(limit, std::env::temp_dir());
        let (digest, left, with) = run(limited);
        assert_eq!(digest, expected, "{name} with {workers} workers");
        assert!(left > 1_000, "{name}: {left} left memory");
        assert!(with < 2 * limit, "{name}: {with} of {without} bytes with {workers} workers");
    }
}

/// Texts of so many bytes by key, a thousand in each second.
fn texts(
    job: &Job,
    bytes: usize,
    records: u64,
    keys: u64,
) -> KeyedStream<u64, String, impl Chain<Out = (u64, String)> + use<>> {
    let numbers = Generator::new(2, move |n| (n < records).then_some(n));
    let numbers = job.source(numbers, Watermarks::monotone(|n: &u64| *n as i64));
    numbers.key_by(move |n| mix(*n) % keys).map_values(move |n| text_of(n, bytes))
}

/// A text of so many bytes, with no room for more: what is counted is what there is of a text.
fn text_of(n: u64, bytes: usize) -> String {
    let mut text = format!("{n:>bytes$}");
    text.shrink_to_fit();
    text
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap()
}

/// Texts added up, which can be taken apart again.
#[derive(Clone)]
struct Apart;

impl Aggregate<String> for Apart {
    type Acc = (u64, u64, String);
    type Out = (u64, u64);
    const SUBTRACTS: bool = true;

    fn start(&self, text: String) -> (u64, u64, String) {
        (1, number(&text), text)
    }

    fn add(&self, acc: &mut (u64, u64, String), text: String) {
        self.merge(acc, self.start(text));
    }

    fn merge(&self, acc: &mut (u64, u64, String), other: (u64, u64, String)) {
        (acc.0, acc.1) = (acc.0 + other.0, acc.1 + other.1);
    }

    fn subtract(&self, acc: &mut (u64, u64, String), other: &(u64, u64, String)) {
        (acc.0, acc.1) = (acc.0 - other.0, acc.1 - other.1);
    }

    fn result(&self, acc: &(u64, u64, String)) -> (u64, u64) {
        (acc.0, acc.1)
    }
}

#[test]
fn windows_may_be_larger_than_memory() {
    let _alone = alone();
    let greatest = |one: &String, other: String| if *one < other { other } else { one.clone() };
    let (second, all) = (Duration::from_secs(1), Duration::from_secs(1000));
    holds("one window", 4 << 20, |job, digest| {
        let windows = texts(job, 300, 120_000, 80_000).window(Tumbling::of(all)).reduce(greatest);
        let windows = windows.map(|w| [w.key, w.window.end as u64, number(&w.value)]);
        windows.for_each(move |_, record| digest.add(record.value));
    });
    holds("sliding windows", 4 << 20, |job, digest| {
        let windows =
            texts(job, 300, 60_000, 20_000).window(Sliding::of(40 * second, 10 * second)).reduce(greatest);
        let windows = windows.map(|w| [w.key, w.window.end as u64, number(&w.value)]);
        windows.for_each(move |_, record| digest.add(record.value));
    });
    holds("sliding windows that subtract", 4 << 20, |job, digest| {
        let windows =
            texts(job, 300, 60_000, 20_000).window(Sliding::of(40 * second, 4 * second)).aggregate(Apart);
        let windows = windows.map(|w| [w.key, w.window.end as u64, w.value.0, w.value.1]);
        windows.for_each(move |_, record| digest.add(record.value));
    });
}

#[test]
fn sessions_may_be_larger_than_memory() {
    let _alone = alone();
    let join = |one: &String, other: String| if *one < other { other } else { one.clone() };
    // Some sessions end while others begin, and keys come again. Of a key that has left some sixty bytes
    // stay.
    holds("sessions", 6 << 20, |job, digest| {
        let sessions = texts(job, 1200, 84_000, 28_000).window(Sessions::with_gap(Duration::from_secs(45)));
        let sessions = sessions.reduce(join);
        let sessions =
            sessions.map(|w| [w.key, w.window.start as u64, w.window.end as u64, number(&w.value)]);
        sessions.for_each(move |_, record| digest.add(record.value));
    });
}

/// Results of windows: the key, where the window begins and ends, and the number of the text.
type Results = Arc<Mutex<BTreeSet<[u64; 4]>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn windows_that_are_larger_than_memory_go_on_from_a_snapshot() {
    let _alone = alone();
    let build = |results: &Results, rate: Option<f64>| {
        let job = Job::new();
        let numbers = Generator::new(2, move |n| (n < 40_000).then_some(n));
        let numbers = rate.map_or(numbers.clone(), |rate| numbers.rate(rate));
        let numbers = job.source(numbers, Watermarks::monotone(|n: &u64| *n as i64));
        let texts = numbers.key_by(|n| mix(*n) % 8_000).map_values(|n| format!("{n:>300}"));
        let greatest = |one: &String, other: String| if *one < other { other } else { one.clone() };
        let seconds = Duration::from_secs;
        let sliding =
            texts.clone().window(Sliding::of(seconds(9), seconds(3))).reduce(greatest).uid("sliding");
        let sessions = texts.window(Sessions::with_gap(seconds(12))).reduce(greatest).uid("sessions");
        let results = Arc::clone(results);
        let all = sliding.union(sessions);
        all.map(|w| [w.key, w.window.start as u64, w.window.end as u64, number(&w.value)]).for_each(
            move |_, record| {
                lock(&results).insert(record.value);
            },
        );
        job
    };
    let run = goes_on(build, 10_000.0, 1_400, "keys_evicted");
    assert!(run.left.last() > Some(&1_000));
}

/// What runs of a job with little memory have told, of which each went on from where the one before it was
/// suspended.
struct GoneOn<T> {
    told: BTreeSet<T>,
    /// What of a metric each run has counted.
    left: Vec<i64>,
}

/// Checks that a job tells the same if it is suspended twice, each time after so many milliseconds, and goes
/// on with another number of workers. `build` is told how many records come in a second, if not as fast as
/// they can. `left` is the metric that is wanted.
fn goes_on<T: Ord + Debug>(
    build: impl Fn(&Arc<Mutex<BTreeSet<T>>>, Option<f64>) -> Job,
    rate: f64,
    millis: u64,
    left: &str,
) -> GoneOn<T> {
    let expected = Arc::default();
    build(&expected, None).run().unwrap();
    let (told, store) = (Arc::default(), Arc::new(Memory::default()));
    let options = |workers| {
        let snapshots =
            Snapshots::in_store(store.clone()).every(Duration::from_millis(100)).restore(Restore::Latest);
        let options = Options::default().workers(workers).state_memory(1 << 20, std::env::temp_dir());
        options.epochs(Epochs::records(500)).snapshots(snapshots)
    };
    let mut all_left = Vec::new();
    for workers in [1, 2] {
        let running = build(&told, Some(rate)).start(options(workers)).unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        all_left.push(running.suspend().unwrap().metrics.sum(left));
        assert!(lock(&told).len() < lock(&expected).len());
    }
    let summary = build(&told, None).run_with(options(1)).unwrap();
    all_left.push(summary.metrics.sum(left));
    // What came after the last snapshot was said before the job went on, and is said again.
    let (told, expected) = (std::mem::take(&mut *lock(&told)), lock(&expected));
    let differ: Vec<_> = told.symmetric_difference(&expected).take(5).collect();
    assert!(differ.is_empty(), "{} and {}: {differ:?}", told.len(), expected.len());
    GoneOn { told, left: all_left }
}

/// Numbers whose keys pass: a hundred in each second, and then others.
fn passing(job: &Job, records: u64) -> KeyedStream<u64, u64, impl Chain<Out = (u64, u64)> + use<>> {
    let numbers = Generator::new(1, move |n| (n < records).then_some(n));
    let numbers = job.source(numbers, Watermarks::monotone(|n: &u64| *n as i64));
    numbers.key_by(|n| n / 1000 * 100 + mix(*n) % 100)
}

#[test]
fn memory_does_not_grow_with_keys_that_are_no_more() {
    let _alone = alone();
    type Build = fn(&Job, u64);
    let jobs: [(&str, Build); 5] = [
        ("sessions", |job, n| {
            passing(job, n).window(Sessions::with_gap(Duration::from_millis(300))).count().discard();
        }),
        ("windows", |job, n| {
            passing(job, n).window(Tumbling::of(Duration::from_secs(1))).count().discard();
        }),
        ("triggers", |job, n| {
            let windows = passing(job, n).window(Tumbling::of(Duration::from_secs(1)));
            windows.trigger(CountTrigger::of(3)).count().discard();
        }),
        ("values", |job, n| passing(job, n).process(Repeats::default()).discard()),
        ("joins", |job, n| {
            let numbers = passing(job, n);
            let joined = numbers
                .clone()
                .interval_join(numbers, Interval::between(Offset::millis(-20), Offset::millis(20)));
            joined.inner(|_, left, right| left + right).discard();
        }),
    ];
    for (name, build) in jobs {
        let run = |records| {
            let job = Job::new();
            build(&job, records);
            let options = Options::default().epochs(Epochs::records(1_000)).max_bytes_in_flight(64 << 10);
            peak(|| job.run_with(options).unwrap()).1
        };
        let (short, long) = (run(40_000), run(240_000));
        assert!(long < short + short / 5 + (64 << 10), "{name}: {short} bytes, later {long}");
    }
}

#[test]
fn a_limit_that_cannot_be_held_is_refused() {
    let job = Job::new();
    job.collection([1]).discard();
    for (bytes, directory, expected) in [
        (1000, std::env::temp_dir(), "at least 1 MiB"),
        (1 << 30, Path::new("/nowhere/at/all").to_owned(), "/nowhere/at/all is no directory"),
    ] {
        let error = job.run_with(Options::default().state_memory(bytes, directory)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
