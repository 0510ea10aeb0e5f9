//! Signals: the first Ctrl-C requests an orderly end, the second ends the program at once. Two more would end
//! the program without a message: SIGXFSZ for a write beyond the limit on file sizes, SIGBUS for a read of a
//! mapped file that was truncated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGBUS, SIGXFSZ};

use crate::error::{Error, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The exit code of an interrupted program.
pub const INTERRUPTED_CODE: u8 = 130;

/// Installs the handlers.
pub fn listen() -> Result<()> {
    let listening = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED_CODE.into());
        }
    });
    listening.map_err(|error| Error::config("cannot listen for Ctrl-C").because(error))?;
    // Without a handler the signal ends the program. With one that only sets a flag, the write fails with an
    // error that names the file.
    let handled = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    handled.map(drop).map_err(|error| Error::config("cannot handle the signal SIGXFSZ").because(error))
}

/// From now on, a read of a mapped file that was truncated ends the program with this message and exit code,
/// and not by a signal.
///
/// The signal arrives in the reading thread, in the middle of anything. So the handler can only write the
/// message and end the process.
#[allow(
    unsafe_code,
    reason = "the crate has no safe way to act before the handler returns, and then the read is tried again"
)]
pub fn tell_of_short_file(words: &str, code: u8) -> Result<()> {
    let words: &'static [u8] = words.to_owned().leak().as_bytes();
    let tell = move || {
        // If that fails, there is nowhere left to report it.
        let _ = rustix::io::write(std::io::stderr(), words);
        signal_hook::low_level::exit(code.into());
    };
    // SAFETY: a handler may do what is safe at any moment of any thread. It calls `write` and `_exit`, which
    // are, takes no lock and allocates nothing; what it writes is never freed.
    let handled = unsafe { signal_hook::low_level::register(SIGBUS, tell) };
    handled.map(drop).map_err(|error| Error::config("cannot handle the signal SIGBUS").because(error))
}

/// True once Ctrl-C was pressed.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
