//! Calls as futures, polled by the worker itself.
//!
//! The operator is its own executor. A future is polled when its call begins, and again whenever its waker
//! has been called: the waker puts the number of the call into the operator's mailbox, which activates the
//! operator. So thousands of calls are in flight without a thread, and the worker sleeps while no future is
//! ready to be polled.
//!
//! A poll runs on the worker, so it must not block. A call that is given up is dropped, which cancels it, and
//! so are all calls when the job ends. A panic in a poll is a panic of the worker.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::caller::Caller;
use super::mailbox::Mailbox;
use crate::error::Result as Outcome;

/// The futures of one worker's instance of the operator.
pub(super) struct Futures<F, R> {
    f: F,
    running: BTreeMap<u64, (Pin<Box<R>>, Arc<Wakeup>)>,
    /// The calls to poll.
    ready: Arc<Mailbox<u64>>,
}

/// What wakes one call.
struct Wakeup {
    id: u64,
    /// True if the call is in the mailbox.
    is_ready: AtomicBool,
    ready: Arc<Mailbox<u64>>,
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // However often a waker is called, the call is in the mailbox once.
        if !self.is_ready.swap(true, Ordering::AcqRel) {
            self.ready.put(self.id);
        }
    }
}

impl<F, R> Futures<F, R> {
    pub(super) fn new(f: F, ready: Mailbox<u64>) -> Futures<F, R> {
        Futures { f, running: BTreeMap::new(), ready: Arc::new(ready) }
    }
}

impl<T, U, E, F, R> Caller<T, U, E> for Futures<F, R>
where
    F: Fn(T) -> R + 'static,
    R: Future<Output = Result<U, E>> + 'static,
{
    fn begin(&mut self, id: u64, value: T) -> Outcome<()> {
        let future = Box::pin((self.f)(value));
        let (is_ready, ready) = (AtomicBool::new(false), Arc::clone(&self.ready));
        let wakeup = Arc::new(Wakeup { id, is_ready, ready });
        // The first poll is not here: `answers` polls all futures, so an answer is found in one place.
        wakeup.wake_by_ref();
        self.running.insert(id, (future, wakeup));
        Ok(())
    }

    fn answers(&mut self) -> Vec<(u64, Result<U, E>)> {
        let mut answers = Vec::new();
        for id in self.ready.take() {
            // A waker may be called after its call has ended or was given up.
            let Some((future, wakeup)) = self.running.get_mut(&id) else { continue };
            // Cleared before the poll: a wake-up during the poll must put the call into the mailbox again.
            wakeup.is_ready.store(false, Ordering::Release);
            let waker = Waker::from(Arc::clone(wakeup));
            if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.running.remove(&id);
                answers.push((id, answer));
            }
        }
        answers
    }

    fn give_up(&mut self, id: u64) -> bool {
        self.running.remove(&id).is_some()
    }
}
