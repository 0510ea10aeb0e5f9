//! What other threads leave for an operator.
//!
//! Whoever puts a message into an empty box activates the operator, which unparks its worker. A box that is
//! not empty has an activation on its way already, since the operator empties it whenever it runs. So no
//! message waits for anything but the worker's current step, no one polls, and a burst of messages costs one
//! activation.

use std::sync::Mutex;

use timely::scheduling::SyncActivator;

use crate::stream::lock;

/// Messages for an operator, from any thread.
pub(super) struct Mailbox<M> {
    messages: Mutex<Vec<M>>,
    activator: SyncActivator,
}

impl<M> Mailbox<M> {
    pub(super) fn new(activator: SyncActivator) -> Mailbox<M> {
        Mailbox { messages: Mutex::default(), activator }
    }

    /// Leaves a message.
    pub(super) fn put(&self, message: M) {
        let mut messages = lock(&self.messages);
        messages.push(message);
        let is_first = messages.len() == 1;
        drop(messages);
        if is_first {
            self.wake();
        }
    }

    /// Runs the operator.
    pub(super) fn wake(&self) {
        // It fails if the worker is gone, and then no one wants to know.
        let _ = self.activator.activate();
    }

    /// Takes all messages.
    pub(super) fn take(&self) -> Vec<M> {
        std::mem::take(&mut lock(&self.messages))
    }
}
