//! A running job, looked after from the main thread: Ctrl-C suspends it if it takes snapshots, and stops it
//! otherwise; and what it has to tell is shown at once.

use std::thread;
use std::time::Duration;

use super::console::warn;
use super::signal::is_interrupted;
use crate::error::Result;
use crate::notice::Notices;
use crate::runtime::Running;

/// How often the main thread looks after the job: soon at first, since a job may be short.
const LOOK: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));

/// Waits for the end of a job, and stops or suspends it if the user asks for it. `each` is called with the
/// job after each look, and with nothing before anything is told.
pub fn attend(
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

/// Shows what the job has to tell, also to a user who wants no progress and no notes of the program's: it is
/// about the job's data.
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
