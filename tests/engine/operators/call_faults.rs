//! Calls that fail, panic, hang or are given up.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use highwater::ErrorKind;
use highwater::config::Options;
use highwater::stream::{CallOptions, Job, Retry};

use super::errors::fails;

const MILLI: Duration = Duration::from_millis(1);

/// A future that another thread completes.
pub(crate) struct Answer<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

/// Completes an [`Answer`].
pub(crate) struct Sender<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

pub(crate) fn oneshot<T>() -> (Sender<T>, Answer<T>) {
    let shared = Arc::new(Mutex::new((None, None)));
    (Sender(Arc::clone(&shared)), Answer(shared))
}

impl<T> Sender<T> {
    pub(crate) fn send(self, value: T) {
        let mut shared = self.0.lock().unwrap();
        shared.0 = Some(value);
        let waker = shared.1.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut shared = self.0.lock().unwrap();
        match shared.0.take() {
            Some(value) => Poll::Ready(value),
            None => {
                shared.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[test]
fn a_call_that_fails_ends_the_job_if_no_one_wants_to_know() {
    fails("call-1: invalid digit", ErrorKind::Io, |job| {
        job.collection(["1", "x"])
            .call(|text| text.parse::<u64>(), CallOptions::ordered())
            .answers()
            .discard();
    });
    fails("call-1: out of ink", ErrorKind::Io, |job| {
        let refuse = |_: i32| async { Err::<(), _>("out of ink") };
        let retry = Retry::times(2).after(MILLI);
        job.collection([1]).call_async(refuse, CallOptions::unordered().retry(retry)).answers().discard();
    });
}

#[test]
fn a_call_that_times_out_ends_the_job_if_no_one_wants_to_know() {
    fails("call-1: a call was not answered within 20ms", ErrorKind::Io, |job| {
        let hang = |_: i32| std::future::pending::<Result<(), String>>();
        job.collection([1]).call_async(hang, CallOptions::ordered().timeout(20 * MILLI)).answers().discard();
    });
    fails("call-1: a call was not answered within 20ms", ErrorKind::Io, |job| {
        let hang = |_: i32| {
            thread::sleep(5000 * MILLI);
            Ok::<(), String>(())
        };
        job.collection([1]).call(hang, CallOptions::ordered().timeout(20 * MILLI)).answers().discard();
    });
}

#[test]
fn a_call_that_panics_ends_the_job_though_others_hang() {
    fails("call-1: a call panicked: the line is dead", ErrorKind::Panic, |job| {
        let f = |n: u64| -> Result<u64, String> {
            thread::sleep(if n == 7 { 50 * MILLI } else { 5000 * MILLI });
            panic!("the line is dead")
        };
        let calls = job.collection(0..10).call(f, CallOptions::unordered());
        calls.failed().discard();
        calls.answers().discard();
    });
    fails("the line is dead", ErrorKind::Panic, |job| {
        let f = |n: u64| async move {
            match n {
                7 => panic!("the line is dead"),
                _ => std::future::pending::<Result<u64, String>>().await,
            }
        };
        job.collection(0..10).call_async(f, CallOptions::unordered()).answers().discard();
    });
}

#[test]
fn a_call_that_panics_when_it_was_given_up_ends_the_job_too() {
    fails("call-1: a call panicked: too late", ErrorKind::Panic, |job| {
        let f = |n: u64| -> Result<u64, String> {
            thread::sleep(if n == 0 { 60 * MILLI } else { 200 * MILLI });
            assert!(n > 0, "too late");
            Ok(n)
        };
        // The others have the job wait for longer than the first call takes.
        let options = CallOptions::unordered().capacity(1).timeout(40 * MILLI);
        let calls = job.collection((0..100).map(|n: u64| n.min(1))).call(f, options);
        calls.timed_out().discard();
        calls.answers().discard();
    });
}

#[test]
fn errors_that_are_final_are_not_tried_again() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&attempts);
    let f = move |()| -> Result<(), &str> {
        count.fetch_add(1, SeqCst);
        Err("gone")
    };
    let job = Job::new();
    let retry = Retry::times(9).when(|error: &&str| *error == "busy");
    let calls = job.collection([()]).call(f, CallOptions::ordered().retry(retry));
    let failed = calls.failed().collect();
    calls.answers().discard();
    job.run().unwrap();
    assert_eq!((attempts.load(SeqCst), failed.values()[0].attempts), (1, 1));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let wrong =
        [CallOptions::<String>::ordered().capacity(0), CallOptions::unordered().timeout(Duration::ZERO)];
    for options in wrong {
        let job = Job::new();
        job.collection([1]).call(Ok, options).answers().discard();
        assert_eq!(job.run().unwrap_err().kind(), ErrorKind::Config);
    }
}

/// Counts itself until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, SeqCst);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn futures_are_cancelled_when_they_time_out_and_when_the_job_fails() {
    let alive = Arc::new(AtomicUsize::new(0));
    let hang = |count: &Arc<AtomicUsize>| {
        let count = Arc::clone(count);
        move |n: u64| {
            let counted = Counted::new(&count);
            async move {
                if n == 99 {
                    return Err("enough");
                }
                std::future::pending::<()>().await;
                drop(counted);
                Ok(n)
            }
        }
    };
    let job = Job::new();
    let options = CallOptions::unordered().capacity(1000).timeout(30 * MILLI);
    let calls = job.collection(0..50u64).call_async(hang(&alive), options);
    let timed_out = calls.timed_out().collect();
    calls.answers().discard();
    job.run_with(Options::default().workers(2)).unwrap();
    assert_eq!((timed_out.values().len(), alive.load(SeqCst)), (50, 0));

    let job = Job::new();
    let calls = job.collection(0..100u64).call_async(hang(&alive), CallOptions::unordered().capacity(1000));
    calls.answers().discard();
    assert!(job.run().unwrap_err().to_string().contains("enough"));
    assert_eq!(alive.load(SeqCst), 0, "calls of a job that has failed are still there");
}

#[test]
fn a_waker_may_be_called_by_anyone_at_any_time() {
    let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
    let job = Job::new();
    let f = move |n: u64| {
        let (answering, answer) = oneshot();
        thread::spawn(move || answering.send(n));
        let sender = sender.clone();
        async move {
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                sender.send(cx.waker().clone()).unwrap();
                Poll::Ready(())
            })
            .await;
            Ok::<u64, String>(answer.await)
        }
    };
    let answers = job.collection(0..100).call_async(f, CallOptions::ordered()).answers().collect();
    // Wakes calls that are on their way, are through, or belong to a job that has ended.
    let wakes = thread::spawn(move || receiver.into_iter().inspect(Waker::wake_by_ref).collect::<Vec<_>>());
    job.run().unwrap();
    drop(job);
    let wakers = wakes.join().unwrap();
    assert!(wakers.len() >= 100);
    wakers.into_iter().for_each(Waker::wake);
    assert_eq!(answers.values(), (0..100).collect::<Vec<_>>());
}
