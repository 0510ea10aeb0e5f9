//! What a snapshot writes when little has changed, again and again: the changes, and what merges write once
//! more. As one in a hundred has changed, the mean in hundredths of the first snapshot is also how many bytes
//! are written for each that has changed.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use highwater::config::Options;
use highwater::data::hash64;
use highwater::harness::Feed;
use highwater::snapshot::{Restore, Snapshots};
use highwater::stream::Job;
use highwater::time::Watermarks;

use super::state::Last;

/// So many snapshots are taken after the first.
const SNAPSHOTS: u64 = 200;

/// Writes all keys and takes a snapshot; then a hundredth of the keys at random and a snapshot, again and
/// again.
pub(super) fn run(keys: u64) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (job, feed, read) = (Job::new(), Feed::new(1), Arc::new(AtomicU64::new(0)));
    let counting = Arc::clone(&read);
    let rows = job.source(feed.clone(), Watermarks::none()).map(move |row: (u64, u64)| {
        counting.fetch_add(1, Ordering::Relaxed);
        row
    });
    let rows = rows.key_by(|row| row.0).map_values(|row| row.1);
    rows.process(Last::default()).uid("last").discard();
    let snapshots = Snapshots::in_directory(directory.path())?.restore(Restore::Nothing);
    let running = job.start(Options::default().snapshots(snapshots))?;
    let metric = |name| running.metrics().metric("snapshots", name).get();
    let (mut sizes, mut written) = (Vec::new(), 0);
    for number in 0..=SNAPSHOTS {
        let changes = if number == 0 { keys } else { keys / 100 };
        for n in written..written + changes {
            feed.push(0, (if number == 0 { n } else { hash64(&n) % keys }, n));
        }
        written += changes;
        let before = (metric("taken"), metric("bytes"));
        wait_for(|| read.load(Ordering::Relaxed) >= written);
        running.snapshot();
        wait_for(|| metric("taken") > before.0 || metric("failed") > 0);
        if metric("failed") > 0 {
            return Err("a snapshot could not be written".into());
        }
        sizes.push((metric("bytes") - before.1) as f64);
    }
    feed.close();
    running.join()?;
    let (full, rest) = (sizes[0], &sizes[1..]);
    let mut sorted = rest.to_vec();
    sorted.sort_by(f64::total_cmp);
    let of_full = |bytes: f64| 100.0 * bytes / full;
    let mean = rest.iter().sum::<f64>() / rest.len() as f64;
    println!(
        "{keys} keys of 8 bytes with values of 64, {SNAPSHOTS} snapshots with one in a hundred keys changed"
    );
    println!("the first snapshot, MB                             {:>8.2}", full / 1e6);
    println!("the others, % of it: median                        {:>8.2}", of_full(sorted[sorted.len() / 2]));
    println!("  mean, merges included                            {:>8.2}", of_full(mean));
    println!("  largest                                          {:>8.2}", of_full(sorted[sorted.len() - 1]));
    Ok(())
}

fn wait_for(mut done: impl FnMut() -> bool) {
    while !done() {
        thread::sleep(Duration::from_millis(1));
    }
}
