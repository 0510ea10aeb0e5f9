//! A program of one's own with the options that every job has: workers, epochs, snapshots, and `--help`.
//!
//! It adds up what three tills take in each minute. The sales are made up, one each ten seconds of event
//! time.
//!
//! ```text
//! $ cargo run --example 11_program
//! minute 0: north takes 5
//! minute 0: east takes 7
//! minute 0: south takes 9
//! minute 1: north takes 17
//! minute 1: east takes 19
//! minute 1: south takes 21
//! ```
//!
//! With snapshots it can be interrupted, even killed, and goes on where it was, on other workers if need be;
//! each line is in the folder `takings` once:
//!
//! ```text
//! $ cargo run --example 11_program -- --sales 100000 --rate 5000 --output takings --snapshots state --every 1s
//! ^C
//! $ cargo run --example 11_program -- --sales 100000 --rate 5000 --output takings --snapshots state --restore latest --workers 2
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use highwater::prelude::*;
use highwater::program;

/// Adds up what three tills take in each minute.
#[derive(Args)]
struct Shop {
    /// How many sales are made.
    #[arg(long, default_value_t = 12)]
    sales: u64,
    /// How many are made in a second. [default: as many as can be]
    #[arg(long)]
    rate: Option<f64>,
    /// Write the takings to this file, or with --snapshots to this folder. [default: print them]
    #[arg(long)]
    output: Option<PathBuf>,
}

const TILLS: [&str; 3] = ["north", "east", "south"];

/// A sale: when, at which till, and how much.
type Sale = (EventTime, u64, u64);

fn sale(number: u64) -> Sale {
    (number as EventTime * 10_000, number % 3, 1 + number)
}

/// Memory for tables that grow.
#[global_allocator]
static ALLOCATOR: highwater::Allocator = highwater::Allocator;

fn main() -> ExitCode {
    program::main_with("tills", |job, shop: Shop| {
        let generator = Generator::new(1, |number| Some(sale(number))).limit(shop.sales);
        let generator = match shop.rate {
            Some(rate) => generator.rate(rate),
            None => generator,
        };
        let sales = job.source(generator, Watermarks::monotone(|sale: &Sale| sale.0)).uid("sales");
        let takings = sales
            .key_by(|sale| sale.1)
            .window(Tumbling::of(Duration::from_secs(60)))
            .sum(|sale| sale.2)
            .uid("takings")
            .map(|sum| {
                let (minute, till) = (sum.window.start / 60_000, TILLS[sum.key as usize]);
                format!("minute {minute}: {till} takes {}", sum.value)
            });
        let output = match shop.output {
            Some(output) => takings.write_text(output),
            None => takings.print(),
        };
        output.uid("output");
        Ok(())
    })
}
