//! Counts words: a text becomes lines, lines become words, and each word has a rolling count.
//!
//! A rolling count is a stream of changes: when a word comes again, its old count is retracted and the new
//! one inserted. What is left when the job has run is the collection of final counts.
//!
//! ```text
//! $ cargo run --example 01_words
//! 1 more
//! 1 one
//! 1 who
//! 2 lost
//! 2 much
//! 2 of
//! 2 time
//! 3 the
//! ```

#![allow(clippy::print_stdout)]

use highwater::prelude::*;

const TEXT: [&str; 3] = ["who lost the time", "lost much of the one", "of the more much time"];

fn main() -> Result<()> {
    let job = Job::new();
    let counts = job
        .collection(TEXT)
        .flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .key_by(|word| word.clone())
        .count()
        .materialize();
    job.run_with(Options::default().workers(2))?;

    let mut counts: Vec<(u64, String)> =
        counts.sorted().into_iter().map(|(word, count)| (count, word)).collect();
    counts.sort();
    for (count, word) in counts {
        println!("{count} {word}");
    }
    Ok(())
}
