//! A running job, looked after from the main thread: Ctrl-C suspends it if it takes snapshots, and stops it otherwise.

use std::thread;
use std::time::Duration;

use super::console::warn;
use super::signal::is_interrupted;
use crate::error::Result;
use crate::runtime::Running;

/// How often the main thread looks after the job: soon at first, since a job may be short.
const LOOK: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));

/// Waits for the end of a job, and stops or suspends it if the user asks for it. `each` is called with the job after each look, and with nothing before
/// anything is told.
pub fn attend(
    running: Running,
    suspends: bool,
    quiet: bool,
    each: &mut dyn FnMut(Option<&Running>),
) -> Result<()> {
    let mut look = LOOK.0;
    while !running.is_finished() {
        thread::sleep(look);
        look = (look * 2).min(LOOK.1);
        if is_interrupted() && suspends {
            each(None);
            if !quiet {
                warn("interrupted: takes a last snapshot; another Ctrl-C ends the program without it\n");
            }
            return running.suspend().map(drop);
        }
        if is_interrupted() {
            running.stop();
        }
        each(Some(&running));
    }
    each(None);
    running.join().map(drop)
}
