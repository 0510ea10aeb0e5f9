//! Counts on with a new version of the program, which keeps more of each word than the old one did.
//!
//! The old version keeps a number for each word of its file. The new one also keeps where a word was seen
//! last, calls its state otherwise, reads another file, and goes on from the snapshot of the old one: a
//! function makes the new state of the old.
//!
//! ```text
//! $ cargo run --example 12_migration
//! before: moon 1
//! before: sun 1
//! before: moon 2
//! now: moon 3, last in line 1
//! now: star 1, last in line 2
//! now: sun 2, last in line 3
//! ```

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use highwater::object::Memory;
use highwater::prelude::*;
use highwater::snapshot::Migrations;
use serde::{Deserialize, Serialize};

/// The old version: how often a word came.
#[derive(Clone, Default)]
struct Before {
    count: Value<u32>,
}

impl Process<String, u64> for Before {
    type Out = String;

    fn open(&mut self, states: &mut States<'_, String>) {
        self.count = states.value("count");
    }

    fn process(&mut self, _line: u64, cx: &mut Context<'_, String, String>) {
        let count = self.count.get(cx).copied().unwrap_or(0) + 1;
        self.count.set(cx, count);
        cx.emit(format!("before: {} {count}", cx.key()));
    }
}

/// What the new version keeps of a word.
#[derive(Clone, Serialize, Deserialize)]
struct Word {
    count: u64,
    /// It was not kept at first.
    last: Option<u64>,
}

/// The new version.
#[derive(Clone, Default)]
struct Now {
    word: Value<Word>,
}

impl Process<String, u64> for Now {
    type Out = String;

    fn open(&mut self, states: &mut States<'_, String>) {
        self.word = states.value("word");
    }

    fn process(&mut self, line: u64, cx: &mut Context<'_, String, String>) {
        let count = self.word.get(cx).map_or(0, |word| word.count) + 1;
        self.word.set(cx, Word { count, last: Some(line) });
        cx.emit(format!("now: {} {count}, last in line {line}", cx.key()));
    }
}

/// The lines of a file, by number and of one word each.
const FILES: [[(u64, &str); 3]; 2] =
    [[(1, "moon"), (2, "sun"), (3, "moon")], [(1, "moon"), (2, "star"), (3, "sun")]];

fn main() -> Result<()> {
    // In memory; `Snapshots::in_directory` outlives the program.
    let snapshots = Snapshots::in_store(Arc::new(Memory::default())).restore(Restore::Latest);
    let options = Options::default().snapshots(snapshots);

    let job = Job::new();
    let lines = job.collection(FILES[0]).uid("first file").key_by(|line| line.1.to_owned());
    let told = lines.map_values(|line| line.0).process(Before::default()).uid("words").collect();
    job.run_with(options.clone())?;
    told.values().iter().for_each(|line| println!("{line}"));

    let job = Job::new();
    let lines = job.collection(FILES[1]).uid("second file").key_by(|line| line.1.to_owned());
    let told = lines.map_values(|line| line.0).process(Now::default()).uid("words").collect();
    job.migrations(
        Migrations::new()
            .rename_state("words", "count", "word")
            .convert("words", "word", |count: u32| Word { count: count.into(), last: None })
            .forget("first file"),
    );
    job.run_with(options)?;
    told.values().iter().for_each(|line| println!("{line}"));
    Ok(())
}
