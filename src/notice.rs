//! What a job has to tell its user while it runs, and what no error is: a snapshot that could not be written,
//! an output that begins anew.
//!
//! A notice is a sentence or two for people. Whoever runs the job takes them and shows them, as
//! [`program::main`](crate::program) does on the standard error; a job that nobody asks keeps them. Each
//! cause tells of itself once, not for each record, so there are few.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The notices of a job. Cloning shares them.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    /// Adds one.
    pub fn tell(&self, notice: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(notice.into());
    }

    /// Those that nobody has taken, oldest first.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.lock().unwrap_or_else(PoisonError::into_inner).iter()).finish()
    }
}
