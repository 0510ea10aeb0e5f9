//! Looks for guessed passwords: three or more failures to log in, and then a success, within a minute.
//!
//! The attempts come up to five seconds out of order; each is taken at its own time. The failures of dan are
//! followed by nothing: after a minute that is known too. The attempt of zoe comes when its time is over.
//!
//! ```text
//! $ cargo run --example 06_patterns
//! ann is in at 0:05, after 3 failures
//! eve is in at 0:31, after 4 failures
//! dan was not let in by 1:40, after 3 failures
//! late: zoe at 0:01
//! ```

#![allow(clippy::print_stdout)]

use highwater::cep::Pattern;
use highwater::prelude::*;
use serde::{Deserialize, Serialize};

/// When someone tried to log in, and whether that failed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Attempt {
    at: EventTime,
    who: String,
    failed: bool,
}

const FAILED: bool = true;

/// Who, when in seconds, and whether it failed.
const ATTEMPTS: [(&str, EventTime, bool); 17] = [
    ("ann", 1, FAILED),
    ("ann", 5, !FAILED), // before the next two have come
    ("ann", 3, FAILED),
    ("ann", 2, FAILED),
    ("bob", 10, FAILED),
    ("bob", 12, !FAILED), // just mistyped
    ("eve", 20, FAILED),
    ("eve", 21, FAILED),
    ("eve", 22, FAILED),
    ("eve", 30, FAILED),
    ("zoe", 1, FAILED), // too late: the watermark is at 0:25
    ("eve", 31, !FAILED),
    ("dan", 40, FAILED),
    ("dan", 41, FAILED),
    ("dan", 43, FAILED),
    ("bob", 90, FAILED),
    ("bob", 130, !FAILED),
];

/// An event time as minutes and seconds.
fn clock(time: EventTime) -> String {
    format!("{}:{:02}", time / 60_000, time / 1_000 % 60)
}

fn main() -> Result<()> {
    let guessed = Pattern::begin("failures", |attempt: &Attempt| attempt.failed)
        .times_or_more(3)
        .consecutive()
        .greedy()
        .next("success", |attempt| !attempt.failed)
        .within(Duration::from_secs(60))
        .skip_past_last();

    let job = Job::new();
    let attempts = ATTEMPTS.map(|(who, at, failed)| Attempt { at: at * 1_000, who: who.to_owned(), failed });
    let watermarks = Watermarks::bounded(Duration::from_secs(5), |attempt: &Attempt| attempt.at);
    let found =
        job.timed_collection(attempts, watermarks).key_by(|attempt| attempt.who.clone()).detect(guessed);

    let alerts = found.select(|guess| {
        let failures = guess.events.of("failures").len();
        format!("{} is in at {}, after {failures} failures", guess.key, clock(guess.timestamp))
    });
    let warnings = found.timed_out().filter(|guess| guess.events.of("failures").len() >= 3).map(|guess| {
        let failures = guess.events.of("failures").len();
        format!("{} was not let in by {}, after {failures} failures", guess.key, clock(guess.timestamp))
    });
    let late = found.late().map(|(who, attempt)| format!("late: {who} at {}", clock(attempt.at)));
    let (alerts, warnings, late) = (alerts.collect(), warnings.collect(), late.collect());
    job.run_with(Options::default().workers(2))?;

    for line in alerts.sorted().into_iter().chain(warnings.values()).chain(late.values()) {
        println!("{line}");
    }
    Ok(())
}
