//! The progress line of a run, redrawn in place on a terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use highwater::time::EventTime;

use super::{amount, warn};

/// How often the line is redrawn.
const EVERY: Duration = Duration::from_millis(200);

/// A line on the standard error, drawn only if that is a terminal.
pub(crate) struct Progress {
    shown: bool,
    is_drawn: bool,
    drawn_at: Duration,
    count: u64,
}

impl Progress {
    /// A line, which stays empty if it is to be quiet or nobody could see it.
    pub(crate) fn new(quiet: bool) -> Progress {
        let shown = !quiet && io::stderr().is_terminal();
        Progress { shown, is_drawn: false, drawn_at: Duration::ZERO, count: 0 }
    }

    /// Draws the line if it is time to. `line` is given the rate of `count` since it was last drawn.
    pub(crate) fn draw(&mut self, now: Duration, count: u64, line: impl FnOnce(f64) -> String) {
        let since = now.saturating_sub(self.drawn_at);
        if !self.shown || since < EVERY {
            return;
        }
        let rate = count.saturating_sub(self.count) as f64 / since.as_secs_f64();
        (self.drawn_at, self.count, self.is_drawn) = (now, count, true);
        // Wrapping is turned off: a line that is too long is cut, so the next one can overwrite it in place.
        warn(&format!("\r\x1b[2K\x1b[?7l{}\x1b[?7h", line(rate)));
    }

    /// Erases the line.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            warn("\r\x1b[2K");
        }
    }
}

/// The text for a count whose total is known.
pub(crate) fn counted(what: &str, count: u64, of: u64, rate: f64) -> String {
    let percent = count as f64 * 100.0 / of.max(1) as f64;
    let (count, of, rate) = (amount::short(count as f64), amount::short(of as f64), amount::short(rate));
    format!("{what}  {percent:3.0} %  {count} of {of} events  {rate}/s")
}

/// The text for a watermark.
pub(crate) fn watermark(watermark: EventTime) -> String {
    match watermark {
        EventTime::MIN | 0 => "-".to_owned(),
        EventTime::MAX => "end".to_owned(),
        time => amount::date(time),
    }
}
