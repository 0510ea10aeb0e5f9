//! Ctrl-C: the first asks for an orderly end, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use highwater::{Error, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The exit code of a program that was interrupted.
pub(crate) const INTERRUPTED_CODE: u8 = 130;

/// Listens from now on.
pub(crate) fn listen() -> Result<()> {
    let listening = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED_CODE.into());
        }
    });
    listening.map_err(|error| Error::config("cannot listen for Ctrl-C").because(error))
}

/// True if the user has asked for the end.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
