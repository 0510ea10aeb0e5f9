//! Locks of what a panic cannot have left half changed.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks it, whether a thread has panicked meanwhile or not.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
