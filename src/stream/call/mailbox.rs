//! Messages from other threads to an operator.
//!
//! A thread that puts a message into an empty mailbox activates the operator, which unparks its worker. A
//! mailbox that is not empty has an activation pending already, since the operator empties it whenever it
//! runs. So a message waits for no more than the worker's current step, nothing is polled, and a burst of
//! messages costs one activation.

use std::sync::Mutex;

use crate::lock::lock;
use timely::scheduling::SyncActivator;

/// Messages for an operator, from any thread.
pub(super) struct Mailbox<M> {
    messages: Mutex<Vec<M>>,
    activator: SyncActivator,
}

impl<M> Mailbox<M> {
    pub(super) fn new(activator: SyncActivator) -> Mailbox<M> {
        Mailbox { messages: Mutex::default(), activator }
    }

    /// Adds a message.
    pub(super) fn put(&self, message: M) {
        let mut messages = lock(&self.messages);
        messages.push(message);
        let is_first = messages.len() == 1;
        // Activating unparks a thread; other senders need not wait for that.
        drop(messages);
        if is_first {
            self.wake();
        }
    }

    /// Runs the operator.
    pub(super) fn wake(&self) {
        // It fails if the worker is gone, and then there is nothing to run.
        let _ = self.activator.activate();
    }

    /// Takes all messages.
    pub(super) fn take(&self) -> Vec<M> {
        std::mem::take(&mut lock(&self.messages))
    }
}
