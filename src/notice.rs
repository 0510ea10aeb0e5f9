//! Notices: messages of a running job to its user that are no errors, such as a snapshot that could not be
//! written, or an output that is started over.
//!
//! A notice is a sentence or two for people. The code that runs the job takes and shows them, as
//! [`program::main`](crate::program) does on the standard error; until then the job keeps them. A cause
//! reports itself once, not for each record, so there are few.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// The notices of a job. Cloning shares them.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    /// Adds one.
    pub fn tell(&self, notice: impl Into<String>) {
        lock(&self.0).push(notice.into());
    }

    /// Removes and returns the notices so far, oldest first.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(lock(&self.0).iter()).finish()
    }
}
