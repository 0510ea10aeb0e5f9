//! How records flow: backpressure, splits that fall silent or run ahead, jobs with little or nothing to read,
//! and how jobs end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::connector::{Collected, Collection, Sink, Writer};
use highwater::data::{Record, consolidate};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use highwater::window::Tumbling;

use super::scripted::{Scripted, Turn, wait_until};

const MILLI: Duration = Duration::from_millis(1);

/// A kilobyte, stamp included.
type Large = [u64; 126];

/// Takes its time for each batch, and counts.
struct Slow {
    written: Arc<AtomicUsize>,
    per_batch: Duration,
}

impl Sink<Large> for Slow {
    type Writer = Slow;

    fn name(&self) -> String {
        "slow".to_owned()
    }

    fn open(&self, _: usize, _: usize) -> highwater::Result<Slow> {
        Ok(Slow { written: Arc::clone(&self.written), per_batch: self.per_batch })
    }
}

impl Writer<Large> for Slow {
    type Prepared = ();

    fn write(&mut self, _: u64, batch: &mut Vec<Record<Large>>) -> highwater::Result<()> {
        thread::sleep(self.per_batch);
        self.written.fetch_add(batch.len(), SeqCst);
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> highwater::Result<()> {
        Ok(())
    }

    fn commit(&mut self, _: u64, (): ()) -> highwater::Result<()> {
        Ok(())
    }
}

/// Bytes of memory that are this process's, where the system tells.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

/// A fifth of a gigabyte goes through a sink that is some hundred times slower than the source: it takes a
/// millisecond for a batch, which holds 64 of these records, and reading that many takes some ten
/// microseconds.
fn a_slow_sink_holds_the_source_back(workers: usize, epochs: Epochs) {
    const RECORDS: usize = 200_000;
    const LIMIT: usize = 256 << 10;
    /// A source reads so many at a time and may have gathered as many before it sends.
    const SLACK: usize = 2 * 1024;
    let (emitted, written, most) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let job = Job::new();
    let splits = 3;
    let source =
        Scripted::new(splits, move |split, given| match given < (RECORDS - split).div_ceil(splits) {
            true => Turn::Give([given as u64; 126]),
            false => Turn::Done,
        });
    let (before, far, done) = (Arc::clone(&emitted), Arc::clone(&most), Arc::clone(&written));
    let counted = job.source(source, Watermarks::none()).inspect(move |_, _| {
        let emitted = before.fetch_add(1, SeqCst) + 1;
        far.fetch_max(emitted.saturating_sub(done.load(SeqCst)), SeqCst);
    });
    counted.sink(Slow { written: Arc::clone(&written), per_batch: MILLI });
    let options = Options::default().workers(workers).epochs(epochs);
    let at_first = resident();
    let running = job.start(options.max_epochs_in_flight(2).max_bytes_in_flight(LIMIT)).unwrap();
    let mut growth = 0;
    while !running.is_finished() {
        if let (Some(at_first), Some(now)) = (at_first, resident()) {
            growth = growth.max(now.saturating_sub(at_first));
        }
        thread::sleep(MILLI);
    }
    running.join().unwrap();
    assert_eq!((emitted.load(SeqCst), written.load(SeqCst)), (RECORDS, RECORDS));
    let most = most.load(SeqCst);
    let bound = workers * (LIMIT / size_of::<Record<Large>>() + SLACK);
    assert!(most <= bound, "{most} records were in flight, and {bound} may be");
    // What the other tests use is in it too.
    assert!(growth < 150 << 20, "memory grew by {growth} bytes");
}

#[test]
fn a_slow_sink_holds_one_worker_back() {
    a_slow_sink_holds_the_source_back(1, Epochs::records(250));
}

#[test]
fn a_slow_sink_holds_two_workers_back() {
    a_slow_sink_holds_the_source_back(2, Epochs::every(MILLI));
}

/// Runs something that must not hang, in a thread that is left behind if it does.
fn within<T: Send + 'static>(limit: Duration, what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(run()));
    receiver.recv_timeout(limit).unwrap_or_else(|_| panic!("{what}: not after {limit:?}"))
}

#[test]
fn an_epoch_that_is_larger_than_the_limit_ends_all_the_same() {
    let summary = within(Duration::from_secs(5), "a large epoch", || {
        let job = Job::new();
        job.collection(0..200_000u64).discard();
        let options = Options::default().epochs(Epochs::records(1_000_000)).max_bytes_in_flight(64 << 10);
        job.run_with(options)
    });
    assert_eq!(summary.unwrap().metrics.sum("records_in"), 200_000);
}

/// A number for who sends it, and an event time.
type Beat = (u8, i64);

/// Split 0 goes on and on; split 1 gives one record and is silent until it is released.
fn one_falls_silent(released: Arc<AtomicBool>) -> Scripted<Beat> {
    Scripted::new(2, move |split, given| {
        let released = released.load(SeqCst);
        match (split, given) {
            (0, 0..100) => Turn::Give((0, given as i64)),
            (0, _) if released => Turn::Done,
            (0, _) => Turn::GiveAndWait((9, 99)),
            (_, 0) => Turn::Give((1, 5)),
            (_, _) if !released => Turn::Wait(MILLI),
            (_, 1..3) => Turn::Give((1, 10 + given as i64)),
            (_, 3) => Turn::Give((1, 95)),
            _ => Turn::Done,
        }
    })
}

/// Of the windows of 10 ms, the ends, the senders and how many records they sent.
fn counts(results: &Collected<(i64, u8, u64)>) -> Vec<(i64, u8, u64)> {
    results.sorted().into_iter().filter(|(_, key, _)| *key < 9).collect()
}

fn whole_windows(ends: impl Iterator<Item = i64>) -> Vec<(i64, u8, u64)> {
    let mut rows: Vec<_> = ends.map(|end| (end, 0, 10)).collect();
    rows.push((10, 1, 1));
    rows.sort();
    rows
}

fn a_silent_split(workers: usize, idle_after: Option<Duration>) {
    let released = Arc::new(AtomicBool::new(false));
    let job = Job::new();
    let watermarks = Watermarks::monotone(|beat: &Beat| beat.1);
    let watermarks = match idle_after {
        Some(silence) => watermarks.idle_after(silence),
        None => watermarks,
    };
    let beats = job.source(one_falls_silent(Arc::clone(&released)), watermarks);
    let windows = beats.key_by(|beat| beat.0).window(Tumbling::of(10 * MILLI));
    let late = windows.late().map(|(_, beat)| beat).collect();
    let results = windows.count().map(|result| (result.window.end, result.key, result.value)).collect();
    let running = job.start(Options::default().workers(workers).epochs(Epochs::every(MILLI))).unwrap();
    match idle_after {
        Some(_) => {
            wait_until("windows fire without the silent split", || counts(&results).len() == 10);
            assert_eq!(counts(&results), whole_windows((10..=90).step_by(10)));
        }
        None => {
            thread::sleep(100 * MILLI);
            assert_eq!(counts(&results), [], "a window fired that a silent split could still add to");
        }
    }
    released.store(true, SeqCst);
    running.join().unwrap();
    let mut expected = whole_windows((10..=100).step_by(10));
    expected.push((100, 1, 1));
    match idle_after {
        Some(_) => assert_eq!(late.sorted(), [(1, 11), (1, 12)]),
        None => {
            expected.push((20, 1, 2));
            assert_eq!(late.sorted(), []);
        }
    }
    expected.sort();
    assert_eq!(counts(&results), expected);
}

#[test]
fn a_silent_split_holds_windows_back() {
    a_silent_split(1, None);
    a_silent_split(2, None);
}

#[test]
fn a_split_that_is_idle_does_not_hold_windows_back() {
    a_silent_split(1, Some(20 * MILLI));
}

#[test]
fn a_worker_whose_splits_are_idle_does_not_hold_windows_back() {
    a_silent_split(2, Some(20 * MILLI));
}

/// A fast split of milliseconds and a slow one of seconds; the fast one must not be more than five seconds
/// ahead.
fn a_fast_split_waits_for_a_slow_one(workers: usize, epochs: Epochs) {
    const DRIFT: i64 = 5_000;
    /// The event time that is read at once.
    const PIECE: i64 = 1024;
    let source = Scripted::new(2, |split, given| match (split, given) {
        (0, 0..60_000) => Turn::Give((0, given as i64)),
        (1, 0..60) => Turn::GiveAndWait((1, given as i64 * 1000)),
        _ => Turn::Done,
    });
    let (slow, ahead) = (Arc::new(AtomicI64::new(-PIECE)), Arc::new(AtomicI64::new(i64::MIN)));
    let farthest = Arc::clone(&ahead);
    let watermarks = Watermarks::monotone(|beat: &Beat| beat.1).align(Duration::from_millis(DRIFT as u64));
    let job = Job::new();
    let beats = job.source(source, watermarks).inspect(move |beat, _| match beat {
        (1, time) => slow.store(*time, SeqCst),
        // After its last record the slow split may end, and then nothing holds the fast one.
        (_, time) => match slow.load(SeqCst) {
            59_000.. => {}
            slow => {
                farthest.fetch_max(time - slow, SeqCst);
            }
        },
    });
    let all = beats.collect();
    job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();
    assert_eq!(all.values().len(), 60_060);
    let ahead = ahead.load(SeqCst);
    assert!((DRIFT / 2..=DRIFT + PIECE).contains(&ahead), "the fast split was {ahead} ms ahead");
}

#[test]
fn a_fast_split_waits_for_a_slow_one_of_its_worker() {
    a_fast_split_waits_for_a_slow_one(1, Epochs::every(MILLI));
    a_fast_split_waits_for_a_slow_one(1, Epochs::records(1 << 40));
}

#[test]
fn a_fast_split_waits_for_a_slow_one_of_another_worker() {
    a_fast_split_waits_for_a_slow_one(2, Epochs::every(MILLI));
}

#[test]
fn a_fast_split_goes_on_when_a_slow_one_of_another_worker_has_caught_up() {
    within(Duration::from_secs(5), "the fast split", || {
        a_fast_split_waits_for_a_slow_one(2, Epochs::records(1 << 40));
    });
}

#[test]
fn workers_without_splits_take_part() {
    for splits in [0, 1, 2] {
        let job = Job::new();
        let rows = vec![(0..100i64).collect::<Vec<_>>(); splits];
        let numbers = job.source(Collection::splits(rows), Watermarks::monotone(|n: &i64| *n));
        let counts = numbers.clone().key_by(|n| n % 3).count().materialize();
        let windows =
            numbers.window_all(Tumbling::of(50 * MILLI)).count().map(|result| result.value).collect();
        job.run_with(Options::default().workers(4).epochs(Epochs::records(10))).unwrap();
        let n = splits as u64;
        let expected = match splits {
            0 => vec![],
            _ => vec![(0, 34 * n), (1, 33 * n), (2, 33 * n)],
        };
        assert_eq!(counts.sorted(), expected);
        assert_eq!(windows.sorted(), vec![50 * n; if splits == 0 { 0 } else { 2 }]);
    }
}

#[test]
fn an_empty_collection_is_a_job_like_others() {
    for workers in [1, 3] {
        let job = Job::new();
        let nothing = job.collection(Vec::<u64>::new());
        let pairs =
            nothing.clone().key_by(|n| *n).join(nothing.clone().key_by(|n| *n), |k, _, _| *k).collect();
        let counts = nothing.key_by(|n| *n).count().materialize();
        job.run_with(Options::default().workers(workers)).unwrap();
        assert_eq!((pairs.values(), counts.sorted()), (vec![], vec![]));
    }
}

#[test]
fn pipelines_of_one_job_do_not_wait_for_each_other() {
    let released = Arc::new(AtomicBool::new(false));
    let release = Arc::clone(&released);
    let job = Job::new();
    let quick = job.collection(0..10_000u64).key_by(|n| n % 7).count().materialize();
    let held = Scripted::new(1, move |_, given| match (given, released.load(SeqCst)) {
        (0..100, _) => Turn::Give(given as u64),
        (_, false) => Turn::Wait(MILLI),
        _ => Turn::Done,
    });
    let held = job.source(held, Watermarks::none()).collect();
    let running = job.start(Options::default().workers(2).epochs(Epochs::every(MILLI))).unwrap();
    wait_until("the quick pipeline", || quick.sorted().iter().map(|row| row.1).sum::<u64>() == 10_000);
    wait_until("records of the held pipeline", || held.values().len() == 100);
    assert!(!running.is_finished());
    release.store(true, SeqCst);
    running.join().unwrap();
    assert_eq!(held.sorted(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_job_that_is_stopped_completes_what_it_has_read() {
    for (workers, epochs) in [(1, Epochs::default()), (2, Epochs::records(777)), (3, Epochs::when_done())] {
        let emitted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&emitted);
        let job = Job::new();
        let endless =
            job.source(Scripted::new(3, |_, given| Turn::Give(given as i64)), Watermarks::monotone(|t| *t));
        let endless = endless.inspect(move |_, _| {
            count.fetch_add(1, SeqCst);
        });
        // One reader of the stream counts for all: each branch walks the chain by itself.
        let numbers = endless.share();
        let rolling = numbers.clone().key_by(|n| n % 10).count().collect();
        let windows = numbers.key_by(|n| n % 10).window(Tumbling::of(1000 * MILLI)).count();
        let windows = windows.map(|result| result.value).collect();
        let running = job.start(Options::default().workers(workers).epochs(epochs)).unwrap();
        wait_until("some windows", || windows.values().len() > 20);
        running.stop();
        running.join().unwrap();
        let counts = consolidate(rolling.values());
        assert!(counts.iter().all(|(_, diff)| *diff == 1));
        let emitted = emitted.load(SeqCst) as u64;
        assert_eq!(counts.iter().map(|((_, count), _)| count).sum::<u64>(), emitted);
        assert_eq!(windows.values().iter().sum::<u64>(), emitted);
    }
}

#[test]
fn a_job_stops_though_its_source_waits() {
    for epochs in [Epochs::default(), Epochs::records(10), Epochs::when_done()] {
        within(Duration::from_secs(5), "stopping", move || {
            let job = Job::new();
            let source = Scripted::new(2, |_, given| match given {
                0..5 => Turn::Give(given),
                _ => Turn::Wait(Duration::from_secs(3600)),
            });
            let given = job.source(source, Watermarks::none()).collect();
            let running = job.start(Options::default().workers(2).epochs(epochs)).unwrap();
            wait_until("ten records", || given.values().len() == 10);
            running.stop();
            running.join().unwrap();
        });
    }
}

#[test]
fn a_job_follows_a_clock_that_is_moved_by_hand() {
    let given = within(Duration::from_secs(5), "the second record", || {
        let clock = Clock::manual();
        let job = Job::new();
        let hand = clock.clone();
        let source = Scripted::new(1, move |_, given| match (given, hand.now() >= 10 * MILLI) {
            (0, _) | (1, true) => Turn::Give(given),
            (1, false) => Turn::Wait(10 * MILLI),
            _ => Turn::Done,
        });
        let given = job.source(source, Watermarks::none()).collect();
        let running = job.start(Options::default().clock(clock.clone())).unwrap();
        wait_until("the first record", || given.values().len() == 1);
        thread::sleep(50 * MILLI);
        clock.advance(10 * MILLI);
        running.join().unwrap();
        given.values()
    });
    assert_eq!(given, [0, 1]);
}

#[test]
fn a_job_ends_when_no_one_holds_it() {
    let emitted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&emitted);
    let job = Job::new();
    let endless = job.source(Scripted::new(2, |_, given| Turn::Give(given)), Watermarks::none());
    endless
        .inspect(move |_, _| {
            count.fetch_add(1, SeqCst);
        })
        .discard();
    let running = job.start(Options::default().workers(2)).unwrap();
    wait_until("some records", || emitted.load(SeqCst) > 1000);
    drop(running);
    let at_the_end = emitted.load(SeqCst);
    thread::sleep(10 * MILLI);
    assert_eq!(emitted.load(SeqCst), at_the_end, "a worker outlived its job");
}

#[test]
fn a_reader_that_asks_again_at_once_lets_others_run() {
    let records = within(Duration::from_secs(5), "the other split", || {
        let seen = Arc::new(AtomicBool::new(false));
        let see = Arc::clone(&seen);
        // Split 0 ends when the sink has seen the record of split 1.
        let source = Scripted::new(2, move |split, given| match (split, given, seen.load(SeqCst)) {
            (1, 0, _) => Turn::Give(7),
            (0, _, false) => Turn::Wait(Duration::ZERO),
            _ => Turn::Done,
        });
        let job = Job::new();
        let given = job.source(source, Watermarks::none()).collect();
        let watched = given.clone();
        let running = job.start(Options::default().epochs(Epochs::every(MILLI))).unwrap();
        wait_until("the record", || !watched.values().is_empty());
        see.store(true, SeqCst);
        running.join().unwrap();
        given.values()
    });
    assert_eq!(records, [7]);
}
