//! Runs the hand-written queries: `cargo bench --bench floor -- QUERY FILE EVENTS WORKERS [verify]`.
//!
//! `QUERY` is one of q0 to q5, q7, q8, q20, or `all`. A file that does not exist is written first, with so
//! many events. With `verify` the rows are compared with the oracle's, by number and checksum.
#![allow(clippy::print_stdout)]

#[path = "mod.rs"]
mod floor;

use std::error::Error;
use std::path::Path;

use floor::{Digest, Outcome};
use highwater::nexmark::{self, Config, File, oracle};

/// Four blocks: long enough to pay for a round of progress, short enough to stay in the cache.
const EPOCH_EVENTS: u64 = 16_384;

type Run = fn(&'static File, u64, usize, u64) -> Outcome;

const QUERIES: [(&str, Run); 9] = [
    ("q0", floor::q0::run),
    ("q1", floor::q1::run),
    ("q2", floor::q2::run),
    ("q3", floor::q3::run),
    ("q4", floor::q4::run),
    ("q5", floor::q5::run),
    ("q7", floor::q7::run),
    ("q8", floor::q8::run),
    ("q20", floor::q20::run),
];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let [query, path, events, workers, rest @ ..] = &args[..] else {
        println!("usage: floor QUERY FILE EVENTS WORKERS [verify]");
        return Ok(());
    };
    let (path, events, workers) = (Path::new(path), events.parse::<u64>()?, workers.parse::<usize>()?);
    if !path.exists() {
        nexmark::write(path, Config::default(), 0..events, &mut |_| Ok(()))?;
    }
    let file: &'static File = Box::leak(Box::new(File::open(path)?));
    // Also brings all of it into memory and into the page tables, which else the first query would pay for.
    file.verify()?;
    for (name, run) in QUERIES.iter().filter(|(name, _)| name == query || query == "all") {
        let outcome = run(file, events, workers, EPOCH_EVENTS);
        let speed = events as f64 / outcome.seconds / 1e6;
        println!("{name}: {speed:.1} M events/s, {} rows, checksum {:016x}", outcome.rows, outcome.checksum);
        if rest.iter().any(|word| word == "verify") {
            let expected = expected(name, file, events);
            if expected != (outcome.rows, outcome.checksum) {
                return Err(
                    format!("{name} should be {} rows, checksum {:016x}", expected.0, expected.1).into()
                );
            }
        }
    }
    Ok(())
}

/// The number of rows and the checksum that the oracle finds.
fn expected(query: &str, file: &File, events: u64) -> (u64, u64) {
    let mut cursor = file.cursor();
    let events = std::iter::from_fn(|| cursor.next().filter(|_| cursor.position() <= events));
    match query {
        "q0" => summed(oracle::q0(events)),
        "q1" => summed(oracle::q1(events)),
        "q2" => summed(oracle::q2(events)),
        "q3" => summed(oracle::q3(events)),
        "q4" => summed(oracle::q4(events)),
        "q5" => summed(oracle::q5(events)),
        "q7" => summed(oracle::q7(events)),
        "q8" => summed(oracle::q8(events)),
        "q20" => summed(oracle::q20(events)),
        _ => (0, 0),
    }
}

fn summed(rows: Vec<impl Digest>) -> (u64, u64) {
    (rows.len() as u64, rows.iter().fold(0, |sum, row| sum.wrapping_add(row.digest())))
}
