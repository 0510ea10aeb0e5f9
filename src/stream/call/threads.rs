//! Calls by threads: each call blocks a thread.
//!
//! A worker's instance of the operator owns its threads. They are started when a call finds none idle, up to
//! the capacity, and wait on a condition variable between calls. So a job that never has two calls at a time
//! has one thread.
//!
//! # Who settles a call
//!
//! A call is settled once, by an atomic flag that both sides swap: by its thread, which then sends the
//! answer, or by the operator, which then gives the call up. The swap returns to the second side that it is
//! second. So an answer that comes too late is counted, and one that came in time is never given up, whatever
//! the interleaving.
//!
//! # How threads end
//!
//! With the operator: idle threads end at once, and it waits for them. A running function cannot be stopped;
//! a thread in a call (of a record that has timed out, or of a job that has failed) is detached, touches
//! nothing but that flag and a metric, and ends when the function returns. A panic in a call ends the job
//! with an error.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::caller::Caller;
use super::mailbox::Mailbox;
use crate::error::{Error, Result as Outcome};
use crate::lock::lock;
use crate::metric::Metric;
use crate::stream::Shared;

/// The threads of one worker's instance of the operator.
pub(super) struct Threads<T, A> {
    pool: Arc<Pool<T, A>>,
    threads: Vec<JoinHandle<()>>,
    most: usize,
    /// The calls that are not settled, as far as the operator knows.
    calls: BTreeMap<u64, Settled>,
}

/// True once the call is answered or given up.
type Settled = Arc<AtomicBool>;

/// What the threads share with the operator.
struct Pool<T, A> {
    uid: String,
    f: Arc<dyn Fn(T) -> A + Send + Sync>,
    queue: Mutex<Queue<T>>,
    work: Condvar,
    answers: Mailbox<(u64, A)>,
    late: Metric,
    job: Arc<Shared>,
}

struct Queue<T> {
    calls: VecDeque<Call<T>>,
    /// Threads that wait for a call.
    idle: usize,
    /// The threads that are in a call.
    busy: BTreeSet<usize>,
    closed: bool,
}

struct Call<T> {
    id: u64,
    value: T,
    settled: Settled,
}

impl<T: Send + 'static, A: Send + 'static> Threads<T, A> {
    pub(super) fn new(
        uid: &str,
        f: Arc<dyn Fn(T) -> A + Send + Sync>,
        most: usize,
        answers: Mailbox<(u64, A)>,
        job: &Arc<Shared>,
    ) -> Threads<T, A> {
        let queue = Queue { calls: VecDeque::new(), idle: 0, busy: BTreeSet::new(), closed: false };
        let pool = Pool {
            uid: uid.to_owned(),
            f,
            queue: Mutex::new(queue),
            work: Condvar::new(),
            answers,
            late: job.metrics.metric(uid, "answered_late"),
            job: Arc::clone(job),
        };
        Threads { pool: Arc::new(pool), threads: Vec::new(), most, calls: BTreeMap::new() }
    }

    fn start(&mut self) -> Outcome<()> {
        let (pool, number) = (Arc::clone(&self.pool), self.threads.len());
        let thread = Builder::new().name(format!("{} {number}", pool.uid));
        let thread = thread
            .spawn(move || pool.work(number))
            .map_err(|error| Error::io("cannot start a thread to make calls: lower the capacity", error))?;
        self.threads.push(thread);
        Ok(())
    }
}

impl<T, U, E> Caller<T, U, E> for Threads<T, Result<U, E>>
where
    T: Send + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    fn begin(&mut self, id: u64, value: T) -> Outcome<()> {
        let settled = Settled::default();
        self.calls.insert(id, Arc::clone(&settled));
        let mut queue = lock(&self.pool.queue);
        queue.calls.push_back(Call { id, value, settled });
        // A notified thread that has not woken yet counts as idle, but its call is still in the queue too.
        let too_few = queue.calls.len() > queue.idle;
        drop(queue);
        self.pool.work.notify_one();
        if too_few && self.threads.len() < self.most {
            self.start()?;
        }
        Ok(())
    }

    fn answers(&mut self) -> Vec<(u64, Result<U, E>)> {
        let answers = self.pool.answers.take();
        for (id, _) in &answers {
            self.calls.remove(id);
        }
        answers
    }

    fn give_up(&mut self, id: u64) -> bool {
        // A call that is not in the map was answered.
        let settled = self.calls.get(&id).is_none_or(|call| call.swap(true, Ordering::AcqRel));
        if !settled {
            self.calls.remove(&id);
        }
        !settled
    }
}

impl<T, A> Drop for Threads<T, A> {
    fn drop(&mut self) {
        let mut queue = lock(&self.pool.queue);
        queue.closed = true;
        let waiting = std::mem::take(&mut queue.calls);
        // Read while the queue is locked and closed: a thread that is not busy now will not begin a call, so
        // joining it cannot block on user code.
        let busy = queue.busy.clone();
        drop(queue);
        self.pool.work.notify_all();
        // Outside the lock: dropping values runs user code.
        drop(waiting);
        for (number, thread) in self.threads.drain(..).enumerate() {
            if !busy.contains(&number) {
                // A panic in a call is caught and reported in `make`.
                let _ = thread.join();
            }
        }
    }
}

impl<T, A> Pool<T, A> {
    /// The loop of a thread.
    fn work(&self, number: usize) {
        while let Some(call) = self.next(number) {
            // A call that was given up while it was queued is not made.
            if !call.settled.load(Ordering::Acquire) {
                self.make(call);
            }
        }
    }

    /// Waits for a call; `None` when the operator is gone.
    fn next(&self, number: usize) -> Option<Call<T>> {
        let mut queue = lock(&self.queue);
        // Not when the call ends: a thread that `Drop` finds busy is not joined, which is always safe.
        queue.busy.remove(&number);
        while !queue.closed {
            if let Some(call) = queue.calls.pop_front() {
                queue.busy.insert(number);
                return Some(call);
            }
            queue.idle += 1;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
        None
    }

    fn make(&self, Call { id, value, settled }: Call<T>) {
        let made = catch_unwind(AssertUnwindSafe(|| (self.f)(value)));
        let was_settled = settled.swap(true, Ordering::AcqRel);
        match made {
            Ok(answer) if !was_settled => self.answers.put((id, answer)),
            Ok(_) => self.late.add(1),
            Err(panic) => {
                self.job.fail(Error::panic(format_args!("{}: a call", self.uid), &*panic));
                // There is no answer to activate the operator, and the worker may be parked.
                self.answers.wake();
            }
        }
    }
}
