//! What snapshots cost: `cargo bench --bench snapshot -- queries FILE [EVENTS [WORKERS]]`,
//! `-- intervals FILE EVENTS [WORKERS]`, `-- state [KEYS]`, `-- changes [KEYS]`, `-- pauses [KEYS]` and
//! `-- codecs`.
//!
//! `queries` runs Nexmark queries with snapshots and without, in turn, on the same input. `state` fills a
//! table of keys, changes one in a hundred, and goes on from what was written, on as many workers and on
//! others. `pauses` takes a snapshot of such a table while all of it is being written again. `ROUNDS` in the
//! environment says how often, and `EVERY_MS` how far snapshots of queries are apart. `intervals` runs the
//! program with snapshots at several intervals and none, at full speed and in an open loop at half of that,
//! and `changes` takes one snapshot after the other while a hundredth of the keys changes each time, for what
//! merges write again. With `PLOT=FILE.svg` in the environment `intervals` and `pauses` draw what they have
//! measured; `ONLY` names the one query that is wanted.
#![allow(clippy::print_stdout)]

mod changes;
mod chart;
mod codecs;
mod intervals;
mod pauses;
mod queries;
mod state;

use std::error::Error;
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: highwater::Allocator = highwater::Allocator;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let number = |place: usize, default: u64| args.get(place).map_or(Ok(default), |arg| arg.parse());
    match (args.first().map(String::as_str), args.get(1)) {
        (Some("queries"), Some(file)) => {
            queries::run(file.as_ref(), number(2, 10_000_000)?, number(3, 1)? as usize)
        }
        (Some("intervals"), Some(file)) => {
            intervals::run(file.as_ref(), number(2, 10_000_000)?, number(3, 1)? as usize)
        }
        (Some("changes"), _) => changes::run(number(1, 1_000_000)?),
        (Some("codecs"), _) => codecs::run(),
        (Some("state"), _) => state::run(number(1, 1_000_000)?),
        (Some("pauses"), _) => pauses::run(number(1, 10_000_000)?),
        _ => {
            println!(
                "usage: snapshot queries|intervals FILE [EVENTS [WORKERS]] | state|changes|pauses [KEYS] | codecs"
            );
            Ok(())
        }
    }
}

/// How often each is run.
fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5)
}

/// The one query that is wanted, if not all are.
fn is_wanted(query: &str) -> bool {
    std::env::var("ONLY").map_or(true, |only| only == query)
}

/// Where the plot goes, if one is wanted.
fn plot() -> Option<PathBuf> {
    std::env::var_os("PLOT").map(PathBuf::from)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
