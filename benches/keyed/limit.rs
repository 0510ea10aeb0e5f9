//! What it costs that state is larger than memory: a value of 128 bytes for each of a million keys, with less
//! and less room.

use std::error::Error;

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::process::{Context, Process, States, Value};
use highwater::stream::Job;
use highwater::time::Watermarks;

use crate::numbers::mix;

const KEYS: u64 = 1_000_000;

/// Keeps and changes 128 bytes.
#[derive(Clone, Default)]
struct Wide(Value<[u64; 16]>);

impl Process<u64, u64> for Wide {
    type Out = u64;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value("wide");
    }

    fn process(&mut self, n: u64, cx: &mut Context<'_, u64, u64>) {
        self.0.update(cx, || [n; 16], |wide| wide[(n % 16) as usize] += n);
    }
}

/// All keys alike.
fn uniform(n: u64) -> u64 {
    mix(n) % KEYS
}

/// Nine of ten records are of one in fifty keys.
fn skewed(n: u64) -> u64 {
    if n.is_multiple_of(10) { uniform(n) } else { mix(n) % (KEYS / 50) }
}

/// Runs so many records through a process function, and prints million records per second and how many keys
/// were read back for each limit.
pub(crate) fn run(records: u64, workers: usize) -> Result<(), Box<dyn Error>> {
    println!(
        "{records} records of {KEYS} keys with 128 bytes each; M records/s, keys read back for each hundred records"
    );
    let loads: [(&str, fn(u64) -> u64); 2] = [("uniform", uniform), ("skewed", skewed)];
    for (name, key) in loads {
        for limit in [None, Some(100usize), Some(36)] {
            let job = Job::new();
            let numbers = Generator::new(workers, move |n| (n < records).then_some(n));
            let numbers = job.source(numbers, Watermarks::none());
            numbers.key_by(move |n| key(*n)).process(Wide::default()).discard();
            let options = Options::default().workers(workers).max_bytes_in_flight(1 << 20);
            let options = match limit {
                Some(megabytes) => options.state_memory(megabytes << 20, std::env::temp_dir()),
                None => options,
            };
            let summary = job.run_with(options)?;
            let entered = summary.metrics.sum("keys_reloaded") as f64;
            let limit = limit.map_or("no limit".to_owned(), |megabytes| format!("{megabytes} MiB"));
            let rate = records as f64 / summary.elapsed.as_secs_f64() / 1e6;
            println!("{name:<8} {limit:>10} {rate:>8.2} {:>6.1}", 100.0 * entered / records as f64);
        }
    }
    Ok(())
}
