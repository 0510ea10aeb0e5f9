//! Counts visits in windows of event time, though they come out of order, and shows those that come too late.
//!
//! A visit may come up to five seconds after a later one: the watermark stays that far behind the latest
//! visit. The one at 0:03 is out of order by more than that, and its window is over when it comes. It is
//! late, in this and every other run.
//!
//! ```text
//! $ cargo run --example 02_windows
//! 0:00 to 0:10  ann 2
//! 0:00 to 0:10  bob 1
//! 0:10 to 0:20  ann 1
//! 0:10 to 0:20  bob 2
//! 0:20 to 0:30  ann 1
//! late: ann at 0:03
//! ```

#![allow(clippy::print_stdout)]

use highwater::prelude::*;

/// Who came, and when, in milliseconds of event time.
const VISITS: [(&str, EventTime); 8] = [
    ("ann", 1_000),
    ("bob", 12_000),
    ("bob", 8_000), // out of order, but in time
    ("ann", 9_500),
    ("ann", 11_000),
    ("bob", 19_000),
    ("ann", 3_000), // too late: the watermark is at 0:14
    ("ann", 21_000),
];

/// An event time as minutes and seconds.
fn clock(time: EventTime) -> String {
    format!("{}:{:02}", time / 60_000, time / 1_000 % 60)
}

fn main() -> Result<()> {
    let job = Job::new();
    let watermarks = Watermarks::bounded(Duration::from_secs(5), |visit: &(&str, EventTime)| visit.1);
    let visits = job.timed_collection(VISITS, watermarks).key_by(|visit| visit.0.to_owned());
    let windows = visits.window(Tumbling::of(Duration::from_secs(10)));
    let late = windows.late().map(|(who, (_, at))| format!("late: {who} at {}", clock(at))).collect();
    let counts = windows.count().map(|count| {
        let (start, end) = (clock(count.window.start), clock(count.window.end));
        format!("{start} to {end}  {} {}", count.key, count.value)
    });
    let counts = counts.collect();
    job.run_with(Options::default().workers(2))?;

    for line in counts.sorted().into_iter().chain(late.values()) {
        println!("{line}");
    }
    Ok(())
}
