//! What calls take of time, threads, room and the processor.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::stream::{CallOptions, Job, Retry};
use highwater::time::{Epochs, Watermarks};
use highwater::window::Tumbling;

use super::call_faults::oneshot;
use super::scripted::{Scripted, Turn, wait_until};

const MILLI: Duration = Duration::from_millis(1);

/// Holds calls until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn pass(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }

    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// A function that holds the calls for some numbers, and the numbers that it was called for.
fn gated(
    held: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> (Gate, Arc<AtomicUsize>, impl Fn(u64) -> Result<u64, String> + Send + Sync + 'static) {
    let (gate, called) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let (pass, count) = (gate.clone(), Arc::clone(&called));
    let f = move |n| {
        count.fetch_add(1, SeqCst);
        if held(n) {
            pass.pass();
        }
        Ok(n)
    };
    (gate, called, f)
}

#[test]
fn an_answer_that_is_awaited_holds_windows_and_epochs_back() {
    let (gate, called, f) = gated(|n| n == 25);
    let job = Job::new();
    let numbers = Scripted::new(1, |_, given| match given {
        0..100 => Turn::GiveAndWait(given as u64),
        _ => Turn::Done,
    });
    let numbers = job.source(numbers, Watermarks::monotone(|n: &u64| n.cast_signed()));
    let answers = numbers.call(f, CallOptions::unordered()).answers().share();
    let windows = answers.clone().window_all(Tumbling::of(10 * MILLI)).count();
    let windows = windows.map(|result| (result.window.end, result.value)).collect();
    let answers = answers.collect();
    let options = Options::default().epochs(Epochs::records(10)).max_epochs_in_flight(1000);
    let running = job.start(options).unwrap();
    wait_until("the other answers", || called.load(SeqCst) == 100 && answers.values().len() == 99);
    wait_until("the windows before", || windows.values().len() == 2);
    thread::sleep(50 * MILLI);
    assert_eq!(windows.sorted(), [(10, 10), (20, 10)]);
    assert_eq!(running.open_epoch(), 2);
    assert!(!running.is_finished());
    gate.open();
    running.join().unwrap();
    assert_eq!(windows.sorted(), (1..=10).map(|n| (n * 10, 10)).collect::<Vec<_>>());
}

#[test]
fn a_slow_service_holds_the_source_back() {
    const LIMIT: usize = 16 << 10;
    let (gate, called, f) = gated(|_| true);
    let emitted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&emitted);
    let job = Job::new();
    let numbers = job.collection(0..100_000u64).inspect(move |_, _| {
        count.fetch_add(1, SeqCst);
    });
    let answers = numbers.call(f, CallOptions::unordered().capacity(4)).answers().collect();
    let running =
        job.start(Options::default().epochs(Epochs::every(MILLI)).max_bytes_in_flight(LIMIT)).unwrap();
    wait_until("calls", || called.load(SeqCst) == 4);
    thread::sleep(50 * MILLI);
    // A record with its stamp is 24 bytes, and a source reads 1024 at a time.
    let waiting = emitted.load(SeqCst);
    assert!(waiting <= LIMIT / 24 + 2 * 1024, "{waiting} records are kept waiting");
    assert_eq!(called.load(SeqCst), 4);
    gate.open();
    running.join().unwrap();
    assert_eq!(answers.values().len(), 100_000);
}

#[test]
fn a_late_answer_is_counted() {
    let (gate, _, f) = gated(|n| n < 3);
    let job = Job::new();
    let calls = job.collection(0..10u64).call(f, CallOptions::ordered().timeout(100 * MILLI));
    let timed_out = calls.timed_out().collect();
    let answers = calls.answers().collect();
    job.run().unwrap();
    assert_eq!((timed_out.sorted(), answers.values()), (vec![0, 1, 2], (3..10).collect()));
    assert_eq!((job.metrics().sum("timed_out"), job.metrics().sum("answered_late")), (3, 0));
    // The job does not wait for these answers, but they are not lost.
    gate.open();
    wait_until("late answers", || job.metrics().sum("answered_late") == 3);
}

#[test]
fn when_all_threads_hang_the_other_records_time_out_in_their_turn() {
    let (gate, called, f) = gated(|_| true);
    let job = Job::new();
    let calls = job.collection(0..7u64).call(f, CallOptions::unordered().capacity(2).timeout(10 * MILLI));
    let timed_out = calls.timed_out().collect();
    calls.answers().discard();
    job.run().unwrap();
    assert_eq!(timed_out.sorted(), (0..7).collect::<Vec<_>>());
    assert_eq!(called.load(SeqCst), 2, "more calls than threads were made");
    gate.open();
}

#[test]
fn time_is_that_of_the_job() {
    let clock = Clock::manual();
    let (gate, called, f) = gated(|n| n == 1);
    let job = Job::new();
    let calls =
        job.collection([0, 1, 2]).call(f, CallOptions::unordered().timeout(Duration::from_secs(3600)));
    let timed_out = calls.timed_out().collect();
    let answers = calls.answers().collect();
    let running = job.start(Options::default().clock(clock.clone())).unwrap();
    wait_until("two answers", || called.load(SeqCst) == 3 && answers.values().len() == 2);
    clock.advance(Duration::from_secs(3599));
    thread::sleep(30 * MILLI);
    assert!(timed_out.values().is_empty());
    clock.advance(Duration::from_secs(1));
    running.join().unwrap();
    assert_eq!((timed_out.values(), answers.sorted()), (vec![1], vec![0, 2]));
    gate.open();
}

#[test]
fn attempts_are_as_far_apart_as_they_should_be() {
    let clock = Clock::manual();
    let (times, hand) = (Arc::new(Mutex::new(Vec::new())), clock.clone());
    let seen = Arc::clone(&times);
    let f = move |()| -> Result<(), String> {
        seen.lock().unwrap().push(hand.now().as_secs());
        Err("busy".to_owned())
    };
    let job = Job::new();
    let seconds = Duration::from_secs;
    let retry = Retry::times(4).after(seconds(10)).doubling_to(seconds(30));
    let calls = job.collection([()]).call(f, CallOptions::ordered().retry(retry).capacity(1));
    let failed = calls.failed().collect();
    calls.answers().discard();
    let running = job.start(Options::default().clock(clock.clone())).unwrap();
    while !running.is_finished() {
        clock.advance(seconds(1));
        thread::sleep(MILLI);
    }
    running.join().unwrap();
    let times = times.lock().unwrap();
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // The clock may move between a failure and the moment at which the worker learns of it.
    assert!(
        gaps.len() == 4 && gaps.iter().zip([10, 20, 30, 30]).all(|(gap, least)| *gap >= least),
        "{gaps:?}"
    );
    assert_eq!(failed.values()[0].attempts, 5);
}

/// The ticks of processor time that a thread has taken, of which there are a hundred in a second.
fn ticks(thread: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
    // What comes before the last parenthesis may contain anything.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

#[test]
fn a_worker_sleeps_while_it_waits_for_answers() {
    for by_threads in [true, false] {
        let (gate, called, f) = gated(|_| true);
        let worker = Arc::new(Mutex::new(String::new()));
        let name = Arc::clone(&worker);
        let job = Job::new();
        let numbers = job.collection(0..4u64).inspect(move |_, _| {
            if let Ok(thread) = fs::read_link("/proc/thread-self") {
                *name.lock().unwrap() = thread.to_str().unwrap().to_owned();
            }
        });
        let options = CallOptions::ordered().timeout(Duration::from_secs(60));
        let f = Arc::new(f);
        let answers = match by_threads {
            true => numbers.call(move |n| f(n), options).answers().collect(),
            false => {
                let answer = move |n: u64| {
                    let (sender, answer) = oneshot();
                    let f = Arc::clone(&f);
                    thread::spawn(move || sender.send(f(n)));
                    answer
                };
                numbers.call_async(answer, options).answers().collect()
            }
        };
        let running = job.start(Options::default()).unwrap();
        wait_until("calls", || called.load(SeqCst) == 4);
        let thread = worker.lock().unwrap().clone();
        let before = ticks(&thread);
        thread::sleep(Duration::from_secs(1));
        let after = ticks(&thread);
        assert!(!running.is_finished());
        gate.open();
        running.join().unwrap();
        assert_eq!(answers.values(), [0, 1, 2, 3]);
        // Where the system does not tell, there is nothing to compare.
        if let (Some(before), Some(after)) = (before, after) {
            assert!(after - before <= 10, "the worker took {} ticks of a hundred", after - before);
        }
    }
}

#[test]
fn threads_are_as_many_as_calls_and_end_with_the_job() {
    let (gate, called, f) = gated(|n| n < 5);
    let job = Job::new();
    let numbers = Scripted::new(1, |_, given| match given {
        0..5 => Turn::Give(given as u64),
        _ => Turn::Done,
    });
    let answers =
        job.source(numbers, Watermarks::none()).call(f, CallOptions::ordered().capacity(100)).answers();
    let answers = answers.uid("wisps").collect();
    let running = job.start(Options::default()).unwrap();
    wait_until("calls", || called.load(SeqCst) == 5);
    let names = threads_named("wisps");
    assert!(names.is_none_or(|count| count == 5), "{names:?} threads for 5 calls");
    gate.open();
    running.join().unwrap();
    assert_eq!(answers.values(), [0, 1, 2, 3, 4]);
    // The system takes a moment to forget a thread that was joined.
    wait_until("the end of threads", || threads_named("wisps").is_none_or(|count| count == 0));
}

#[test]
fn one_call_at_a_time_takes_one_thread() {
    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&names);
    let f = move |n: u64| -> Result<u64, String> {
        seen.lock().unwrap().push(thread::current().id());
        Ok(n)
    };
    let job = Job::new();
    let answers = job.collection(0..50).call(f, CallOptions::ordered().capacity(1)).answers().collect();
    job.run().unwrap();
    assert_eq!(answers.values(), (0..50).collect::<Vec<_>>());
    let names = names.lock().unwrap();
    assert!(names.len() == 50 && names.iter().all(|name| *name == names[0]));
}

/// How many threads of this process have names that begin like this, where the system tells.
fn threads_named(name: &str) -> Option<usize> {
    let threads = fs::read_dir("/proc/self/task").ok()?.flatten();
    let names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    Some(names.filter(|comm| comm.starts_with(name)).count())
}
