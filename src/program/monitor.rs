//! The main thread of a program while its job runs: suspends the job on Ctrl-C if it takes snapshots, stops
//! it otherwise, and prints its notices at once.

use std::thread;
use std::time::Duration;

use super::console::warn;
use super::signal::is_interrupted;
use crate::error::Result;
use crate::notice::Notices;
use crate::runtime::Running;

/// How often the main thread polls the job, at first and at most: soon at first, since a job may be short.
const LOOK: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));

/// Waits for the end of a job, and stops or suspends it on Ctrl-C. `each` is called with the job after each
/// poll, and with `None` before anything is printed.
pub fn monitor(
    running: Running,
    suspends: bool,
    quiet: bool,
    each: &mut dyn FnMut(Option<&Running>),
) -> Result<()> {
    let notices = running.notices().clone();
    let outcome = wait(running, suspends, quiet, each);
    tell(&notices, each);
    outcome
}

/// Prints the job's notices, even with `--quiet`: they are about the user's data, not about the program.
fn tell(notices: &Notices, each: &mut dyn FnMut(Option<&Running>)) {
    for notice in notices.take() {
        each(None);
        warn(&format!("note: {notice}\n"));
    }
}

fn wait(running: Running, suspends: bool, quiet: bool, each: &mut dyn FnMut(Option<&Running>)) -> Result<()> {
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
        tell(running.notices(), each);
        each(Some(&running));
    }
    each(None);
    running.join().map(drop)
}
