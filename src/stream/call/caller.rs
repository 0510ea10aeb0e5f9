//! The interface between the call operator and its two executors, threads and futures.

use crate::error::Result as Outcome;

/// Makes calls of one worker's instance of the operator, which it runs again when there are answers.
pub(super) trait Caller<T, U, E>: 'static {
    /// Begins a call.
    ///
    /// # Errors
    ///
    /// If it cannot be made at all; the job ends.
    fn begin(&mut self, id: u64, value: T) -> Outcome<()>;

    /// The answers that have come since the last time, each with the number of its call.
    fn answers(&mut self) -> Vec<(u64, Result<U, E>)>;

    /// Gives up a call: no answer will come. False if the call is answered already; the next
    /// [`answers`](Caller::answers) will return it.
    fn give_up(&mut self, id: u64) -> bool;
}
