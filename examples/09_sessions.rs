//! Sessions: the visits of each user, which end when nothing has been clicked for half a minute, and are
//! corrected when a click comes late.
//!
//! The first stream tells each visit once, when the watermark has reached its end; a click that comes when
//! its visit is over is late. The second one allows for a minute more: a visit that turns out to have gone on
//! is taken back and told again.
//!
//! ```text
//! $ cargo run --example 09_sessions
//! bob 0:05 to 0:35, 1 clicks
//! ann 0:01 to 0:50, 3 clicks
//! ann 1:40 to 2:10, 1 clicks
//! late: 1
//! corrections:
//! +1 bob 0:05 to 0:35, 1 clicks
//! +1 ann 0:01 to 0:50, 3 clicks
//! -1 bob 0:05 to 0:35, 1 clicks
//! +1 bob 0:05 to 0:55, 2 clicks
//! +1 ann 1:40 to 2:10, 1 clicks
//! ```

#![allow(clippy::print_stdout)]

use highwater::prelude::*;

/// Who clicked, and when, in milliseconds of event time.
const CLICKS: [(&str, EventTime); 6] = [
    ("ann", 1_000),
    ("bob", 5_000),
    ("ann", 20_000),
    ("ann", 12_000), // out of order, but in time
    ("ann", 100_000),
    ("bob", 25_000), // too late: bob's visit was over at 0:35, and the watermark is at 1:30
];

/// A visit as a line.
fn told(visit: Windowed<String, u64>) -> String {
    let clock = |time: EventTime| format!("{}:{:02}", time / 60_000, time / 1_000 % 60);
    let (start, end) = (clock(visit.window.start), clock(visit.window.end));
    format!("{} {start} to {end}, {} clicks", visit.key, visit.value)
}

fn main() -> Result<()> {
    let job = Job::new();
    let watermarks = Watermarks::bounded(Duration::from_secs(10), |click: &(&str, EventTime)| click.1);
    let clicks =
        job.timed_collection(CLICKS, watermarks).key_by(|click| click.0.to_owned()).map_values(|_| ());
    let sessions = Sessions::with_gap(Duration::from_secs(30));
    let visits = clicks.clone().window(sessions).count().map(told).collect();
    let changes = clicks.window(sessions).correct_until(Duration::from_secs(60)).count();
    let changes = changes.map(|change| format!("{:+} {}", change.diff, told(change.record))).collect();
    let summary = job.run()?;

    for visit in visits.values() {
        println!("{visit}");
    }
    println!("late: {}", summary.metrics.sum("late_dropped"));
    println!("corrections:");
    for change in changes.values() {
        println!("{change}");
    }
    Ok(())
}
