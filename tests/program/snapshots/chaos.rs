//! Runs that overlap, stop, continue, die and go back, on the same snapshots and the same output: what
//! readers have seen in the end is what one run alone writes.
//!
//! A round is drawn from its number, which is told when it fails:
//! `ROUND=17 cargo test --test program chaos` plays it alone. Processes are real, so moments differ
//! from run to run.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use highwater::nexmark::oracle;

use crate::snapshots::place::{Place, events, number, signal, text};

const ROUNDS: u64 = 200;

/// Most of a round is waiting, so several are played at a time.
const AT_A_TIME: usize = 6;

const EVENTS: u64 = 4_000;

/// Draws numbers from a seed: SplitMix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }
}

/// A reader of the output that takes each part away as soon as it sees it, and keeps its lines.
fn take_away(rows: &Path, taken: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(rows) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.file_name().unwrap().to_str().unwrap().starts_with("part-") {
            taken.extend(fs::read_to_string(&path).unwrap().lines().map(str::to_owned));
            fs::remove_file(&path).unwrap();
        }
    }
}

fn play(round: u64) {
    let mut draw = Draw(round);
    let (place, query) = (Place::new(), ["q1", "q5"][draw.below(2) as usize]);
    let line = format!(
        "nexmark {query} --events {EVENTS} --splits 2 --snapshots state --every 10ms --epoch 3ms --retain 1000 --output rows --quiet"
    );
    // Whoever goes back to an older state takes back what readers still have, so readers must not have taken
    // it away.
    let (goes_back, takes_away) = [(true, false), (false, true), (false, false)][draw.below(3) as usize];
    let (rows, mut taken) = (place.path().join("rows"), Vec::new());
    let mut runs: Vec<Child> = Vec::new();
    for turn in 0..2 + draw.below(3) {
        let (workers, rate) = (1 + draw.below(2), 10_000 + draw.below(30_000));
        let mut start = format!("{line} --workers {workers} --rate {rate}");
        if turn > 0 {
            start.push_str(" --restore latest");
        }
        let older = place.count("state/log") > 3 && goes_back && draw.below(2) == 0;
        if older {
            let listed = place.json("snapshot list state");
            if let Some(one) = listed.get(draw.below(listed.len().max(1) as u64) as usize) {
                start = start.replace("latest", &number(&one["epoch"]).to_string()) + " --overwrite";
            }
        }
        runs.push(place.start(&start));
        let wait = Duration::from_millis(20 + draw.below(150));
        if takes_away {
            let until = 1 + draw.below(4) as u32;
            (0..until).for_each(|_| {
                thread::sleep(wait / until);
                take_away(&rows, &mut taken);
            });
        } else {
            thread::sleep(wait);
        }
        let chosen = draw.below(runs.len() as u64) as usize;
        let what = ["CONT", "STOP", "KILL", "CONT", "STOP"][draw.below(5) as usize];
        if runs[chosen].try_wait().unwrap().is_none() {
            signal(&runs[chosen], what);
        }
    }
    // A run that reads all that is left, while those before it stand still or run, and perhaps claim only
    // now.
    let overlapping = place.run(&format!("{line} --restore latest"));
    assert_ne!(overlapping.status.code(), Some(70), "round {round}: {}", text(&overlapping.stderr));
    for run in &mut runs {
        if run.try_wait().unwrap().is_none() {
            signal(run, "CONT");
        }
    }
    for run in runs {
        let told = run.wait_with_output().unwrap();
        assert_ne!(told.status.code(), Some(70), "round {round}: {}", text(&told.stderr));
    }
    let last = place.run(&format!("{line} --restore latest"));
    assert!(last.status.success(), "round {round}: {}", text(&last.stderr));
    take_away(&rows, &mut taken);
    taken.sort();
    let mut expected: Vec<String> = match query {
        "q1" => oracle::q1(events(EVENTS)).iter().map(|row| serde_json::to_string(row).unwrap()).collect(),
        _ => oracle::q5(events(EVENTS)).iter().map(|row| serde_json::to_string(row).unwrap()).collect(),
    };
    expected.sort();
    assert!(taken == expected, "round {round}: {} rows instead of {}", taken.len(), expected.len());
}

#[test]
fn what_readers_see_is_what_one_run_alone_writes() {
    if let Ok(round) = std::env::var("ROUND") {
        return play(round.parse().unwrap());
    }
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let round @ 0..ROUNDS = next.fetch_add(1, Ordering::Relaxed) {
                    play(round);
                }
            });
        }
    });
}
