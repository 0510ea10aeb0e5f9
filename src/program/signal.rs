//! Ctrl-C: the first asks for an orderly end, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The exit code of a program that was interrupted.
pub const INTERRUPTED_CODE: u8 = 130;

/// Listens from now on.
pub fn listen() -> Result<()> {
    let listening = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED_CODE.into());
        }
    });
    listening.map_err(|error| Error::config("cannot listen for Ctrl-C").because(error))
}

/// True if the user has asked for the end.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
