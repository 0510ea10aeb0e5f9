//! What snapshots cost: `cargo bench --bench snapshot -- queries FILE [EVENTS [WORKERS]]` `-- state [KEYS]`,
//! `-- pauses [KEYS]` and `-- codecs`.
//!
//! `queries` runs Nexmark queries with snapshots and without, in turn, on the same input. `state` fills a table of keys, changes one in a hundred, and
//! goes on from what was written, on as many workers and on others. `pauses` takes a snapshot of such a table while all of it is being written again. `ROUNDS` in the environment says how often, and `EVERY_MS` how
//! far snapshots of queries are apart.
#![allow(clippy::print_stdout)]

mod codecs;
mod pauses;
mod queries;
mod state;

use std::error::Error;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let number = |place: usize, default: u64| args.get(place).map_or(Ok(default), |arg| arg.parse());
    match (args.first().map(String::as_str), args.get(1)) {
        (Some("queries"), Some(file)) => {
            queries::run(file.as_ref(), number(2, 10_000_000)?, number(3, 1)? as usize)
        }
        (Some("codecs"), _) => codecs::run(),
        (Some("state"), _) => state::run(number(1, 1_000_000)?),
        (Some("pauses"), _) => pauses::run(number(1, 10_000_000)?),
        _ => {
            println!(
                "usage: snapshot queries FILE [EVENTS [WORKERS]] | state [KEYS] | pauses [KEYS] | codecs"
            );
            Ok(())
        }
    }
}

/// How often each is run.
fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
