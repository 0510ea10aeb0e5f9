//! The options of calls.

use std::fmt;
use std::time::Duration;

use super::Retry;
use crate::error::{Error, Result};

/// How calls are made, for [`Stream::call`](crate::stream::Stream::call).
///
/// ```
/// use highwater::stream::{CallOptions, Retry};
/// use std::time::Duration;
///
/// let options: CallOptions<String> = CallOptions::unordered()
///     .capacity(64)
///     .timeout(Duration::from_secs(2))
///     .retry(Retry::times(3).after(Duration::from_millis(50)));
/// ```
pub struct CallOptions<E> {
    pub(super) order: Order,
    pub(super) capacity: usize,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: Option<Retry<E>>,
}

/// The order in which answers leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Any,
    Arrival,
}

impl<E> CallOptions<E> {
    /// Answers leave in the order in which the records came, within an epoch and on a worker. An answer waits
    /// for those before it; one whose record has failed or timed out is not waited for.
    pub fn ordered() -> CallOptions<E> {
        CallOptions { order: Order::Arrival, capacity: 16, timeout: None, retry: None }
    }

    /// Answers leave as they come.
    pub fn unordered() -> CallOptions<E> {
        CallOptions { order: Order::Any, ..CallOptions::ordered() }
    }

    /// The most records of a worker that are called for and not answered, at least 1; 16 if nothing is said.
    /// With [`call`](crate::stream::Stream::call) also the most threads of a worker.
    pub fn capacity(mut self, capacity: usize) -> CallOptions<E> {
        self.capacity = capacity;
        self
    }

    /// How long a record may be in flight, from its first attempt to its answer, all attempts and delays
    /// included. If nothing is said, as long as it takes. In a job that goes on from a snapshot it counts
    /// from the first attempt since then.
    pub fn timeout(mut self, timeout: Duration) -> CallOptions<E> {
        self.timeout = Some(timeout);
        self
    }

    /// When a call that failed is made again. If nothing is said, never.
    pub fn retry(mut self, retry: Retry<E>) -> CallOptions<E> {
        self.retry = Some(retry);
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.capacity == 0 {
            return Err(Error::config("calls need a capacity of at least 1"));
        }
        if self.timeout == Some(Duration::ZERO) {
            return Err(Error::config("calls need time: choose a timeout above zero, or none"));
        }
        Ok(())
    }
}

impl<E> Clone for CallOptions<E> {
    fn clone(&self) -> CallOptions<E> {
        CallOptions { retry: self.retry.clone(), ..*self }
    }
}

impl<E> fmt::Debug for CallOptions<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CallOptions { order, capacity, timeout, retry } = self;
        let mut shown = f.debug_struct("CallOptions");
        shown.field("order", order).field("capacity", capacity);
        shown.field("timeout", timeout).field("retry", retry).finish()
    }
}
