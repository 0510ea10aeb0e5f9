//! Reads a CSV file, adds up a column for each key, and writes the result as JSON lines.
//!
//! The sums are changes, and the file shows them as they are: a `diff` of 1 is a row that came and of -1 one
//! that went. Here all rows are read in one epoch, so each sum comes once.
//!
//! ```text
//! $ cargo run --example 05_files
//! {"record":["Bern",9],"diff":1}
//! {"record":["Kiel",4],"diff":1}
//! {"record":["Ulm",12],"diff":1}
//! ```

#![allow(clippy::print_stdout)]

use highwater::prelude::*;
use serde::Deserialize;

#[derive(Clone, Deserialize)]
struct Trip {
    city: String,
    km: u64,
}

const TRIPS: &str = "city,km\nUlm,5\nBern,9\nUlm,7\nKiel,4\n";

fn main() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("highwater-example-{}", std::process::id()));
    let (input, output) = (directory.join("trips.csv"), directory.join("sums.json"));
    let cannot = |error| Error::io(format!("cannot use {}", directory.display()), error);
    std::fs::create_dir_all(&directory).map_err(cannot)?;
    std::fs::write(&input, TRIPS).map_err(cannot)?;

    let job = Job::new();
    let trips = job.csv_file(&input, Watermarks::<Trip>::none());
    trips.key_by(|trip| trip.city.clone()).sum(|trip| trip.km).write_json(&output);
    job.run_with(Options::default().epochs(Epochs::records(1000)))?;

    let written = std::fs::read_to_string(&output).map_err(cannot)?;
    let mut lines: Vec<&str> = written.lines().collect();
    lines.sort();
    for line in lines {
        println!("{line}");
    }
    std::fs::remove_dir_all(&directory).map_err(cannot)
}
