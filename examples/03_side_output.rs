//! Splits a stream in two: orders that make sense, and those that do not, with the reason.
//!
//! Each branch is a stream of its own. The steps before the branch are compiled into both.
//!
//! ```text
//! $ cargo run --example 03_side_output
//! pears: 7
//! plums: 12
//! refused "figs": no quantity
//! refused "nuts=many": invalid digit found in string
//! ```

#![allow(clippy::print_stdout)]

use highwater::prelude::*;

const ORDERS: [&str; 5] = ["pears=3", "figs", "plums=12", "nuts=many", "pears=4"];

/// An order, or the line and what is wrong with it.
fn parse(line: &str) -> Result<(String, u64), (String, String)> {
    let refuse = |reason: String| (line.to_owned(), reason);
    let (fruit, quantity) = line.split_once('=').ok_or_else(|| refuse("no quantity".to_owned()))?;
    let quantity = quantity.parse().map_err(|error: std::num::ParseIntError| refuse(error.to_string()))?;
    Ok((fruit.to_owned(), quantity))
}

fn main() -> Result<()> {
    let job = Job::new();
    let parsed = job.collection(ORDERS).map(parse);
    let good = parsed.clone().filter_map(Result::ok);
    let bad = parsed.filter_map(Result::err);

    let sums = good.key_by(|(fruit, _)| fruit.clone()).sum(|(_, quantity)| quantity).materialize();
    let refused = bad.collect();
    job.run()?;

    for (fruit, quantity) in sums.sorted() {
        println!("{fruit}: {quantity}");
    }
    for (line, reason) in refused.sorted() {
        println!("refused {line:?}: {reason}");
    }
    Ok(())
}
