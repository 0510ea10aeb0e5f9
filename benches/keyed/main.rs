//! What keyed state, timers, windows and interval joins cost:
//! `cargo bench --bench keyed -- [WHAT [RECORDS [WORKERS]]]`.
//!
//! `cases` (the default), or a part of a case's name, runs each case by the engine and by hand (plain timely
//! with hash maps) in turn, on the same numbers: million records per second of both, as medians of some
//! rounds, and the median of the rounds' ratios. What both say is compared. `series` runs RECORDS with keys
//! that expire and prints rate, memory and longest epoch for each tenth. `memory` prints the bytes that a key
//! takes. `limit` gives state less memory than it needs. ROUNDS gives the number of rounds.
#![allow(clippy::print_stdout)]

mod by_hand;
mod engine;
mod limit;
mod numbers;
mod series;

use std::error::Error;

use by_hand::{Counts, Hand, Pairs, Sessions, Sliding, Timers};
use numbers::Numbers;

#[global_allocator]
static ALLOCATOR: highwater::Allocator = highwater::Allocator;

type Outcome = Result<(f64, u64), Box<dyn Error>>;

struct Case {
    name: &'static str,
    keys: u64,
    /// The portion of the records that it takes: slow cases take fewer.
    portion: f64,
    hand: fn(Numbers) -> (f64, u64),
    engine: fn(Numbers) -> Outcome,
}

fn counts(numbers: Numbers) -> Outcome {
    engine::process(numbers, engine::Counting::default())
}

fn timers(numbers: Numbers) -> Outcome {
    engine::process(numbers, engine::Timing)
}

const fn case<H: Hand>(name: &'static str, keys: u64, portion: f64, engine: fn(Numbers) -> Outcome) -> Case {
    Case { name, keys, portion, hand: by_hand::run::<H>, engine }
}

const CASES: [Case; 13] = [
    case::<Counts>("value, 1,000 keys", 1_000, 1.0, counts),
    case::<Counts>("value, 1 M keys", 1_000_000, 1.0, counts),
    case::<Counts>("value, 10 M keys", 10_000_000, 1.0, counts),
    case::<Counts>("value, unique keys", u64::MAX, 0.25, counts),
    case::<Timers>("timers, 100,000 keys", 100_000, 0.5, timers),
    case::<Sessions>("sessions, 10,000 keys", 10_000, 1.0, engine::sessions),
    case::<Sessions>("sessions, 100,000 keys", 100_000, 1.0, engine::sessions),
    case::<Sliding<1>>("windows, 1 slide", 1_000, 1.0, |numbers| engine::sliding(numbers, 1)),
    case::<Sliding<10>>("windows, 10 slides", 1_000, 1.0, |numbers| engine::sliding(numbers, 10)),
    case::<Sliding<100>>("windows, 100 slides", 1_000, 1.0, |numbers| engine::sliding(numbers, 100)),
    case::<Sliding<1000>>("windows, 1,000 slides", 1_000, 1.0, |numbers| engine::sliding(numbers, 1000)),
    case::<Pairs<true>>("interval join, 1 M keys", 1_000_000, 0.25, engine::pairs),
    case::<Pairs<false>>("and by hand keys stay", 1_000_000, 0.25, engine::pairs),
];

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(case: &Case, records: u64, workers: u64, rounds: usize) -> Result<(), Box<dyn Error>> {
    let records = (records as f64 * case.portion) as u64;
    let numbers = Numbers { records, keys: case.keys, workers };
    let (mut hand, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let ((floor, said), (engine, by_engine)) = ((case.hand)(numbers), (case.engine)(numbers)?);
        // Timers that are late fire with the next watermark, so two of one time may or may not be one.
        if said != by_engine && !case.name.starts_with("timers") {
            return Err(format!("{}: {said} by hand, {by_engine} by the engine", case.name).into());
        }
        hand.push(records as f64 / floor / 1e6);
        ours.push(records as f64 / engine / 1e6);
        ratios.push(floor / engine);
    }
    let [hand, ours, ratio] = [&mut hand, &mut ours, &mut ratios].map(|values| median(values));
    println!("{:<26} {hand:>8.1} {ours:>8.1} {ratio:>8.2}", case.name);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let what = args.first().map_or("cases", String::as_str);
    let number = |place: usize, default| args.get(place).and_then(|arg| arg.parse().ok()).unwrap_or(default);
    let workers = number(2, 1);
    match what {
        "series" => series::flat(number(1, 100_000_000), workers as usize),
        "limit" => limit::run(number(1, 5_000_000), workers as usize),
        "memory" => series::weigh(number(1, 1_000_000), args.get(2).map(String::as_str)),
        part => {
            let records = number(1, 20_000_000);
            let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
            println!(
                "{records} records, {workers} workers, median of {rounds} rounds, million records per second"
            );
            println!("{:<26} {:>8} {:>8} {:>8}", "case", "by hand", "engine", "ratio");
            let asked = |case: &&Case| part == "cases" || case.name.contains(part);
            CASES.iter().filter(asked).try_for_each(|case| compare(case, records, workers, rounds))
        }
    }
}
