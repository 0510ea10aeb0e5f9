//! How long workers pause for a full snapshot of a state that changes meanwhile.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use highwater::clock::Clock;
use highwater::config::Options;
use highwater::connector::Generator;
use highwater::data::hash64;
use highwater::snapshot::{Restore, Snapshots};
use highwater::stream::Job;
use highwater::time::Watermarks;

use super::chart::{Axis, Panel, Series, draw};
use super::state::Last;
use super::{median, plot, rounds};

/// What was seen of one snapshot.
struct Seen {
    megabytes: f64,
    /// The longest that a worker was busy with it at a time, in milliseconds.
    pause: f64,
    /// How long it took from request to commit, in seconds.
    took: f64,
    /// Records per second in that time, of those in as long a time before.
    speed: f64,
}

/// Writes all keys, and while they are written again and again takes a snapshot.
fn snapshot(keys: u64) -> Result<Seen, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (job, clock, count) = (Job::new(), Clock::system(), Arc::new(AtomicU64::new(0)));
    let counting = Arc::clone(&count);
    let numbers = Generator::new(1, move |n| {
        counting.store(n, Ordering::Relaxed);
        Some(if n < keys { (n, n) } else { (hash64(&n) % keys, n) })
    });
    let rows = job.source(numbers, Watermarks::none()).key_by(|row| row.0).map_values(|row| row.1);
    rows.process(Last::default()).uid("last").discard();
    let snapshots = Snapshots::in_directory(directory.path())?.restore(Restore::Nothing);
    let running = job.start(Options::default().snapshots(snapshots))?;
    let number = || count.load(Ordering::Relaxed);
    let wait_for = |done: &dyn Fn() -> bool| {
        while !done() {
            thread::sleep(Duration::from_millis(1))
        }
    };
    wait_for(&|| number() > keys + keys / 4);
    let read = |name| running.metrics().metric("snapshots", name).get();
    let (asked, first) = (clock.now(), number());
    running.snapshot();
    wait_for(&|| read("taken") + read("failed") > 0);
    let (took, during) = ((clock.now() - asked).as_secs_f64(), number() - first);
    let (pause, megabytes) = (read("longest_pause_micros") as f64 / 1e3, read("bytes") as f64 / 1e6);
    let after = number();
    thread::sleep(Duration::from_secs_f64(took));
    let speed = during as f64 / (number() - after) as f64;
    running.stop();
    running.join()?;
    Ok(Seen { megabytes, pause, took, speed })
}

pub(super) fn run(keys: u64) -> Result<(), Box<dyn Error>> {
    let rounds = rounds();
    println!(
        "keys of 8 bytes with values of 64 bytes, written at full speed by one worker, medians of {rounds} rounds"
    );
    println!("{:>12} {:>10} {:>10} {:>10} {:>10}", "keys", "MB", "pause, ms", "took, s", "speed");
    let mut points = Vec::new();
    for keys in [keys / 100, keys / 10, keys] {
        let mut figures: [Vec<f64>; 4] = Default::default();
        for _ in 0..rounds {
            let Seen { megabytes, pause, took, speed } = snapshot(keys)?;
            figures.iter_mut().zip([megabytes, pause, took, speed]).for_each(|(all, one)| all.push(one));
        }
        let [megabytes, pause, took, speed] = figures.each_mut().map(|all| median(all));
        println!("{keys:>12} {megabytes:>10.1} {pause:>10.2} {took:>10.2} {speed:>10.2}");
        points.push((megabytes, pause));
    }
    let Some(path) = plot() else { return Ok(()) };
    let panel = Panel {
        title: "the longest pause of a worker",
        x: Axis::log10("megabytes that the snapshot writes"),
        y: "milliseconds",
        series: vec![Series { name: "keys of 8 bytes, values of 64".to_owned(), points }],
    };
    draw(&path, &[panel])
}
