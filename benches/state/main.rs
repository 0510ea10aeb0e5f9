//! Ways to keep state by key: `cargo bench --bench state [-- LOAD ...]`.
//!
//! A stream of keys and values is cut into epochs. At the end of each, whoever keeps the state knows the
//! value of every key joined from all records so far, and has told what changed, as retractions and
//! insertions. One thread. The ways:
//!
//! * `stock`: differential as it is, `count_total` with values as differences;
//! * `sorted`: the epoch's records sorted by key, and one pass over the runs of a stock `OrdKeySpine`, which
//!   gets one run;
//! * `hashed`: the epoch's records combined in a hash table, then retracted and inserted as rows of a stock
//!   `OrdValSpine`;
//! * `engine`: a rolling aggregate by the public interface, sources, channels and progress included, sealed
//!   in each epoch;
//! * `demand`: the same, sealed when someone asks, and no one does;
//! * `table`: a hash table alone, which tells nothing and could not be saved.
//!
//! Printed are million records per second, the longest epoch in milliseconds (for the engine: the longest
//! time between two epochs becoming complete) and the memory that the process has gained. Each cell is a
//! process of its own and ends after two seconds. `ROUNDS` gives the number of rounds, of which the medians
//! are printed.
#![allow(clippy::print_stdout)]

mod engine;
mod load;
mod meter;
mod ways;

use std::error::Error;
use std::process::Command;

use highwater::config::Seals;
use load::{Latest, Load, Sums};
use meter::Measured;

#[global_allocator]
static ALLOCATOR: highwater::Allocator = highwater::Allocator;

const LOADS: [&str; 4] = ["few", "uniform", "zipf", "strings"];
const EPOCHS: [usize; 3] = [1_000, 10_000, 100_000];
const WAYS: [&str; 6] = ["stock", "sorted", "hashed", "engine", "demand", "table"];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if let [cell, load, epoch, way] = &args[..]
        && cell == "cell"
    {
        let epoch = epoch.parse()?;
        let measured = match load.as_str() {
            "few" => cell_of::<Sums>(Sums::few(), epoch, way)?,
            "uniform" => cell_of::<Sums>(Sums::uniform(), epoch, way)?,
            "zipf" => cell_of::<Sums>(Sums::zipf(), epoch, way)?,
            _ => cell_of::<Latest>(Latest::bids(), epoch, way)?,
        };
        println!("{} {} {}", measured.rate, measured.worst, measured.megabytes);
        return Ok(());
    }
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    println!("M records/s, worst epoch in ms, MB gained; median of {rounds} rounds");
    print!("{:<8} {:>7}", "load", "epoch");
    WAYS.iter().for_each(|way| print!(" | {way:^20}"));
    println!();
    for load in LOADS.iter().filter(|load| args.is_empty() || args.iter().any(|arg| arg == *load)) {
        for epoch in EPOCHS {
            let mut cells = [const { Vec::new() }; WAYS.len()];
            for _ in 0..rounds {
                for (way, cell) in WAYS.iter().zip(&mut cells) {
                    cell.push(in_a_process(load, epoch, way)?);
                }
            }
            print!("{load:<8} {epoch:>7}");
            for cell in cells {
                let [rate, worst, megabytes] = [0, 1, 2].map(|i| median(cell.iter().map(|c| c[i]).collect()));
                print!(" | {rate:>6.2} {worst:>7.1} {megabytes:>5.0}");
            }
            println!();
        }
    }
    Ok(())
}

fn in_a_process(load: &str, epoch: usize, way: &str) -> Result<[f64; 3], Box<dyn Error>> {
    let mut cell = Command::new(std::env::current_exe()?);
    let output = cell.args(["cell", load, &epoch.to_string(), way]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers = text.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    <[f64; 3]>::try_from(numbers)
        .map_err(|_| format!("{load} {epoch} {way}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cell_of<L: Load>(
    records: Vec<(L::Key, L::Value)>,
    epoch: usize,
    way: &str,
) -> Result<Measured, Box<dyn Error>> {
    Ok(match way {
        "stock" => ways::stock::<L>(records, epoch),
        "sorted" => ways::sorted::<L>(&records, epoch),
        "hashed" => ways::hashed::<L>(&records, epoch),
        "engine" => engine::rolling::<L>(records, epoch, Seals::EachEpoch)?,
        "demand" => engine::rolling::<L>(records, epoch, Seals::OnDemand)?,
        _ => ways::table::<L>(&records, epoch),
    })
}
